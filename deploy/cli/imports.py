"""`xyra import`: a file of this machine, sent to the ingress, or one that a worker fetches; read, checked and published there."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from deploy.cli.origin import Origin, known_format, read_origin, read_source

CODES: Final = (
    "Exit codes: 0 ordered, with --watch completed · 1 the ingress is away · 2 wrong usage · 5 completed, with rejected rows · 6 failed or cancelled · "
    "7 refused, as the text says · 130 Ctrl-C."
)
EXAMPLES: Final = (
    "`xyra import orders.csv --watch` · `xyra import orders.csv --rules rules.json --key id --watch` · `xyra import https://example.com/orders.csv`"
)
What = Annotated[Origin, typer.Argument(metavar="FILE|URL", parser=read_origin, help="The file to send, or the URL of one that a worker fetches.")]
RulesFile = Annotated[
    Path | None, typer.Option("--rules", metavar="R.json", exists=True, dir_okay=False, readable=True, help="JSON with the job's transformation_rules.")
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow the job until it is over.")]
Format = Annotated[
    str,
    typer.Option("--format", callback=known_format, help="csv, tsv, json, ndjson, xml, parquet or excel; left out, it is found out: of a URL from its ending."),
]
Name = Annotated[str, typer.Option("--name", help="The job's name.", show_default="the file's name")]
Topic = Annotated[str, typer.Option("--target-topic", metavar="TOPIC", help="Where the rows go.", show_default="xyra.events")]
Keys = Annotated[list[str] | None, typer.Option("--key", metavar="COLUMN", help="A column of the records' key; may be given again.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A field of the job's source_config, such as json_path=/data/items or header=false; may be given again."),
]
Chunk = Annotated[int | None, typer.Option("--chunk-size", min=1, max=1_000_000, help="Rows of a chunk; what is published together has 32 at most.")]
Cursor = Annotated[
    str, typer.Option("--incremental", metavar="COLUMN", help="Skip rows not above the highest value that earlier runs of this --name took (cursor_column).")
]
Row = Annotated[
    list[str] | None, typer.Option("--incremental-key", metavar="COLUMN", help="Skip rows that go out as they last did under this key; may be given again.")
]
Whole = Annotated[bool, typer.Option("--incremental-file", help="Skip the file if an earlier run of this --name took it.")]
Resume = Annotated[str, typer.Option("--resume", metavar="UPLOAD_ID", help="Go on with an upload of this file that was broken off.")]
Url = Annotated[str, typer.Option("--url", help="The ingress.", show_default="the running stack's")]
DataDir = Annotated[str, typer.Option("--data-dir", metavar="DIR", help="The stack's data directory, over INTEGRATION_DATA_DIR.", show_default=".xyra")]
Json = Annotated[bool, typer.Option("--json", help="Print the job as JSON.")]


def import_file(  # noqa: PLR0913  each is an option of the command line
    origin: What,
    *,
    rules: RulesFile = None,
    watch: Watch = False,
    data_format: Format = "",
    name: Name = "",
    target_topic: Topic = "",
    key: Keys = None,
    set_: Set = None,
    chunk_size: Chunk = None,
    incremental: Cursor = "",
    incremental_key: Row = None,
    incremental_file: Whole = False,
    resume: Resume = "",
    url: Url = "",
    data_dir: DataDir = "",
    json: Json = False,
) -> None:
    """Send a file, or name a URL, and have it read, checked and published row by row.

    A connection that breaks is taken up where the file stands. Ctrl-C ends this command and not the job.
    """
    from deploy.cli.importing import Order, carry_out, ingress

    if resume and origin.file is None:
        raise typer.BadParameter("it goes on with an upload, and a URL is fetched by a worker: leave it out.", param_hint="--resume")
    left_out = _left_out(incremental, incremental_key, whole=incremental_file)
    source = read_source(set_ or ()) | ({"chunk_size": chunk_size} if chunk_size else {})
    order = Order(origin, rules, data_format, name or origin.name, target_topic, tuple(key or ()), source, left_out)
    raise typer.Exit(carry_out(ingress(os.environ, data_dir, url), order, resume, watch=watch, json=json))


def _left_out(cursor: str, key: list[str] | None, *, whole: bool) -> dict[str, Any]:
    """Return a job's `incremental`, without anything where nothing is left out; raises BadParameter where more than one is asked for."""
    if sum((bool(cursor), bool(key), whole)) > 1:
        raise typer.BadParameter("give one of --incremental, --incremental-key and --incremental-file.", param_hint="--incremental")
    return ({"cursor_column": cursor} if cursor else {}) | ({"key": key} if key else {}) | ({"file": True} if whole else {})
