"""Rows of JSON records, in two speeds: a piece by structs of the columns that are known, and one by one."""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from connectors.files import jsonatonce, jsonrows, jsontemplate
from connectors.files.bypiece import nothing, table
from connectors.files.codes import Code
from connectors.files.jsonatonce import Others
from connectors.files.jsonjudge import JsonOptions, judge, wrapped
from connectors.files.jsonrows import Columns, Kind, Kinds
from connectors.files.jsontemplate import Template
from connectors.files.names import Names
from connectors.files.places import Fault, Places, Span
from connectors.files.reader import Read
from connectors.files.table import Table
from flows.core.files.pieces import Piece

TOGETHER: Final = 128
"""Structs that are held at once: more leave the caches, and memory for them is asked of the system again and again."""
_REFUSED: Final = (ValueError, RecursionError, msgspec.MsgspecError)
_TOGETHER_CLOSELY: Final = 16
"""Records that are tried at once where one of the piece is none: of every hundred one may be none, and few of these have one then."""
_MOST_MISSES: Final = 6
_FEW: Final = 8
"""Fewer records of a piece that is parsed alone are no measure of a template."""


class Decoders(NamedTuple):
    """Structs of the columns that are known."""

    kinds: Kinds
    one: Callable[[bytes], Any]
    many: Callable[[bytes], list[Any]]
    fields: Sequence[Callable[[Any], Any]]
    """What takes each column out of a struct."""
    flat: bool
    """Whether no column holds objects or arrays."""


class Layout(Protocol):
    """How records lie in a piece."""

    def spans(self, piece: Piece) -> Sequence[Span] | None:
        """Return the bytes of each record; None: there are not as many as were counted."""
        ...

    def structs(self, piece: Piece, decoders: Decoders) -> Iterator[list[Any]]:
        """Yield the records as structs, some at a time; may raise what a decoder raises, and does where they are not what was counted."""
        ...

    def alone(self, line: bytes) -> Span | None:
        """Return where the record of a line stands; None: there is more or less than one, or that is not certain."""
        ...


