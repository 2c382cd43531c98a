"""XML records: columns by the way to them, a bad record falls alone, and the quick way says what the exact one says."""

import pytest

from connectors.files import xmlreader
from connectors.files.bypiece import ByPiece
from connectors.files.xmljudge import XmlOptions
from flows.core.files.pieces import Piece
from tests.kit.tables import all_rejects, all_rows, read, rows


def piece(*records: bytes, between: bytes = b"\n", start: int = 10, first: int = 0) -> Piece:
    return Piece(start, between.join(records) + between, 2, first, len(records))


def rowed(record: bytes, options: XmlOptions = xmlreader.DEFAULT) -> dict[str, object]:
    (row,) = all_rows(read(xmlreader.reader(options), [piece(record)]))
    return row


@pytest.mark.parametrize(
    ("record", "row"),
    [
        (b"<r><a>1</a><b> x </b></r>", {"a": "1", "b": " x "}),
        (b'<r id="1" t="&lt;&#65;&#x42;"><a/><b></b></r>', {"@id": "1", "@t": "<AB", "a": "", "b": ""}),
        (b'<r><a x="1"><b>2</b><c><d>3</d></c></a></r>', {"a.@x": "1", "a.b": "2", "a.c.d": "3"}),
        (b'<r><a x="1">2</a></r>', {"a.@x": "1", "a": "2"}),
        (b"<r> text <a>1</a> more</r>", {"#text": "text  more", "a": "1"}),
        (b"<r> text </r>", {"#text": " text "}),
        (b"<r><a> t <b>1</b></a></r>", {"a.#text": "t", "a.b": "1"}),
        (b"<r><a>1</a><b>2</b><a>3</a></r>", {"a": ["1", "3"], "b": "2"}),
        (b'<r><a><x>1</x></a><a n="2">t</a><a/><a n="3"/></r>', {"a": [{"x": "1"}, {"@n": "2", "#text": "t"}, "", {"@n": "3", "#text": ""}]}),
        (b"<r><a>1<!-- <r> --><![CDATA[<&>]]><?pi <r?>2&amp;</a></r>", {"a": "1<&>2&"}),
        ("<r><ä>€😀</ä></r>".encode(), {"ä": "€😀"}),
        (b'<p:r xmlns:q="u" q:z="9"><p:a>1</p:a><q:b xml:lang="de">2</q:b></p:r>', {"@z": "9", "a": "1", "b.@lang": "de", "b": "2"}),
        (b"<r><a>1\r\n2</a></r>", {"a": "1\n2"}),
        (b"<r/>", {}),
        (b"<r><r>1</r></r>", {"r": "1"}),
    ],
)
def test_a_record_as_a_row(record: bytes, row: dict[str, object]) -> None:
    assert rowed(record) == row


def test_prefixes_are_kept_when_wanted() -> None:
    record = b'<p:r xmlns:q="u" q:z="9"><p:a>1</p:a><b xml:lang="de">2</b></p:r>'
    assert rowed(record, XmlOptions(prefixes=True)) == {"@q:z": "9", "p:a": "1", "b.@xml:lang": "de", "b": "2"}


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"<r><a>1</b></r>", "invalid_xml"),
        (b"<r><a>1</r>", "invalid_xml"),
        (b"<r><a>1 & 2</a></r>", "invalid_xml"),
        (b"<r><a>\x01</a></r>", "invalid_xml"),
        (b"<r><a>&#0;</a></r>", "invalid_xml"),
        (b"<r><a>]]></a></r>", "invalid_xml"),
        (b"<r><a>\xff</a></r>", "invalid_utf8"),
        (b"<r><a>\x00</a></r>", "nul_byte"),
        (b"<r><a>&lol9;</a></r>", "unknown_entity"),
        (b'<r><!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]>&y;</r>', "doctype"),
        (b"<r>" + b"<a>" * 300 + b"</a>" * 300 + b"</r>", "too_deep"),
        (b"<r><a.b>1</a.b><a><b>2</b></a></r>", "ambiguous_column"),
        (b"<r>" + b"".join(b"<column%d/>" % index for index in range(6000)) + b"</r>", "too_many_columns"),
    ],
)
def test_a_bad_record_falls_alone(bad: bytes, code: str) -> None:
    good = b"<r><a>1</a></r>"
    whole = piece(good, bad, good, first=5)
    reader = xmlreader.reader(XmlOptions(record="r"))
    for done in read(reader, [piece(good), whole])[1:]:
        assert rows(done.table) == [{"a": "1"}, {"a": "1"}]
        assert list(done.table.ordinals) == [5, 7]
        assert [done.table.place(index)[:3] for index in (0, 1)] == [(5, 2, 10), (7, 4, 10 + len(good) + len(bad) + 2)]
        (reject,) = done.rejects
        assert (reject.code, reject.ordinal, reject.line, reject.offset, reject.raw) == (code, 6, 3, 10 + len(good) + 1, bad[: 64 * 1024])


