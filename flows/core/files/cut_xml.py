"""Cuts XML behind the end tags of its records."""

import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from flows.core.errors import BadRequest
from flows.core.files.pieces import PIECE_BYTES, Piece, Refusal
from flows.core.files.shears import START, Run, Shears, Stride
from flows.core.files.units import named, shadow
from flows.core.files.xml_tags import Doctype, Skip, Tag, local, namespaces, token, until

_DEPTH: Final = 128
_SCOPE: Final = 16 * 1024
_DOCTYPE: Final = Refusal("doctype", "The file has a DOCTYPE, which may define entities and name other files; it is not read. Take the declaration out.")
_NESTED: Final = Refusal("too_deep", f"Records lie more than {_DEPTH} elements deep, or those around them declare more than {_SCOPE} bytes of namespaces.")
_NAME_END: Final = rb"(?![^\s<>/=\"'&!?])"


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
            raise BadRequest(f"Records are named by an element, such as `order`, or its path, such as `/orders/order`; {options.record!r} is neither.")
        codes = [shadow(step.encode(encoding, "replace"), encoding) for step in steps]
        self._parents = tuple(code.decode("latin-1") for code in codes[:-1]) if options.record.startswith("/") or len(steps) > 1 else None
        self._record, self._options = codes[-1], options
        self._changes: list[tuple[int, Around]] = [(0, Around())]
        self._sound = self._one = self._last = re.compile(b"(?!)")
        super().__init__(saved, encoding=encoding, piece_bytes=piece_bytes)
        self._compile()

    @property
    def scope(self) -> tuple[str, ...]:
        """The namespaces that the open elements declare, outermost first, as attributes: what a next piece has to be wrapped in."""
        return tuple(each for each in self._around(self._at).scope if each)

    def more(self) -> Any:
        """Return what is open at the next piece, and where that changes in what is owed."""
        end = self._at + self._owed
        return [(at, tuple(around)) for at, around in self._changes if at <= max(end, self._changes[0][0])]

    def restore(self, more: Any) -> None:
        """Take it back."""
        self._changes = [(at, Around(tuple(names), tuple(scope), begun)) for at, (names, scope, begun) in more]

    def after(self, piece: Piece, *, over: bool) -> None:  # noqa: ARG002  the place alone counts
        """Forget what was open before."""
        passed = sum(at <= self._at for at, _ in self._changes)
        self._changes = self._changes[passed - 1 :]

    def run(self, at: int, end: int, *, final: bool) -> Run:  # noqa: ARG002  nothing depends on it
        """Go over records that follow one another without other markup between them."""
        around = self._around(self._at + at)
        if not around.begun or not around.names or (self._parents is not None and around.names != self._parents):
            return Run(at, 0)
        found = self._sound.match(self.units, at, end)
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
            return self.stride(found.end, f"between {found.until.decode()}", final=final) if found.until else Stride(found.end, START, 0)
        if found is None or found.start > at:
            return Stride(found.start if found else at, START, 0)
        return self._tag(at, found, final=final)

    def _tag(self, at: int, tag: Tag, *, final: bool) -> Stride:
        """Begin a record, or enter or leave an element around records."""
        around, name = self._around(self._at + at), local(tag.name)
        if tag.opens and name == self._record and self._parents in (None, around.names):
            self._change(at + 1, around._replace(begun=True))
            stride = Stride(tag.end) if tag.closes else self._within(tag.end, 1, b"", final=final)
            return stride._replace(fresh=not around.begun)
        if tag.opens and not tag.closes:
            declared = namespaces(tag.attributes).decode("latin-1")
            around = around._replace(names=(*around.names, name.decode("latin-1")), scope=(*around.scope, declared))
            if len(around.names) > _DEPTH or sum(map(len, around.scope)) > _SCOPE:
                self.refused = _NESTED
                return Stride(at, START, 0)
            self._change(tag.end, around)
        elif not tag.opens and around.names:
            self._change(tag.end, around._replace(names=around.names[:-1], scope=around.scope[:-1]))
            return Stride(tag.end, START, 0, fresh=len(around.names) == 1)
        return Stride(tag.end, START, 0)

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

    def _compile(self) -> None:
        """Make the pattern of sound records: possessive, so that time is linear."""
        name = rb"(?:[^\s<>/=\"'&!?:]++:)*+" + re.escape(self._record) + _NAME_END
        start = b"<" + name + rb"(?:\s(?:[^<>\"'/]|\"[^\"<]*+\"|'[^'<]*+'|/(?!>))*+)?>"
        end = b"</" + name + rb"\s*+>"
        other = rb"<!--(?:[^-]++|-(?!->))*+-->|<!\[CDATA\[(?:[^\]]++|\](?!\]>))*+\]\]>|<\?(?:[^?]++|\?(?!>))*+\?>"
        one = b"[^<]*+" + start + b"(?:[^<]++|<(?!/?" + name + b"|[!?])|" + other + b")*+" + end
        self._one, self._sound = re.compile(one), re.compile(b"(?:" + one + b")*+")
        self._last = re.compile(end)

    def finish(self) -> list[Piece]:
        """Return what is left; the file is over."""
        pieces, around = super().finish(), self._around(self._at)
        if not self.refused and not around.begun:
            self.refused = Refusal(
                "path_not_found", f"There is no element {self._options.record!r} in the file; name the element that is a record, or its path."
            )
        elif not self.refused and around.names:
            self.refused = Refusal("truncated", f"The file ends inside of <{around.names[-1]}>; what came before was cut.")
        return pieces