class JsonParser:
    """Reads pieces of JSON records; knows the columns of all it has seen."""

    def __init__(self, layout: Layout, options: JsonOptions, state: bytes = b"") -> None:
        """Begin a file, or go on from the `state` of a parser of the same kind."""
        self._layout = layout
        self._options = options
        self._names = Names(state)
        self._kinds: Kinds = {}
        self._decoders: Decoders | None = None
        self._template: Template | None = None
        self._misses = 0
        """How often in a row a template was of no use."""
        self._rest = 0
        """Pieces until another is learned."""

    def state(self) -> bytes:
        """Return the names of the columns. What their values were is learned anew."""
        return self._names.state()

    def parse_all(self, pieces: Sequence[Piece]) -> Iterator[Read]:
        """Yield the rows of pieces that follow one another."""
        left = list(pieces)
        while left and (self._template is None or len(left) == 1 or left[0].start == 0):
            yield self.parse(left.pop(0))
        if left and (read := self._at_once(left)):
            yield read
        elif left:
            yield from self.parse_all(left[: len(left) // 2])
            yield from self.parse_all(left[len(left) // 2 :])

    def parse(self, piece: Piece) -> Read:
        """Return the rows of a piece."""
        if piece.start == 0 and piece.data.startswith(b"\xef\xbb\xbf"):
            piece = piece._replace(start=3, data=piece.data[3:])
        if self._template is not None and piece.records >= _FEW:
            if read := self._at_once([piece]):
                self._misses = 0
                return read
            self._miss()
        read = self._quick(piece) or self._mostly(piece) or self._exact(piece)
        self._rest -= 1
        if self._rest < 0 and self._template is None:
            self._study(piece)
        return read

    def _at_once(self, pieces: Sequence[Piece]) -> Read | None:
        decoders = self._decoders
        if self._template is None or decoders is None:
            return None
        others = Others(
            self._layout.alone, lambda text: _one(text, decoders, self._options), lambda rows, texts: _few(rows, decoders, texts), self._layout.spans
        )
        if (found := jsonatonce.read(pieces, self._template, others)) is None:
            return None
        read, kinds = found
        self._learn(kinds)
        return read

    def _study(self, piece: Piece) -> None:
        """Learn how records are written by one from the middle of a piece."""
        spans = self._layout.spans(piece) if self._decoders else None
        if spans and len(spans) > 1:
            one, behind = spans[len(spans) // 2 - 1 :][:2]
            self._template = jsontemplate.learn(piece.data[one.start : one.end], piece.data[one.end : behind.start], self._kinds)
            if self._template is None:
                self._miss()

    def _miss(self) -> None:
        """Do without a template for some time, longer each time."""
        self._template, self._misses = None, min(self._misses + 1, _MOST_MISSES)
        self._rest = 2**self._misses

    def _quick(self, piece: Piece) -> Read | None:
        decoders = self._decoders
        if decoders is None:
            return None
        values: list[list[Any]] = [[] for _ in decoders.fields]
        count = 0
        try:
            for rows in self._layout.structs(piece, decoders):
                count += len(rows)
                for column, held in zip(values, decoders.fields, strict=True):
                    column.extend(map(held, rows))
            columns = jsonrows.of_structs(decoders.kinds, values, count, lambda: self._texts(piece))
        except _REFUSED:  # the exact way tells what is wrong, and with which record
            return None
        if not count:
            return None
        self._learn(columns.kinds)
        ordinals = range(piece.first, piece.first + count)
        places = Places(piece, lambda: self._layout.spans(piece) or (), ordinals)
        return Read(Table(columns.frame, ordinals, places.row, columns.fragments), [], count)

    def _mostly(self, piece: Piece) -> Read | None:
        """Return what the exact way would, where all records but those that are none go the quick way, some at a time."""
        decoders = self._decoders
        spans = self._layout.spans(piece) if decoders else None
        if decoders is None or not spans:
            return None
        rows: list[Any] = []
        faults: dict[int, Fault] = {}
        for begin in range(0, len(spans), _TOGETHER_CLOSELY):
            texts = [piece.data[start:end] for start, end in spans[begin : begin + _TOGETHER_CLOSELY]]
            if held := _some(texts, decoders):
                rows += held
                continue
            for index, text in enumerate(texts, begin):
                if (one := _one(text, decoders, self._options)) is None:
                    return None
                if isinstance(one, Fault):
                    faults[index] = one
                else:
                    rows.append(one)
        places, ordinals, rejects = table(piece, spans, faults)
        try:
            columns = _columns(rows, decoders, lambda: [piece.data[start:end] for index, (start, end) in enumerate(spans) if index not in faults])
        except _REFUSED:
            return None
        self._learn(columns.kinds)
        return Read(Table(columns.frame, ordinals, places.row, columns.fragments), rejects, len(spans))

    def _texts(self, piece: Piece) -> list[bytes]:
        return [piece.data[start:end] for start, end in self._layout.spans(piece) or ()]

    def _exact(self, piece: Piece) -> Read:
        spans = self._layout.spans(piece)
        if spans is None:
            return nothing(piece, [Span(0, len(piece.data))] * piece.records, Fault(Code.MISCOUNTED))
        rows: list[dict[str, Any]] = []
        texts: list[bytes] = []
        faults: dict[int, Fault] = {}
        for index, (start, end) in enumerate(spans):
            text = piece.data[start:end]
            row = judge(text, self._options)
            if isinstance(row, Fault) or not self._names.admit(row):
                faults[index] = row if isinstance(row, Fault) else Fault(Code.TOO_MANY_COLUMNS)
            else:
                rows.append(row)
                texts.append(wrapped(text))
        columns = jsonrows.of_dicts(self._names, rows, texts)
        self._learn(columns.kinds)
        places, ordinals, rejects = table(piece, spans, faults)
        return Read(Table(columns.frame, ordinals, places.row, columns.fragments), rejects, len(spans))

    def _learn(self, found: Kinds) -> None:
        kinds = jsonrows.merge(self._kinds, found)
        if kinds == self._kinds:
            return
        self._kinds, self._template, self._rest = kinds, None, 0
        whole = self._options == JsonOptions()
        shape = jsonrows.shape(kinds) if whole and kinds else None
        self._decoders = None if shape is None else _decoders(shape, kinds)


def _columns(rows: list[Any], decoders: Decoders, texts: Callable[[], Sequence[bytes]]) -> Columns:
    return jsonrows.of_structs(decoders.kinds, [list(map(held, rows)) for held in decoders.fields], len(rows), texts)


def _few(rows: list[Any], decoders: Decoders, texts: list[bytes]) -> Columns | None:
    try:
        return _columns(rows, decoders, lambda: texts)
    except _REFUSED:
        return None


def _some(texts: Sequence[bytes], decoders: Decoders) -> list[Any]:
    """Return records as structs; none: look at each."""
    if not decoders.flat or not all(text[:1] == b"{" and text[-1:] == b"}" for text in texts):
        return []
    try:
        rows = decoders.many(b"[%b]" % b",\n".join(texts))  # as without objects in objects a break that stood in a string would be no JSON
    except _REFUSED:
        return []
    return rows if len(rows) == len(texts) else []


def _one(text: bytes, decoders: Decoders, options: JsonOptions) -> Any | Fault:
    """Return a record as a struct, or why it is none; None: it is one, but not of these columns."""
    try:
        return decoders.one(text)
    except _REFUSED:
        found = judge(text, options)
        return found if isinstance(found, Fault) else None


def _decoders(shape: type[msgspec.Struct], kinds: Kinds) -> Decoders:
    one = msgspec.json.Decoder(shape).decode
    many = msgspec.json.Decoder(list[shape]).decode  # type: ignore[valid-type]  # it is made while the program runs
    return Decoders(kinds, one, many, [attrgetter(name) for name in shape.__struct_fields__], Kind.FRAGMENT not in kinds.values())
