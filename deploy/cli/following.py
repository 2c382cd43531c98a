"""An import job as it goes on: its reports by server-sent events, and what is shown of them meanwhile."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol, Self

import httpx2
import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from deploy.cli.calls import CONNECT_S, MOST_TRIES, broken, judged, wait_s
from deploy.cli.output import volume
from flows.core.errors import Unavailable
from flows.core.imports.progress import ENDED
from flows.core.imports.source import LOOKS_LIKE, NOTES, UNKNOWN_COLUMNS

JOBS: Final = "/integration/import/jobs"
SILENT_S: Final = 45.0
"""An ingress says something every 15 s; after three times that the connection is taken for broken."""
STEPS: Final = 10
"""A tenth of the file for each plain line."""
BAR: Final = 16
"""Columns of a bar: a line goes into 80."""
Report = Mapping[str, Any]


def follow(http: httpx2.Client, job_id: str, told: Callable[[Report], None], pause: Callable[[float], None]) -> Report:
    """Return the last report of a job, when it is over; blocks until then, and hands over each report on the way.

    Raises:
        Unavailable: again and again the ingress is away.
        Refused: it knows of no such job any more, or takes the key no longer.

    """
    last, tries = "", 0
    while True:
        try:
            with _listening(http, job_id, last) as events:
                for name, report in events:
                    last, tries = name, 0
                    told(report)
                    if report["status"] in ENDED:
                        return report
        except Unavailable:
            if tries >= MOST_TRIES:
                raise
        tries += 1
        pause(wait_s(tries))


@contextmanager
def _listening(http: httpx2.Client, job_id: str, last: str) -> Iterator[Iterator[tuple[str, Report]]]:
    timeout = httpx2.Timeout(CONNECT_S, read=SILENT_S)
    try:
        with http.stream("GET", f"{JOBS}/{job_id}/events", headers={"last-event-id": last} if last else {}, timeout=timeout) as answer:
            if not answer.is_success:
                answer.read()
            judged(answer)
            yield reports(answer.iter_lines())
    except httpx2.TransportError as error:
        raise broken(http, error) from error


def reports(lines: Iterable[str]) -> Iterator[tuple[str, Report]]:
    """Yield each report among the lines of an event stream, with its id; one that was broken off is none."""
    name, data = "", ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "id":
            name = value
        elif field == "data":
            data = value
        elif not line and data:
            yield name, orjson.loads(data)
            data = ""


def told_rows(report: Report) -> str:
    """Say in a line how far a job is."""
    rows = f"{report['rows_read']:,} rows read, {report['rows_accepted']:,} accepted, {report['rows_rejected']:,} rejected, {report['rows_skipped']:,} skipped"
    return rows + (f", {report['rate_rows_s']:,.0f} rows/s" if report["status"] == "running" else "")


def remarks(report: Report) -> Iterator[str]:
    """Yield what one should know of how the file of a job is read, a line each: what was guessed, and what the order and the file do not agree on."""
    found = report["read_as"]
    yield from found.get(NOTES, ())
    if other := found.get(LOOKS_LIKE):
        yield f"The file begins like {other}, which is not the format that was ordered."
    if unknown := found.get(UNKNOWN_COLUMNS):
        yield f"Rules speak of columns that no row has: {', '.join(map(repr, unknown))}."


class Shown(Protocol):
    """What is shown on standard error while a command is at work."""

    def sent(self, at: int, size: int) -> None:
        """So much of the file has gone."""
        ...

    def remark(self, line: str) -> None:
        """This is to be known of the file."""
        ...

    def report(self, report: Report) -> None:
        """The job has come so far."""
        ...


def remarking(display: Shown) -> Callable[[Report], None]:
    """Return what shows each report of a job, and before it what one should know of its file, once each."""
    told: set[str] = set()

    def show(report: Report) -> None:
        for line in remarks(report):
            if line not in told:
                told.add(line)
                display.remark(line)
        display.report(report)

    return show


class Lines:
    """Plain lines: where standard error is no terminal."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._said: tuple[object, ...] = ()

    def sent(self, at: int, size: int) -> None:
        """Say each tenth of the way."""
        self._say(f"Sent {volume(at)} of {volume(size)}", "sent", at * STEPS // size if size else STEPS)

    def remark(self, line: str) -> None:
        """Say it."""
        typer.echo(line, err=True)

    def report(self, report: Report) -> None:
        """Say what has another status or phase, or is a tenth further."""
        step = report["bytes_read"] * STEPS // report["bytes_total"] if report["bytes_total"] else 0
        trouble = f" ({report['trouble']})" if report["trouble"] else ""
        doing = f", {report['phase']}" if report["phase"] else ""  # nothing, where the job is over
        self._say(f"{report['status']}{doing}: {told_rows(report)}{trouble}", report["status"], report["phase"], step, trouble)

    def _say(self, text: str, *key: object) -> None:
        if key != self._said:
            self._said = key
            typer.echo(text, err=True)


class Bars(AbstractContextManager["Bars"]):
    """Bars on a terminal: one for the file, one for the job."""

    def __init__(self) -> None:
        """Show nothing yet."""
        said, rows = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[rows]}", markup=False)
        self._progress = Progress(said, BarColumn(BAR), TaskProgressColumn(), rows, console=Console(stderr=True))
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are and give the terminal back."""
        self._progress.stop()

    def sent(self, at: int, size: int) -> None:
        """Move the file's bar."""
        self._move("file", "sending", at, size, f"{volume(at)} of {volume(size)}")

    def remark(self, line: str) -> None:
        """Say it above the bars."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def report(self, report: Report) -> None:
        """Move the job's bar."""
        rows = f"{report['rows_read']:,} rows, {report['rows_rejected']:,} rejected"
        going = f", {report['rate_rows_s']:,.0f}/s" if report["status"] == "running" else ""
        eta = f", {report['eta_s']} s to go" if report["eta_s"] is not None else ""
        said = report["phase"] if report["status"] == "running" else report["status"]
        self._move("job", said, report["bytes_read"], report["bytes_total"], rows + going + eta)

    def _move(self, bar: str, said: str, at: int, size: int | None, rows: str) -> None:
        if bar not in self._bars:
            self._bars[bar] = self._progress.add_task(said, total=size, rows=rows)
        self._progress.update(self._bars[bar], description=said, completed=at, total=size, rows=rows)


@contextmanager
def shown() -> Iterator[Shown]:
    """Show what happens in the way that standard error can."""
    if sys.stderr.isatty():
        with Bars() as bars:
            yield bars
    else:
        yield Lines()
