"""Whatever the bytes, readers of whole files refuse or read; and a sheet's learned pattern gives what a parser gives."""

import random
from contextlib import suppress
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import pytest

from connectors.files.excel import Excel
from connectors.files.inflate import Compression, blocks
from connectors.files.parquet import Parquet
from connectors.files.reader import Unreadable
from connectors.files.xlsx_cells import Cells, Splitter
from tests.kit.zoo import LIMITS, Rows
from tests.kit.zoo_packed import ENTRIES as PACKED
from tests.kit.zoo_sheets import ENTRIES as SHEETS

SOUND: Final = [entry for entry in (*PACKED, *SHEETS) if isinstance(entry.expect, Rows) and entry.expect.rows < 10_000]
LETTERS: Final = "ABCDEFG"


def _read(name: str, compression: str, path: Path) -> None:
    if name == "lines":
        for _ in blocks(path, Compression(compression), LIMITS):
            pass
    else:
        for _ in (Excel(LIMITS, path.parent) if name == "excel" else Parquet(LIMITS)).tables(path):
            pass


@pytest.mark.parametrize("seed", range(10))
def test_a_damaged_file_is_read_or_refused(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311  chance, not secrecy
    path = tmp_path / "file"
    for entry in SOUND:
        sound = entry.make()
        for _ in range(4):
            damaged = bytearray(sound)
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(damaged))
                damaged[at : at + chance.choice((0, 1, 8))] = chance.randbytes(chance.choice((0, 1, 8)))
            path.write_bytes(damaged[: chance.randint(1, len(damaged))] if chance.random() < 0.2 else damaged)
            with suppress(Unreadable):  # nothing else may come out
                _read(entry.format, entry.compression, path)


def _cell(chance: random.Random, letter: str, row: int) -> str:
    style = chance.choice(("", ' s="1"', ' s="2"'))
    value = escape(chance.choice(("1", "2.5", "text", "a & b", "<x>", "é", "")))
    kind, body = chance.choice([
        ("", f"<v>{value}</v>"), (' t="str"', f"<f>A1+{value}</f><v>{value}</v>"), (' t="inlineStr"', f"<is><t>{value}</t></is>"),
        (' t="inlineStr"', f'<is><t xml:space="preserve"> {value}</t></is>'), ("", f'<f t="shared" si="0"/><v>{value}</v>'), ("", "<v/>"), ("", ""),
    ])  # fmt: skip
    return f'<c r="{letter}{row}"{style}{kind}>{body}</c>' if body or chance.random() < 0.5 else f'<c r="{letter}{row}"{style}/>'


def _rows(chance: random.Random, row: int) -> str:
    rows = []
    for _ in range(chance.randint(1, 12)):
        row += chance.choice((1, 1, 1, 7))
        cells = "".join(_cell(chance, letter, row) for letter in LETTERS if chance.random() < 0.7)
        rows.append(f'<row r="{row}" spans="1:3">{cells}</row>' if cells else f'<row r="{row}"/>')
    return "".join(rows)


def _plain(cells: Cells) -> tuple[list[int], dict[int, list[tuple[bytes, bytes]]]]:
    """Return what says something: cells with a value."""
    pairs = {place: list(zip(column.attributes, column.values, strict=True)) for place, column in cells.columns.items() if any(column.values)}
    return list(cells.rows), {place: [pair if pair[1] else (b"", b"") for pair in column] for place, column in pairs.items()}


@pytest.mark.parametrize("seed", range(5))
def test_the_learned_pattern_gives_what_a_parser_gives(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  chance, not secrecy
    for _ in range(300):
        block = _rows(chance, 0)
        learned = Splitter(b"").split(block.encode(), "here")
        parsed = Splitter(b"").split(f"<!-- no pattern knows a comment -->{block}<row r='9999'></row>".encode(), "here")
        rows, columns = _plain(parsed)
        assert rows.pop() == 9999
        assert _plain(learned) == (rows, {place: column[:-1] for place, column in columns.items()})


def _alike(chance: random.Random, first: int, styles: dict[str, tuple[str, str]]) -> str:
    """Return rows whose cells are written alike, column by column; now and then one is not."""
    rows = []
    for row in range(first, first + chance.randint(1, 40)):
        cells = "".join(_alike_cell(chance, letter, row, *style) for letter, style in styles.items() if chance.random() < 0.8)
        rows.append(f'<row r="{row}">{cells}</row>')
    return "".join(rows)


def _alike_cell(chance: random.Random, letter: str, row: int, attributes: str, tag: str) -> str:
    if chance.random() < 0.01:
        return _cell(chance, letter, row)
    if chance.random() < 0.1:
        return f'<c r="{letter}{row}" s="2"/>'
    value = escape(chance.choice(("1", "2.5", "text", "a & b", "é", "")))
    return f'<c r="{letter}{row}"{attributes}>' + (f"<is><t>{value}</t></is></c>" if tag == "t" else f"<v>{value}</v></c>")


@pytest.mark.parametrize("seed", range(5))
def test_what_was_learned_of_a_block_serves_the_next_ones(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  chance, not secrecy
    for _ in range(40):
        styles = {letter: chance.choice((("", "v"), (' s="1"', "v"), (' t="inlineStr"', "t"), (' s="1" t="s"', "v"))) for letter in LETTERS}
        splitter, first = Splitter(b""), 1
        for _ in range(6):
            block = _alike(chance, first, styles)
            learned = splitter.split(block.encode(), "here")
            parsed = Splitter(b"", first - 1).split(f"<!-- no pattern knows a comment -->{block}<row r='9999'></row>".encode(), "here")
            rows, columns = _plain(parsed)
            assert rows.pop() == 9999
            assert _plain(learned) == (rows, {place: column[:-1] for place, column in columns.items()})
            first = rows[-1] + 1
