"""NDJSON and arrays: types are kept value by value, a bad record falls alone, and the quick way says what the exact one says."""

import polars as pl
import pytest

from connectors.files import jsonarray, ndjson
from connectors.files.bypiece import RECORD_BYTES, ByPiece
from connectors.files.jsonjudge import JsonOptions
from flows.core.files.pieces import Part, Piece
from tests.kit.tables import all_rejects, all_rows, read, rows


def lines(*texts: bytes, start: int = 0, line: int = 1, first: int = 0) -> Piece:
    return Piece(start, b"".join(text + b"\n" for text in texts), line, first, len(texts))


def twice(reader: ByPiece, piece: Piece) -> None:
    """The second time the columns are known, so it is read the quick way."""
    exact, quick = read(reader, [piece, piece])
    assert quick.table.frame.equals(exact.table.frame)
    assert quick.table.frame.schema == exact.table.frame.schema
    assert quick.table.fragments == exact.table.fragments
    assert [quick.table.place(index) for index in range(quick.table.frame.height)] == [exact.table.place(index) for index in range(exact.table.frame.height)]


def test_columns_of_one_type_are_native() -> None:
    piece = lines(b'{"i":1,"t":"a","f":1.5,"b":true}', b'{"f":2.0,"i":-0,"t":null,"b":false}')
    (done,) = read(ndjson.reader(), [piece])
    assert done.table.frame.schema == {"i": pl.Int64, "t": pl.String, "f": pl.Float64, "b": pl.Boolean}
    assert done.table.frame.rows() == [(1, "a", 1.5, True), (0, None, 2.0, False)]
    assert done.table.fragments == frozenset()
    twice(ndjson.reader(), piece)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (["1", "1.0"], ["1", "1.0"]),
        (["1", '"1"'], ["1", '"1"']),
        (["1", "true", "null"], ["1", "true", None]),
        (["9223372036854775808", "1"], ["9223372036854775808", "1"]),
        (["123456789012345678901234567890"], ["123456789012345678901234567890"]),
        (["1e300", "1.5"], ["1e300", "1.5"]),
        (["[1, 2.50]", '{"x" : "\\u00e9"}'], ["[1, 2.50]", '{"x" : "\\u00e9"}']),
    ],
)
def test_other_columns_are_fragments_as_they_stood(values: list[str], kept: list[str | None]) -> None:
    piece = lines(*(b'{"a": %b, "z": 1}' % value.encode() for value in values))
    (done,) = read(ndjson.reader(), [piece])
    assert done.table.fragments == {"a"}
    assert done.table.frame["a"].to_list() == kept
    twice(ndjson.reader(), piece)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"a":', "invalid_json"),
        (b'{"a":1} {"a":2}', "invalid_json"),
        (b'{"a":01}', "invalid_json"),
        (b'{"a":"\xff"}', "invalid_utf8"),
        (b'{"a":"\x00"}', "nul_byte"),
        (b'{"a":"\\ud800"}', "lone_surrogate"),
        (b'{"a":NaN}', "not_a_number"),
        (b'{"a":-Infinity}', "not_a_number"),
        (b'{"a":%b}' % (b"1" * 5000), "number_out_of_range"),
        (b'{"a":1e400}', "number_out_of_range"),
        (b'{"a":1e400', "invalid_json"),
        (b'{"a":1e400} x', "invalid_json"),
        (b'{"a":%b' % (b"[" * 100_000), "too_deep"),
        (b"[1]", "not_an_object"),
        (b"5", "not_an_object"),
        (b'"', "invalid_json"),
    ],
)
def test_a_bad_line_falls_alone(bad: bytes, code: str) -> None:
    good = b'{"a":7}'
    reader = ndjson.reader()
    before, done = read(reader, [lines(good), lines(good, bad, good, start=8, line=2, first=1)])
    assert rows(before.table) == [{"a": 7}]
    assert rows(done.table) == [{"a": 7}, {"a": 7}]
    assert list(done.table.ordinals) == [1, 3]
    assert [done.table.place(index)[:3] for index in (0, 1)] == [(1, 2, 8), (3, 4, 17 + len(bad))]
    (reject,) = done.rejects
    assert (reject.code, reject.ordinal, reject.line, reject.offset, reject.raw) == (code, 2, 3, 16, bad[: 64 * 1024])
    assert done.rows_read == 3


