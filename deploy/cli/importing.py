"""What `xyra import` does: send the file if it is one of this machine, order the job, follow it, say what came of it."""

import re
import shlex
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2
import orjson
import typer

from deploy.cli import output, screen, sending
from deploy.cli.calls import MOST_TRIES, Ingress, call, wait_s
from deploy.cli.following import JOBS, Report, follow, remarking, shown, told_rows
from deploy.cli.origin import Origin
from deploy.local.place import running, told
from flows.core.errors import Refused, Unavailable, WrongSetting
from flows.core.imports.source import PLACES
from flows.wire.vault import admin_key

WITH_ERRORS: Final = 5
NOT_DONE: Final = 6
REFUSED: Final = 7
INTERRUPTED: Final = 130
CODES: Final[Mapping[str, int]] = {"completed": 0, "completed_with_errors": WITH_ERRORS, "failed": NOT_DONE, "cancelled": NOT_DONE}
_UNKNOWN: Final = "unknown_upload"
PREVIEW: Final = "/integration/import/preview"
UNSENT: Final = "unsent"
"""No upload has this id: a preview of it says what is wrong with an order, and reads nothing."""
_FIELD: Final = re.compile(r"source_config[./](\w+)")


class Order(NamedTuple):
    """What the user wants."""

    origin: Origin
    rules: Path | None
    data_format: str
    name: str
    target_topic: str
    keys: tuple[str, ...]
    source: Mapping[str, Any]
    """What is said of its `source_config`, but for where the file is."""
    incremental: Mapping[str, Any]

    def body(self, upload_id: str, detected: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the job as it is ordered, on an upload or, where its id is empty, on the URL.

        Raises:
            WrongSetting: nobody knows what the file is, or the rules cannot be read.

        """
        data_format = self.data_format or ((detected or {}).get("format") if upload_id else self.origin.data_format)
        if not data_format:
            further = f", and go on with --resume {upload_id}" if upload_id not in {"", UNSENT} else ""
            raise WrongSetting(f"What {self.origin.file or self.origin.name} is was not found out: name it with --format{further}.")
        place = {"upload_id": upload_id} if upload_id else {"url": self.origin.url}
        source: dict[str, Any] = {**place, **self.source}
        body = {"name": self.name, "job_type": "one_time", "data_format": data_format, "source_config": source, "transformation_rules": self.read_rules()}
        told = {"target_topic": self.target_topic, "key_columns": self.keys, "incremental": self.incremental}
        return body | {name: value for name, value in told.items() if value}

    def read_rules(self) -> dict[str, Any]:
        """Return the rules; raises WrongSetting when the file holds no JSON object, or no type of the column that rows of earlier runs are told by."""
        try:
            found = {} if self.rules is None else orjson.loads(self.rules.read_bytes())
        except ValueError as error:
            raise WrongSetting(f"{self.rules} is no JSON: {error}.") from error
        if not isinstance(found, dict):
            raise WrongSetting(f'{self.rules} holds no JSON object; write the rules as {{"data_types": {{...}}, ...}}.')
        column = self.incremental.get("cursor_column")
        if column is not None and column not in (found.get("data_types") or ()):
            raise WrongSetting(f'--incremental {column} needs the column\'s type in --rules, such as {{"data_types": {{"{column}": "datetime"}}}}.')
        return found


def ingress(environ: Mapping[str, str], data_dir: str, url: str) -> Ingress:
    """Return where the ingress is, and its admin key.

    Raises:
        Unavailable: no URL was given, and no stack runs.
        WrongSetting: there is no admin key, or the URL is none.

    """
    settings = told(environ, data_dir) if url else running(environ, data_dir)
    if url and not url.startswith(("http://", "https://")):
        raise WrongSetting(f"--url is {url!r}; write it as http://HOST:PORT.")
    if not settings.admin_key and not (settings.data_dir / "admin.key").exists():
        raise WrongSetting(f"{settings.data_dir} holds no admin.key: name the stack's directory with --data-dir, or set INTEGRATION_ADMIN_KEY to its key.")
    return Ingress(url.rstrip("/") or screen.base_url(settings), admin_key(settings).text, screen.key_in_shell(settings), remote=bool(url))


def carry_out(where: Ingress, order: Order, resume: str, *, watch: bool, json: bool) -> int:
    """Send, order, follow and say what came of it; returns the exit code. Blocks until the job is ordered, with `watch` until it is over.

    Raises:
        Unavailable: the ingress is away for longer than is waited for.
        WrongSetting: from what was asked for.

    """
    try:
        with where.client() as http:
            if order.origin.file:
                judge(http, order)
            upload_id, job = _ordered(http, order, order.origin.file, resume) if order.origin.file else ("", _order(http, order.body("", None)))
            if watch:
                job = _watched(http, where, job)
    except Refused as error:
        output.complain(error.detail + hint(error.detail))
        return REFUSED
    except Interrupted as stop:
        typer.echo(stop.text, err=True)
        return INTERRUPTED
    if json:
        output.as_json({**({"upload_id": upload_id} if upload_id else {}), **job})
    else:
        _show(where, job)
    return CODES[job["status"]] if watch else 0


def judge(http: httpx2.Client, order: Order) -> None:
    """Do nothing where the ingress would take an order on the file, before that is sent for nothing.

    What the file is may be known only once it was sent. Here it is guessed, by its name else its first bytes, and nothing is said then of what depends on it.

    Raises:
        Refused: it would not; with every reason.
        WrongSetting: as `Order.body` does.

    """
    likely = order.data_format or order.origin.data_format or _looks_like(order.origin.file)
    try:
        with suppress(Unavailable):  # whoever sends the file waits for it, or says so
            call(http, "POST", PREVIEW, json=order._replace(data_format=likely).body(UNSENT, None))
    except Refused as error:
        wrong = [one for one in error.errors if one.code != _UNKNOWN and (order.data_format or one.code != "not_here")]
        if wrong or not error.errors:
            told = "\n  ".join(("The job cannot be ordered, and nothing was sent:", *(f"{one.pointer}: {one.detail}" for one in wrong)))
            raise Refused(told if wrong else error.detail, errors=tuple(wrong)) from error


def _looks_like(file: Path | None) -> str:
    """Return what the ingress will take a file for whose name says nothing; empty: it will not know it either."""
    from connectors.files.detect import SAMPLE_BYTES, detect  # it reads tables: most imports need none of that here

    if file is None:
        return ""
    with file.open("rb") as source:
        return detect(source.read(SAMPLE_BYTES), file.name)["format"] or ""


def hint(text: str) -> str:
    """Return how to set here what a text says of the job's source; nothing where it says nothing of it."""
    names = [name for name in dict.fromkeys(_FIELD.findall(text)) if name not in PLACES]
    return f"\n  Here: {' '.join(f'--set {name}=...' for name in names)}" if names else ""


class Interrupted(Exception):
    """Ctrl-C was pressed; the text says how to go on."""

    def __init__(self, text: str) -> None:
        """Take what to say."""
        super().__init__(text)
        self.text = text


def _ordered(http: httpx2.Client, order: Order, file: Path, resume: str) -> tuple[str, Report]:
    """Send a file and return the upload's id, and the job that was ordered on it."""
    upload_id = resume or sending.begin(http, file, order.data_format)
    again = f"xyra import {shlex.quote(str(file))} --resume {upload_id}, and the other options as they were"
    typer.echo(f"Upload {upload_id}" if resume else f"Upload {upload_id}; if this is broken off, go on with: {again}", err=True)
    try:
        with shown() as display:
            sending.send(http, file, upload_id, display.sent, time.sleep)
        found = sending.received(http, file, upload_id, time.sleep)
    except KeyboardInterrupt:
        raise Interrupted(f"\nNo job was ordered. Go on with: {again}") from None
    return upload_id, _order(http, order.body(upload_id, found["detected"]))


def _order(http: httpx2.Client, body: Mapping[str, Any]) -> Report:
    job = make_job(http, body, time.sleep)
    typer.echo(f"Job {job['job_id']}", err=True)
    return job


def make_job(http: httpx2.Client, body: Mapping[str, Any], pause: Callable[[float], None]) -> Report:
    """Order a job and return it; waits for an ingress that has not heard of the upload yet, 45 s at most. Raises as `call` does."""
    tries = 0
    while True:
        try:
            found: Report = call(http, "POST", JOBS, json=body).json()
        except Refused as error:
            if tries >= MOST_TRIES or all(one.code != _UNKNOWN for one in error.errors):
                raise
        else:
            return found
        tries += 1
        pause(wait_s(tries))


def _watched(http: httpx2.Client, where: Ingress, job: Report) -> Report:
    job_id = job["job_id"]
    try:
        with shown() as display:
            return follow(http, job_id, remarking(display), time.sleep)
    except KeyboardInterrupt:
        look, cancel = where.curl(f"{JOBS}/{job_id}"), where.curl(f"{JOBS}/{job_id}", "-X", "DELETE")
        raise Interrupted(f"\nThe job {job_id} goes on.\n  Look at it: {look}\n  Cancel it:  {cancel}") from None


def _show(where: Ingress, job: Report) -> None:
    path = f"{JOBS}/{job['job_id']}"
    typer.echo(f"Job {job['job_id']} is {job['status']}: {told_rows(job)}.")
    if job["trouble"]:
        typer.echo(f"  {job['trouble']}{hint(job['trouble'])}")
    if job["rows_rejected"]:
        typer.echo(f"  Rejected rows, with every reason: {where.curl(path + '/errors?format=csv')}")
    if job["status"] not in CODES:
        typer.echo(f"  Look at it: {where.curl(path)}")
