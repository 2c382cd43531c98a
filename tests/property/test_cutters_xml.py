"""The XML cutter against the standard parser for sound files, and for any bytes against itself in blocks of other sizes."""

from functools import partial
from random import Random
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

import pytest

from flows.core.files.cut_xml import XmlCutter, XmlOptions
from flows.core.files.pieces import Part, Piece
from tests.kit.cutting import FILES, check, cut, seeded, sizes, soup, whole

TEXTS = ["", "a", "</r>", "<r>", "é", "]]", "a > b", "/>", "\n", "x" * 30]
NOISE = ["<!-- </r> <r> -->", "<![CDATA[</r><r>]]>", "<?pi </r>?>", "<c a='>'/>", "\n", "text", "<rr>1</rr>"]


def record(rng: Random, depth: int = 2) -> str:
    attributes = "".join(f" a{n}={quoteattr(rng.choice(TEXTS))}" for n in range(rng.randint(0, 2)))
    name = rng.choice(["r", "r", "p:r"])
    if rng.random() < 0.2:
        return f"<{name}{attributes}/>"
    inner = [rng.choice([escape(rng.choice(TEXTS)), rng.choice(NOISE), "<p:f>1</p:f>"]) for _ in range(rng.randint(0, 3))]
    inner += [record(rng, depth - 1)] if depth and rng.random() < 0.3 else []
    return f"<{name}{attributes}>{''.join(inner)}</{name} >"


def texts(pieces: list[Piece], scope: str) -> list[str]:
    """Return the records of each piece, parsed by itself, in one form."""
    found: list[str] = []
    for piece, data in whole(pieces):
        if piece.records:
            root = ET.fromstring(f"<w {scope}>{data.decode()}</w>")  # noqa: S314  it was written above
            records = [each for each in root if each.tag.rpartition("}")[2] == "r"]
            assert (piece.first, piece.records) == (len(found), len(records))
            found += [plain(each) for each in records]
    return found


def plain(element: ET.Element) -> str:
    element.tail = None
    return ET.tostring(element, encoding="unicode")


@pytest.mark.parametrize("path", ["r", "/feed/list/r"])
def test_records_are_those_of_the_standard_parser_and_each_piece_can_be_read_alone(path: str) -> None:
    rng = seeded(path)
    for _ in range(FILES // 3):
        records = [record(rng) for _ in range(rng.randint(1, 9))]
        body = "".join(rng.choice(["", "\n ", "<!-- <r> -->", "<other/>"]) + each for each in records)
        scope = "xmlns:p='urn:p' xmlns=\"urn:d\""
        text = f"<?xml version='1.0'?>\n<!-- <r> --><feed {scope}><head><x a='1'/></head><list>{body}</list></feed>\n"
        data, size = rng.choice([b"", b"\xef\xbb\xbf"]) + text.encode(), sizes(rng)
        pieces, cutter = cut(partial(XmlCutter, XmlOptions(path), piece_bytes=size), data, rng, rng.choice([0.0, 0.5, 1.0]))
        check(pieces, data, size)
        assert cutter.refused is None
        wanted = [plain(ET.fromstring(f"<w {scope}>{each}</w>")[0]) for each in records]  # noqa: S314  it was written above
        between = [piece for piece in pieces if "</list>" in piece.data.decode("utf-8", "ignore")]
        assert size < 1_000 or not any(piece.records for piece in between) or len(between) == 1
        loose = [piece._replace(data=piece.data.replace(b"</list>", b"")) for piece in pieces]
        assert texts(loose, scope) == wanted if size > 16 else sum(piece.records for piece in pieces) == len(wanted)


def test_any_bytes_are_cut_alike_in_blocks_of_any_size() -> None:
    rng = seeded(9)
    for _ in range(FILES // 2):
        data = soup(
            rng, ["<r>", "</r>", "<g>", "</g>", "<r/>", "<", ">", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "'", '"', "r", " ", "\n", "<!"], "utf-8"
        )
        data, size = rng.choice([b"", b"<root>"]) + data, sizes(rng)
        make = partial(XmlCutter, XmlOptions("r"), piece_bytes=size)
        pieces, cutter = cut(make, data, rng)
        again, _ = cut(make, data, rng, 1.0)
        check(pieces, data, size)
        check(again, data, size)
        assert sum(piece.records for piece in pieces) == sum(piece.records for piece in again)
        assert cutter.refused is None or cutter.refused.code in {"truncated", "path_not_found"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><x><r/></x>", "doctype"),
        ("<x><y/></x>", "path_not_found"),
        ("<x><r/>", "truncated"),
        ("<x>" * 200 + "<r/>", "too_deep"),
        ("", "path_not_found"),
    ],
)
def test_what_is_not_cut_is_refused_with_a_sentence(text: str, code: str) -> None:
    cutter = XmlCutter(XmlOptions("r"))
    assert [piece.part for piece in cutter.feed(text.encode()) + cutter.finish() if piece.records] == [Part.RECORDS] * (code == "truncated")
    assert cutter.refused
    assert cutter.refused.code == code


def test_the_namespaces_around_records_are_told_and_kept_in_state() -> None:
    options, text = XmlOptions("r"), b"<root xmlns:p='urn:p'><list xmlns='urn:d'>" + b"<r>1</r>" * 40 + b"</list></root>"
    cutter = XmlCutter(options, piece_bytes=100)
    cutter.feed(text[:300])
    again = XmlCutter(options, cutter.state(), piece_bytes=100)
    assert again.scope == cutter.scope == (" xmlns:p='urn:p'", " xmlns='urn:d'")
