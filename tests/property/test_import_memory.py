"""What is decided about rows that came before is what sets and dicts decide row by row, however files are cut, and whatever is done again after a crash."""

import io
import random
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from connectors.files.bounds import Limits
from connectors.files.child import Session
from connectors.files.encode import ids_of
from connectors.testing import ManualClock
from flows.core.files.frames import Frame
from flows.core.imports.jobs import JOB, Incremental, JobDefinition, StoredJob
from flows.core.imports.portion import Portion
from flows.core.imports.progress import Report
from flows.core.imports.recall import Level, higher
from flows.core.imports.run import Run
from flows.engine.batch import Batch
from flows.engine.contents import Taken
from flows.engine.definitions import Definitions
from flows.engine.share import Share
from flows.steps.jobs import read_job
from flows.steps.memory import Memory, prepared, remember_run
from tests.kit.state import opened

FILE = "ab" * 32
HEADER = b"id,value,at\n"
IDS, VALUES, CURSORS = ("", "1", "2", "3", "4"), ("a", "b", "bad"), ("", "1", "5", "9", "12")
SHAPES = ("row", "ndjson", "arrow")


@dataclass
class Expected:
    """The plain reference: what one name of jobs has let through so far."""

    keys: dict[tuple[str, ...], set[tuple[str, ...]]] = field(default_factory=dict)
    contents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mark: int | None = None


def judged(rows: list[tuple[str, str, str]], job: JobDefinition, unique: list[dict[str, Any]], known: Expected) -> tuple[list[int], list[int], int]:
    """Decide about the rows of one run, one by one; returns the ordinals that go out, those that are rejected, and how many are skipped."""
    good, bad, skipped, since = [], [], 0, known.mark
    wanted = job.incremental or Incremental()
    own: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for ordinal, row in enumerate(rows):
        columns = dict(zip(("id", "value", "at"), row, strict=True))
        if wanted.cursor_column and row[2] and since is not None and int(row[2]) <= since:
            skipped += 1
            continue
        if row[1] == "bad" or (wanted.cursor_column and not row[2]):
            bad.append(ordinal)
            continue
        if wanted.key and row[0] and known.contents.get(row[0]) == row:
            skipped += 1
            continue
        sets = [(known.keys if rule["across_runs"] else own).setdefault(tuple(rule["columns"]), set()) for rule in unique]
        keys = [tuple(columns[name] for name in rule["columns"]) for rule in unique]
        if any(all(key) and key in seen for key, seen in zip(keys, sets, strict=True)):
            bad.append(ordinal)
            continue
        for key, seen in zip(keys, sets, strict=True):
            seen.update([key] if all(key) else [])
        if wanted.key and row[0]:
            known.contents[row[0]] = row
        good.append(ordinal)
    if wanted.cursor_column:
        known.mark = max([int(rows[ordinal][2]) for ordinal in good] + ([since] if since is not None else []), default=None)
    return good, bad, skipped


