"""Files behind redirects: each URL on the way is judged as the first one, and secrets stay with the host they are for."""

from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.egress import egress
from tests.kit.files import Served, fetching, rows, sha256
from tests.kit.targets import answers, answers_in_turn, counted, target

SMALL = rows(20_000)
BIG = rows(90_000, 220)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def moved(url: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_and_takes_no_secret_along(tmp_path: Path, status: int) -> None:
    file = Served(SMALL)
    async with target(file.talk) as there, target(answers(moved(f"{there.url}?sign=1#part", status))) as seen:
        with egress() as client:
            made = fetching(seen.url, client, tmp_path, headers={"Authorization": "Bearer hidden", "X-Key": "k"})
            assert (await made.all()).staged.sha256 == sha256(SMALL)
    assert (seen.requests[0].header("authorization"), seen.requests[0].header("x-key")) == ("Bearer hidden", "k")
    assert file.asked[0].head.startswith("GET /hook?sign=1 HTTP/1.1")
    assert (file.asked[0].header("authorization"), file.asked[0].header("x-key")) == (None, None)


async def test_a_redirect_on_the_same_host_keeps_the_headers(tmp_path: Path) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(SMALL) + SMALL
    async with target(answers_in_turn(moved("/elsewhere"), whole)) as seen:
        with egress() as client:
            assert (await fetching(seen.url, client, tmp_path, headers={"Authorization": "Bearer hidden"}).all()).staged.over
    assert [request.header("authorization") for request in seen.requests] == ["Bearer hidden"] * 2
    assert seen.requests[1].head.startswith("GET /elsewhere HTTP/1.1")


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("http://127.0.0.2:{port}/", "127.0.0.2 is or resolves to an address that is not public"),
        ("http://inner.test:{port}/", "inner.test is or resolves to an address that is not public"),
        ("http://169.254.169.254/latest/meta-data", "is a cloud's metadata service"),
        ("http://metadata.google.internal/", "is a cloud's metadata service"),
        ("http://user:hidden@127.0.0.1:{port}/", "redirects to what cannot be called: The URL holds a user or a password"),
        ("file:///etc/passwd", "redirects to what cannot be called: The URL does not begin with http"),
        ("http://[::1", "redirects to what cannot be called"),
        ("/hook", "redirects more than 5 times"),
    ],
)
async def test_a_redirect_leads_nowhere_that_may_not_be_called(tmp_path: Path, location: str, told: str) -> None:
    with counted("127.0.0.2") as (port, come):
        async with target(answers(moved(location.format(port=port)))) as seen:
            with egress(("inner.test", ["127.0.0.2"]), allow="127.0.0.1/32") as client:
                found = await fetching(seen.url, client, tmp_path).portion()
    assert found.failed is not None
    assert told in found.failed
    assert "hidden" not in found.failed
    assert not come
    assert len(seen.requests) == (6 if location == "/hook" else 1)


async def test_https_is_not_left_for_http(tmp_path: Path, authority: Authority) -> None:
    async with target(answers(moved("http://files.test/")), tls=authority.context("files.test")) as seen:
        with egress(("files.test", ["127.0.0.1"]), authority=authority) as client:
            found = await fetching(f"https://files.test:{seen.port}/a.csv", client, tmp_path).portion()
    assert found.failed == f"https://files.test:{seen.port}/a.csv redirects from https to http, which is not followed; give the URL it leads to."


async def test_a_large_file_comes_over_tls(tmp_path: Path, authority: Authority) -> None:
    file = Served(BIG)
    async with target(file.talk, tls=authority.context("files.test")) as seen:
        with egress(("files.test", ["127.0.0.1"]), authority=authority) as client:
            last = await fetching(f"https://files.test:{seen.port}/a.csv", client, tmp_path).all()
    assert last.staged.sha256 == sha256(BIG)
