"""What a job remembers, in the state of its partition: keys of its file's rows, and, for all jobs of its name, keys, contents, files and watermarks.

All of it is read and written in the batch that publishes what it was decided about, so it is as true as the rows are. A watermark and a file count once
their run is complete: a run that fails has not seen every row, and the next one would leave out what it never came to.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import orjson

from flows.core import topics
from flows.core.imports.jobs import JOB, StoredJob
from flows.core.imports.recall import DIGEST, Days, Level, Lot, level, retyped
from flows.core.imports.rules import TransformationRules
from flows.core.imports.run import CHECK, KEPT_MS, RUN, Run
from flows.engine import Batch, Entries

KEY: Final = b"memory/u"
"""Before a scope and a digest: a key that was let through."""
CONTENT: Final = b"memory/k"
"""The same of a key with what stands under it: the digest of that, and the day on which it is forgotten."""
DAYS: Final = b"memory/d"
"""Before a scope: how many keys it has."""
FILE: Final = b"memory/f"
"""Before a scope and a SHA-256: a file that was imported to its end, and how many rows it has."""
MARK: Final = b"memory/w"
"""Before a scope and a column: the watermark."""
KINDS: Final = b"memory/t"
"""Before a scope and the scope of a rule's columns: their types, as far as the job says them."""
SCOPE: Final = 8
HOLDER: Final = b"memory/h"
"""Before a scope: the job that has the memory of its name for itself."""
QUEUE: Final = b"memory/q"
"""Before a scope and the id of a job that waits for it."""
TEXTS: Final = frozenset({"csv", "tsv", "xml"})
"""Formats in which a column whose type is not said is text."""
MOST_ROUNDS: Final = 100
"""How often a portion is asked for again, since some of what was remembered has expired meanwhile."""
CHANGED: Final = f"What is remembered has changed {MOST_ROUNDS} times while one portion was read; retry the job."
UNTOLD: Final = "The job remembers earlier runs, and does not say where the pieces of its upload stand; order it anew at /integration/import/jobs."


def has_turn(batch: Batch, number: int, order: StoredJob) -> bool:
    """Tell whether a job has the memory that it asks for itself, or takes it now: jobs of a name run one after the other, as they were ordered."""
    if not order.definition.remembers:
        return True
    state, scope, own = batch.state(number), scope_of("name", order.definition.name), order.job_id.encode()
    until = _until(batch, order)
    holder = state.get(HOLDER + scope)
    if holder == own:
        return True
    state.put(QUEUE + scope + own, b"", until)
    if holder is not None and _lives(batch, number, holder):
        return False
    waiting = [key[len(QUEUE) + SCOPE :] for key, _ in state.scan(QUEUE + scope)]
    for job_id in waiting:
        if job_id == own:
            state.put(HOLDER + scope, own, until)
        elif _lives(batch, number, job_id):
            return False
        state.delete(QUEUE + scope + job_id)
        if job_id == own:
            break
    return True


def pass_on(batch: Batch, number: int, order: StoredJob) -> None:
    """Wake the jobs that wait for one that is over."""
    if order.definition.remembers:
        for key, _ in batch.state(number).scan(QUEUE + scope_of("name", order.definition.name)):
            batch.timers(number).set(RUN + key[len(QUEUE) + SCOPE :], batch.now_ms)


def _lives(batch: Batch, number: int, job_id: bytes) -> bool:
    """Tell whether a job goes on, or waits for its turn."""
    text = batch.state(number).get(RUN + job_id)
    return text is not None and batch.config.get(JOB, job_id.decode()) is not None and not Run.of(text).report.over


def prepared(batch: Batch, number: int, order: StoredJob, run: Run) -> Run:
    """Return a run with the watermark of the runs before, as it was when this one began."""
    wanted = order.definition.incremental
    if run.since is not None or wanted is None or wanted.cursor_column is None:
        return run
    return run.on(since=[_watermark(batch.state(number), order)])


def imported(batch: Batch, number: int, order: StoredJob, sha256: str) -> int | None:
    """Return how many rows a file had when it was imported before; None: it was not, or nobody wants to know."""
    wanted = order.definition.incremental
    text = batch.state(number).get(_file(order, sha256)) if wanted is not None and wanted.file else None
    return int(text) if text is not None else None


def remember_file(batch: Batch, number: int, order: StoredJob, run: Run) -> None:
    """Remember a file that was read to its end, with how many rows it has."""
    wanted = order.definition.incremental
    if wanted is not None and wanted.file:
        batch.state(number).put(_file(order, run.report.checkpoint.file), b"%d" % run.counted.rows_read, _until(batch, order))


def remember_run(batch: Batch, number: int, order: StoredJob, run: Run) -> None:
    """Remember the watermark of a run that is complete."""
    wanted, state = order.definition.incremental, batch.state(number)
    if wanted is None or wanted.cursor_column is None or run.high is None:
        return
    before, high = _watermark(state, order), Level(*run.high)
    if before is None or before.kind != high.kind or high.above(before):
        before = high
    state.put(_mark(order), orjson.dumps([*before]), _until(batch, order))


