"""`xyra status`."""

import time
from pathlib import Path
from typing import Any

import typer

from deploy.cli.output import as_json, table, volume
from deploy.cli.positions import positions
from deploy.cli.screen import base_url
from deploy.flows import FLOWS
from deploy.local import record
from deploy.local.parts import log_path
from deploy.local.place import nothing_runs, shown
from deploy.local.processes import Identity, find, memory_bytes
from flows.core.errors import Unavailable
from flows.core.settings import Settings

IDLE_LIMIT = 1024**3
"""What the whole stack may take of memory when nothing happens."""
LOOK_S = 4.0
"""A Kafka that has not answered by then is not waited for: whoever asks for the status wants to know just that."""


def tell(settings: Settings, *, json: bool) -> bool:
    """Print what runs on this data directory, then how far each flow is behind; returns whether all of it is ready.

    The second blocks for as long as Kafka takes to answer, some five seconds at most; the first is on the screen by then.
    """
    found = report(settings)
    if not json:
        show(found)
    if found["state"] != "stopped":
        found["flows"] = _lags(settings, found["processes"])
    if json:
        as_json(found)
    else:
        show_flows(found.get("flows", []))
    return bool(found["state"] == "ready")


def report(settings: Settings) -> dict[str, Any]:
    """Return which processes run on this data directory, as facts; asks nobody but the system."""
    found = record.read(settings.data_dir)
    if not found or not found.lives():
        left = [part.name for part in found.parts if part.identity and find(part.identity)] if found else []
        return {"state": "stopped", "data_dir": str(settings.data_dir), "left_behind": left}
    processes = [_process("supervisor", found.state, found.supervisor, 0, "", "")]
    processes += [_process(part.name, part.state, part.identity, part.restarts, part.url, part.last_exit) for part in found.parts]
    whole = found.state == "ready" and all(process["state"] == "ready" for process in processes)
    return {
        "state": "ready" if whole else "degraded" if found.state == "ready" else found.state,
        "data_dir": str(settings.data_dir),
        "urls": {"http": base_url(settings), "kafka": settings.kafka_bootstrap_servers, "redis": f"{settings.redis_host}:{settings.redis_port}"},
        "seconds_to_ready": round(found.seconds_to_ready, 2),
        "processes": processes,
        "memory_bytes": sum(process["pss_bytes"] for process in processes),
    }


def _process(name: str, state: str, identity: Identity | None, restarts: int, url: str, last_exit: str) -> dict[str, Any]:
    process = find(identity) if identity else None
    resident, proportional = memory_bytes(process) if process else (0, 0)
    return {
        "name": name,
        "state": state if process else "waiting",
        "pid": identity.pid if identity and process else None,
        "restarts": restarts,
        "last_exit": last_exit,
        "uptime_s": round(time.time() - identity.created, 1) if identity and process else 0.0,
        "rss_bytes": resident,
        "pss_bytes": proportional,
        "url": url,
    }


def _lags(settings: Settings, processes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how far each flow is behind; once Kafka has not answered, it is asked no more."""
    found: list[dict[str, Any]] = []
    for flow in FLOWS:
        try:
            places = positions(settings, flow, LOOK_S)
        except Unavailable:
            error = _no_answer(settings, next((process for process in processes if process["name"] == "kafka"), None))
            return found + [{"flow": left, "lag": None, "error": error} for left in [*FLOWS][len(found) :]]
        found.append({"flow": flow, "lag": sum(place.lag for place in places), "partitions": {place.partition: place.lag for place in places}})
    return found


def _no_answer(settings: Settings, kafka: dict[str, Any] | None) -> str:
    """Say that Kafka does not answer, and what to do; `kafka`: its process, where it is one of this stack."""
    told = f"Kafka at {settings.kafka_bootstrap_servers} does not answer, so how far the flows are behind is not known."
    if kafka is None:
        return f"{told} See that it runs, and that INTEGRATION_KAFKA_BOOTSTRAP_SERVERS names it."
    log = shown(log_path(settings, "kafka"))
    if kafka["pid"] is None:
        return f"{told} It does not run; `xyra up` starts it again by itself, and {log} says why it ended."
    mend = f"where it hangs, `kill -9 {kafka['pid']}`: `xyra up` then starts it again, and nothing that was acknowledged is lost."
    return f"{told} {log} says what it is doing; {mend}"


def show(found: dict[str, Any]) -> None:
    """Print for a person which processes run."""
    if found["state"] == "stopped":
        typer.echo(nothing_runs(Path(found["data_dir"])))
        if found["left_behind"]:
            typer.echo(f"Left behind by a supervisor that was killed: {', '.join(found['left_behind'])}. `xyra down` stops them, `xyra up` as well.")
        return
    typer.echo(f"{found['state']}; was ready after {found['seconds_to_ready']} s. Data: {found['data_dir']}")
    head = ("process", "state", "pid", "restarts", "uptime", "RSS", "PSS", "URL", "last exit")
    rows = [
        (p["name"], p["state"], p["pid"] or "-", p["restarts"], _span(p["uptime_s"]), volume(p["rss_bytes"]), volume(p["pss_bytes"]), p["url"], p["last_exit"])
        for p in found["processes"]
    ]
    table(head, rows)
    typer.echo(f"Memory of the whole stack: {volume(found['memory_bytes'])} (shared pages counted once; idle it stays under {volume(IDLE_LIMIT)}).")


def show_flows(flows: list[dict[str, Any]]) -> None:
    """Print for a person how far each flow is behind, and once why that is not known."""
    for flow in flows:
        if flow["lag"] is not None:
            typer.echo(f"Flow {flow['flow']}: {flow['lag']:,} records behind")
    for error in {flow["error"]: None for flow in flows if flow["lag"] is None}:
        typer.echo(error)


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
