"""Files that are fetched over HTTP: whole or in parts, from servers that break off, lie, hang, change the file, or lead elsewhere."""

import asyncio
import time
from pathlib import Path

import pytest

from connectors.testing import ManualClock
from flows.core.imports.staged import Staged
from flows.steps.fetch import PORTION_BYTES
from flows.steps.reach import Patience
from tests.kit.egress import egress
from tests.kit.files import HASTY, Served, fetching, rows, sha256
from tests.kit.targets import Talk, answers_once, counted, drips, floods, hangs, target

BIG = rows(90_000, 220)
"""Several portions."""
SMALL = rows(20_000)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_file_comes_in_portions_on_one_connection(tmp_path: Path) -> None:
    file = Served(BIG)
    async with target(file.talk) as seen:
        with egress() as client:
            made = fetching(seen.url + "/people.csv?v=1", client, tmp_path)
            first = await made.portion()
            assert PORTION_BYTES // 2 < first.staged.at < len(BIG) // 2
            assert (first.staged.total, first.staged.over, first.later, first.failed) == (len(BIG), False, None, None)
            last = await made.all()
    assert (last.staged.at, last.staged.sha256, last.staged.etag) == (len(BIG), sha256(BIG), '"one"')
    assert made.data == BIG
    assert seen.connections == last.staged.calls == 1
    request = file.asked[0]
    assert request.head.startswith("GET /hook/people.csv?v=1 HTTP/1.1")
    assert (request.header("accept-encoding"), request.header("user-agent"), request.header("range")) == ("identity", "xyra-integration/test", None)


async def test_a_target_waits_while_nobody_takes(tmp_path: Path) -> None:
    async with target(floods(CHUNKED, b"10000\r\n" + (b"a,b\n" * 16384) + b"\r\n")) as seen:
        with egress() as client:
            made = fetching(seen.url, client, tmp_path, batch_import_max_file_size="100000000")
            await made.portion()
            for _ in range(5000):  # the target has its turns, and nobody takes
                await asyncio.sleep(0)
            written = seen.written
            made.fetcher.close()
    assert written < PORTION_BYTES + 8_000_000  # and what sockets hold


@pytest.mark.parametrize("etag", ['"one"', ""], ids=["etag", "last-modified"])
async def test_what_broke_off_is_gone_on_with(tmp_path: Path, etag: str) -> None:
    file = Served(BIG, etag=etag, modified="Thu, 26 Nov 2026 09:00:00 GMT", breaks=[3_000_000, 9_000_000])
    async with target(file.talk) as seen:
        with egress() as client:
            made = fetching(seen.url, client, tmp_path)
            broken = await made.portion()
            assert broken.later is not None
            assert broken.later.sentence == f"127.0.0.1:{seen.port} closed the connection before its answer was whole."
            assert broken.pieces
            last = await made.all()
    assert (made.data == BIG, last.staged.sha256) == (True, sha256(BIG))
    assert [request.header("if-range") for request in file.asked] == [None, *[etag or file.modified] * 2]
    assert sum(len(BIG) - int((request.header("range") or "bytes=0-")[6:-1]) for request in file.asked) < 3 * len(BIG) - 3_000_000


@pytest.mark.parametrize(("ranges", "etag"), [(False, '"one"'), (True, ""), (True, 'W/"one"')], ids=["no parts", "no name", "weak name"])
async def test_a_server_that_gives_no_parts_is_asked_for_all_of_it(tmp_path: Path, ranges: bool, etag: str) -> None:
    file = Served(BIG, ranges=ranges, etag=etag, breaks=[3_000_000])
    async with target(file.talk) as seen:
        with egress() as client:
            made = fetching(seen.url, client, tmp_path)
            await made.portion()
            at = made.staged.at
            made.again()
            await made.portion()
            assert made.staged.at > at
            last = await made.all()
    assert (made.data == BIG, last.staged.sha256) == (True, sha256(BIG))
    assert len(file.asked) == 2


