"""Cuts XML behind the end tags of its records.

A record whose end tag is missing ends where its parent does, or where the next record begins: that one lies in it only if both are closed as they should be
within a piece's length, or if records of the file have been seen to lie in one another; once one was found that is not closed, records of a file in which
none has lain in another are taken to lie side by side. A comment, CDATA or instruction that nothing ends within that length,
and a comment with another in it, is text. End tags of what is not open mean nothing; a record's own, without its start tag, is a damaged record.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from flows.core.errors import BadRequest
from flows.core.files.pieces import PIECE_BYTES, TRUNCATED, Piece, Refusal, truncated
from flows.core.files.shears import START, Run, Shears, Stride
from flows.core.files.units import named, shadow
from flows.core.files.xml_record import Inside, Specials, patterns
from flows.core.files.xml_tags import Doctype, Skip, Tag, local, namespaces, root_alone, token, until

_DEPTH: Final = 128
_SCOPE: Final = 16 * 1024
_DOCTYPE: Final = Refusal("doctype", "The file has a DOCTYPE, which may define entities and name other files; it is not read. Take the declaration out.")
_NESTED: Final = Refusal("too_deep", f"Records lie more than {_DEPTH} elements deep, or those around them declare more than {_SCOPE} bytes of namespaces.")
_DOUBTS: Final = 50
_BARE: Final = 4096
"""Most of a file that is nothing but an empty root."""


def _before(places: list[int], at: int) -> int:
    """Count what was found out before a place: a cutter that goes on from a state may have seen what comes later."""
    return sum(place < at for place in places)


@dataclass(frozen=True)
class XmlOptions:
    """Which elements are records."""

    record: str
    """Their name, at whatever depth, or their path from the root such as `/orders/order`; prefixes do not count."""
    encoding: str = "utf-8"


class Around(NamedTuple):
    """The elements that are open around a place between records."""

    names: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    """The namespaces each of them declares, as attributes."""
    begun: bool = False
    """A record has been seen."""


class XmlCutter(Shears):
    """What is before the first record, and what begins with the root's end tag, are pieces without records; what lies between two records goes with either.

    A piece of records is balanced unless elements around the records end or begin in it; `scope` tells how the namespaces stand behind the last piece.
    Of elements of the same name that lie in one another the outermost is the record.
    """

    def __init__(self, options: XmlOptions, saved: bytes | None = None, *, piece_bytes: int = PIECE_BYTES) -> None:
        """Go on from a saved state, or begin; raise `BadRequest` for a name, path or encoding that means nothing."""
        encoding = named(options.encoding)
        steps = [step.rpartition(":")[2] for step in options.record.removeprefix("/").split("/")]
        if not all(steps) or re.search(r"[\s<>=\"'&!?]", "".join(steps)):
            raise BadRequest(f"record_path names records by an element, such as `order`, or its path, such as `orders/order`; {options.record!r} is neither.")
        codes = [shadow(step.encode(encoding, "replace"), encoding) for step in steps]
        self._parents = tuple(code.decode("latin-1") for code in codes[:-1]) if options.record.startswith("/") or len(steps) > 1 else None
        self._record, self._options, self._open = codes[-1], options, ""
        self._changes: list[tuple[int, Around]] = [(0, Around())]
        self._sound, self._one, self._last, self._start = patterns(self._record)
        self._nests: list[int] = []
        self._doubts: list[int] = []
        self._specials, self._head = Specials(), ""
        """What there was before the first record, as far as it may be an empty root."""
        super().__init__(saved, encoding=encoding, piece_bytes=piece_bytes)
        self._reach = PIECE_BYTES // self._width

    @property
    def scope(self) -> tuple[str, ...]:
        """The namespaces that the open elements declare, outermost first, as attributes: what a next piece has to be wrapped in."""
        return tuple(each for each in self._around(self._at).scope if each)

    def more(self) -> Any:
        """Return what is open at the next piece, and where that changes in what is owed; and what came before the first record."""
        end = self._at + self._owed
        return [[(at, tuple(around)) for at, around in self._changes if at <= max(end, self._changes[0][0])], self._open, self._nests, self._doubts, self._head]

    def ends(self, at: int, end: int) -> int:
        """Count what may be start tags of records, with a prefix or without."""
        return sum(self.units.count(sign + self._record, at, end) for sign in (b"<", b":"))

    def restore(self, more: Any) -> None:
        """Take it back."""
        changes, self._open, self._nests, self._doubts, *head = more
        self._head = head[0] if head else ""  # a state of before has none
        self._changes = [(at, Around(tuple(names), tuple(scope), begun)) for at, (names, scope, begun) in changes]

    def after(self, piece: Piece, *, over: bool) -> None:  # noqa: ARG002  the place alone counts
        """Forget what was open before, and keep what may be an empty root."""
        begun = self._around(self._at).begun
        self._head = "" if begun else (self._head + self.shadowed(piece.data[: 2 * _BARE]).decode("latin-1"))[: _BARE + 1]
        passed = sum(at <= self._at for at, _ in self._changes)
        self._changes = self._changes[passed - 1 :]

    def run(self, at: int, end: int, *, final: bool) -> Run:  # noqa: ARG002  nothing depends on it
        """Go over records that follow one another without other markup between them."""
        around = self._around(self._at + at)
        if not around.begun or not around.names or (self._parents is not None and around.names != self._parents):
            return Run(at, 0)
        found = self._sound.match(self.units, at, self._specials.ended(self.units, self._at, at, end))
        stop = found.end() if found else at
        return Run(stop, self._count(at, stop))

    def _count(self, at: int, end: int) -> int:
        """Count sound records; an end tag is one unless comments, CDATA or instructions may hold it."""
        plain = self.units.find(b"<!", at, end) < 0 and self.units.find(b"<?", at, end) < 0
        return len((self._last if plain else self._one).findall(self.units, at, end))

    def stride(self, at: int, mode: str, *, final: bool) -> Stride:
        """Go on in a record, or in what lies between two."""
        kind, _, rest = mode.partition(" ")
        if kind == "between":
            end, done = until(self.units, at, rest.encode())
            return Stride(len(self.units) if final and not done else end, START if done or final else mode, 0)
        if kind:
            sign, _, depth = rest.partition(" ")
            return self._within(at, int(depth), sign.encode(), final=final)
        found = token(self.units, at, final=final)
        if isinstance(found, Doctype):
            self.refused = _DOCTYPE
            return Stride(at, START, 0)
        if isinstance(found, Skip):
            return self._skip(at, found, final=final)
        if found is None or found.start > at:
            return Stride(found.start if found else at, START, 0)
        return self._tag(at, found, final=final)

    def _skip(self, at: int, found: Skip, *, final: bool) -> Stride:
        """Go over what holds no tag between two records."""
        if not found.until:
            return Stride(found.end, START, 0)
        end = min(len(self.units), at + self._reach + 1)
        stop = self._specials.end(self.units, self._at, found, end)
        if stop >= 0:
            return Stride(stop, START, 0)
        if not final and end <= at + self._reach:
            return Stride(at, START, 0)
        if self._start.search(self.units, found.end, end):
            return Stride(found.end, START, 0)  # a record begins before it ends: it is text
        return self.stride(found.end, f"between {found.until.decode()}", final=final)

    def _tag(self, at: int, tag: Tag, *, final: bool) -> Stride:
        """Begin a record, or enter or leave an element around records."""
        around, name = self._around(self._at + at), local(tag.name)
        ours = name == self._record and self._parents in (None, around.names)
        if tag.opens and ours:
            self._change(at + 1, around._replace(begun=True))
            stride = Stride(tag.end) if tag.closes else self._extent(at, tag, final=final)
            return stride._replace(fresh=not around.begun)
        if name == self._record and around.begun:
            return self._elsewhere(at, tag, final=final, ours=ours)
        if tag.opens and not tag.closes:
            declared = namespaces(tag.attributes).decode("latin-1")
            around = around._replace(names=(*around.names, name.decode("latin-1")), scope=(*around.scope, declared))
            if len(around.names) > _DEPTH or sum(map(len, around.scope)) > _SCOPE:
                self.refused = _NESTED
                return Stride(at, START, 0)
            self._change(tag.end, around)
        elif not tag.opens:
            return self._leave(at, tag, around, final=final)
        return Stride(tag.end, START, 0)

    def _elsewhere(self, at: int, tag: Tag, *, final: bool, ours: bool) -> Stride:
        """Go over an element that is called like a record and lies elsewhere, or an end tag without a start, in a piece of its own: nobody counts it."""
        if not tag.opens:
            return Stride(tag.end, START, int(ours), alone=True, fresh=True)
        end = tag.end if tag.closes else self._extent(at, tag, final=final)
        if isinstance(end, Stride):
            if end == Stride(at, START):
                return end
            end = tag.end if end.mode else end.at
        return Stride(end, START, 0, alone=True, fresh=True)

    def _leave(self, at: int, tag: Tag, around: Around, *, final: bool) -> Stride:
        """Leave an element around records, and those in it that were not closed."""
        name = local(tag.name).decode("latin-1")
        if name not in around.names:
            return Stride(tag.end, START, 0)
        level = len(around.names) - 1 - around.names[::-1].index(name)
        stray = self._goes_on(tag.end, final=final) if not level else False
        if stray is None:
            return Stride(at, START, 0)
        if not stray:
            self._open = around.names[level + 1] if self._parents == around.names[: level + 1] != around.names else self._open
            self._change(tag.end, around._replace(names=around.names[:level], scope=around.scope[:level]))
        return Stride(tag.end, START, 0, fresh=not level and not stray)

    def _goes_on(self, at: int, *, final: bool) -> bool | None:
        """Tell whether a record comes next, so that the root is not over though its end tag stands there; None: more has to come."""
        here, end = at, min(len(self.units), at + self._reach)
        while here < end and (found := token(self.units, here, final=final)) is not None and not isinstance(found, Doctype):
            here = found.end
            if isinstance(found, Skip) and found.until:
                here = max(here, self._specials.end(self.units, self._at, found, end))
            elif isinstance(found, Tag) and found.opens:
                return local(found.name) == self._record
        return False if final or end == at + self._reach else None

    def _extent(self, at: int, tag: Tag, *, final: bool) -> Stride:
        """Go to the end of a record that is whole within a piece's length, or to where it breaks off."""
        parent = self._around(self._at + at).names[-1:]
        inside = Inside(self._record, parent[0].encode("latin-1") if parent else b"", [tag.name])
        here, end = tag.end, min(len(self.units), at + self._reach + 1)
        sure = final or end == at + self._reach + 1
        while (found := token(self.units, here, final=final)) is not None:
            here = found.start + 2 if isinstance(found, Doctype) else found.end
            if here > end:
                break
            if isinstance(found, Skip) and found.until:
                stop = self._specials.end(self.units, self._at, found, end)
                if stop < 0 and not sure:
                    return Stride(at, START)
                here = max(here, stop)
            elif isinstance(found, Tag) and inside.take(found):
                return self._over(at, inside, found)
            if inside.nested >= 0 and self._flat(at):
                return Stride(inside.nested, alone=True)
        if not sure:
            return Stride(at, START)
        whole = final and end == len(self.units)
        if inside.nested >= 0 and (whole or not _before(self._nests, self._at + at)):
            return self._doubt(at, inside.nested)
        return Stride(len(self.units)) if whole else self._within(tag.end, 1, b"", final=final)

    def _over(self, at: int, inside: Inside, tag: Tag) -> Stride:
        """End a record."""
        if not inside.lost and (inside.nested < 0 or inside.strict):
            if inside.nested >= 0 and not self._nests:
                self._nests = [self._at + at]
            return Stride(tag.end)
        return self._doubt(at, inside.nested) if inside.nested >= 0 else Stride(tag.start, alone=True)

    def _doubt(self, at: int, end: int) -> Stride:
        """End a record where the next one begins, and remember that it was not closed."""
        if self._at + at not in self._doubts and len(self._doubts) < _DOUBTS:
            self._doubts.append(self._at + at)
        return Stride(end, alone=True)

    def _flat(self, at: int) -> bool:
        """Tell whether a record that begins in another is known to be a damaged one's neighbour: looking ahead for each would take time without bound."""
        return _before(self._doubts, self._at + at) >= (_DOUBTS if _before(self._nests, self._at + at) else 1)

    def _within(self, at: int, depth: int, sign: bytes, *, final: bool) -> Stride:
        """Go to the end tag of a record."""
        while True:
            if sign:
                at, done = until(self.units, at, sign)
                sign = b"" if done else sign
            found = None if sign else token(self.units, at, final=final)
            if found is None:
                return Stride(len(self.units)) if final else Stride(at, f"within {sign.decode()} {depth}")
            if isinstance(found, Doctype):
                at = found.start + 2
                continue
            at = found.end
            if isinstance(found, Skip):
                sign = found.until
            elif local(found.name) == self._record and found.opens is not found.closes:
                depth += 1 if found.opens else -1
                if not depth:
                    return Stride(at)

    def _around(self, at: int) -> Around:
        """Return what is open at a place of the file."""
        return next(around for place, around in reversed(self._changes) if place <= at)

    def _change(self, at: int, around: Around) -> None:
        """Note what is open from a place on; it may have been seen before."""
        if self._at + at > self._changes[-1][0]:
            self._changes.append((self._at + at, around))

    def finish(self) -> list[Piece]:
        """Return what is left; the file is over."""
        pieces, around = super().finish(), self._around(self._at)
        if not self.refused and not around.begun and not self._is_bare():
            detail = f"There is no element {self._options.record!r} in the file; name the one that is a record, or its path, in source_config.record_path."
            self.refused = Refusal("path_not_found", detail)
        elif not self.refused and self._open:
            missing = f"<{self._open}> is opened among the records and never closed: those behind it do not lie where records do, and are missing. Close it"
            instead = f"or give source_config.record_path the name alone, {self._options.record.rpartition('/')[2]!r}, and import that."
            self.refused = Refusal(TRUNCATED, f"{missing}, {instead}")
        elif not self.refused and around.names:
            self.refused = truncated(self._at, self._ordinal, f"<{around.names[-1]}>")
        return pieces

    def _is_bare(self) -> bool:
        """Tell whether the file is a root with nothing in it, in which records may lie: it has none, as a header alone has none."""
        root = root_alone(self._head.encode("latin-1")) if len(self._head) <= _BARE else None
        return root is not None and (self._parents is None or self._parents[:1] == (root.decode("latin-1"),))