@pytest.mark.parametrize("between", [b",", b",\n  ", b" , "])
def test_elements_of_an_array(between: bytes) -> None:
    texts = [b'{"a": 1, "n": {\n"x": [1, "},{"]}}', b'{"a": 2}', b"[1, 2]", b'{"a": nul}', b'{"a": 3, "n": "x"}']
    data = between.join(texts) + b","
    (done,) = read(jsonarray.reader(), [Piece(100, data, 5, 10, 5)])
    assert rows(done.table) == [{"a": 1, "n": {"x": [1, "},{"]}}, {"a": 2}, {"a": 3, "n": "x"}]
    assert [(reject.code, reject.ordinal, reject.offset) for reject in done.rejects] == [
        ("not_an_object", 12, 100 + data.index(b"[1, 2]")),
        ("invalid_json", 13, 100 + data.index(b'{"a": nul}')),
    ]
    assert done.table.place(2).raw == texts[4]
    assert done.table.place(2).line == 5 + data.count(b"\n", 0, data.index(texts[4]))
    twice(jsonarray.reader(), Piece(0, between.join([texts[0], texts[1], texts[4]]), 1, 0, 3))


def test_values_one_behind_the_other() -> None:
    data = b'{"a":1}{"a":\n2} {"a":"}{"}\n[3]\n{"a":}'
    (done,) = read(jsonarray.concatenated(), [Piece(0, data, 1, 0, 5)])
    assert rows(done.table) == [{"a": 1}, {"a": 2}, {"a": "}{"}]
    assert [(reject.code, reject.ordinal, reject.line) for reject in done.rejects] == [("not_an_object", 3, 3), ("invalid_json", 4, 4)]
    twice(jsonarray.concatenated(), Piece(0, b'{"a":1}{"a":\n2} {"a":3}', 1, 0, 3))


def test_what_stands_around_the_elements_is_no_record_and_nothing_between_two_commas_is_one() -> None:
    pieces = [Piece(0, b'{"x":[', 1, 0, 0), Piece(6, b'{"a":1},,{"a":2},', 1, 0, 3), Piece(24, b"]}", 1, 3, 0)]
    (done,) = read(jsonarray.reader(), pieces)
    assert rows(done.table) == [{"a": 1}, {"a": 2}]
    assert [(reject.code, reject.ordinal, reject.offset) for reject in done.rejects] == [("invalid_json", 1, 14)]


def test_damage_that_was_cut_as_one_record_is_one_reject() -> None:
    (done,) = read(jsonarray.reader(), [Piece(0, b'{"a": [1, }, 5, {', 1, 0, 1)])
    assert [(reject.code, reject.ordinal, reject.raw) for reject in done.rejects] == [("invalid_json", 0, b'{"a": [1, }, 5, {')]
    (done,) = read(jsonarray.reader(), [Piece(0, b'{"a": [1, }, 5, {', 1, 0, 7)])
    assert [reject.code for reject in done.rejects] == ["miscounted"] * 7


def test_what_is_no_object_can_be_a_value() -> None:
    options = JsonOptions(not_objects="value")
    assert all_rows(read(ndjson.reader(options), [lines(b"5", b'"x"', b"[1]", b'{"value":2.0}')])) == [
        {"value": 5},
        {"value": "x"},
        {"value": [1]},
        {"value": 2.0},
    ]
    assert all_rows(read(jsonarray.reader(options), [Piece(0, b'5, "x,", [1,2]', 1, 0, 3)])) == [{"value": 5}, {"value": "x,"}, {"value": [1, 2]}]


