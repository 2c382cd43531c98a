"""Files over HTTP, as rules: what is asked for, what an answer means, where a redirect leads, and the bytes on their way into pieces."""

import hashlib
from typing import Any

import pytest

from flows.core.files.pieces import Part, Piece
from flows.core.imports.feed import Feed
from flows.core.imports.fetching import WAITS, Begin, Moved, Same, Trouble, conditions, failed, judge
from flows.core.imports.staged import Brought, Later, Staged
from flows.core.outbound.egress import Failure, Refusal

URL = "https://h.test/a/b.csv?token=hidden"
FRESH = Staged()
DATE, OLD = "Thu, 26 Nov 2026 10:00:00 GMT", "Thu, 26 Nov 2026 09:00:00 GMT"
STRONG = Staged(at=10, etag='"one"', resumable=True, total=30)
DATED = Staged(at=10, modified=OLD, resumable=True)


def judged(status: int, staged: Staged = FRESH, at: int = 0, **headers: Any) -> Begin | Moved | Same:
    told = tuple((name.replace("_", "-"), str(value)) for name, value in headers.items())
    return judge(URL, status, told, staged, at, 1000, 0)


def trouble(status: int, staged: Staged = FRESH, at: int = 0, **headers: Any) -> Trouble:
    with pytest.raises(Trouble) as caught:
        judged(status, staged, at, **headers)
    assert "hidden" not in caught.value.sentence
    return caught.value