class Memory:
    """What one run knows of keys, within one batch."""

    def __init__(self, batch: Batch, number: int, order: StoredJob, run: Run) -> None:
        """Take whose memory it is."""
        self._state: Entries = batch.state(number)
        self._job = order.definition
        self._checking = run.report.phase == CHECK
        self._named = scope_of("name", order.definition.name)
        self._own = scope_of("check" if self._checking else "run", order.job_id, run.upload)
        self._now_ms = batch.now_ms
        self._found: list[list[bytes | None]] = []

    def known(self, lots: Sequence[Lot]) -> list[bytes]:
        """Answer the questions of a portion: one trip to the store for each rule, two while a file is only checked."""
        self._found = [self._looked_up(lot) for lot in lots]
        return [bytes(map(_answered, lot.questions(), found)) for lot, found in zip(lots, self._found, strict=True)]

    def remember(self, lots: Sequence[Lot]) -> str:
        """Remember what a portion has let through, whose questions were answered just now; returns why it cannot, and then remembers nothing."""
        kinds = self._kinds() if any(lot.scope != "file" for lot in lots) else {}
        for key, told in kinds.items():
            before = self._state.get(key)
            stood: dict[str, str] = orjson.loads(before) if before is not None else {}
            for column, kind in told.items():
                if stood.get(column, kind) != kind:
                    return retyped(column, kind, stood[column])
            kinds[key] = stood | told
        scopes = [self._written(lot) for lot in lots]
        days = {scope: Days.of(self._state.get(DAYS + scope)) for scope in scopes}
        puts: list[tuple[bytes, bytes, int]] = []
        for lot, scope, found in zip(lots, scopes, self._found, strict=True):
            puts += self._puts(lot, scope, days[scope], found)
        today, most = self._now_ms // topics.DAY_MS, self._job.remember_keys
        if any(counted.alive(today) > most for counted in days.values()):
            return f"More than the {most:,} keys that remember_keys allows would have to be remembered; raise it, or lower remember_days."
        for key, value, until in puts:
            self._state.put(key, value, until)
        for key, told in kinds.items() if not self._checking else ():
            self._state.put(key, orjson.dumps(told), self._until(self._named))
        for scope, counted in days.items():
            self._state.put(DAYS + scope, counted.text(), self._until(scope))
        return ""

    def _kinds(self) -> dict[bytes, dict[str, str]]:
        """Return the types of the columns that rows of all runs are told by, by rule: another type makes other digests, under which all would be new."""
        rules = TransformationRules.model_validate(dict(self._job.transformation_rules))
        known: dict[str, str] = {name: kind.type for name, kind in rules.data_types.items()}
        made = {*rules.constants, *rules.expression.columns}
        key = self._job.incremental.key if self._job.incremental is not None else None
        told: dict[bytes, dict[str, str]] = {}
        for columns in [*(rule.columns for rule in rules.unique if rule.across_runs), *([key] if key else ())]:
            kinds = {name: known.get(name, "string") for name in columns if name in known or (name not in made and self._job.data_format in TEXTS)}
            told[KINDS + self._named + scope_of(*sorted(columns))] = kinds
        return told

    def _puts(self, lot: Lot, scope: bytes, days: Days, found: Sequence[bytes | None]) -> list[tuple[bytes, bytes, int]]:
        until = self._until(scope)
        day = until // topics.DAY_MS
        if lot.scope != "rows":
            kept = lot.keeping()
            days.add(day, len(kept))
            return [(KEY + scope + key, b"", until) for key in kept]
        stamp = day.to_bytes(4, "big")
        changed = {pair[:DIGEST]: pair[DIGEST:] for pair in lot.keeping()}
        # What is unchanged is kept alive, or it would count as new once it is old enough; half of its time is left to do so in.
        soon = day - self._job.remember_days // 2 - 1
        stood: dict[bytes, bytes | None] = {}
        for pair, value in zip(lot.questions(), found, strict=True):
            stood[pair[:DIGEST]] = value
            if value is not None and not self._checking and int.from_bytes(value[DIGEST:], "big") < soon:
                changed.setdefault(pair[:DIGEST], value[:DIGEST])
        for key in changed:
            before = stood[key]
            if before is not None:
                days.add(int.from_bytes(before[DIGEST:], "big"), -1)
            days.add(day, 1)
        return [(CONTENT + scope + key, content + stamp, until) for key, content in changed.items()]

    def _looked_up(self, lot: Lot) -> list[bytes | None]:
        keys = [question[:DIGEST] for question in lot.questions()]
        first = self._written(lot)
        kind = CONTENT if lot.scope == "rows" else KEY
        found = self._state.get_many([kind + first + key for key in keys])
        if lot.scope != "file" and first != self._named:
            beyond = self._state.get_many([kind + self._named + key for key in keys])
            found = [there if here is None else here for here, there in zip(found, beyond, strict=True)]
        return found

    def _written(self, lot: Lot) -> bytes:
        """Return the scope that a rule's keys are written under: while a file is only checked, nothing that another run could see."""
        return self._own if lot.scope == "file" or self._checking else self._named

    def _until(self, scope: bytes) -> int:
        return self._now_ms + (self._job.remember_days * topics.DAY_MS if scope == self._named else KEPT_MS)


def _answered(question: bytes, value: bytes | None) -> int:
    """Tell whether a key is known, or what stands under it is the same."""
    return int(value is not None and value[:DIGEST] == question[DIGEST:])


def scope_of(*names: str) -> bytes:
    """Return what keeps the keys of a memory apart from those of others."""
    return blake2b("\0".join(names).encode(), digest_size=SCOPE).digest()


def _until(batch: Batch, order: StoredJob) -> int:
    """Return when what a job remembers now is forgotten."""
    return batch.now_ms + order.definition.remember_days * topics.DAY_MS


def _watermark(state: Entries, order: StoredJob) -> Level | None:
    text = state.get(_mark(order))
    return level(orjson.loads(text)) if text is not None else None


def _mark(order: StoredJob) -> bytes:
    wanted = order.definition.incremental
    assert wanted is not None  # noqa: S101  the caller's
    return MARK + scope_of("name", order.definition.name) + (wanted.cursor_column or "").encode()


def _file(order: StoredJob, sha256: str) -> bytes:
    return FILE + scope_of("name", order.definition.name) + sha256.encode()
