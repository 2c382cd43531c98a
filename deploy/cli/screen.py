"""The one screen that `xyra up` ends its start with."""

import secrets
import shlex
import sys
from pathlib import Path

import typer

from deploy.cli.output import volume
from deploy.local.parts import reachable
from deploy.local.place import shown
from deploy.local.processes import find, identify, memory_bytes
from deploy.local.record import StackRecord
from flows.core.settings import Settings
from flows.core.topics import EVENTS

SECRET = "demo-secret"  # noqa: S105  of the example webhook, which anybody may know
BODY = '{"type":"payment.completed","amount":42}'


def base_url(settings: Settings) -> str:
    """Return where the HTTP side is called from this machine."""
    return f"http://{reachable(settings.http_host)}:{settings.http_port}"


def key_in_shell(settings: Settings) -> str:
    """Return how a shell in this directory writes the admin key between double quotes."""
    return "$INTEGRATION_ADMIN_KEY" if settings.admin_key else f"$(cat {shlex.quote(shown(settings.data_dir / 'admin.key'))})"


def commands(settings: Settings, endpoint: str) -> tuple[str, str, str]:
    """Return three commands for a shell in this directory: register a webhook, send a signed one, read its event.

    Args:
        settings: as they hold.
        endpoint: an id that no endpoint has yet; then no earlier webhook is taken for the same one, and its event is found by it.

    """
    url = base_url(settings)
    key = key_in_shell(settings)
    definition = f'{{"endpoint_id":"{endpoint}","secret":"{SECRET}","events":["payment.completed"]}}'
    json = "-H 'Content-Type: application/json'"
    register = f"curl -sS {url}/integration/webhooks/register -H \"X-API-Key: {key}\" {json} -d '{definition}'"
    signature = f'"X-Signature: sha256=$(printf %s "$BODY" | openssl dgst -sha256 -hmac {SECRET} -r | cut -d" " -f1)"'
    send = f"BODY='{BODY}'; curl -sS {url}/integration/webhooks/{endpoint} {json} -H {signature} -d \"$BODY\""
    return register, send, f"{program()} topics read {EVENTS.name} --from-beginning --grep {endpoint} -n 1 --follow{_data_dir(settings)}"


def program() -> str:
    """Return how `xyra` is called from this directory."""
    beside = Path(sys.executable).with_name("xyra")
    return shlex.quote(shown(beside)) if beside.exists() else f"{shlex.quote(sys.executable)} -m deploy.cli.main"


def _data_dir(settings: Settings) -> str:
    """Return the option that finds this stack from another terminal; none where the default does."""
    return "" if settings.data_dir == Path.cwd() / ".xyra" else f" --data-dir {shlex.quote(shown(settings.data_dir))}"


def show(settings: Settings, stack: StackRecord, key: str | None, seconds: float, *, detached: bool = False) -> None:
    """Print it.

    Args:
        settings: as they hold.
        stack: what runs.
        key: the admin key, where this start made it; None otherwise: it is shown once.
        seconds: from the command to every part being ready.
        detached: it goes on in the background.

    """
    key_file = shown(settings.data_dir / "admin.key")
    kept = "INTEGRATION_ADMIN_KEY" if settings.admin_key else key_file
    running = [process for process in map(find, stack.identities()) if process]
    own = identify(stack.supervisor.pid)
    memory = sum(memory_bytes(process)[1] for process in [*running, *filter(None, [find(own) if own else None])])
    facts = {
        "HTTP": f"{base_url(settings)}   (API: {base_url(settings)}/openapi.json)",
        "Kafka": settings.kafka_bootstrap_servers,
        "Valkey": f"{settings.redis_host}:{settings.redis_port}",
        "Data": f"{shown(settings.data_dir)}   (logs in {shown(settings.data_dir / 'logs')})",
        "Admin key": f"{key}   (shown this once; kept in {key_file})" if key else f"in {kept}",
        "Memory": f"{volume(memory)} in {len(running) + 1} processes",
    }
    typer.echo()
    typer.secho(f"Ready after {seconds:.1f} s", bold=True)
    for name, fact in facts.items():
        typer.echo(f"  {name:10} {fact}")
    register, send, read = commands(settings, f"demo-{secrets.token_hex(3)}")  # at every start another
    for title, command in {"Register a webhook": register, "Send a signed one": send, "Read the event off Kafka": read}.items():
        typer.echo()
        typer.secho(f"{title}:", bold=True)
        typer.echo(f"  {command}")
    typer.echo()
    typer.echo(f"{program()} down{_data_dir(settings)} stops it." if detached else "Ctrl-C stops it in order.")
