"""The tus protocol 1.0.0, word by word of its specification, without a socket."""

import hashlib
import itertools
import zlib
from base64 import b64encode
from dataclasses import replace

import pytest

from flows.core.errors import BadRequest
from flows.core.imports import tus, uploads
from flows.core.imports.tus import Answer, Ask, Create, Limits, Receive, Remove, decide
from flows.core.imports.tusheaders import ALGORITHMS, OFFSET_TYPE, checksum, folded, metadata
from flows.core.imports.uploads import Upload

LIMITS = Limits(most_bytes=1000, most_checked=100, kept_ms=60_000)
NOW = 1_000_000
VERSION = {"Tus-Resumable": "1.0.0"}
BYTES = VERSION | {"Content-Type": OFFSET_TYPE}
OPEN = replace(uploads.create("u", 300, "name YS5jc3Y=", NOW, LIMITS.kept_ms, LIMITS.most_bytes), offset=70, cut=50, tail=b"t" * 20)
DEFERRED = replace(OPEN, length=None, metadata="")
WHOLE = replace(OPEN, length=70)


def asked(method: str, headers: dict[str, str], upload: Upload | None = OPEN, *, single: bool = True, now_ms: int = NOW) -> tus.Decision:
    return decide(Ask(method, folded(headers.items()), "u" if single else None), upload if single else None, LIMITS, now_ms)


def answer(method: str, headers: dict[str, str], upload: Upload | None = OPEN, *, single: bool = True, now_ms: int = NOW) -> Answer:
    found = asked(method, headers, upload, single=single, now_ms=now_ms)
    assert isinstance(found, Answer)
    assert found.headers["Tus-Resumable"] == "1.0.0"
    assert (found.status >= 400) == bool(found.detail)
    assert found.refusal is None or found.refusal.status == found.status
    return found


@pytest.mark.parametrize("single", [True, False])
def test_options_tell_what_there_is_and_ask_for_no_version(single: bool) -> None:
    found = answer("OPTIONS", {"Tus-Resumable": "0.2"}, None, single=single)
    assert found.status == 204
    assert found.headers == VERSION | {
        "Tus-Version": "1.0.0",
        "Tus-Extension": "creation,creation-defer-length,creation-with-upload,expiration,checksum,termination",
        "Tus-Max-Size": "1000",
        "Tus-Checksum-Algorithm": "sha1,sha256,sha512,md5,crc32",
    }


@pytest.mark.parametrize("said", [{}, {"Tus-Resumable": "0.2.2"}, {"Tus-Resumable": ""}])
@pytest.mark.parametrize(("method", "single"), [("HEAD", True), ("PATCH", True), ("DELETE", True), ("POST", False)])
def test_another_version_is_refused_before_anything_else(method: str, single: bool, said: dict[str, str]) -> None:
    found = answer(method, said, None, single=single)
    assert (found.status, found.headers["Tus-Version"]) == (412, "1.0.0")


@pytest.mark.parametrize(("method", "single"), [("GET", True), ("POST", True), ("PUT", True), ("GET", False), ("PATCH", False), ("HEAD", False)])
def test_other_methods_are_refused(method: str, single: bool) -> None:
    found = answer(method, VERSION, single=single)
    assert (found.status, found.headers["Allow"]) == (405, "OPTIONS, HEAD, PATCH, DELETE" if single else "OPTIONS, POST")