class Worker:
    """Reads files as a worker does: portion by portion, each asked for until it was made with the right answers."""

    def __init__(self, directory: Path, job: JobDefinition, dice: random.Random) -> None:
        self.order = StoredJob(job_id="j", definition=job, by="test", created_at_ms=0, updated_at_ms=0)
        self.clock = ManualClock()
        self.share = Share("imports", opened(directory, self.clock), 0, 1)
        self.config = Definitions({JOB: read_job})
        self.dice = dice

    def batch(self) -> Batch:
        return Batch(Taken({}), {0: self.share}, self.config, lambda _: 1 << 20, self.clock.now_ms())

    def run(self, rows: list[tuple[str, str, str]], upload: str) -> tuple[list[bytes], list[int], int]:
        """Import a file, and return the ids of what went out, the ordinals that were rejected, and how many rows were skipped."""
        run, at, ids, bad, skipped = Run(Report(job_id="j"), upload), 0, list[bytes](), list[int](), 0
        high: Level | None = None
        session, over = None, False
        while not over:
            batch = self.batch()
            run = prepared(batch, 0, self.order, run)
            taken = rows[at : at + self.dice.randint(1, 6)]
            over = at + len(taken) >= len(rows)
            portion, session = self.portion(run, at, taken, session, over=over)
            if self.dice.random() < 1 / 4:  # nothing of it was committed; it is read again
                self.share.state.discard()
                portion, session = self.portion(run, at, taken, None, over=over)
            self.share.state.apply(0)
            run = run.on(place=portion.place, high=higher(run.high, portion.high))
            at += len(taken)
            ids += portion.ids if self.order.definition.rows_per_record == 1 else rows_of(portion, self.order.definition.block_format)
            bad += sorted({reject.ordinal for reject in portion.rejects})
            skipped += portion.skipped
            assert portion.rows_read == len(taken) == portion.good + portion.rejected + portion.skipped
            high = run.high
        remember_run(self.batch(), 0, self.order, run.on(high=high))
        self.share.state.apply(0)
        return ids, bad, skipped

    def portion(self, run: Run, at: int, rows: list[tuple[str, str, str]], session: Session | None, *, over: bool) -> tuple[Portion, Session]:
        """Ask for a portion until its answers are right, and remember what it let through; nothing of that is applied yet."""
        known: list[str] | None = None
        for _ in range(3):
            memory = Memory(self.batch(), 0, self.order, run)
            if known is not None and session is not None and self.dice.random() < 3 / 4:
                answer = session.answer(Frame({"kind": "decide", "known": known}))
            else:
                session = session if known is None and session is not None else self.opened(run)
                answer = session.answer(pieces(rows, at, known, last=over))
            assert answer.head == {"kind": "portion"}, answer.head
            portion = Portion.unpack(answer.parts[0])
            right = memory.known(portion.lots)
            if right == [lot.known for lot in portion.lots]:
                assert memory.remember(portion.lots) == ""
                return portion, session
            known = [b64encode(answers).decode() for answers in right]
        raise AssertionError("a portion is decided with the second answers at the latest")

    def opened(self, run: Run) -> Session:
        job, since = self.order.definition, run.since[0] if run.since else None
        wanted = job.incremental or Incremental()
        memory = {"key": wanted.key, "cursor_column": wanted.cursor_column, "since": since}
        shape = "row" if job.rows_per_record == 1 else job.block_format
        output = {"file": FILE, "shape": shape, "rows_per_record": job.rows_per_record, "key_columns": [], "most_bytes": 1 << 20}
        head: dict[str, Any] = {"format": "csv", "source": {}, "rules": job.transformation_rules, "memory": memory, "output": output, "path": None}
        head |= {"at": run.place.at, "line": run.place.line, "ordinal": run.place.ordinal}
        session = Session(Limits())
        assert session.answer(Frame({"kind": "open", **head}, (run.place.state, HEADER))).head == {"kind": "opened"}
        return session


def pieces(rows: list[tuple[str, str, str]], at: int, known: list[str] | None, *, last: bool) -> Frame:
    """Return the message that has rows read, as one piece, which begins where a file of rows of ten bytes would have it."""
    data = b"".join(f"{','.join(row)}\n".encode() for row in rows)
    data = HEADER + data if at == 0 else data
    start = len(HEADER) + at * 1000 if at else 0
    return Frame({"kind": "pieces", "places": [[start, 0, at, len(rows), "records"]], "last": last, "known": known}, (data,))


def rows_of(portion: Portion, block_format: str) -> list[bytes]:
    """Return the rows of blocks as they stand in them."""
    found: list[dict[str, Any]] = []
    for value in portion.values:
        found += pl.read_ipc_stream(io.BytesIO(value)).to_dicts() if block_format == "arrow" else [orjson.loads(line) for line in value.splitlines()]
    return [",".join(str(value) if value is not None else "" for value in row.values()).encode() for row in found]


@pytest.mark.parametrize("seed", range(48))
def test_rows_that_came_before_are_those_of_the_reference(seed: int, tmp_path: Path) -> None:
    dice, shape = random.Random(seed), SHAPES[seed % len(SHAPES)]  # noqa: S311  the same in each run
    types = {"id": {"type": "int64"}, "value": {"type": "string"}, "at": {"type": "int64"}}
    sets = dice.sample((["id"], ["id", "value"]), dice.randint(0, 2))
    unique = [{"columns": columns, "across_runs": dice.random() < 1 / 2} for columns in sets]
    incremental = dice.choice(({"key": ["id"]}, {"cursor_column": "at"}, None) if unique else ({"key": ["id"]}, {"cursor_column": "at"}))
    told: dict[str, Any] = {"name": "n", "job_type": "one_time", "data_format": "csv", "source_config": {"upload_id": "u"}, "incremental": incremental}
    told["transformation_rules"] = {"data_types": types, "enum": {"value": ["a", "b"]}, "unique": unique}
    told |= {} if shape == "row" else {"rows_per_record": 2, "block_format": shape}
    job, known = JobDefinition.model_validate(told), Expected()
    worker = Worker(tmp_path, job, dice)
    for number in range(3):
        rows = [(dice.choice(IDS), dice.choice(VALUES), dice.choice(CURSORS)) for _ in range(dice.randint(1, 25))]
        good, bad, skipped = judged(rows, job, unique, known)
        expected = [*ids_of(FILE, good)] if shape == "row" else [",".join(rows[ordinal]).encode() for ordinal in good]
        assert worker.run(rows, f"u-{number}") == (expected, bad, skipped)
    worker.share.close()
