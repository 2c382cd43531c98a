"""Feeds cutters random blocks, and checks what holds of every cutter whatever the bytes are."""

import os
from collections.abc import Callable
from random import Random

from flows.core.files.pieces import Cutter, Part, Piece

FILES = int(os.environ.get("XYRA_FUZZ_FILES", "1200"))
"""Random files a test; a long run of 20,000 and more is this with another number."""


def cut(make: Callable[[bytes | None], Cutter], data: bytes, rng: Random, restart: float = 0.0) -> tuple[list[Piece], Cutter]:
    """Cut a file in blocks of random sizes; with a chance of `restart`, a fresh cutter goes on behind a returned piece."""
    cutter, pieces, at, done = make(None), list[Piece](), 0, False
    most = rng.choice([1, 7, 40, 300, 10_000])
    while not done:
        done = at >= len(data)
        block = data[at : at + rng.randint(1, most)]
        got = cutter.finish() if done else cutter.feed(block)
        at += len(block)
        pieces += got
        if got and rng.random() < restart:
            cutter, at, done = make(cutter.state()), pieces[-1].start + len(pieces[-1].data), False
    return pieces, cutter


def check(pieces: list[Piece], data: bytes, piece_bytes: int, ends: bytes = b"") -> None:
    """Pieces follow one another, cover the file, are not too large, and count what begins in them; records that are spread have their parts in order."""
    at, ordinal, spread = 0, 0, False
    for piece in pieces:
        assert (piece.start, piece.first) == (at, ordinal)
        assert 0 < len(piece.data) <= piece_bytes
        assert spread is (piece.part in {Part.MIDDLE, Part.END})
        spread = piece.part in {Part.BEGIN, Part.MIDDLE}
        at, ordinal = at + len(piece.data), ordinal + piece.records
    assert not spread
    assert b"".join(piece.data for piece in pieces) == data, ends


def whole(pieces: list[Piece]) -> list[tuple[Piece, bytes]]:
    """Return each piece, with the whole of a record that was spread."""
    found: list[tuple[Piece, bytes]] = []
    for piece in pieces:
        if piece.part in {Part.MIDDLE, Part.END}:
            first, data = found[-1]
            found[-1] = first, data + piece.data
        else:
            found.append((piece, piece.data))
    return found


def soup(rng: Random, signs: list[str], encoding: str) -> bytes:
    """Return anything that looks a little like a file."""
    text = "".join(rng.choice(signs) for _ in range(rng.choice([0, 3, 20, 150, 600])))
    data = text.encode(encoding, "replace")
    marks = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    data = rng.choice([b"", marks.get(encoding, b"")]) + data
    return data + rng.choice([b"", b"", b"\xff"])


def sizes(rng: Random) -> int:
    return rng.choice([16, 40, 200, 1_000])


def seeded(seed: object) -> Random:
    return Random(str(seed))  # noqa: S311  files of a test are no secret
