"""What is packed comes out whole, whatever the pieces it came in, and from any byte of it on."""

import gzip
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import zstandard

from connectors.files.archive import Archive
from connectors.files.bounds import Limits
from connectors.files.inflate import BLOCK_BYTES, Compression, blocks, inflater
from connectors.files.reader import Unreadable
from tests.kit.zoo_packed import zipped

DATA: Final = b"".join(b"%d,row %d\n" % (number, number * 7919 % 10_007) for number in range(40_000))
PACK: Final[dict[Compression, Callable[[bytes], bytes]]] = {
    Compression.NONE: bytes,
    Compression.GZIP: lambda data: gzip.compress(data[:100_000], mtime=0) + gzip.compress(data[100_000:], mtime=0),
    Compression.ZSTD: lambda data: zstandard.compress(data[:100_000]) + zstandard.compress(data[100_000:]),
    Compression.ZIP: lambda data: zipped(("folder/data.csv", data)),
}


@pytest.mark.parametrize("compression", PACK)
def test_it_goes_on_from_any_byte(compression: Compression, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACK[compression](DATA))
    for at in (0, 1, 99_999, 100_000, BLOCK_BYTES, len(DATA) - 1, len(DATA)):
        parts = list(blocks(path, compression, Limits(), at=at))
        assert b"".join(parts) == DATA[at:]
        assert all(0 < len(part) <= BLOCK_BYTES for part in parts)


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_the_pieces_it_comes_in_do_not_matter(compression: Compression) -> None:
    chance = random.Random(5)  # noqa: S311  chance, not secrecy
    packed = PACK[compression](DATA)
    for most in (3, 1000, 1 << 20):
        inflate = inflater(compression, Limits())
        out, start = b"", 0
        data = packed if most > 3 else PACK[compression](DATA[:110_000])
        while start < len(data):
            end = start + chance.randint(1, most)
            out += b"".join(inflate.feed(data[start:end]))
            start = end
        inflate.finish()
        assert out == (DATA if most > 3 else DATA[:110_000])


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD, Compression.ZIP])
def test_a_bomb_is_refused_before_anything_of_it_is_handed_out(compression: Compression, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACK[compression](bytes(3 << 20)))
    with pytest.raises(Unreadable) as refused:
        next(blocks(path, compression, replace(Limits(), ratio_from=1 << 20)))
    assert refused.value.code == "ratio_too_high"


def test_what_is_damaged_is_handed_out_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACK[Compression.GZIP](DATA)[:-500])
    stream = blocks(path, Compression.GZIP, Limits())
    out = b"".join(next(stream) for _ in range(len(DATA) // 2 // BLOCK_BYTES))
    assert out
    assert DATA.startswith(out)
    with pytest.raises(Unreadable, match="ends early"):
        list(stream)


def test_a_member_is_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(zipped(("a.csv", b"1"), ("b/c.csv", b"2")))
    assert b"".join(blocks(path, Compression.ZIP, Limits(), member="b/c.csv")) == b"2"
    with pytest.raises(Unreadable, match=r"The archive has no member 'd\.csv'; it has a\.csv, b/c\.csv\. Name one of them in source_config\.member\."):
        list(blocks(path, Compression.ZIP, Limits(), member="d.csv"))


def test_a_workbook_may_be_packed_where_one_is_awaited(tmp_path: Path) -> None:
    path = tmp_path / "file"
    inner = zipped(("xl/workbook.xml", b"<workbook/>"))
    path.write_bytes(zipped(("book.xlsx", inner)))
    assert b"".join(blocks(path, Compression.ZIP, Limits(), nested=True)) == inner
    with pytest.raises(Unreadable) as refused:
        Archive.open(path, Limits()).data_member(None)
    assert refused.value.code == "nested_archive"
