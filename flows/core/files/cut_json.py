"""Cuts the array of a JSON file, or values that follow one another.

Optimism first: bytes up to a closing bracket and a comma that parse as an array prove that the cut lies between elements. Where they do not, elements are told
apart one by one (`json_values`).

An element whose brackets or strings are damaged ends where one begins that parses, is followed by another or the end, and begins with the key the first element
of the file began with, or, where none is near, with any. It is a piece of its own with one record, for a reader to reject; one larger than
a piece, whose damage shows late, may take a neighbour with it.
"""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import orjson

from flows.core import pointer
from flows.core.errors import BadRequest
from flows.core.files import json_path, json_values
from flows.core.files.json_path import Astray, Way
from flows.core.files.json_values import Outcome, Place
from flows.core.files.pieces import PIECE_BYTES, Part, Piece, behind, truncated, unclosed
from flows.core.files.shears import START, Run, Shears, Stride
from flows.core.files.units import named

SIGNS: Final = '"{}[],:\\'
_LETTERS: Final = bytes(range(128)) + b"x" * 128
_SPACE: Final = b" \t\r\n"
_FIRST: Final = re.compile(rb"[ \t\r\n]*+(\{[ \t\r\n]*+\"(?:[^\"\\\x00-\x1f]|\\.){0,64}+\"|[\[{])?")
_CLOSE: Final = re.compile(rb"[ \t\r\n]*+\]")
_SOMETHING: Final = re.compile(rb"[^ \t\r\n]")
_LAST: Final = re.compile(rb"[ \t\r\n]*+(?:\]|\Z)")
_BEFORE, _AMONG = 0, 1
_LOST, _END, _OPEN, _TRIES, _LEAST = "lost", "end", "open", 100, 1_024
_LOOKS: Final = 4
"""Pieces' worth of bytes that are gone over at most to find where to go on behind damage, before one goes on further on."""


@dataclass(frozen=True)
class JsonOptions:
    """Where the records of a JSON file stand."""

    path: str = ""
    """JSON pointer to their array; empty: the file is the array."""
    concatenated: bool = False
    """The file is no array but values one behind the other."""
    encoding: str = "utf-8"
    """In others, keys on the path are of ASCII."""