@pytest.mark.parametrize("kept", [True, False], ids=["in one process", "killed"])
@pytest.mark.parametrize("etag", ['"two"', '"one"', ""], ids=["told", "not told", "without a name"])
async def test_a_file_that_has_changed_is_begun_anew(tmp_path: Path, etag: str, kept: bool) -> None:
    file = Served(BIG, breaks=[3_000_000], etag='"one"' if etag else "", ranges=etag != '"one"')
    other = BIG.replace(b"name 1,", b"nomen1,")
    async with target(file.talk) as seen:
        with egress() as client:
            made = fetching(seen.url, client, tmp_path)
            await made.portion()
            assert made.staged.at
            file.data, file.etag = other, etag
            if not kept:
                made.again()
            changed = await made.portion()
            assert changed.later is not None
            assert changed.later.sentence.endswith("was changed while it was fetched. It is begun anew.")
            last = await made.all()
    assert (made.data == other, last.staged.sha256, last.staged.anew) == (True, sha256(other), 1)


async def test_a_file_that_changes_again_and_again_fails_its_job(tmp_path: Path) -> None:
    file = Served(BIG, breaks=[3_000_000] * 20, ranges=False)
    async with target(file.talk) as seen:
        with egress() as client:
            made = fetching(seen.url, client, tmp_path)

            def change() -> None:
                file.etag = f'"{len(file.asked)}"'

            last = await made.all(change)
    assert (last.failed or "").endswith("was changed while it was fetched. That is so for the 4th time; retry the job when nobody writes to it.")


async def test_a_file_that_is_as_it_was_is_not_fetched(tmp_path: Path) -> None:
    file = Served(SMALL)
    async with target(file.talk) as seen:
        with egress() as client:
            made = fetching(seen.url, client, tmp_path)
            assert (await made.portion(etag='"other"')).staged.over
            made.staged, etag = Staged(), made.staged.etag
            found = await made.portion(etag=etag)
    assert (found.same, found.staged.at, list(found.pieces)) == (True, 0, [])


@pytest.mark.parametrize(
    ("talk", "patience", "told"),
    [
        (hangs, HASTY, "was not done within 0.4 s"),
        (drips(b"HTTP/1.1 200 OK\r\nX-Slow: "), HASTY, "was not done within 0.4 s"),
        (drips(b"", 60, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + SMALL[:1000]), HASTY, "sent nothing for 0.4 s"),
        (drips(b"", 0.01, CHUNKED.replace(b"chunked", b"identity")), Patience(1, 1, 0.4, 1), "sends less than 1,024 bytes a second"),
        (answers_once(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + SMALL), HASTY, "closed the connection before its answer was whole"),
        (answers_once(b"SSH-2.0-x\r\n"), HASTY, "sent what is not HTTP/1.1"),
    ],
    ids=["says nothing", "drips a head", "stalls", "drips a body", "says it is longer", "is no HTTP"],
)  # fmt: skip
async def test_a_server_that_does_not_do_its_part_is_asked_again(tmp_path: Path, talk: Talk, patience: Patience, told: str) -> None:
    async with target(talk) as seen:
        with egress() as client:
            begun = time.monotonic()
            found = await fetching(seen.url, client, tmp_path, patience=patience).portion()
            took = time.monotonic() - begun
    assert found.failed is None
    assert found.later is not None
    assert told in found.later.sentence
    assert found.later.attempts == 8
    assert took < 5


