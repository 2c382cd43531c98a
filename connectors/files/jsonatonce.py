"""Rows of many pieces of JSON at once, where a template takes most of them; the others are looked at one by one."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, Final, NamedTuple

import polars as pl

from connectors.files.jsonrows import DTYPES, Columns, Kind, Kinds
from connectors.files.jsontemplate import BLANK, Taken, Template
from connectors.files.places import Fault, Places, Span
from connectors.files.reader import Read
from connectors.files.table import Place, Table
from flows.core.files.pieces import Piece
from flows.core.files.rejects import Reject

_MOST_OTHERS: Final = 0.25
"""Where more of the records are not as the template says, it has no use."""


class Others(NamedTuple):
    """What is done with records that a template does not take."""

    alone: Callable[[bytes], Span | None]
    """Finds the record of a line; None: there is more or less than one, or that is not certain."""
    one: Callable[[bytes], Any | Fault]
    """Reads a record, or says why it is none; None: it is one, but not of these columns."""
    columns: Callable[[list[Any], list[bytes]], Columns | None]
    """Makes columns of records that were read, with their bytes; None: they are of other kinds."""
    spans: Callable[[Piece], Sequence[Span] | None]
    """Finds all records of a piece."""


def read(pieces: Sequence[Piece], template: Template, others: Others) -> tuple[Read, Kinds] | None:
    """Return the rows of pieces that follow one another, and of what kinds their columns are; None: look closer."""
    data = b"".join(piece.data for piece in pieces)
    body = _body(data, template)
    taken = template.take(body) if body and _whole(pieces, template) else None
    records = sum(piece.records for piece in pieces)
    if taken is None or len(taken.sizes) != records or not _apart(data, pieces, taken):
        return None
    such = taken.such
    odd = [] if such is None else (~such).arg_true().to_list()
    found = _Found([], [], [], [])
    if len(odd) > records * _MOST_OTHERS or not found.look(_lines(data, body, taken, odd), pieces, template, others):
        return None
    columns = template.typed(taken.frame if such is None else taken.frame.filter(such))
    if columns is not None and such is not None and found.rows:
        columns = _merged(columns, others.columns(found.rows, found.texts), [*such.arg_true().to_list(), *found.indices])
    return None if columns is None else (_told(pieces, columns, found, others), columns.kinds)


class _Found(NamedTuple):
    """What the records are that the template did not take."""

    indices: list[int]
    rows: list[Any]
    texts: list[bytes]
    faults: list[tuple[int, Span, Fault]]

    def look(self, lines: Sequence[tuple[int, int, bytes]], pieces: Sequence[Piece], template: Template, others: Others) -> bool:
        """Read lines of which each is told by its index and its place in the bytes; False: one of them is not a record that can be told from here."""
        bounds = [0, *accumulate(len(piece.data) for piece in pieces)]
        firsts = [0, *accumulate(piece.records for piece in pieces)]
        for index, begin, said in lines:
            start, line = begin, said
            at = bisect_right(firsts, index) - 1
            if pieces[at].records == 1:  # it may be damaged in such a way that only the cutter could tell where it ends
                start, line = bounds[at], pieces[at].data
                span = next(iter(others.spans(pieces[at]) or ()), None)
            else:
                span = others.alone(line + b"," if template.seam else line)
            text = line[span.start : span.end] if span else b""
            row = others.one(text) if span else None
            if span is None or row is None:
                return False
            if isinstance(row, Fault):
                self.faults.append((index, Span(start + span.start, start + span.end), row))
            else:
                self.indices.append(index)
                self.rows.append(row)
                self.texts.append(text)
        return True


def _body(data: bytes, template: Template) -> bytes:
    """Return records without what is around them; each is ended alike."""
    body = data.strip(BLANK)
    if template.seam:
        return body.removesuffix(b",").rstrip(BLANK)
    return body + b"," if template.comma and not body.endswith(b",") else body


def _whole(pieces: Sequence[Piece], template: Template) -> bool:
    """Say whether each piece ends where a record does, so that it comes to the same when they are put together."""
    if template.comma or template.seam:
        return all(piece.data[-256:].rstrip(BLANK).endswith(b",") for piece in pieces[:-1])
    return all(piece.data.endswith(b"\n") for piece in pieces[:-1])


def _apart(data: bytes, pieces: Sequence[Piece], taken: Taken) -> bool:
    """Say whether each piece begins with the line with which it ought to by the records before it."""
    begin = len(data) - len(data.lstrip(BLANK))
    records = accumulate(piece.records for piece in pieces[:-1])
    bounds = accumulate(len(piece.data) for piece in pieces[:-1])
    pairs = (sorted((bound, begin + taken.start(index))) for index, bound in zip(records, bounds, strict=True))
    return not any(data[one:other].strip(BLANK + b",") for one, other in pairs)


def _lines(data: bytes, body: bytes, taken: Taken, odd: list[int]) -> list[tuple[int, int, bytes]]:
    """Return some lines of what stands in the bytes, each with its index and its place in these."""
    if not odd:
        return []
    before, sizes = len(data) - len(data.lstrip(BLANK)), taken.sizes.cast(pl.Int64)
    found = zip(odd, ((sizes + 1).cum_sum() - sizes - 1).gather(odd), sizes.gather(odd), strict=True)
    return [(index, before + begin, body[begin : begin + size]) for index, begin, size in found]


def _merged(these: Columns, those: Columns | None, indices: list[int]) -> Columns | None:
    """Put the rows of two tables in the order of `indices`; None where a column is of one kind in the one and of another in the other."""
    if those is None:
        return None
    kinds: Kinds = {}
    series: dict[str, pl.Series] = {}
    order = pl.Series(indices, dtype=pl.Int64).arg_sort()
    for name, kind in these.kinds.items():
        found = {kind, those.kinds[name]} - {Kind.NONE}
        if len(found) > 1:
            return None
        kinds[name] = found.pop() if found else Kind.NONE
        dtype = DTYPES.get(kinds[name], pl.String)
        series[name] = pl.concat([part.frame[name].cast(dtype) for part in (these, those)]).gather(order)
    return Columns(pl.DataFrame(series), kinds)


def _told(pieces: Sequence[Piece], columns: Columns, found: _Found, others: Others) -> Read:
    """Return rows with where they stand."""
    firsts = [piece.first for piece in pieces]
    bounds = [0, *accumulate(len(piece.data) for piece in pieces)]
    records = sum(piece.records for piece in pieces)
    places = [Places(piece, partial(_spans, others, piece), range(piece.first, piece.first + piece.records)) for piece in pieces]
    ordinals: Sequence[int] = range(firsts[0], firsts[0] + records)
    if found.faults:
        bad = {firsts[0] + index for index, _, _ in found.faults}
        ordinals = [ordinal for ordinal in ordinals if ordinal not in bad]
    rejects: list[Reject] = []
    for index, (start, end), fault in found.faults:
        at = bisect_right(firsts, firsts[0] + index) - 1
        rejects.append(places[at].reject(Span(start - bounds[at], end - bounds[at]), firsts[0] + index, fault))

    def place(row: int) -> Place:
        at = bisect_right(firsts, ordinals[row]) - 1
        return places[at].row(ordinals[row] - firsts[at])

    return Read(Table(columns.frame, ordinals, place, columns.fragments), rejects, records)


def _spans(others: Others, piece: Piece) -> Sequence[Span]:
    return others.spans(piece) or ()
