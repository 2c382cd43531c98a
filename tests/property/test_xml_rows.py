"""Whatever the bytes: the quick way gives the rows of the exact one, each record is what it is alone, and nothing is lost."""

import random
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from connectors.files import xmlreader
from connectors.files.reader import Read
from connectors.files.xmljudge import XmlOptions
from flows.core.files.pieces import Piece
from tests.kit.tables import read, rows

VALUES = ["1", "", " ", "x y", "é😀", "&amp;", "a&lt;b&#65;&#x1F600;", ">", '"', "'", "&quot;&apos;", "\n", "-->"]
ODD = ["<!-- <r> -->", "<![CDATA[<r>&]]>", "<?r <r>?>", "<a>2</a>", "\r\n", "<r/>", "<z q='1'/>", "text", "<p:a>1</p:a>", "<b.c>1</b.c>"]
BROKEN = [
    "<",
    "&",
    "&lol;",
    "&#0;",
    "&#xD800;",
    "]]>",
    "\x01",
    "\ufffe",
    "</r>",
    "<r>",
    "<!--",
    "<![CDATA[",
    "<?",
    "-->",
    "<!DOCTYPE r>",
    "</a>",
    "<a",
    '"',
    "\x00",
    "\r",
]
SHAPES = [
    "<r><a>{}</a><b>{}</b></r>",
    "<r i=\"{}\">\n <a j='{}'>{}</a>\n <b><c>{}</c></b><d/></r>",
    '<r i="{}" j="{}"/>',
    "<p:r><p:a>{}</p:a><q:b q:x='{}'>{}</q:b></p:r>",
    "<r>{}</r>",
]


def record(rng: random.Random, shape: str, trouble: float) -> bytes:
    values = [rng.choice(VALUES) for _ in range(4)]
    text = shape.format(*(value.replace('"', "&quot;").replace("'", "&apos;") if rng.random() < 0.9 else value for value in values))
    if rng.random() < trouble:
        spot = rng.randrange(len(text) + 1)
        text = text[:spot] + rng.choice(ODD + BROKEN) + text[spot:]
    data = text.encode()
    if rng.random() < trouble / 5:
        spot = rng.randrange(len(data) + 1)
        data = rng.choice([data[:spot] + b"\xff" + data[spot:], data[:spot], data[spot:]])
    return data


def same(one: Read, other: Read) -> None:
    assert one.table.frame.equals(other.table.frame)
    assert one.table.frame.columns == other.table.frame.columns
    assert one.table.fragments == other.table.fragments
    assert list(one.table.ordinals) == list(other.table.ordinals)
    assert one.rejects == other.rejects
    assert one.rows_read == other.rows_read == one.table.frame.height + len(one.rejects)
    assert [one.table.place(index) for index in range(one.table.frame.height)] == [other.table.place(index) for index in range(other.table.frame.height)]


@pytest.mark.parametrize("trouble", [0.0, 0.03, 0.3])
@pytest.mark.parametrize("seed", range(60))
def test_records(seed: int, trouble: float) -> None:
    rng = random.Random(seed)  # noqa: S311  it makes test data
    options = XmlOptions(record="r", prefixes=seed % 2 == 0)
    quick = xmlreader.reader(options)
    shape = rng.choice(SHAPES)
    for _ in range(12):
        if rng.random() < 0.2:
            shape = rng.choice(SHAPES)
        records = [record(rng, shape, trouble) for _ in range(rng.choice([rng.randint(1, 8), 40]))]
        data = rng.choice([b"", b"\n", b"\r\n  "]).join(records)
        piece = Piece(90, data, 4, 7, len(records))
        (one,) = read(quick, [piece])
        (other,) = read(xmlreader.reader(options, quick.state()), [piece])
        same(one, other)
        assert one.rows_read == len(records)
        _alone(one, options)


def _alone(done: Read, options: XmlOptions) -> None:
    """Each row is what its record is alone, and well-formed to another parser."""
    for index, row in enumerate(rows(done.table)):
        place = done.table.place(index)
        (alone,) = read(xmlreader.reader(options), [Piece(0, place.raw, 1, 0, 1)])
        assert rows(alone.table) == [row]
        element = ET.fromstring(b'<w xmlns:p="p" xmlns:q="q">' + place.raw + b"</w>")[0]  # noqa: S314  it is a test's own
        assert _flat(element) == sorted(_texts(row))


def _flat(element: ET.Element) -> list[str]:
    """All values of an element, whatever their columns."""
    found = [str(value) for value in element.attrib.values()]
    for child in element:
        found += _flat(child) if len(child) else [*map(str, child.attrib.values()), child.text or ""]
    text = "".join([element.text or "", *(child.tail or "" for child in element)])
    if bare := text.strip(" \t\r\n"):
        found.append(bare if len(element) else text)
    return sorted(found)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for inner in (value.values() if isinstance(value, dict) else value) for text in _texts(inner)]
