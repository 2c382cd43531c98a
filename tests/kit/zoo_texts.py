"""CSV, JSON, NDJSON and XML of the zoo. XML's records are `/rows/row`; JSON's are the elements of the array."""

from collections.abc import Callable
from typing import Final

from tests.kit.zoo import Entry, Refused, Rows

_LARGE: Final = 50_000_000
_DEEP: Final = 100_000
_LAUGHS: Final = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(10))


def _xml(*rows: str, head: str = "") -> bytes:
    return f"{head}<rows>{''.join(f'<row>{row}</row>' for row in rows)}</rows>".encode()


def _texts(kind: str, *rows: tuple[str, Callable[[], bytes], Rows | Refused]) -> list[Entry]:
    return [Entry(f"{kind}: {name}", kind, make, expect) for name, make, expect in rows]


ENTRIES: Final = [
    *_texts(
        "csv",
        ("plain", lambda: b"a,b\n1,2\n3,4\n", Rows(2)),
        ("no newline at the end", lambda: b"a,b\n1,2\n3,4", Rows(2)),
        ("header only", lambda: b"a,b\n", Rows(0)),
        ("empty file", lambda: b"", Refused("empty_file")),
        ("all ends of lines", lambda: b"a,b\r\n1,2\n3,4\r\n", Rows(2)),
        ("newlines in quotes", lambda: b'a,b\n"1\n1",2\n3,4\n', Rows(2)),
        ("a quote that is not closed", lambda: b'a,b\n1,2\n"3,4\n5,6\n', Rows(2, 1)),
        ("junk behind a quote", lambda: b'a,b\n"1"x,2\n3,4\n', Rows(1, 1)),
        ("bytes that are no UTF-8", lambda: b"a,b\n\xff\xfe,2\n3,4\n", Rows(1, 1)),
        ("NUL", lambda: b"a,b\n\0,2\n3,4\n", Rows(1, 1)),
        ("too few and too many columns", lambda: b"a,b\n1\n1,2,3\n3,4\n", Rows(1, 2)),
        ("a field of 50 MB", lambda: b"a,b\n" + b"x" * _LARGE + b",2\n3,4\n", Rows(1, 1)),
        ("10,000 columns", lambda: b",".join(b"c%d" % n for n in range(10_000)) + b"\n" + b"1," * 9_999 + b"1\n", Rows(1)),
        ("10,001 columns", lambda: b",".join(b"c%d" % n for n in range(10_001)) + b"\n", Refused("too_many_columns")),
        ("a mark of the byte order", "\ufeffa,b\n1,2\n".encode, Rows(1)),
        ("UTF-16", lambda: "a,b\n1,2\n".encode("utf-16"), Rows(1)),
    ),
    *_texts(
        "ndjson",
        ("plain", lambda: b'{"a":1}\n{"a":2}\n', Rows(2)),
        ("empty lines", lambda: b'{"a":1}\n\n\n{"a":2}', Rows(2)),
        ("a line that breaks off", lambda: b'{"a":1}\n{"a":\n{"a":2}\n', Rows(2, 1)),
        ("a line that is no object", lambda: b'{"a":1}\n7\n{"a":2}\n', Rows(2, 1)),
        ("100,000 deep", lambda: b'{"a":' + b"[" * _DEEP + b"]" * _DEEP + b'}\n{"a":2}\n', Rows(1, 1)),
        ("a number of 5,000 digits", lambda: b'{"a":' + b"9" * 5_000 + b'}\n{"a":2}\n', Rows(1, 1)),
        ("a key twice, of which the last counts", lambda: b'{"a":1,"a":2}\n{"a":2}\n', Rows(2)),
        ("NaN", lambda: b'{"a":NaN}\n{"a":2}\n', Rows(1, 1)),
        ("half a surrogate", lambda: b'{"a":"\\ud800"}\n{"a":2}\n', Rows(1, 1)),
        ("a line of 50 MB", lambda: b'{"a":"' + b"x" * _LARGE + b'"}\n{"a":2}\n', Rows(1, 1)),
        ("bytes that are no UTF-8", lambda: b'{"a":"\xff"}\n{"a":2}\n', Rows(1, 1)),
    ),
    *_texts(
        "json",
        ("plain", lambda: b'[{"a":1},{"a":2}]', Rows(2)),
        ("no elements", lambda: b"[]", Rows(0)),
        ("empty file", lambda: b"", Refused("empty_file")),
        ("an element that is no object", lambda: b'[{"a":1},7,{"a":2}]', Rows(2, 1)),
        ("100,000 deep in one element", lambda: b'[{"a":' + b"[" * _DEEP + b"]" * _DEEP + b'},{"a":2}]', Rows(1, 1)),
        ("an element without its end", lambda: b'[{"a":1},{"a":2,{"a":3}]', Rows(2, 1)),
        ("a string without its end", lambda: b'[{"a":1},{"a":"2},{"a":3}]', Rows(2, 1)),
        ("one bracket too many", lambda: b'[{"a":1},{"a":2}},{"a":3}]', Rows(2, 1)),
        ("half a file", lambda: b'[{"a":1},{"a":2},{"a"', Refused("truncated")),
        ("strings that look like cuts", lambda: b'[{"a":"},{"},{"a":"]"}]', Rows(2)),
        ("a key twice, of which the last counts", lambda: b'[{"a":1,"a":2},{"a":2}]', Rows(2)),
    ),
    *_texts(
        "xml",
        ("plain", lambda: _xml("<a>1</a>", "<a>2</a>"), Rows(2)),
        ("billion laughs", lambda: _xml("<a>&l9;</a>", head=f"<!DOCTYPE rows [{_LAUGHS}]>"), Refused("doctype")),
        ("an entity outside", lambda: _xml("<a>&x;</a>", head='<!DOCTYPE rows [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), Refused("doctype")),
        ("a document type", lambda: _xml("<a>1</a>", head="<!DOCTYPE rows>"), Refused("doctype")),
        ("an entity that is not declared", lambda: _xml("<a>&x;</a>", "<a>2</a>"), Rows(1, 1)),
        ("CDATA with a record's end", lambda: _xml("<a><![CDATA[</row>]]></a>", "<a>2</a>"), Rows(2)),
        ("a record without its end tag", lambda: _xml("<a>1</a>", "<a>2</a><row><a>3</a></row><row><a>4</a>"), Rows(3, 1)),
        ("a record without its start tag", lambda: _xml("<a>1</a>", "<a>2</a></row><a>3</a>", "<a>4</a>"), Rows(3, 1)),
        ("records in a record", lambda: _xml("<a>1</a><row><a>2</a></row>", "<a>3</a>"), Rows(2)),
        ("a comment without its end", lambda: _xml("<a>1</a>", "<!-- <a>2</a>", "<a>3</a><!-- x -->"), Rows(2, 1)),
        ("CDATA without its end", lambda: _xml("<a>1</a>", "<![CDATA[<a>2</a>", "<a>3</a>"), Rows(2, 1)),
        ("the root's end tag between", lambda: _xml("<a>1</a></row></rows><row><a>2</a>", "<a>3</a>"), Rows(3)),
        ("rows of the same name elsewhere", lambda: _xml("<a>1</a></row><x><row><a>2</a></row></x><row><a>3</a>"), Rows(2)),
        ("an element among records without its end", lambda: _xml("<a>1</a></row><x><row><a>2</a>"), Refused("truncated")),
        ("half a file", lambda: _xml("<a>1</a>", "<a>2</a>")[:-9], Refused("truncated")),
        ("a record in a comment", lambda: _xml("<a>1</a><!-- <row> -->", "<a>2</a>"), Rows(2)),
        ("empty file", lambda: b"", Refused("empty_file")),
    ),
]  # fmt: skip
"""Read by readers of pieces, which go through the child; a row that is too large, too deep or damaged is turned away, and its neighbours are read."""