def test_siblings_of_one_name_can_be_refused() -> None:
    (reject,) = all_rejects(read(xmlreader.reader(XmlOptions(repeated="reject")), [piece(b"<r><a>1</a><a>2</a></r>")]))
    assert (reject.code, reject.column) == ("repeated_element", "a")


def test_a_list_makes_its_column_json_text() -> None:
    (done,) = read(xmlreader.reader(), [piece(b"<r><a>1</a><a>2</a></r>", b'<r><a>"</a></r>')])
    assert done.table.fragments == {"a"}
    assert done.table.frame["a"].to_list() == ['["1","2"]', '"\\""']


def test_a_record_without_its_end_leaves_the_next_alone() -> None:
    (done,) = read(xmlreader.reader(), [piece(b"<r><a>1</a></r>", b"<r><a>2</a>", b"<r><a>3</a></r>")])
    assert rows(done.table) == [{"a": "1"}, {"a": "3"}]
    assert [reject.ordinal for reject in done.rejects] == [1]


def test_damage_that_was_cut_as_one_record_is_one_reject() -> None:
    damage = b"<r><a>1<r><b></r><r></a>"
    (done,) = read(xmlreader.reader(), [Piece(0, damage, 1, 0, 1)])
    assert [(reject.code, reject.raw) for reject in done.rejects] == [("invalid_xml", damage)]
    assert [reject.code for reject in all_rejects(read(xmlreader.reader(), [Piece(0, damage, 1, 0, 9)]))] == ["miscounted"] * 9


def test_no_record_reaches_into_another() -> None:
    (done,) = read(xmlreader.reader(), [piece(b"<r><!--</r>", b"<r>--></r>", b"<r>1</r>")])
    assert done.rows_read == done.table.frame.height + len(done.rejects) == 3


def test_what_lies_around_the_records_does_not_count() -> None:
    data = b"</group><group n='1'><!-- <r> --><r><a>1</a></r> stray <x><r><a>2</a></r></x></group></root>"
    (done,) = read(xmlreader.reader(XmlOptions(record="r")), [Piece(0, data, 1, 0, 2)])
    assert rows(done.table) == [{"a": "1"}, {"a": "2"}]


def quick(reader: ByPiece, *records: bytes) -> None:
    """Read a piece twice, the second time with what was learned; and by a reader that has learned nothing."""
    one = piece(*records)
    _, second = read(reader, [one, one])
    (exact,) = read(xmlreader.reader(state=reader.state()), [one])
    assert second.table.frame.equals(exact.table.frame)
    assert [second.table.place(index) for index in range(len(records))] == [exact.table.place(index) for index in range(len(records))]


@pytest.mark.parametrize(
    "record",
    [
        b'<r id="%d">\r\n  <a>x&amp;y&#%d;</a>\n <b><c>%d</c> <d k=\'%d"\'>  </d></b><e/></r>',
        b'<p:r i="%d" j="%d"><p:a>%d</p:a><b>%d</b></p:r>',
        b'<row a="%d" b="%d" c = "%d" d="%d"/>',
        b"<r><a>%d%d%d%d</a></r>",
    ],
)
def test_records_that_are_written_alike(record: bytes) -> None:
    quick(xmlreader.reader(), *(record % (index, index + 40, index, index) for index in range(9)))


def test_names_go_on() -> None:
    reader = xmlreader.reader()
    read(reader, [piece(b"<r><a>1</a></r>", start=0)])
    assert reader.goes_on() == 16
    (done,) = read(xmlreader.reader(state=reader.state(), goes_on=16), [piece(b"<r><b>2</b></r>", start=16)])
    assert done.table.frame.rows(named=True) == [{"a": None, "b": "2"}]