class JsonCutter(Shears):
    """What is before the elements, with its bracket, is a piece without records; so is what begins with the closing one. A comma follows its element."""

    def __init__(self, options: JsonOptions, saved: bytes | None = None, *, piece_bytes: int = PIECE_BYTES) -> None:
        """Go on from a saved state, or begin; raise `BadRequest` for a path that is no JSON pointer."""
        try:
            self._path = pointer.parse(options.path)
        except ValueError as exc:
            raise BadRequest(f"json_path: {exc}") from exc
        self._pointer, self._listed = options.path, not options.concatenated
        self._phase, self._first, self._behind = int(options.concatenated), "", -1
        self._left = ""
        self._closing = re.compile(rb"\](?:[ \t\r\n]*+[\]}]){%d}[ \t\r\n]*+\Z" % len(self._path))
        self._reach = piece_bytes
        self._barren = b"", 0
        """A seam, and the byte of the file up to which there is no further one."""
        super().__init__(saved, encoding=named(options.encoding, SIGNS), piece_bytes=piece_bytes)

    def more(self) -> Any:
        """Return whether elements have begun, how the first of them does, where something stands behind their array, and how the last one was left."""
        return [self._phase, self._first, self._behind, self._left]

    def shadowed(self, raw: bytes) -> bytes:
        """Return code units, of which those beyond ASCII stand for any letter."""
        return raw if self.encoding == "utf-8" else super().shadowed(raw).translate(_LETTERS)

    def ends(self, at: int, end: int) -> int:
        """Count what may part elements, or end values; half of it, since most of it lies within them."""
        return sum(self.units.count(sign, at, end) for sign in ((b",",) if self._listed else (b"}", b"]", b" ", b"\n"))) // 2

    def restore(self, more: Any) -> None:
        """Take it back."""
        self._phase, self._first, *last = more
        self._behind, self._left = last or (-1, "")  # a state of before has no more

    def after(self, piece: Piece, *, over: bool) -> None:
        """Behind the first piece, or what it began, the elements stand; behind them, the closing bracket, and nothing else where the file is the array."""
        if self._phase == _BEFORE:
            self._phase += over
            return
        if not self._listed or piece.records or (self._phase == _AMONG and piece.part not in {Part.RECORDS, Part.BEGIN}):
            return
        units, begin = self.shadowed(piece.data), 0
        if self._phase == _AMONG:
            found = _CLOSE.match(units)
            if found is None:
                return
            self._phase, begin = self._phase + 1, found.end()
        other = _SOMETHING.search(units, begin) if self._behind < 0 and not self._path else None
        if other is not None:
            self._behind = piece.start + other.start() * self._width

    def run(self, at: int, end: int, *, final: bool) -> Run:  # noqa: ARG002  nothing depends on it
        """Parse up to a comma that may lie between two elements."""
        if self._phase != _AMONG:
            return Run(at, 0)
        self._learn(at)
        end, sign = min(end, at + self._reach), self.units[at : at + 64].lstrip(_SPACE)[:1]
        seam = {b"{": b"},", b"[": b"],"}.get(sign, b",") if self._listed else b"}\n{"
        return self._parsed(at, end, seam)

    def _parsed(self, at: int, end: int, seam: bytes) -> Run:
        """Parse as much as can be, which is up to damage where there is some; nothing, where no element before that is over."""
        reach = min(self.limit, self._reach * 2)
        for shorter in (self._reach, max(_LEAST, self._reach // 2)):
            stop = self._last_seam(at, end, seam) + len(seam) - 1
            if stop <= at:
                self._reach = shorter
                break
            text = self.units[at:stop] if self._listed else self.units[at : stop - 1].replace(seam, b"},{")
            try:
                found = _elements(text)
            except orjson.JSONDecodeError as exc:
                if exc.pos >= len(text):  # it was cut within an element
                    self._reach = max(_LEAST, self._reach // 4)
                    break
                end, reach = at + exc.pos, max(_LEAST, min(self.limit, exc.pos * 2))
            else:
                self._reach = reach
                single = self._listed or len(found) == text.count(b"},{") - self.units.count(b"},{", at, stop - 1) + 1
                return Run(stop + self._listed, len(found)) if found and single else Run(at, 0)
        return Run(at, 0)

    def _last_seam(self, at: int, end: int, seam: bytes) -> int:
        """Find the last one that begins and ends between these, or return what is not behind `at`; where there is none, nobody looks there again."""
        known, until = self._barren
        begin = max(at, until - self._at - len(seam) + 1) if known == seam else at
        found = self.units.rfind(seam, begin, end)
        if found < 0:
            self._barren = seam, self._at + end
        return found if found >= 0 else at - len(seam)

    def stride(self, at: int, mode: str, *, final: bool) -> Stride:
        """Go on in what comes before the elements, in one of them, or behind them."""
        if self._phase == _BEFORE:
            return self._to_elements(at, mode, final=final)
        if mode == _LOST:
            return self._resume(at, mode, final=final)
        if mode == _END or (not mode and self._listed and (_LAST if final else _CLOSE).match(self.units, at)):
            return Stride(len(self.units), START if final else _END, 0, alone=True)
        self._learn(at)
        place = Place.load(mode) if mode else Place()
        most = len(self.units) if mode else min(len(self.units), at + self.limit + 2)  # so that what is done about damage depends on its place alone
        last = final and most == len(self.units)
        end, outcome = self._near(at) if not mode else (at, Outcome.MORE)
        if outcome is not Outcome.OVER:
            end, outcome = json_values.go(self.units[:most], at, place, final=last, listed=self._listed)
        if outcome is Outcome.MORE:
            enough = mode or most == at + self.limit + 2
            return Stride(end, place.dump()) if enough else Stride(at, START)
        if outcome is Outcome.DAMAGED:
            return Stride(end, _LOST) if mode else self._resume(at, mode, final=final, hurt=end)
        if last and end == most and (place.text or place.stack):
            self._left = _OPEN
        return Stride(end, START, int(bool(self.units[at:end].strip(_SPACE))))

    def _to_elements(self, at: int, mode: str, *, final: bool) -> Stride:
        """Go on towards the array."""
        way = Way.load(mode) if mode else Way()
        try:
            end, there = json_path.go(self.units, at, way, self._path, final=final, longest=self.limit // 2)
        except Astray as exc:
            self.refused = exc.refusal(self._pointer)
            return Stride(at, mode)
        return Stride(end, START if there else way.dump(), 0, alone=there)

    def _learn(self, at: int) -> None:
        """Remember how the first element begins."""
        if not self._first:
            found = _FIRST.match(self.units, at)
            self._first = (found[1] or b"{").decode("latin-1") if found else "{"

    def _resume(self, at: int, mode: str, *, final: bool, hurt: int = -1) -> Stride:
        """Find the next element behind a damaged one, or the bracket that closes the array; `hurt`: where the damage shows."""
        if not final and len(self.units) - at <= self.limit:
            return Stride(at, mode)
        end, first = min(at + self.limit, len(self.units)), self._first.encode("latin-1")
        for begin in dict.fromkeys((first, first[:1])):
            seam = re.compile((rb",[ \t\r\n]*+(?=" if self._listed else rb"\n[ \t\r]*+(?=") + re.escape(begin) + rb")")
            left = _LOOKS * self.limit
            for found in islice(seam.finditer(self.units, at, end), _TRIES):
                sound, seen = self._sound(found.end(), end, final=final)
                if sound:
                    return Stride(found.end(), START, alone=True)
                left -= seen
                if left < 0:
                    break
        if end == len(self.units):
            return Stride(self._ended(at, hurt) if self._listed else end, START, alone=True)
        return Stride(at + self.limit // 2 if mode else max(at, self.limit + 1), _LOST)

    def _ended(self, at: int, hurt: int) -> int:
        """Return where a damaged last element ends: before the bracket that closes the array, if it stands behind one of an element, or shows the damage."""
        found = self._closing.search(self.units, at + 1)
        if found is not None:
            ends = b"]" if self._first[:1] == "[" else b"}"
            if found.start() == hurt or self.units[at : found.start()].rstrip(_SPACE)[-1:] == ends:
                return found.start()
        self._left = _LOST
        return len(self.units)

    def _near(self, at: int) -> tuple[int, Outcome]:
        """Go to the end of a value that is over soon, as most are; so not all that is held is copied for each."""
        end, outcome = json_values.go(self.units[at : at + _LEAST], 0, Place(), final=False, listed=self._listed)
        return at + end, outcome

    def _sound(self, at: int, end: int, *, final: bool) -> tuple[bool, int]:
        """Say whether an element that begins here ends before `end` and can be parsed, and how far one had to look for that."""
        stop, outcome = self._near(at)
        if outcome is not Outcome.OVER or stop > end:
            stop, outcome = json_values.go(self.units[:end], at, Place(), final=False, listed=self._listed)
        whole = outcome is Outcome.OVER or (final and not self._listed and stop == len(self.units))
        try:
            return whole and orjson.loads(self.units[at:stop].translate(_LETTERS).rstrip(b", \t\r\n")) is not None, stop - at
        except orjson.JSONDecodeError:
            return False, stop - at

    def finish(self) -> list[Piece]:
        """Return what is left; the file is over."""
        pieces = super().finish()
        if not self.refused and self._listed and not (self._phase > _AMONG):
            self.refused = unclosed(self._at, self._ordinal, lost=self._left == _LOST) if self._left else truncated(self._at, self._ordinal, "its array")
        elif not self.refused and self._behind >= 0:
            self.refused = behind(self._behind, self._ordinal)
        return pieces


def _elements(text: bytes) -> list[Any]:
    """Parse the elements of an array; letters that are not UTF-8 count as letters, since it is a reader that judges them. Raises `JSONDecodeError`."""
    try:
        return list(orjson.loads(b"[" + text + b"]"))
    except orjson.JSONDecodeError:
        plain = text.translate(_LETTERS)
        if plain == text:
            raise
        return list(orjson.loads(b"[" + plain + b"]"))