def test_of_two_equal_keys_the_last_wins_or_the_row_is_turned_away() -> None:
    piece = lines(b'{"a":1,"a":2,"b":{"x":1,"x":2}}', b'{"a":1,"b":{"x":1,"x":2}}')
    assert all_rows(read(ndjson.reader(), [piece])) == [{"a": 2, "b": {"x": 2}}, {"a": 1, "b": {"x": 2}}]
    (done,) = read(ndjson.reader(JsonOptions(duplicate_keys="reject")), [piece])
    assert [(reject.code, reject.ordinal) for reject in done.rejects] == [("duplicate_key", 0)]
    assert rows(done.table) == [{"a": 1, "b": {"x": 2}}]


def test_columns_that_come_later_are_added_and_known_to_who_goes_on() -> None:
    reader = ndjson.reader()
    read(reader, [lines(b'{"a":1}'), lines(b'{"b":2}', start=8, line=2, first=1)])
    assert reader.goes_on() == 16
    (done,) = read(ndjson.reader(state=reader.state(), goes_on=16), [lines(b'{"c":3}', start=16, line=3, first=2)])
    assert done.table.frame.rows(named=True) == [{"a": None, "b": None, "c": 3}]


def test_names_are_bounded() -> None:
    reader = ndjson.reader()
    wide = b"{%b}" % b",".join(b'"column%d":1' % index for index in range(10_000))
    (done,) = read(reader, [lines(b'{"a":1}', wide, b'{"a":2,"b":3}')])
    assert [reject.code for reject in done.rejects] == ["too_many_columns"]
    assert rows(done.table) == [{"a": 1}, {"a": 2, "b": 3}]
    assert len(reader.state()) < 64 * 1024


def test_blank_lines_a_mark_and_carriage_returns_are_no_rows() -> None:
    (done,) = read(ndjson.reader(), [Piece(0, b'\xef\xbb\xbf{"a":1}\r\n\r\n \n{"a":2}', 1, 0, 2)])
    assert rows(done.table) == [{"a": 1}, {"a": 2}]
    assert [done.table.place(index)[1:3] for index in (0, 1)] == [(1, 3), (4, 16)]


def test_a_record_larger_than_a_piece_is_put_together() -> None:
    reader = ndjson.reader()
    head = Piece(0, b'{"a":"xx', 1, 0, 1, Part.BEGIN)
    assert list(reader.read([head, Piece(8, b"yy", 1, 1, 0, Part.MIDDLE)])) == []
    assert reader.goes_on() == 0
    assert all_rows(reader.read([Piece(10, b'zz"}\n', 1, 1, 0, Part.END)])) == [{"a": "xxyyzz"}]
    assert reader.goes_on() == 15
    assert [reject.code for reject in all_rejects(read(reader, [head]))] == ["invalid_json"]


def test_a_record_without_bound_is_turned_away_and_its_neighbours_are_read() -> None:
    part = b"x" * (512 * 1024)
    count = RECORD_BYTES // len(part) + 1
    big = [Piece(index * len(part), part, 1, min(index, 1), int(index == 0), Part.MIDDLE if index else Part.BEGIN) for index in range(count)]
    end = Piece(count * len(part), b"}\n", 1, 1, 0, Part.END)
    done = read(ndjson.reader(), [*big, end, lines(b'{"a":1}', start=end.start + 2, line=2, first=1)])
    assert [(reject.code, len(reject.raw)) for reject in all_rejects(done)] == [("record_too_large", 64 * 1024)]
    assert all_rows(done) == [{"a": 1}]


def test_a_break_within_a_string_is_never_mended() -> None:
    reader = ndjson.reader()
    read(reader, [lines(b'{"a":"x"}')])
    (done,) = read(reader, [Piece(0, b'{"a":"x}\n{y"}\n{"a":"1"},{"a":"2"}\n', 1, 0, 3)])
    assert len(done.rejects) == 3