def test_head_tells_where_an_upload_stands() -> None:
    expires = {"Upload-Expires": "Thu, 01 Jan 1970 00:17:40 GMT"}
    common = VERSION | expires | {"Cache-Control": "no-store", "Upload-Offset": "70"}
    assert answer("HEAD", VERSION) == Answer(200, common | {"Upload-Length": "300", "Upload-Metadata": "name YS5jc3Y="})
    assert answer("HEAD", VERSION, DEFERRED) == Answer(200, common | {"Upload-Defer-Length": "1"})
    assert answer("HEAD", VERSION, WHOLE).headers["Upload-Offset"] == "70"
    fresh = uploads.create("u", 0, "", NOW, 1, 0)
    assert answer("HEAD", VERSION, fresh).headers["Upload-Offset"] == "0"


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
def test_an_upload_that_is_not_there_is_404_and_one_that_is_gone_is_410_without_an_offset(method: str) -> None:
    for upload, now_ms, status in ((None, NOW, 404), (OPEN, NOW + 60_000, 410), (uploads.ended(OPEN, NOW), NOW, 410)):
        found = answer(method, BYTES | {"Upload-Offset": "70"}, upload, now_ms=now_ms)
        assert found.status == status
        assert "Upload-Offset" not in found.headers
        assert found.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "upload", "expected"),
    [
        ({"Upload-Offset": "70", "Content-Length": "30"}, OPEN, (70, 230)),
        ({"Upload-Offset": "70"}, OPEN, (70, 230)),
        ({"Upload-Offset": "70", "Content-Length": "230"}, OPEN, (70, 230)),
        ({"Upload-Offset": "70", "Content-Length": "231"}, OPEN, 413),
        ({"Upload-Offset": "70", "Content-Type": "APPLICATION/offset+octet-stream; a=b"}, OPEN, (70, 230)),
        ({"Upload-Offset": "70", "Content-Type": "application/octet-stream"}, OPEN, 415),
        ({"Upload-Offset": "70", "Content-Type": ""}, OPEN, 415),
        ({"Upload-Offset": "70", "Content-Encoding": "gzip"}, OPEN, 415),
        ({}, OPEN, 400),
        *(({"Upload-Offset": text}, OPEN, 400) for text in ("-1", "+70", "7e1", "0x46", "", "70.0", "\u0667\u0660", "9" * 19, "9" * 20)),
        ({"Upload-Offset": "0"}, OPEN, 409),
        ({"Upload-Offset": "71"}, OPEN, 409),
        ({"Upload-Offset": "70", "Upload-Length": "300"}, OPEN, (70, 230)),
        ({"Upload-Offset": "70", "Upload-Length": "301"}, OPEN, 400),
        ({"Upload-Offset": "70"}, DEFERRED, (70, 930)),
        ({"Upload-Offset": "70", "Upload-Length": "100"}, DEFERRED, (70, 30)),
        ({"Upload-Offset": "70", "Upload-Length": "70"}, DEFERRED, (70, 0)),
        ({"Upload-Offset": "70", "Upload-Length": "69"}, DEFERRED, 400),
        ({"Upload-Offset": "70", "Upload-Length": "1001"}, DEFERRED, 413),
        ({"Upload-Offset": "70", "Upload-Length": "x"}, DEFERRED, 400),
        ({"Upload-Offset": "70", "Content-Length": "0"}, WHOLE, (70, 0)),
        ({"Upload-Offset": "70", "Content-Length": "1"}, WHOLE, 413),
        ({"Upload-Offset": "70", "Upload-Checksum": "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="}, OPEN, (70, 100)),
        ({"Upload-Offset": "70", "Upload-Checksum": "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "Content-Length": "101"}, OPEN, 413),
        ({"Upload-Offset": "70", "Upload-Checksum": "sha1"}, OPEN, 400),
        ({"Upload-Offset": "70", "Upload-Checksum": "sha1 Kq5s"}, OPEN, 400),
        ({"Upload-Offset": "70", "Upload-Checksum": "sha1 ???="}, OPEN, 400),
        ({"Upload-Offset": "70", "Upload-Checksum": "SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="}, OPEN, 400),
        ({"Upload-Offset": "70", "Upload-Checksum": "crc32c AAAAAA=="}, OPEN, 400),
    ],
)
def test_bytes_are_taken_where_the_upload_stands(headers: dict[str, str], upload: Upload, expected: tuple[int, int] | int) -> None:
    found = asked("PATCH", BYTES | headers, upload)
    if isinstance(found, Answer):
        assert found.status == expected
        assert found.detail
        assert found.headers.get("Upload-Offset") == ("70" if found.status == 409 else None)
    else:
        assert isinstance(found, Receive)
        assert (found.offset, found.most) == expected
        assert found.upload.offset == 70


def test_a_length_that_comes_later_is_kept() -> None:
    found = asked("PATCH", BYTES | {"Upload-Offset": "70", "Upload-Length": "100"}, DEFERRED)
    assert isinstance(found, Receive)
    assert found.upload.length == 100


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Upload-Length": "100"}, Create(100, "", False)),
        ({"Upload-Length": "0"}, Create(0, "", False)),
        ({"Upload-Length": "1000"}, Create(1000, "", False)),
        ({"Upload-Length": "1001"}, 413),
        ({"Upload-Defer-Length": "1"}, Create(None, "", False)),
        ({"Upload-Defer-Length": "2"}, 400),
        ({"Upload-Length": "1", "Upload-Defer-Length": "1"}, 400),
        ({}, 400),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": "1", "Upload-Concat": "partial"}, 400),
        ({"Upload-Length": "1", "Upload-Metadata": "name YS5jc3Y=,empty"}, Create(1, "name YS5jc3Y=,empty", False)),
        ({"Upload-Length": "1", "Upload-Metadata": "name YS5jc3Y=,name YQ=="}, 400),
        ({"Upload-Length": "100", "Content-Type": OFFSET_TYPE, "Content-Length": "100"}, Create(100, "", True)),
        ({"Upload-Length": "100", "Content-Type": OFFSET_TYPE, "Transfer-Encoding": "chunked"}, Create(100, "", True)),
        ({"Upload-Length": "100", "Content-Type": OFFSET_TYPE, "Content-Length": "101"}, 413),
        ({"Upload-Length": "100", "Content-Type": "text/csv", "Content-Length": "100"}, 415),
        ({"Upload-Length": "100", "Content-Type": OFFSET_TYPE, "Content-Length": "0"}, Create(100, "", False)),
        ({"Upload-Length": "100", "Content-Type": OFFSET_TYPE, "Content-Length": "9", "Upload-Checksum": "no YQ=="}, 400),
    ],
)
def test_uploads_are_begun(headers: dict[str, str], expected: Create | int) -> None:
    found = asked("POST", VERSION | headers, single=False)
    assert (found.status if isinstance(found, Answer) else found) == expected


