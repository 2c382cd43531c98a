"""`xyra ledger`: for every flow and partition, records in = out + dropped + buried + waiting."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import typer

from deploy.cli.output import table
from deploy.cli.positions import Position, positions
from deploy.cli.topics import committed
from deploy.flows import FLOWS, SOURCES
from flows.core.settings import Settings
from flows.core.topics import STATUS

TALLY_PARTS = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One partition of one flow."""

    flow: str
    partition: int
    arrived: int
    out: int
    dropped: dict[str, int]
    buried: dict[str, int]
    waiting: int
    committed: int
    end: int
    counted: int | None = None
    """Records on the log below the committed offset, where it was scanned and nothing of it had expired."""

    @property
    def balanced(self) -> bool:
        """Nothing is missing and nothing is doubled."""
        decided = self.out + sum(self.dropped.values()) + sum(self.buried.values()) + self.waiting
        return self.arrived == decided <= self.end and self.counted in (None, self.arrived)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        fields = asdict(self)
        return {"in": fields.pop("arrived"), **fields, "lag": max(0, self.end - self.committed), "balanced": self.balanced}


def read(settings: Settings, *, scan: bool) -> list[Row]:
    """Add up the tallies; with `scan`, count the log too. Blocks while it reads.

    Raises:
        Unavailable: the cluster does not answer.

    """
    rows = []
    for flow in FLOWS:
        places = positions(settings, flow)  # before the tallies: those are then at least as new
        counted = _count(settings, flow, places) if scan else {}
        tallies = _tallies(settings, flow) if places else {}
        rows += [_row(place, tallies.get(place.partition, []), counted.get(place.partition)) for place in places]
    return rows


def _row(place: Position, tallies: Iterable[dict[str, Any]], counted: int | None) -> Row:
    totals: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    buried: Counter[str] = Counter()
    for tally in tallies:
        totals.update({name: int(tally[name]) for name in ("in", "out", "waiting")})
        dropped.update(tally["dropped"])
        buried.update(tally["buried"])
    return Row(
        place.flow, place.partition, totals["in"], totals["out"], dict(dropped), dict(buried), totals["waiting"], place.committed, place.end, counted
    )  # fmt: skip


def _tallies(settings: Settings, flow: str) -> dict[int, list[dict[str, Any]]]:
    """Return the newest tally of every resource, by partition."""
    newest: dict[tuple[int, str], dict[str, Any]] = {}
    for message in committed(settings, STATUS.name, from_beginning=True, to_end=True):
        key, value = message.key(), message.value()
        words = (key.decode(errors="replace") if isinstance(key, bytes) else str(key)).split("/", TALLY_PARTS - 1)
        if len(words) == TALLY_PARTS and words[:2] == ["tally", flow] and words[2].isdecimal() and value:
            newest[int(words[2]), words[3]] = orjson.loads(value)
    found: dict[int, list[dict[str, Any]]] = {}
    for (partition, _), tally in newest.items():
        found.setdefault(partition, []).append(tally)
    return found


def _count(settings: Settings, flow: str, places: list[Position]) -> dict[int, int]:
    """Count the committed records below each committed offset; partitions whose oldest records have expired are left out."""
    whole = {place.partition: place.committed for place in places if place.start == 0}
    counted = dict.fromkeys(whole, 0)
    for message in committed(settings, SOURCES[flow].name, from_beginning=True, to_end=True) if whole else ():
        partition, offset = message.partition(), message.offset()
        if partition in whole and offset is not None and offset < whole[partition]:
            counted[partition] += 1
    return counted


def show(rows: list[Row]) -> None:
    """Print it for a person."""
    head = ("flow", "partition", "in", "out", "dropped", "buried", "waiting", "committed", "end", "balanced")
    lines = [
        (row.flow, row.partition, row.arrived, row.out, _reasons(row.dropped), _reasons(row.buried), row.waiting, row.committed, row.end, _verdict(row))
        for row in rows
    ]
    table(head, lines)
    wrong = [row for row in rows if not row.balanced]
    total = sum(row.arrived for row in rows)
    typer.echo(f"{total:,} records in; {'every one is accounted for' if not wrong else f'{len(wrong)} partitions are not balanced'}.")


def _reasons(counts: dict[str, int]) -> str:
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items()))
    return f"{sum(counts.values())} ({reasons})" if reasons else "0"


def _verdict(row: Row) -> str:
    word = "yes" if row.balanced else "NO"
    return word if row.counted is None else f"{word} (log has {row.counted})"
