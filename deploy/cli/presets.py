"""`xyra presets`: the senders that are known by name, and whether a receiver of their webhooks is right."""

from typing import Annotated, Final

import typer

from deploy.cli.output import as_json

CODES: Final = "Exit codes: 0 all as expected · 1 something is not · 2 wrong usage."
presets_app = typer.Typer(
    help="List the senders known by name, show one, verify a receiver of its webhooks.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Url = Annotated[str, typer.Argument(help="The receiver's URL; loopback is fine, redirects are not followed.")]
PresetId = Annotated[str, typer.Option("--preset", metavar="PRESET", help="Whose webhooks it receives; `xyra presets list` has the ids.")]
FirstSecret = Annotated[
    str, typer.Option("--secret", help="What the sender signs with, for key pairs its private key in PEM; `-` reads it from standard input.")
]
SecondSecret = Annotated[str, typer.Option("--second-secret", help="Another secret the receiver holds: a message signed with it is sent, too.")]
PublicUrl = Annotated[str, typer.Option("--public-url", help="The URL the sender has on file, where a proxy stands before the receiver.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=60, help="Seconds that one answer may take.")]


@presets_app.command("list", epilog="Examples: `xyra presets list` · `xyra presets list --json`")
def list_(json: Json = False) -> None:
    """Show every preset: its sender, how that signs, and where it is written down."""
    from deploy.cli.output import table
    from deploy.cli.senders import listed

    rows = listed()
    if json:
        as_json(rows)
    else:
        table(list(rows[0]), [list(row.values()) for row in rows])


@presets_app.command(epilog="Examples: `xyra presets show stripe` · `xyra presets show discord --json`")
def show(preset_id: Annotated[str, typer.Argument(metavar="PRESET", help="The preset's id, as `xyra presets list` has it.")], json: Json = False) -> None:
    """Show one preset: its scheme, a sample, and the public test secret that `xyra presets verify` signs with."""
    from deploy.cli.senders import facts, show_facts

    found = facts(preset_id)
    if json:
        as_json(found)
    else:
        show_facts(found)


@presets_app.command(
    epilog="Examples: `xyra presets verify http://127.0.0.1:8000/integration/webhooks/shop --preset stripe` · "
    f"`xyra presets verify https://hooks.example.com/github --preset github --secret - < secret`. {CODES}"
)
def verify(
    url: Url,
    preset_id: PresetId,
    secret: FirstSecret = "",
    second_secret: SecondSecret = "",
    public_url: PublicUrl = "",
    timeout: Timeout = 10.0,
    json: Json = False,
) -> None:
    """Send good, stale, future, rotated, truncated, malformed, forged and repeated messages to a receiver, and judge its answers.

    Good ones must be answered with 2xx, bad ones with 4xx; 5xx, a redirect or no answer is a fault. Without --secret the preset's public test
    secret signs (`xyra presets show` prints it), and the receiver must hold that one. What it accepts is a real message to it.
    """
    from deploy.cli.senders import examine, show_report

    found = examine(url, preset_id, secret, second_secret, public_url, timeout)
    if json:
        as_json(found)
    else:
        show_report(found, secret_given=bool(secret))
    raise typer.Exit(0 if found["as_expected"] else 1)
