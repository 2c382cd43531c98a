"""TLS to targets: for the host's name, 1.2 or later, with a certificate that holds."""

import ssl
from pathlib import Path

import pytest

from flows.core.outbound.egress import Outgoing
from tests.kit.certificates import Authority
from tests.kit.egress import answer, egress, failure, post
from tests.kit.targets import OK, answers, hangs, target

NAME = ("hook.test", ["127.0.0.1"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def test_a_good_certificate_is_accepted_and_the_name_is_told(authority: Authority) -> None:
    told: list[str | None] = []
    context = authority.context("hook.test")
    context.sni_callback = lambda _, name, __: told.append(name)
    async with target(answers(OK), tls=context) as seen:
        with egress(NAME, authority=authority) as client:
            for _ in range(3):
                assert (await answer(client, post(f"https://hook.test.:{seen.port}/", b"x" * 100_000))).body == b"ok"
    assert told == ["hook.test"]
    assert seen.connections == 1
    assert seen.requests[0].header("host") == f"hook.test:{seen.port}"


async def test_a_certificate_may_be_for_an_address(authority: Authority) -> None:
    async with target(answers(OK), tls=authority.context("127.0.0.1")) as seen:
        with egress(authority=authority) as client:
            await answer(client, post(f"https://127.0.0.1:{seen.port}/"))


@pytest.mark.parametrize(
    ("host", "begin", "end", "self_signed", "why"),
    [
        ("hook.test", -2.0, -1.0, False, "certificate has expired"),
        ("hook.test", 1.0, 2.0, False, "certificate is not yet valid"),
        ("other.test", -1.0, 1.0, False, "Hostname mismatch"),
        ("127.0.0.1", -1.0, 1.0, False, "Hostname mismatch"),
        ("hook.test", -1.0, 1.0, True, "self-signed certificate"),
    ],
)
async def test_a_bad_certificate_is_not(authority: Authority, host: str, begin: float, end: float, self_signed: bool, why: str) -> None:
    async with target(answers(OK), tls=authority.context(host, begin=begin, end=end, self_signed=self_signed)) as seen:
        with egress(NAME, authority=authority) as client:
            found = await failure(client, post(f"https://hook.test:{seen.port}/"))
    assert (found.code, found.sent) == ("tls_failed", False)
    assert why in found.detail
    assert seen.requests == []


async def test_an_unknown_authority_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    async with target(answers(OK), tls=Authority(tmp_path, "stranger").context("hook.test")) as seen:
        for trusted in (authority, None):
            with egress(NAME, authority=trusted) as client:
                assert (await failure(client, post(f"https://hook.test:{seen.port}/"))).code == "tls_failed"


async def test_old_tls_is_not_spoken(authority: Authority) -> None:
    context = authority.context("hook.test")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with target(answers(OK), tls=context) as seen:
        with egress(NAME, authority=authority) as client:
            assert (await failure(client, post(f"https://hook.test:{seen.port}/"))).code == "tls_failed"


async def test_tls_1_2_is_spoken(authority: Authority) -> None:
    context = authority.context("hook.test")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with target(answers(OK), tls=context) as seen:
        with egress(NAME, authority=authority) as client:
            await answer(client, post(f"https://hook.test:{seen.port}/"))


async def test_a_target_without_tls_fails(authority: Authority) -> None:
    async with target(answers(OK)) as seen:
        with egress(NAME, authority=authority) as client:
            found = await client.call(post(f"https://hook.test:{seen.port}/", deadline_s=0.5))
    assert not isinstance(found, tuple)
    assert found.code in {"tls_failed", "timed_out"}


async def test_a_target_that_hangs_in_the_handshake_runs_into_the_deadline(authority: Authority) -> None:
    async with target(hangs) as seen:
        with egress(NAME, authority=authority) as client:
            found = await failure(client, Outgoing("GET", f"https://hook.test:{seen.port}/", deadline_s=0.3))
    assert (found.code, found.sent) == ("timed_out", False)
    assert "was connected to" in found.detail