@pytest.mark.parametrize(
    ("staged", "at", "known", "expected"),
    [
        (Staged(), 0, {}, []),
        (STRONG, 10, {}, [("Range", "bytes=10-"), ("If-Range", '"one"')]),
        (DATED, 10, {}, [("Range", "bytes=10-"), ("If-Range", OLD)]),
        (STRONG, 0, {"etag": '"one"'}, []),
        (Staged(), 0, {"etag": 'W/"1"', "modified": OLD}, [("If-None-Match", 'W/"1"'), ("If-Modified-Since", OLD)]),
        (Staged(), 0, {"modified": ""}, []),
    ],
)
def test_what_is_asked_for(staged: Staged, at: int, known: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert list(conditions(staged, at, known)) == expected


@pytest.mark.parametrize(
    ("status", "staged", "headers", "expected"),
    [
        (200, Staged(), {"etag": '"a"', "content_length": 20}, Begin(0, '"a"', "", True, 20)),
        (200, Staged(), {"etag": 'W/"a"', "last_modified": OLD, "date": DATE}, Begin(0, 'W/"a"', OLD, False, None)),
        (200, Staged(), {"last_modified": OLD, "date": DATE}, Begin(0, "", OLD, True, None)),
        (200, Staged(), {"last_modified": OLD, "date": OLD}, Begin(0, "", OLD, False, None)),
        (200, Staged(), {"last_modified": OLD}, Begin(0, "", OLD, False, None)),
        (200, Staged(), {"last_modified": "Thu, 26 Nov 2026 09:00:00", "date": DATE}, Begin(0, "", "Thu, 26 Nov 2026 09:00:00", False, None)),
        (200, Staged(), {"content_length": "20", "transfer_encoding": "chunked"}, Begin(0, "", "", False, None)),
        (200, STRONG, {"etag": '"one"', "content_length": 30}, Begin(0, '"one"', "", True, 30)),
        (206, STRONG, {"etag": '"one"', "content_range": "bytes 10-29/30"}, Begin(10, '"one"', "", True, 30)),
        (206, STRONG, {"content_range": "bytes 10-29/*"}, Begin(10, '"one"', "", True, None)),
        (416, STRONG, {"content_range": "bytes */10"}, None),
        (416, Staged(at=10, etag='"one"', resumable=True), {"content_range": "bytes */10"}, Begin(10, '"one"', "", True, 10)),
        (304, Staged(), {}, Same()),
    ],
)
def test_what_an_answer_means(status: int, staged: Staged, headers: dict[str, Any], expected: object) -> None:
    if expected is None:
        assert trouble(status, staged, staged.at, **headers).changed
    else:
        assert judged(status, staged, staged.at, **headers) == expected


@pytest.mark.parametrize(
    ("status", "staged", "headers"),
    [
        (200, STRONG, {"etag": '"two"'}),
        (200, STRONG, {"etag": '"one"', "content_length": 31}),
        (200, DATED, {"last_modified": DATE}),
        (200, DATED, {"content_length": 9}),
        (206, STRONG, {"etag": '"two"', "content_range": "bytes 10-29/30"}),
        (206, STRONG, {"etag": '"one"', "content_range": "bytes 10-39/40"}),
        (416, STRONG, {"content_range": "bytes */9"}),
        (416, STRONG, {"content_range": "bytes */*"}),
    ],
)
def test_a_file_that_is_another_is_seen(status: int, staged: Staged, headers: dict[str, Any]) -> None:
    assert trouble(status, staged, 10, **headers).changed


@pytest.mark.parametrize(
    ("status", "staged", "headers", "attempts", "wait_ms"),
    [
        (500, Staged(), {}, 8, 0),
        (503, Staged(), {"retry_after": "120"}, 8, 120_000),
        (429, Staged(), {"retry_after": "99999999"}, 8, 3_600_000),
        (425, Staged(), {"retry_after": "soon"}, 8, 0),
        (404, Staged(), {"retry_after": "120"}, 3, 0),
        (302, Staged(), {}, 3, 0),
        (206, Staged(), {"content_range": "bytes 0-9/10"}, 3, 0),
        (206, STRONG, {"content_range": "bytes 9-29/30"}, 3, 0),
        (206, STRONG, {"content_range": "lines 10-29/30"}, 3, 0),
        (304, STRONG, {}, 3, 0),
        (101, Staged(), {}, 3, 0),
    ],
)
def test_what_is_no_file_is_tried_again(status: int, staged: Staged, headers: dict[str, Any], attempts: int, wait_ms: int) -> None:
    found = trouble(status, staged, staged.at, **headers)
    assert found.later == Later(found.sentence, attempts, wait_ms)
    assert f"https://h.test/a/b.csv answered {status}" in found.sentence


def test_what_never_will_be_is_not_tried_again() -> None:
    for found in (trouble(200, content_length=1001), trouble(200, content_encoding="br"), failed(Refusal("port_not_allowed", "No."))):
        assert (found.later, found.changed) == (None, False)
    assert failed(Failure("closed", "It closed.")).later == Later("It closed.", WAITS.attempts, 0)
    assert isinstance(judged(200, content_length=1000, content_encoding="GZIP"), Begin)


@pytest.mark.parametrize(
    ("location", "url", "stranger"),
    [
        ("c.csv?x=1", "https://h.test/a/c.csv?x=1", False),
        ("/c#part", "https://h.test/c", False),
        ("https://H.test:443/c", "https://H.test:443/c", False),
        ("//other.test/c", "https://other.test/c", True),
        ("https://h.test:8443/c", "https://h.test:8443/c", True),
    ],
)
def test_where_a_redirect_leads(location: str, url: str, stranger: bool) -> None:
    assert judged(302, location=location) == Moved(url, stranger)


@pytest.mark.parametrize("location", ["http://h.test/c", "ftp://h.test/", "https://u:p@h.test/", "https://[h/", "https://h.test/ c", "javascript:1"])
def test_where_no_redirect_leads(location: str) -> None:
    assert trouble(302, location=location).later is None


def test_what_was_brought_is_read_back_as_it_was() -> None:
    pieces = [Piece(0, b"a\n", 1, 0, 1), Piece(2, b"", 2, 1, 0, Part.RAW)]
    for found in (Brought(STRONG, pieces), Brought(Staged(state=b"\xff"), (), "no"), Brought(Staged(), later=Later("l", 3, 5)), Brought(Staged(), same=True)):
        again = Brought.unpack(found.pack())
        assert again._replace(staged=again.staged._replace(version=()), pieces=[*again.pieces]) == found._replace(pieces=[*found.pieces])


@pytest.mark.parametrize("block", [50, 1000, 65_536, 70_000, 1 << 20])
def test_a_file_is_cut_the_same_whatever_the_blocks_and_wherever_one_goes_on(block: int) -> None:
    data = b"id,name\n" + b"".join(b'%d,"a\n%d"\n' % (n, n) for n in range(20_000))
    staged, whole, digest = Staged(), b"", hashlib.sha256()
    while not staged.over:
        feed = Feed("a.csv", {}, "csv", staged, digest)
        pieces, at = list[Piece](), staged.at
        for start in range(at, len(data), block):
            pieces += feed.feed(data[start : start + block])
            if len(pieces) > 1:
                break
        else:
            pieces += feed.finish()
        staged = feed.staged(staged, over=feed.fed == len(data) and feed.at == len(data))
        digest = feed.digest
        for piece in pieces:
            assert piece.start == len(whole)
            assert piece.data.endswith(b'"\n')
            whole += piece.data
        assert staged.sha256 == hashlib.sha256(whole).hexdigest()
    assert whole == data


def test_a_file_of_no_bytes_is_over_at_once() -> None:
    feed = Feed("a.csv", {}, "csv", Staged(), hashlib.sha256())
    assert feed.finish() == []
    assert feed.staged(Staged(), over=True).sha256 == hashlib.sha256().hexdigest()


@pytest.mark.parametrize(
    ("form", "source", "data", "why"),
    [
        ("json", {}, b'[{"a":1},{"a":2}', "array is not closed"),
        ("xml", {"record_path": "r/o"}, b"<r><o>1</o><o>2</o><x>", "<x> is not closed"),
        ("xml", {"record_path": "r/o"}, b"<r><o>1</o><o>2</o><x><o>3</o></r>", "<x> is opened among the records and never closed"),
    ],
    ids=["json", "xml", "xml, closed around what is open"],
)
def test_a_file_that_breaks_off_is_brought_in_with_why(form: str, source: dict[str, str], data: bytes, why: str) -> None:
    feed = Feed(f"a.{form}", source, form, Staged(), hashlib.sha256())
    pieces = feed.feed(data) + feed.finish()
    assert (feed.refused, sum(piece.records for piece in pieces)) == (None, 2)
    staged = feed.staged(Staged(), over=True)
    assert (staged.over, why in staged.torn) == (True, True)
    assert Staged.of(staged.told()) == staged
