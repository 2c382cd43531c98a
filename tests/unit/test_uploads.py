"""The state of an upload: what it becomes, what it refuses, and that it outlives the process that held it."""

import hashlib
import random
from typing import Any

import orjson
import pytest

from flows.core.errors import BadRequest, Conflict, Gone, TooLarge
from flows.core.files.pieces import Piece
from flows.core.imports.uploads import NO_PIECES, Digest, Upload, chain_of, check_offset, create, ended, hashed, lengthen, written


def made(**fields: Any) -> Upload:
    given: dict[str, Any] = {"upload_id": "u", "length": 100, "created_at_ms": 0, "expires_at_ms": 1000}
    return Upload(**(given | fields))


def test_an_upload_written_in_random_parts_outlives_its_ingress_and_is_found_whole() -> None:
    for seed in range(30):
        source = random.Random(seed)  # noqa: S311  no secret
        data = source.randbytes(source.randrange(1, 3000))
        upload, digest, at = create("u", len(data), "", 0, 1000, 5000), Digest(), 0
        pieces: list[Piece] = []
        while upload.phase(1) == "receiving":
            if source.random() < 0.3:  # another process goes on
                upload, digest = Upload.of(orjson.loads(upload.text())), Digest()
            upto = min(len(data), at + source.randrange(1, 400))
            cut = len(data) if upto == len(data) else source.randrange(upload.cut, upto + 1)
            new = [Piece(upload.cut, data[upload.cut : cut], 1, 0, 1)] if cut > upload.cut else []
            place = (3, len(pieces), len(pieces)) if new else None
            pieces += new
            upload = written(upload, new, data[cut:upto], b"state", place)
            digest.take(at, data[at:upto])
            at = upload.offset
            assert at == upto
        if digest.at < len(data):
            assert not digest.take(at + 1, b"x")
            assert chain_of(piece.data for piece in pieces) == upload.chain
            for piece in pieces:
                assert digest.take(piece.start, piece.data)
        upload = hashed(upload, digest.hex())
        assert upload.sha256 == hashlib.sha256(data).hexdigest()
        assert (upload.pieces, upload.partition, upload.first, upload.last) == (len(pieces), 3, 0, len(pieces) - 1)
        assert upload.phase(1) == "received"


def test_an_empty_file_has_come_when_it_begins() -> None:
    upload = create("u", 0, "", 0, 1000, 0)
    assert upload.phase(1) == "received"
    assert (upload.chain, chain_of([])) == (NO_PIECES, NO_PIECES)


def test_it_expires_and_is_taken_back() -> None:
    upload = made(offset=30, cut=10, tail=b"x" * 20)
    upload.check_open(999)
    with pytest.raises(Gone, match="expired"):
        upload.check_open(1000)
    gone = ended(upload, 5)
    assert (gone.phase(5), gone.tail) == ("terminated", b"")
    with pytest.raises(Gone, match="taken back"):
        gone.check_open(5)


def test_a_length_is_said_once() -> None:
    upload = made(length=None, offset=30, cut=30)
    assert upload.phase(0) == "receiving"
    assert lengthen(upload, 30, 100).phase(0) == "received"
    assert lengthen(made(), 100, 100) == made()
    for before, length, error in ((upload, 29, BadRequest), (upload, 101, TooLarge), (made(), 99, BadRequest)):
        with pytest.raises(error):
            lengthen(before, length, 100)
    with pytest.raises(TooLarge):
        create("u", 101, "", 0, 1, 100)


def test_what_does_not_follow_is_refused() -> None:
    upload = made(offset=30, cut=10, tail=b"x" * 20, pieces=1, partition=2, first=7, last=7)
    check_offset(upload, 30)
    with pytest.raises(Conflict, match="at byte 30, not at 10"):
        check_offset(upload, 10)
    gap, follows = Piece(11, b"y" * 40, 1, 0, 1), Piece(10, b"y" * 40, 1, 0, 1)
    wrong: list[tuple[list[Piece], bytes, tuple[int, int, int] | None]] = [
        ([gap], b"", (2, 8, 8)),
        ([follows], b"", None),
        ([follows], b"", (1, 8, 8)),
        ([], b"x", None),
        ([follows], b"y" * 60, (2, 8, 8)),
    ]
    for pieces, tail, place in wrong:
        with pytest.raises(ValueError, match=r"piece|acknowledged"):
            written(upload, pieces, tail, b"", place)
    after = written(upload, [follows], b"", b"", (2, 8, 8))
    assert (after.offset, after.first, after.last) == (50, 7, 8)
    with pytest.raises(ValueError, match="only 50 of 100"):
        hashed(after, "")
