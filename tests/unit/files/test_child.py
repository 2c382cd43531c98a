"""The process that reads a file: what is asked of it, and what it answers."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from connectors.files.bounds import Limits
from connectors.files.child import Session
from connectors.files.encode import ids_of
from flows.core.files.cut_json import JsonCutter, JsonOptions
from flows.core.files.frames import Frame
from flows.core.imports.portion import Portion

FILE = "cd" * 32
DATA = b"id,name\n1,a\n2\n3,b\n"
PIECES = Frame({"kind": "pieces", "places": [[0, 1, 0, 3, "records"]], "last": True}, (DATA,))


def opening(form: str = "csv", path: Path | None = None, state: bytes = b"", at: int = 0, ordinal: int = 0, sample: bytes = DATA, **more: Any) -> Frame:
    output = {"file": FILE, "shape": "row", "rows_per_record": 1, "key_columns": ["id"], "most_bytes": 1000}
    head = {"format": form, "source": {}, "rules": {}, "output": output, "at": at, "line": 1, "ordinal": ordinal, "path": str(path) if path else None}
    return Frame({"kind": "open", **head, **more}, (state, sample))


def opened(*args: Any, **more: Any) -> Session:
    session = Session(Limits())
    assert session.answer(opening(*args, **more)).head == {"kind": "opened"}
    return session


def portion(answer: Frame) -> Portion:
    assert answer.head == {"kind": "portion"}, answer.head
    return Portion.unpack(answer.parts[0])


def test_a_portion_holds_values_keys_ids_and_rejects() -> None:
    found = portion(opened().answer(PIECES))
    assert found.values == [b'{"id":"1","name":"a"}', b'{"id":"3","name":"b"}']
    assert found.keys == [b"1", b"3"]
    assert found.ids == [*ids_of(FILE, [0, 2])]
    assert [(reject.ordinal, reject.line, reject.code, reject.raw) for reject in found.rejects] == [(1, 3, "too_few_columns", b"2\n")]
    assert (found.rows_read, found.good, found.rejected, found.skipped) == (3, 2, 1, 0)
    assert (found.place.at, found.place.ordinal, found.over) == (len(DATA), 3, True)


@pytest.mark.parametrize(("form", "data"), [("csv", DATA), ("tsv", b"id\tname\n1\ta\n"), ("ndjson", b'{"id":1}\n')])
def test_a_file_of_fixed_columns_without_one_of_the_key_is_not_read(form: str, data: bytes) -> None:
    output = {**opening().head["output"], "key_columns": ["id", "nope"]}
    pieces = Frame({"kind": "pieces", "places": [[0, 1, 0, 1, "records"]], "last": True}, (data,))
    found = opened(form, sample=data, output=output).answer(pieces)
    if form == "ndjson":  # a later row may have it
        assert portion(found).keys == [None]
        return
    assert (found.head["kind"], found.head["code"]) == ("failed", "no_key_column")
    assert found.head["detail"] == "There is no column 'nope' to make keys of: rows go out with id, name. key_columns go by names after mapping."
    watched = portion(opened(form, sample=data, output=output, watch=True).answer(pieces))
    assert set(watched.keys) == {None}


def test_a_column_of_the_key_may_be_one_that_the_rules_make() -> None:
    output = {**opening().head["output"], "key_columns": ["source", "no"]}
    rules = {"column_mapping": {"id": "no"}, "constants": {"source": "crm"}}
    assert portion(opened(output=output, rules=rules).answer(PIECES)).keys == [b'["crm","1"]', b'["crm","3"]']


def test_another_process_goes_on_behind_a_portion() -> None:
    first = portion(opened().answer(Frame({**PIECES.head, "last": False}, PIECES.parts)))
    assert not first.over
    session = opened(state=first.place.state, at=first.place.at, ordinal=first.place.ordinal)
    more = Frame({"kind": "pieces", "places": [[len(DATA), 5, 3, 1, "records"]], "last": True}, (b"4,d\n",))
    assert portion(session.answer(more)).values == [b'{"id":"4","name":"d"}']


def test_rows_are_run_again_alone_under_their_own_ordinals() -> None:
    state = portion(opened().answer(PIECES)).place.state
    places = [[8, 2, 0, 1, "records"], [12, 3, 1, 1, "records"], [14, 4, 2, 1, "records"], [18, 5, 7, 1, "records"]]
    found = portion(opened(state=state).answer(Frame({"kind": "again", "places": places}, (b"1,a\n", b"2\n", b"3,b\n4,c\n", b'5,"e"'))))
    assert found.values == [b'{"id":"1","name":"a"}', b'{"id":"5","name":"e"}']
    assert found.ids == [*ids_of(FILE, [0, 7])]
    assert [(reject.ordinal, reject.line, reject.offset, reject.code) for reject in found.rejects] == [(1, 3, 12, "too_few_columns"), (2, 4, 14, "miscounted")]
    assert (found.rows_read, found.good) == (4, 2)


def test_rules_turn_rows_away() -> None:
    rules = {"data_types": {"id": "int64"}, "max": {"id": 2}}
    found = portion(opened(rules=rules).answer(PIECES))
    assert found.values == [b'{"id":1,"name":"a"}']
    assert {reject.ordinal for reject in found.rejects} == {1, 2}


def test_a_row_that_no_record_can_hold_is_a_reject() -> None:
    data = b"id,name\n1,a\n2," + b"x" * 2000 + b"\n3,b\n"
    found = portion(opened().answer(Frame(PIECES.head, (data,))))
    assert found.ids == [*ids_of(FILE, [0, 2])]
    assert [(reject.ordinal, reject.code) for reject in found.rejects] == [(1, "row_too_large")]


@pytest.mark.parametrize("form", ["csv", "ndjson", "json", "parquet", "excel"])
def test_a_file_is_read_from_its_path_in_portions(tmp_path: Path, form: str) -> None:
    frame = pl.DataFrame({"id": [f"k{n}" for n in range(3000)], "n": list(range(3000))})
    path = tmp_path / "file.xlsx"
    match form:
        case "csv":
            frame.write_csv(path)
        case "ndjson":
            frame.write_ndjson(path)
        case "json":
            path.write_bytes(orjson.dumps(frame.to_dicts()))
        case "parquet":
            frame.write_parquet(path, row_group_size=700)
        case "excel":
            frame.write_excel(path)
    found = [portion(opened(form, path).answer(Frame({"kind": "rows", "most": 1000})))]
    while not found[-1].over:
        place = found[-1].place
        session = opened(form, path, state=place.state, at=place.at, ordinal=place.ordinal)
        found.append(portion(session.answer(Frame({"kind": "rows", "most": 1000}))))
    assert [row_id for one in found for row_id in one.ids] == [*ids_of(FILE, range(3000))]
    assert [orjson.loads(value)["id"] for one in found for value in one.values] == [f"k{n}" for n in range(3000)]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (PIECES, "bad_options"),
        (opening("tar", Path("/nowhere")), "bad_options"),
        (opening(source={"delimiter": ""}), "bad_options"),
        (opening(rules={"regex": {"id": "("}}), "bad_options"),
    ],
)
def test_a_message_that_means_nothing_is_answered_with_a_sentence(message: Frame, code: str) -> None:
    answer = Session(Limits()).answer(message)
    assert (answer.head["kind"], answer.head["code"]) == ("failed", code)
    assert answer.head["detail"].endswith(".")


def test_a_header_that_cannot_be_read_fails_the_file() -> None:
    answer = opened().answer(Frame(PIECES.head, (b'a,"b\n1,2\n',)))
    assert (answer.head["kind"], answer.head["code"]) == ("failed", "bad_header")


JSON = b'[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]'
XML = b'<?xml version="1.0"?><rows><row><id>1</id></row></rows>'


PRETTY = b'[\n  {\n    "id": 1,\n    "name": "a, b, c"\n  }]\n'
OTHERS = [
    ("csv", JSON, "json"),
    ("csv", JSON.replace(b" ", b""), "json"),
    ("csv", PRETTY.replace(b"[\n", b"[", 1), "json"),
    ("tsv", JSON + b"\n", "json"),
    ("csv", XML, "xml"),
    ("csv", b'{"id": 1}', "json"),
    ("json", XML, "xml"),
    ("xml", JSON, "json"),
]


@pytest.mark.parametrize("by_path", [True, False], ids=["from its path", "piece by piece"])
@pytest.mark.parametrize(("form", "data", "other"), OTHERS)
def test_a_file_of_another_format_without_a_row_is_refused_with_its_format(tmp_path: Path, by_path: bool, form: str, data: bytes, other: str) -> None:
    answer = only_portion(tmp_path, form, data, by_path=by_path)
    assert (answer.head["kind"], answer.head.get("code")) == ("failed", "wrong_format")
    assert f"not one good row of {form}" in answer.head["detail"]
    assert f"are those of {other}" in answer.head["detail"]


def only_portion(tmp_path: Path, form: str, data: bytes, *, by_path: bool, **more: Any) -> Frame:
    """Read a file in one go."""
    path = tmp_path / "file"
    path.write_bytes(data)
    session = Session(Limits())
    opens = opening(form, path if by_path else None, **more)
    assert session.answer(Frame(opens.head, (b"", data))).head == {"kind": "opened"}
    if by_path:
        return session.answer(Frame({"kind": "rows", "most": 100}))
    return session.answer(Frame({"kind": "pieces", "places": [[0, 1, 0, 0, "records"]], "last": True}, (data,)))


@pytest.mark.parametrize("data", [b"id,name\n", b"id,name", b"[id],[name]\n", b'["id"],["name"]\n', b"<id>,<name>\n", b"{id}\n", b'"{""id"": 1}"\n'])
@pytest.mark.parametrize("by_path", [True, False], ids=["from its path", "piece by piece"])
def test_a_csv_file_of_a_header_is_one_whatever_its_columns_are_called(tmp_path: Path, by_path: bool, data: bytes) -> None:
    found = portion(only_portion(tmp_path, "csv", data, by_path=by_path))
    assert (found.rows_read, found.over) == (0, True)
    assert "looks_like" not in found.told


def test_a_file_of_another_format_that_has_rows_is_read_and_it_is_told_what_it_looks_like(tmp_path: Path) -> None:
    data = b'[\n  {"id": 1},\n  {"id": 2}\n]\n'
    found = portion(only_portion(tmp_path, "csv", data, by_path=True, output={**opening().head["output"], "key_columns": []}))
    assert found.rows_read == 3
    assert found.told["looks_like"] == "json"
    assert "looks_like" not in portion(only_portion(tmp_path, "json", data, by_path=True)).told


def xlsx() -> bytes:
    book = io.BytesIO()
    pl.DataFrame({"id": [1], "name": ["a"]}).write_excel(book)
    return book.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pl.DataFrame({"id": [1], "name": ["a"]}).write_parquet(file)
    return file.getvalue()


XLS = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(range(256)) * 8
BINARY: dict[str, Callable[[], bytes]] = {
    "excel": xlsx,
    "parquet": parquet,
    "xls": lambda: XLS,
    "gzip": lambda: gzip.compress(DATA),
    "zip": lambda: zipped(DATA),
}


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", data)
    return file.getvalue()


@pytest.mark.parametrize("by_path", [True, False], ids=["from its path", "piece by piece"])
@pytest.mark.parametrize("source", [{}, {"header": False}], ids=["with a header", "without"])
@pytest.mark.parametrize("form", ["csv", "tsv", "ndjson", "json", "xml"])
@pytest.mark.parametrize("kind", BINARY)
def test_bytes_that_are_no_text_are_refused_with_what_they_are(tmp_path: Path, kind: str, form: str, source: dict[str, Any], by_path: bool) -> None:
    """However it is asked for: no row of rubbish is made of a workbook."""
    packed = kind in {"gzip", "zip"}
    path, data = tmp_path / "file", BINARY[kind]()
    path.write_bytes(data)
    opens = opening(form, path if by_path else None, source=source | ({"compression": "none"} if packed else {}))
    answer = Session(Limits()).answer(Frame(opens.head, (b"", data)))
    assert (answer.head["kind"], answer.head.get("code")) == ("failed", "wrong_format"), answer.head
    assert (
        f"those of {'excel' if kind == 'xls' else kind}. Name its real {'compression in source_config.compression' if packed else 'format in data_format'}"
        in (answer.head["detail"])
    )


def test_four_letters_are_a_column_of_a_csv_file(tmp_path: Path) -> None:
    found = portion(only_portion(tmp_path, "csv", b"PAR1,id\na,1\n", by_path=False))
    assert found.values == [b'{"PAR1":"a","id":"1"}']


@pytest.mark.parametrize("by_path", [True, False], ids=["from its path", "piece by piece"])
def test_a_file_of_another_format_all_of_whose_rows_are_turned_away_is_refused(tmp_path: Path, by_path: bool) -> None:
    rows = b"".join(b'{"id": %d, "name": "a"}\n' % n for n in range(3))
    data = rows + b'{"id": 4, "name": "b", "more": 1}\n'
    answer = only_portion(
        tmp_path, "csv", data, by_path=by_path, rules={"required": ["id"], "data_types": {"id": "int64"}}, source={"header": False, "columns": ["id", "x"]}
    )
    assert (answer.head["kind"], answer.head.get("code")) == ("failed", "wrong_format"), answer.head


def test_that_there_was_a_good_row_is_known_in_the_next_process() -> None:
    data = b'[\n  {"id": 1}\n'
    output = {**opening().head["output"], "key_columns": []}
    first = portion(opened(sample=data, output=output).answer(Frame({"kind": "pieces", "places": [[0, 1, 0, 1, "records"]], "last": False}, (data,))))
    assert (first.good, first.told["looks_like"]) == (1, "json")
    session = opened(state=first.place.state, at=len(data), ordinal=1, output=output)
    more = Frame({"kind": "pieces", "places": [[len(data), 3, 1, 1, "records"]], "last": True}, (b'"a"x\n',))
    assert portion(session.answer(more)).rejected == 1


@pytest.mark.parametrize("known", [(), ("",)], ids=["first", "with answers"])
def test_a_file_that_breaks_off_gives_its_whole_records_and_then_why(known: tuple[str, ...]) -> None:
    """In small files too, all of which is one portion."""
    data = b'[{"id":1},{"id":2,},{"id":3}'
    cutter = JsonCutter(JsonOptions())
    pieces = cutter.feed(data) + cutter.finish()
    assert cutter.refused is not None
    places = [[piece.start, piece.line, piece.first, piece.records, piece.part] for piece in pieces]
    told = {"kind": "pieces", "places": places, "last": True, "torn": cutter.refused.torn, "known": known}
    output = {**opening().head["output"], "key_columns": []}
    found = portion(opened("json", sample=data, output=output).answer(Frame(told, tuple(piece.data for piece in pieces))))
    assert (found.values, found.rejected, found.over) == ([b'{"id":1}', b'{"id":3}'], 1, False)
    sentence = "The file ends at byte 28, behind record 3, and its array is not closed: the rest is missing. Write it again, to its end, and import that."
    assert found.unreadable == ("truncated", sentence)


@pytest.mark.parametrize("by_path", [True, False], ids=["from its path", "piece by piece"])
def test_that_an_encoding_is_a_guess_is_told_unless_the_job_names_it(tmp_path: Path, by_path: bool) -> None:
    data = "id,name\n1,Muñoz\n2,Núñez\n".encode("cp1252")
    found = portion(only_portion(tmp_path, "csv", data, by_path=by_path))
    assert found.told["encoding"] == "cp1252"
    assert found.told["notes"] == ["The encoding is a guess (windows-1252): name it in source_config.encoding if letters look wrong."]
    for named in (
        only_portion(tmp_path, "csv", data, by_path=by_path, source={"encoding": "windows-1252"}),
        only_portion(tmp_path, "csv", DATA, by_path=by_path),
    ):
        assert "notes" not in portion(named).told
