"""One record of XML: the definition of which is a row, and why another is none.

Columns are named by the way to them: child `a`, its child `a.b`, attributes `@id` and `a.@id`, text beside child elements `a.#text`, the record's own
`#text`. Text of an element without children is as it stands; other text is stripped, and none where it is blank. An element without text is the empty
string. Siblings of one name are a list: each a string, or an object where it has attributes or children, with columns of its own in the same manner.
Comments and instructions are not seen.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from lxml import etree

from connectors.files.codes import Code
from connectors.files.places import Fault

_BLANK: Final = " \t\r\n"
_PREFIX: Final = re.compile(rb"[<\s/]([A-Za-z_][A-Za-z0-9_.-]*+):")
_ENTITY: Final = 26
_LIMIT: Final = 114
XmlRow = dict[str, str | list[Any]]


@dataclass(frozen=True)
class XmlOptions:
    """How XML is read where it leaves a choice."""

    record: str = ""
    """The name of a record's element, or its path, of which the last step counts; empty: that of the first one."""
    prefixes: bool = False
    """Whether names keep their prefixes."""
    repeated: str = "list"
    """Siblings of one name: `list`, or `reject`."""


class XmlJudge:
    """Reads records with libxml2: no DTD, no entities but XML's own, nothing from outside, and its limits of depth and size."""

    def __init__(self, options: XmlOptions) -> None:
        """Take what the user chose."""
        self._options = options
        self._parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False, remove_comments=True, remove_pis=True
        )

    def row(self, text: bytes) -> XmlRow | Fault:
        """Return the values of a record, or why it is none."""
        try:
            return self._rows([text])[0]
        except etree.XMLSyntaxError as exc:
            return _cause(text, exc)
        except _Reaches:
            return Fault(Code.INVALID_XML)

    def rows(self, texts: Sequence[bytes]) -> list[XmlRow | Fault] | None:
        """Return for each record what `row` does, or None where they have to be read one by one."""
        try:
            return self._rows(texts)
        except (etree.XMLSyntaxError, _Reaches):
            return None

    def named(self, name: str) -> str:
        """Return the name of a column, of one that has a prefix or has none."""
        return name if self._options.prefixes else name.rpartition(":")[2]

    def _rows(self, texts: Sequence[bytes]) -> list[XmlRow | Fault]:
        # What the prefixes mean is said outside of the record, if at all; that they mean something is enough. Each record is in an element
        # of a name that none of them can hold, since it is made of them: so, if all of these are found, no record reaches into another.
        data = b"".join(texts)
        prefixes = {prefix for prefix in _PREFIX.findall(data) if not prefix.lower().startswith(b"xml")}
        said = b"".join(b' xmlns:%b="%b"' % (prefix, prefix) for prefix in sorted(prefixes))
        frame = b"r" + sha256(data).hexdigest().encode()
        document = etree.fromstring(b"<r%b>%b</r>" % (said, b"".join(b"<%b>%b</%b>" % (frame, text, frame) for text in texts)), self._parser)
        if len(document) != len(texts):
            raise _Reaches
        return [self._values(held[0]) if len(held) == 1 else Fault(Code.INVALID_XML) for held in document]

    def _values(self, element: etree._Element) -> XmlRow | Fault:
        row: XmlRow = {}
        try:
            self._walk(element, "", row, "")
        except _Refused as exc:
            return exc.fault
        return row

    def _walk(self, element: etree._Element, path: str, row: XmlRow, leaf: str) -> None:
        """Add the columns of an element to a row; `leaf`: that of its text where it has no children, whatever the text is."""
        dot = path and path + "."
        for key, value in element.attrib.items():
            _put(row, f"{dot}@{self._attribute(element, str(key))}", str(value))
        children: dict[str, list[etree._Element]] = {}
        for child in element:
            children.setdefault(self._name(child), []).append(child)
        if leaf and not children:
            _put(row, leaf, element.text or "")
        elif text := _text(element, stripped=bool(children)):
            _put(row, dot + "#text", text)
        for name, members in children.items():
            first = members[0]
            if len(members) > 1:
                if self._options.repeated == "reject":
                    raise _Refused(Fault(Code.REPEATED_ELEMENT, column=dot + name))
                _put(row, dot + name, [self._member(member) for member in members])
            elif len(first) or first.attrib:
                self._walk(first, dot + name, row, dot + name)
            else:
                _put(row, dot + name, first.text or "")

    def _member(self, element: etree._Element) -> Any:
        if not len(element) and not element.attrib:
            return element.text or ""
        row: XmlRow = {}
        self._walk(element, "", row, "#text")
        return row

    def _name(self, element: etree._Element) -> str:
        tag = str(element.tag)
        local = tag if tag[0] != "{" else tag.rpartition("}")[2]
        return f"{element.prefix}:{local}" if self._options.prefixes and element.prefix else local

    def _attribute(self, element: etree._Element, key: str) -> str:
        uri, _, local = key.rpartition("}")
        if not self._options.prefixes or not uri:
            return local
        prefix = next((name for name, said in element.nsmap.items() if name and said == uri[1:]), "xml")
        return f"{prefix}:{local}"


class _Reaches(Exception):  # a record reaches into another, or out of its place; never leaves this module
    pass


class _Refused(Exception):  # never leaves this module
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


def _put(row: XmlRow, name: str, value: str | list[Any]) -> None:
    if name in row:
        raise _Refused(Fault(Code.AMBIGUOUS_COLUMN, column=name))
    row[name] = value


def _text(element: etree._Element, *, stripped: bool) -> str:
    text = "".join([element.text or "", *(child.tail or "" for child in element)])
    bare = text.strip(_BLANK)
    return bare if stripped or not bare else text


def _cause(text: bytes, exc: etree.XMLSyntaxError) -> Fault:
    if (nul := text.find(b"\0")) >= 0:
        return Fault(Code.NUL_BYTE, nul)
    try:
        text.decode()
    except UnicodeDecodeError as bad:
        return Fault(Code.INVALID_UTF8, bad.start)
    if (doctype := text.find(b"<!DOCTYPE")) >= 0:
        return Fault(Code.DOCTYPE, doctype)
    number = exc.code  # type: ignore[attr-defined]  # the stubs do not know it
    if number == _ENTITY:
        return Fault(Code.UNKNOWN_ENTITY, max(0, text.find(b"&")))
    return Fault(Code.TOO_DEEP if number == _LIMIT and "depth" in (exc.msg or "") else Code.INVALID_XML)
