"""The quick way through XML: records that are all written alike, by one pattern that is learned from one of them.

It answers only where it is sure: the text has as many `<` as the records that were found have tags, so there is nothing else in it, neither comments nor
CDATA nor fields in another order; and no sign that XML refuses.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

_TAG: Final = re.compile(r"""<(/?)([^\s<>/!?"'=]+)((?:\s+[^\s<>/="']+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*+)(\s*)(/?)>""")
_ATTRIBUTE: Final = re.compile(r"""(\s+)([^\s=]+)(\s*=\s*)(["'])(.*?)\4""", re.DOTALL)
_REFERENCE: Final = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_OWN: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_TEXT: Final = "([^<]*+)"
"""A set of one is searched several times faster than a set of two, so line breaks that XML would change are looked for afterwards."""
_REFUSED: Final = [bytes([sign]) for sign in range(32) if sign not in b"\t\n\r"]
_MOST_SLOTS: Final = 400
_BLANK: Final = " \t\r\n"
_SURROGATES: Final = range(0xD800, 0xE000)
_NO_SIGNS: Final = (0xFFFE, 0xFFFF)


class Template(NamedTuple):
    """How each record is written."""

    pattern: re.Pattern[str]
    columns: tuple[str, ...]
    """Of each group of the pattern."""
    empty: tuple[str, ...]
    """Columns of elements that are always empty."""
    tags: int

    def values(self, data: bytes, records: int) -> list[Sequence[str]] | None:
        """Return the values of each column, or None where the records are not all written like this."""
        if any(sign in data for sign in _REFUSED) or (b"]" in data and b"]]>" in data):
            return None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        if "\ufffe" in text or "\uffff" in text:
            return None
        found = self.pattern.findall(text)
        if len(found) != records or text.count("<") != records * self.tags:
            return None
        columns: list[Sequence[str]] = [found] if len(self.columns) == 1 else list(zip(*found, strict=True))
        if "\r" in text and any("\r" in "".join(values) for values in columns):
            return None
        return columns if "&" not in text else _all_resolved(columns)

    def row(self, record: bytes) -> dict[str, str] | None:
        """Return the values of one record, or None where it is not written like this."""
        values = self.values(record, 1)
        if values is None:
            return None
        return {name: held[0] for name, held in zip(self.columns, values, strict=True)} | dict.fromkeys(self.empty, "")


def learn(record: bytes, row: Mapping[str, object], named: Callable[[str], str]) -> Template | None:
    """Return the template of a record of which `row` is known to be right, or None where it is not simple enough."""
    try:
        written = _Written(record.decode(), named)
    except (UnicodeDecodeError, _Other):
        return None
    if not 0 < len(written.columns) <= _MOST_SLOTS:
        return None
    template = Template(re.compile("".join(written.pattern)), tuple(written.columns), tuple(written.empty), written.tags)
    return template if template.row(record) == row else None


class _Other(Exception):  # the record is no simple one; never leaves this module
    pass


class _Written:
    """Goes over one record, tag by tag."""

    def __init__(self, text: str, named: Callable[[str], str]) -> None:
        self.pattern: list[str] = []
        self.columns: list[str] = []
        self.empty: list[str] = []
        self.tags = 0
        self._named = named
        self._path: list[str] = []
        self._leaf = False
        at = 0
        while at < len(text):
            found = text.find("<", at)
            tag = _TAG.match(text, found) if found >= 0 else None
            if tag is None or len(self.columns) > _MOST_SLOTS:
                raise _Other
            self._between(text[at : tag.start()], ends=tag[1] == "/")
            self._tag(tag)
            at = tag.end()

    def _between(self, text: str, *, ends: bool) -> None:
        if self._leaf and ends and len(self._path) > 1:
            self.pattern.append(_TEXT)
            self.columns.append(".".join(self._path[1:]))
        elif (self._leaf and ends) or text.strip(_BLANK):
            raise _Other
        else:
            self.pattern.append(re.escape(text))

    def _tag(self, tag: re.Match[str]) -> None:
        self.tags += 1
        if tag[1]:
            self._path.pop()
            self._leaf = False
            self.pattern.append(re.escape(tag[0]))
            return
        self._path.append(self._named(tag[2]))
        way = ".".join(self._path[1:])
        self.pattern.append(re.escape("<" + tag[2]))
        for blank, name, equals, quote, _ in _ATTRIBUTE.findall(tag[3]):
            if name.partition(":")[0] == "xmlns":
                raise _Other
            self.pattern.append(f"{re.escape(blank + name + equals + quote)}([^{quote}<\\t\\n\\r]*+){quote}")
            self.columns.append(f"{way and way + '.'}@{self._named(name)}")
        self.pattern.append(re.escape(tag[4] + tag[5] + ">"))
        self._leaf = not tag[5]
        if tag[5]:
            self._path.pop()
            if way:
                self.empty.append(way)


def _all_resolved(columns: Sequence[Sequence[str]]) -> list[Sequence[str]] | None:
    resolved: list[Sequence[str]] = []
    for values in columns:
        if not any("&" in value for value in values):
            resolved.append(values)
            continue
        held = [_resolved(value) if "&" in value else value for value in values]
        whole = [value for value in held if value is not None]
        if len(whole) != len(held):
            return None
        resolved.append(whole)
    return resolved


def _resolved(value: str) -> str | None:
    if value.count("&") != len(_REFERENCE.findall(value)):
        return None
    try:
        return _REFERENCE.sub(_sign, value)
    except ValueError:
        return None


def _sign(match: re.Match[str]) -> str:
    if match[1]:
        return _OWN[match[1]]
    sign = int(match[2]) if match[2] else int(match[3], 16)
    if sign in _SURROGATES or sign in _NO_SIGNS or (sign < len(_BLANK) * 8 and chr(sign) not in _BLANK):
        raise ValueError(sign)
    return chr(sign)
