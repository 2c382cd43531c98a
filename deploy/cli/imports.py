"""`xyra import`: a file on this machine, sent to the ingress and read there."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

CODES: Final = (
    "Exit codes: 0 ordered, with --watch completed · 1 the ingress is away · 2 wrong usage · 5 completed, with rejected rows · 6 failed or cancelled · "
    "7 refused, as the text says · 130 Ctrl-C."
)
File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="The file to send.")]
RulesFile = Annotated[
    Path | None, typer.Option("--rules", metavar="R.json", exists=True, dir_okay=False, readable=True, help="JSON with the job's transformation_rules.")
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow the job until it is over.")]
Format = Annotated[str, typer.Option("--format", help="csv, tsv, json, ndjson, xml, parquet or excel; left out, it is found out from the file.")]
Name = Annotated[str, typer.Option("--name", help="The job's name.", show_default="the file's name")]
Topic = Annotated[str, typer.Option("--target-topic", metavar="TOPIC", help="Where the rows go.", show_default="xyra.events")]
Keys = Annotated[list[str] | None, typer.Option("--key", metavar="COLUMN", help="A column of the records' key; may be given again.")]
Chunk = Annotated[int | None, typer.Option("--chunk-size", min=1, max=1_000_000, help="Rows that are checked and written together.")]
Resume = Annotated[str, typer.Option("--resume", metavar="UPLOAD_ID", help="Go on with an upload of this file that was broken off.")]
Url = Annotated[str, typer.Option("--url", help="The ingress.", show_default="the running stack's")]
DataDir = Annotated[str, typer.Option("--data-dir", metavar="DIR", help="The stack's data directory, over INTEGRATION_DATA_DIR.", show_default=".xyra")]
Json = Annotated[bool, typer.Option("--json", help="Print the job as JSON.")]


def import_file(  # noqa: PLR0913  each is an option of the command line
    file: File,
    *,
    rules: RulesFile = None,
    watch: Watch = False,
    data_format: Format = "",
    name: Name = "",
    target_topic: Topic = "",
    key: Keys = None,
    chunk_size: Chunk = None,
    resume: Resume = "",
    url: Url = "",
    data_dir: DataDir = "",
    json: Json = False,
) -> None:
    """Send a file, and have it read, checked and published row by row.

    A connection that breaks is taken up where the file stands. Ctrl-C ends this command and not the job.
    """
    from deploy.cli.importing import Order, carry_out, ingress

    order = Order(file, rules, data_format, name or file.name, target_topic, tuple(key or ()), chunk_size)
    raise typer.Exit(carry_out(ingress(os.environ, data_dir, url), order, resume, watch=watch, json=json))
