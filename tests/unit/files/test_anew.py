"""Rows that were turned away, read once more together: what comes of each is what comes of it alone, and that many cost little."""

import time

import orjson
import pytest

from connectors.files.bounds import Limits
from connectors.files.child import Session
from flows.core.files.frames import Frame
from flows.core.files.rejects import Reject
from flows.core.imports.portion import Portion

ROWS = 1000
MOST_S = 1.5
"""Of processor time. One by one they took twice as much and more, and many times that by the clock of a machine that has other things to do."""
RULES = {"data_types": {"id": "int64", "age": "int64"}, "max": {"age": 80}}
OUTPUT = {"file": "cd" * 32, "shape": "row", "rows_per_record": 1, "key_columns": ["id"], "most_bytes": 1000}
DAMAGED = {"csv": b'7,"na\n', "ndjson": b'{"id":1,\n', "json": b'{"id":"1}', "xml": b"<p><id>1</id><name>x</p>"}


def row(form: str, n: int) -> bytes:
    """Write a row; one in forty is damaged, and one in fifty has a column less."""
    values = {"id": n, "name": f"name {n}", "age": n % 90}
    if n % 40 == 0:
        return DAMAGED[form]
    if n % 50 == 0:
        values.pop("name")
    match form:
        case "csv":
            return ",".join(map(str, values.values())).encode() + b"\n"
        case "xml":
            return b"<p>%b</p>" % "".join(f"<{name}>{value}</{name}>" for name, value in values.items()).encode()
    return orjson.dumps(values) + b"\n" * (form == "ndjson")


def opened(form: str) -> Session:
    """Return a process that has read the columns of a file already."""
    source = {"record_path": "ps/p"} if form == "xml" else {}
    head = {"kind": "open", "format": form, "source": source, "rules": RULES, "output": OUTPUT, "at": 0, "line": 1, "ordinal": 0, "path": None}
    first = b"id,name,age\n1,a,2\n" if form == "csv" else row(form, 1)
    session = Session(Limits())
    session.answer(Frame(head, (b"", first)))
    answer = session.answer(Frame({"kind": "pieces", "places": [[0, 1, 0, 1, "records"]], "last": True}, (first,)))
    session = Session(Limits())
    assert session.answer(Frame(head, (Portion.unpack(answer.parts[0]).place.state, b""))).head == {"kind": "opened"}
    return session


def again(session: Session, rows: list[tuple[int, bytes]]) -> Portion:
    """Run rows again, each with its ordinal in the file."""
    places = [[100 + 30 * n, n + 2, n, 1, "records"] for n, _ in rows]
    return Portion.unpack(session.answer(Frame({"kind": "again", "places": places}, tuple(data for _, data in rows))).parts[0])


@pytest.mark.parametrize("form", ["csv", "ndjson", "json", "xml"])
def test_each_of_many_is_what_it_is_alone(form: str) -> None:
    rows = [(n, row(form, n)) for n in range(ROWS) if n % 3]
    found, alone = again(opened(form), rows), [again(opened(form), [one]) for one in rows[:200]]
    assert (found.rows_read, found.good + found.rejected) == (len(rows), len(rows))
    assert [*found.values][: sum(one.good for one in alone)] == [value for one in alone for value in one.values]
    assert [*found.ids][: sum(one.good for one in alone)] == [own for one in alone for own in one.ids]

    def told(rejects: list[Reject]) -> list[Reject]:
        return sorted(reject for reject in rejects if reject.ordinal <= rows[199][0])

    assert told([*found.rejects]) == told([reject for one in alone for reject in one.rejects])


@pytest.mark.parametrize("form", ["csv", "ndjson", "json", "xml"])
def test_many_cost_little(form: str) -> None:
    session, rows = opened(form), [(n, row(form, n)) for n in range(0, 2 * ROWS, 2)]
    begun = time.process_time()
    found = again(session, rows)
    assert time.process_time() - begun < MOST_S
    assert found.rows_read == ROWS
