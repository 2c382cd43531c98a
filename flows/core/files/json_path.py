"""The way to an array inside a JSON file: linear, and going on anywhere."""

import re
from dataclasses import dataclass
from typing import Final, Self

import orjson

from flows.core.files.pieces import Refusal

_TOKEN: Final = re.compile(rb"[ \t\r\n]*+(\"(?:[^\"\\]++|\\.)*+\"|[^ \t\r\n\"\[\]{},:]++|[\[\]{},:])", re.DOTALL)
_TEXT: Final = re.compile(rb"(?:[^\"\\]++|\\.)*+", re.DOTALL)
_SPACE: Final = b" \t\r\n"


@dataclass
class Way:
    """How far the way has been gone."""

    depth: int = 0
    """Steps of the path that lie behind."""
    skip: int = 0
    """Levels inside something that does not lie on the path."""
    kind: str = ""
    """The object `{` or array `[` on the path one is in."""
    index: int = 0
    key: bool = False
    """A key has to come next."""
    here: bool = True
    """What comes next lies on the path."""
    text: bool = False
    """In a string that is too large for a key."""

    def dump(self) -> str:
        """Write it down."""
        return orjson.dumps([self.depth, self.skip, self.kind, self.index, self.key, self.here, self.text]).decode()

    @classmethod
    def load(cls, text: str) -> Self:
        """Read what `dump` wrote."""
        return cls(*orjson.loads(text))

    def token(self, token: bytes, path: tuple[str, ...]) -> bool:
        """Take one token; True: behind it stand the elements of the array. Raises `Astray`."""
        sign = token[:1]
        if self.skip:
            self.skip += (sign in b"{[") - (sign in b"}]")
        elif self.key and sign == b'"':
            self.key, self.here = False, _same(token, path[self.depth])
        elif sign in b"}]":
            raise Astray("path_not_found")
        elif sign == b",":
            self.index, self.key = self.index + 1, self.kind == "{"
            self.here = self.kind == "[" and str(self.index) == path[self.depth]
        elif sign != b":" and self.here:
            return self._enter(sign, path)
        else:
            self.skip = int(sign in b"{[")
        return False

    def _enter(self, sign: bytes, path: tuple[str, ...]) -> bool:
        """Take the beginning of a value on the path."""
        self.depth += bool(self.kind)
        if self.depth == len(path):
            if sign != b"[":
                raise Astray("an_object" if sign == b"{" else "not_an_array")
            return True
        if sign not in b"{[":
            raise Astray("path_not_found")
        self.kind, self.index, self.key = sign.decode(), 0, sign == b"{"
        self.here = sign == b"[" and path[self.depth] == "0"
        return False


class Astray(Exception):
    """The array is not where the path leads."""

    def refusal(self, pointer: str) -> Refusal:
        """Return it for a person."""
        place = f"at {pointer!r}" if pointer else "at the top"
        mend = "name the JSON pointer of the array of records in source_config.json_path"
        if self.args[0] == "path_not_found":
            return Refusal("path_not_found", f"There is nothing {place} of the file; {mend}.")
        if self.args[0] == "an_object":
            alone = "where the object is itself a record, put it in brackets, or on one line with ndjson as data_format"
            return Refusal(
                "not_an_array", f"What stands {place} of the file is an object and no array. Where an array in it holds the records, {mend}; {alone}."
            )
        return Refusal("not_an_array", f"What stands {place} of the file is no array; {mend}.")


def go(data: bytes, at: int, way: Way, path: tuple[str, ...], *, final: bool, longest: int) -> tuple[int, bool]:
    """Go on, and return how far, and whether the elements of the array begin there; raise `Astray`. A key is no longer than `longest`."""
    while at < len(data):
        if way.text:
            at = _TEXT.match(data, at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if data[at : at + 1] != b'"':
                break
            at, way.text = at + 1, False
            continue
        found = _TOKEN.match(data, at)
        if found is None:
            begin = len(data) - len(data[at:].lstrip(_SPACE))
            if len(data) - begin <= longest:
                at = begin
                break
            if data[begin : begin + 1] == b'"':
                way.token(b'"', path)
                way.text, at = True, begin + 1
                continue
            break
        at = found.end()
        if way.token(found[1], path):
            return at, True
    if final:
        raise Astray("path_not_found")
    return at, False


def _same(token: bytes, step: str) -> bool:
    """Compare a key with a step of the path."""
    try:
        return bool(orjson.loads(token) == step)
    except orjson.JSONDecodeError:
        return False