@pytest.mark.parametrize(("status", "attempts"), [(500, 8), (503, 8), (429, 8), (408, 8), (404, 3), (403, 3), (204, 3), (206, 3)])
async def test_a_refusal_is_told_by_its_status_alone(tmp_path: Path, status: int, attempts: int) -> None:
    file = Served(SMALL, status=[status], extra="Retry-After: 90\r\n")
    async with target(file.talk) as seen:
        with egress() as client:
            made = fetching(seen.url + "?key=hidden", client, tmp_path)
            found = await made.portion()
            assert (await made.all()).staged.sha256 == sha256(SMALL)
    assert found.later is not None
    assert f"{seen.url} answered {status}" in found.later.sentence
    assert not any(word in found.later.sentence for word in ("secret", "hidden"))
    assert (found.later.attempts, found.later.wait_ms) == (attempts, 90_000 if attempts == 8 else 0)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"x,y\n" * 16384),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x,y\n" * 16384),
        (CHUNKED, b"10000\r\n" + b"x,y\n" * 16384 + b"\r\n"),
    ],
    ids=["with a length", "without", "in chunks"],
)
async def test_ten_gigabytes_are_refused(tmp_path: Path, first: bytes, again: bytes) -> None:
    async with target(floods(first, again)) as seen:
        with egress() as client:
            last = await fetching(seen.url, client, tmp_path, batch_import_max_file_size="3000000").all()
        await seen.gone.wait()
    assert last.failed == f"{seen.url} has more than the 3,000,000 bytes that INTEGRATION_BATCH_IMPORT_MAX_FILE_SIZE allows."
    assert seen.written < 20_000_000


async def test_a_file_of_just_the_most_bytes_is_taken(tmp_path: Path) -> None:
    file = Served(SMALL, length=-1)
    async with target(file.talk) as seen:
        with egress() as client:
            assert (await fetching(seen.url, client, tmp_path, batch_import_max_file_size=str(len(SMALL))).all()).staged.over
            assert (await fetching(seen.url, client, tmp_path, batch_import_max_file_size=str(len(SMALL) - 1)).all()).failed


async def test_what_may_not_be_called_fails_the_job_at_once(tmp_path: Path) -> None:
    with counted() as (port, come), egress(("inner.test", ["127.0.0.1"]), allow="") as client:
        found = await fetching(f"http://inner.test:{port}/", client, tmp_path, egress_ports=str(port)).portion()
    assert found.failed is not None
    assert not come


async def test_secrets_are_opened_only_with_their_key(tmp_path: Path) -> None:
    file = Served(SMALL)
    async with target(file.talk) as seen:
        with egress() as client:
            made = fetching(seen.url + "?token=hidden", client, tmp_path, headers={"Authorization": "Basic hidden"})
            stored = made.order.model_dump_json()
            assert (await made.all()).staged.over
            made.staged = Staged()
            (tmp_path / "secret.key").unlink()
            made.again()
            found = await made.portion()
    assert "hidden" not in stored
    assert made.order.definition.source_config.url == seen.url + "?token=***"
    assert file.asked[0].head.startswith("GET /hook?token=hidden HTTP/1.1")
    assert file.asked[0].header("authorization") == "Basic hidden"
    assert found.failed is not None
    assert "INTEGRATION_SECRET_KEY" in found.failed


async def test_a_file_that_takes_too_long_fails_its_job(tmp_path: Path) -> None:
    clock = ManualClock()
    async with target(Served(BIG).talk) as seen:
        with egress() as client:
            made = fetching(seen.url, client, tmp_path, clock=clock, import_fetch_seconds="60")
            await made.portion()
            made.staged = made.staged._replace(spent_ms=60_000)
            late = await made.portion()
            made.staged = made.staged._replace(spent_ms=0, calls=1000)
            often = await made.portion()
    assert late.failed == f"{seen.url} was not fetched within the 60 s of INTEGRATION_IMPORT_FETCH_SECONDS; retry the job to go on."
    assert often.failed == f"{seen.url} broke off 1,000 times; see why, then retry the job."


async def test_an_encoding_that_nobody_asked_for_is_refused_and_gzip_is_taken_as_the_file(tmp_path: Path) -> None:
    async with (
        target(Served(SMALL, extra="Content-Encoding: br\r\n").talk) as brotli,
        target(Served(b"\x1f\x8bx", extra="Content-Encoding: gzip\r\n").talk) as packed,
    ):
        with egress() as client:
            assert "content encoding 'br'" in ((await fetching(brotli.url, client, tmp_path).portion()).failed or "")
            made = fetching(packed.url, client, tmp_path)
            await made.all()
    assert made.data == b"\x1f\x8bx"
