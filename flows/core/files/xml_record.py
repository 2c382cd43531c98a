"""Where one record of an XML file ends, whatever is wrong with it: what is open inside of it, and where comments and the like are over."""

import re
from dataclasses import dataclass, field
from typing import Final

from flows.core.files.xml_tags import Skip, Tag, local

_NAME_END: Final = rb"(?![^\s<>/=\"'&!?])"


@dataclass
class Inside:
    """What is open inside of a record."""

    record: bytes
    parent: bytes
    stack: list[bytes]
    depth: int = 1
    parents: int = 0
    nested: int = -1
    """Where the first record within it begins."""
    strict: bool = True
    """Each end tag was that of the element that was open."""
    lost: bool = field(default=False)
    """Its parent is over, and it is not."""

    def take(self, tag: Tag) -> bool:
        """Take a tag; True: the record is over, in one way or another."""
        name, step = local(tag.name), int(tag.opens) - int(tag.closes)
        if tag.opens and name == self.record and self.nested < 0:
            self.nested = tag.start
        if step > 0:
            self.stack.append(tag.name)
        elif step < 0:
            self.strict &= bool(self.stack) and self.stack.pop() == tag.name
        self.depth += step * (name == self.record)
        self.parents += step * (name == self.parent != self.record)
        self.lost = self.parents < 0
        return self.lost or not self.depth


_KINDS: Final = ((b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>"))


class Specials:
    """Finds the ends of comments, CDATA and instructions; what was searched is not searched again, so that many without an end cost no more than one."""

    def __init__(self) -> None:
        """Begin with nothing searched."""
        self._seen: dict[bytes, tuple[int, int, int]] = {}

    def end(self, units: bytes, base: int, found: Skip, end: int) -> int:
        """Return where one is over; -1: not before `end`, or, a comment, not before another begins in it. `base`: where in the file the units begin."""
        stop = self._find(units, base, found.until, found.end, end)
        if stop >= 0 and found.until == b"-->" and units.find(b"<!--", found.end, stop) >= 0:
            return -1
        return stop + len(found.until) if stop >= 0 else -1

    def ended(self, units: bytes, base: int, at: int, end: int) -> int:
        """Return `end`, or where before it a comment, CDATA or instruction begins, after the last place at which one of its kind is over."""
        for opening, closing in _KINDS:
            if self._find(units, base, closing, at, end) < 0 and (begun := self._find(units, base, opening, at, end)) >= 0:
                end = begun
        return end

    def _find(self, units: bytes, base: int, sign: bytes, at: int, end: int) -> int:
        place, last = base + at, base + end
        since, upto, there = self._seen.get(sign, (0, -1, -1))
        if not (since <= place <= upto and (there < 0 or place <= there)):
            since, upto, there = place, place, -1
        if there < 0 and last > upto:
            found = units.find(sign, max(at, upto - len(sign) + 1 - base), end)
            there = found + base if found >= 0 else -1
            upto = max(last, upto)
        self._seen[sign] = since, upto, there
        return there - base if 0 <= there <= last - len(sign) else -1


def patterns(record: bytes) -> tuple[re.Pattern[bytes], ...]:
    """Return what sound records of this name match, one of them, its end tag, and its start tag: possessive, so that time is linear."""
    name = rb"(?:[^\s<>/=\"'&!?:]++:)*+" + re.escape(record) + _NAME_END
    start = b"<" + name + rb"(?:\s(?:[^<>\"'/]|\"[^\"<]*+\"|'[^'<]*+'|/(?!>))*+)?>"
    end = b"</" + name + rb"\s*+>"
    other = rb"<!--(?:[^-<]++|-(?!->)|<(?!!--))*+-->|<!\[CDATA\[(?:[^\]]++|\](?!\]>))*+\]\]>|<\?(?:[^?]++|\?(?!>))*+\?>"
    one = b"[^<]*+" + start + b"(?:[^<]++|<(?!/?" + name + b"|[!?])|" + other + b")*+" + end
    return re.compile(b"(?:" + one + b")*+"), re.compile(one), re.compile(end), re.compile(start)
