"""The command `xyra`: what an operator types. Each command here is thin; its work stands in the module beside this one."""

import os
import sys
from typing import Annotated

import typer

from deploy.cli import imports, output
from deploy.cli.presets import presets_app
from deploy.cli.topics import topics_app
from flows.core.errors import XyraError

EXIT_CODES = "Exit codes: 0 done · 1 no (not running, not balanced, not reachable) · 2 a wrong setting or usage · 3 a port or directory is busy · 4 fatal."

app = typer.Typer(
    name="xyra",
    help="Everything becomes a record on Kafka: webhooks in, checked and transformed events out, exactly once.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(topics_app, name="topics")
app.add_typer(presets_app, name="presets")
app.command("import", epilog=f"Examples: {imports.EXAMPLES}. {imports.CODES}")(imports.import_file)

DataDir = Annotated[str, typer.Option("--data-dir", metavar="DIR", help="The stack's data directory, over INTEGRATION_DATA_DIR.", show_default=".xyra")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(epilog=f"Examples: `xyra up` · `xyra up --detach` · `INTEGRATION_HTTP_PORT=8080 xyra up`. {EXIT_CODES}")
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background; `xyra down` stops it.")] = False,
    data_dir: DataDir = "",
    quiet: Annotated[bool, typer.Option("--quiet", hidden=True)] = False,
) -> None:
    """Start Kafka, Valkey, the ingress and the flow workers, and keep them running.

    A cluster named by INTEGRATION_KAFKA_BOOTSTRAP_SERVERS or INTEGRATION_REDIS_HOST is used instead of a local one.
    Ctrl-C drains and stops everything in order.
    """
    from deploy.cli.up import detached, foreground

    if detach:
        detached(os.environ, data_dir)
    else:
        foreground(os.environ, data_dir, quiet=quiet)


@app.command(epilog=f"Example: `xyra down`. {EXIT_CODES}")
def down(data_dir: DataDir = "") -> None:
    """Stop the stack of this data directory, in order; also what a supervisor that was killed left behind."""
    from deploy.cli.up import down as stop
    from deploy.local.place import decide, nothing_runs

    where = decide(os.environ, data_dir).settings.data_dir
    count = stop(where)
    typer.echo(f"Stopped {count} processes." if count else nothing_runs(where))


@app.command(epilog=f"Examples: `xyra status` · `xyra status --json`. {EXIT_CODES} 1 here: it does not run, or not all of it is ready.")
def status(data_dir: DataDir = "", json: Json = False) -> None:
    """Show every process, its memory, the URLs, and how far each flow is behind."""
    from deploy.cli.status import tell
    from deploy.local.place import told

    raise typer.Exit(0 if tell(told(os.environ, data_dir), json=json) else 1)


@app.command(
    epilog=f"Examples: `xyra worker webhooks` · beside a running stack: `xyra worker webhooks --slot 1`. {EXIT_CODES} 8 here: Kafka or the disk was not ready."
)
def worker(
    flow: Annotated[str, typer.Argument(help="The flow to run.")],
    slot: Annotated[int, typer.Option(min=0, max=1023, help="Which of the flow's workers this is; no two that run may share one.")] = 0,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of its own /health and /metrics; 0: INTEGRATION_WORKER_PORT + slot, or the next free one.")
    ] = 0,
    data_dir: DataDir = "",
) -> None:
    """Run one flow in this process until SIGTERM."""
    from deploy.cli.worker import work

    raise typer.Exit(work(os.environ, flow, slot, port, data_dir))


@app.command(epilog=f"Examples: `xyra ledger` · `xyra ledger --scan --json`. {EXIT_CODES} 1 here: something is not balanced, or no stack runs there.")
def ledger(
    scan: Annotated[bool, typer.Option("--scan", help="Also count the log itself and compare; reads the whole source topic.")] = False,
    data_dir: DataDir = "",
    json: Json = False,
) -> None:
    """Show that nothing is lost: for every flow and partition, in = out + dropped + buried + waiting."""
    from deploy.cli.ledger import read, show
    from deploy.local.place import running

    rows = read(running(os.environ, data_dir), scan=scan)
    if json:
        output.as_json([row.as_dict() for row in rows])
    else:
        show(rows)
    raise typer.Exit(0 if all(row.balanced for row in rows) else 1)


@app.command(epilog=f"Examples: `xyra settings` · `xyra settings --json`. {EXIT_CODES}")
def settings(data_dir: DataDir = "", json: Json = False) -> None:
    """Show every setting: its value, where that comes from, its default and what is allowed. Secrets are not shown."""
    from deploy.cli.settings import report, show

    found = report(os.environ, data_dir)
    if json:
        output.as_json(found)
    else:
        show(found)


def run() -> None:
    """Run the command line; an error of ours is one sentence on standard error and its exit code."""
    try:
        app()
    except XyraError as error:
        output.complain(error.detail)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `xyra topics read | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run()
