"""`xyra status`."""

import time
from pathlib import Path
from typing import Any

import typer

from deploy.cli.output import mib, table
from deploy.cli.positions import positions
from deploy.cli.screen import base_url
from deploy.flows import FLOWS
from deploy.local import record
from deploy.local.place import nothing_runs
from deploy.local.processes import Identity, find, memory_bytes
from flows.core.errors import Unavailable
from flows.core.settings import Settings

IDLE_LIMIT = 1024**3
"""What the whole stack may take of memory when nothing happens."""


def report(settings: Settings) -> dict[str, Any]:
    """Return what runs on this data directory, as facts.

    Blocks for as long as Kafka takes to answer, 10 s at most.
    """
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
        "flows": _lags(settings),
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


def _lags(settings: Settings) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for flow in FLOWS:
        try:
            places = positions(settings, flow)
        except Unavailable as error:
            found.append({"flow": flow, "lag": None, "error": error.detail})
        else:
            found.append({"flow": flow, "lag": sum(place.lag for place in places), "partitions": {place.partition: place.lag for place in places}})
    return found


def show(found: dict[str, Any]) -> None:
    """Print it for a person."""
    if found["state"] == "stopped":
        typer.echo(nothing_runs(Path(found["data_dir"])))
        if found["left_behind"]:
            typer.echo(f"Left behind by a supervisor that was killed: {', '.join(found['left_behind'])}. `xyra down` stops them, `xyra up` as well.")
        return
    typer.echo(f"{found['state']}; was ready after {found['seconds_to_ready']} s. Data: {found['data_dir']}")
    head = ("process", "state", "pid", "restarts", "uptime", "RSS", "PSS", "URL", "last exit")
    rows = [
        (p["name"], p["state"], p["pid"] or "-", p["restarts"], _span(p["uptime_s"]), mib(p["rss_bytes"]), mib(p["pss_bytes"]), p["url"], p["last_exit"])
        for p in found["processes"]
    ]
    table(head, rows)
    typer.echo(f"Memory of the whole stack: {mib(found['memory_bytes'])} (shared pages counted once; idle it stays under {mib(IDLE_LIMIT)}).")
    for flow in found["flows"]:
        typer.echo(f"Flow {flow['flow']}: " + (flow["error"] if flow["lag"] is None else f"{flow['lag']:,} records behind"))


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
