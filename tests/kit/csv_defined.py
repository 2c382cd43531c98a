"""The rows of a CSV file by their definition, read in one go, and told how many fields the first of them have."""

from collections.abc import Sequence

from flows.core.files.csv_dialect import Dialect
from flows.core.files.csv_rows import LINE_END, Mode, Row, filled, one, read, rows
from flows.core.files.pieces import Part, Piece
from flows.core.files.units import bom, shadow, width
from tests.kit.cutting import whole


def defined(data: bytes, dialect: Dialect, piece_bytes: int) -> list[Row]:
    """Return them; the first two that are sound and fit a piece say how many fields a row has."""
    grammar, found, line = dialect.grammar, list[Row](), 1
    size, units, mark = width(grammar.encoding), shadow(data, grammar.encoding), bom(grammar.encoding)
    begin = at = len(mark) // size if mark and data.startswith(mark) else 0
    while at < len(units):
        step = read(units, at, Mode.ROW, grammar, final=True)
        assert step.mode is Mode.ROW
        assert step.at > at
        if step.row:
            row = Row(at * size, min(step.at * size, len(data)), line, (), (), step.code)
            found.append(filled(data, row, step.fields, dialect))
        if step.fields and len(grammar.widths) < 2 and step.at - (at if at > begin else 0) <= piece_bytes // size:
            grammar = grammar.like((*grammar.widths, len(step.fields)))
        line += len(LINE_END.findall(units, at, step.at))
        at = step.at
    return found


def read_of(piece: Piece, part: bytes, dialect: Dialect, piece_bytes: int, want: Sequence[Row]) -> list[Row]:
    """Return those of the rows to come that are in a piece, all of which has to be in it; who reads it by itself finds the same."""
    end = piece.start + len(part)
    found = [row for row in want if row.start < end]
    assert all(row.end <= end for row in found)
    if piece.part is Part.BEGIN:
        assert list(one(part, dialect, piece.start, piece.line)) == found
    elif dialect.look_ahead >= 2 * piece_bytes:
        assert list(rows(part, dialect, piece.start, piece.line)) == found
    return found


def cut_as_defined(pieces: list[Piece], data: bytes, dialect: Dialect, piece_bytes: int) -> list[Row]:
    """Assert that pieces hold the rows of a file by their definition, each once and counted, and return these."""
    want, got = defined(data, dialect, piece_bytes), list[Row]()
    for piece, part in whole(pieces):
        found = read_of(piece, part, dialect, piece_bytes, want[len(got) :])
        header = dialect.header and not got and bool(found)
        assert (piece.first, piece.records) == (max(0, len(got) - dialect.header), len(found) - header)
        got += found
    assert got == want
    return want