def test_the_first_bytes_may_come_with_the_beginning() -> None:
    headers = folded((BYTES | {"Upload-Length": "100", "Content-Length": "30"}).items())
    found = decide(Ask("POST", headers, None), None, LIMITS, NOW)
    assert isinstance(found, Create)
    upload = uploads.create("u", found.length, found.metadata, NOW, LIMITS.kept_ms, LIMITS.most_bytes)
    assert tus.first_bytes(found, upload, headers, LIMITS) == Receive(upload, 0, 100, None)


def test_what_was_done_is_answered() -> None:
    expires = {"Upload-Expires": "Thu, 01 Jan 1970 00:17:40 GMT"}
    assert tus.created(OPEN, "/u", received=False) == Answer(201, VERSION | expires | {"Location": "/u"})
    assert tus.created(OPEN, "/u", received=True).headers["Upload-Offset"] == "70"
    assert tus.received(OPEN) == Answer(204, VERSION | expires | {"Upload-Offset": "70"})
    assert tus.removed() == Answer(204, VERSION)
    assert asked("DELETE", VERSION) == Remove(OPEN)
    assert (tus.locked(OPEN).status, tus.locked(OPEN).headers["Retry-After"]) == (423, "1")
    assert tus.overflowed(OPEN, Receive(OPEN, 70, 230, None)).status == 413
    found = tus.mismatched(OPEN, checksum("crc32 AAAAAA=="))
    assert (found.status, found.headers["Upload-Offset"]) == (460, "70")


def test_clients_that_can_only_post_say_the_method_in_a_header() -> None:
    meant = {"X-HTTP-Method-Override": "patch", "Upload-Offset": "70"}
    assert isinstance(asked("POST", BYTES | meant), Receive)
    assert answer("GET", BYTES | meant).status == 400
    assert answer("POST", BYTES | {"X-HTTP-Method-Override": "PUT"}).status == 400
    assert answer("POST", VERSION | {"X-HTTP-Method-Override": "HEAD"}).status == 200


def test_whatever_is_combined_is_answered_and_never_raises() -> None:
    """Every method with every choice of right, wrong and absent headers, on every kind of upload."""
    texts: dict[str, list[str | None]] = {
        "Tus-Resumable": ["1.0.0", None],
        "Upload-Offset": ["70", "x", None],
        "Upload-Length": ["70", "300", "-", None],
        "Upload-Defer-Length": ["1", "0", None],
        "Upload-Checksum": ["crc32 AAAAAA==", "\0", None],
        "Content-Type": [OFFSET_TYPE, None],
        "Content-Length": ["0", "5000", None],
    }
    known = {200, 201, 204, 400, 404, 405, 409, 410, 412, 413, 415}
    for values in itertools.product(*texts.values()):
        headers = {name.lower(): value for name, value in zip(texts, values, strict=True) if value is not None}
        for method, upload in itertools.product(("HEAD", "PATCH", "DELETE", "POST"), (OPEN, DEFERRED, WHOLE, None)):
            found = decide(Ask(method, headers, None if method == "POST" else "u"), upload, LIMITS, NOW)
            assert not isinstance(found, Answer) or found.status in known


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a YQ==", {"a": b"a"}),
        ("a YQ==, b", {"a": b"a", "b": b""}),
        ("a YQ==,b ", {"a": b"a", "b": b""}),
        ("filename \u00e4", None),
        ("\u00e4 YQ==", None),
        (",", None),
        ("a YQ==,", None),
        ("a  YQ==", None),
        ("a YQ", None),
        ("a YQ==,a YQ==", None),
        ("a " + "YWFh" * 3000, None),
    ],
)
def test_metadata_is_pairs_of_a_key_and_base64(text: str, expected: dict[str, bytes] | None) -> None:
    if expected is not None:
        assert metadata(text) == expected
    else:
        with pytest.raises(BadRequest):
            metadata(text)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checksum_is_reckoned_in_parts(algorithm: str) -> None:
    whole = zlib.crc32(b"hello world").to_bytes(4, "big") if algorithm == "crc32" else hashlib.new(algorithm, b"hello world").digest()
    wanted = checksum(f"{algorithm} {b64encode(whole).decode()}")
    running = wanted.begin()
    running.update(b"hello ")
    running.update(b"world")
    assert running.digest() == wanted.expected


def test_a_header_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(BadRequest, match="Upload-Offset stands there twice"):
        folded([("upload-offset", "0"), ("Upload-Offset", "1")])
    assert folded([("Accept", "a"), ("accept", "b")]) == {"accept": "a,b"}
