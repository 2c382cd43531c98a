"""What `xyra presets` does: senders as rows, as facts, and stood for before a receiver."""

import asyncio
import sys
from typing import Any, Final

import typer

from deploy import conformance
from deploy.cli.output import complain, printable, table
from flows.core import presets
from flows.core.clock import SystemClock
from flows.core.errors import InvalidFields, WrongSetting
from flows.core.verification import Preset, Verification
from ingress.verification.sender import SenderKey, known_key, own_key

MOST_SECRET: Final = 16 * 1024


def listed() -> list[dict[str, Any]]:
    """Return a row for each preset."""
    return [
        {"preset": preset.preset_id, "sender": preset.title, "algorithm": preset.verification.algorithm, "documentation": preset.documentation}
        for preset in presets.load_all()
    ]


def facts(preset_id: str) -> dict[str, Any]:
    """Return what there is to know of a preset; raises WrongSetting when there is none of that name."""
    preset = _preset(preset_id)
    return preset.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True) | {"test_secret": _known(preset).receives}


def show_facts(found: dict[str, Any]) -> None:
    """Print it for a person."""
    rows = []
    for name, value in found.items():
        rows += [(f"{name}.{inner}", one) for inner, one in value.items()] if isinstance(value, dict) else [(name, value)]
    table(("field", "value"), [(name, printable(_text(value).encode())) for name, value in rows])


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else str(value)


def examine(url: str, preset_id: str, secret: str, second_secret: str, public_url: str, timeout_s: float) -> dict[str, Any]:
    """Send the vectors of a preset to a receiver and return the report; blocks for some minutes at most.

    Raises:
        WrongSetting: the URL, the preset or a secret cannot be used.

    """
    where, preset = conformance.receiver(url, public_url), _preset(preset_id)
    key = _own(preset.verification, secret) if secret else _known(preset)
    second = _own(preset.verification, second_secret) if second_secret else None
    run = conformance.examine(where, preset, key, clock=SystemClock(), second=second, timeout_s=timeout_s)
    return conformance.report(where, preset, asyncio.run(run))


def _preset(preset_id: str) -> Preset:
    try:
        return presets.load(preset_id)
    except InvalidFields as error:
        raise WrongSetting(f"{error.detail}.") from error


def _known(preset: Preset) -> SenderKey:
    return known_key(preset.verification, preset.preset_id)


def _own(verification: Verification, text: str) -> SenderKey:
    if text == "-":
        text = sys.stdin.read(MOST_SECRET).rstrip("\r\n")
    return own_key(verification, text)


def show_report(found: dict[str, Any], *, secret_given: bool) -> None:
    """Print it for a person."""
    rows = [
        (row["vector"], row["expected"], row["outcome"], row["status"] or "-", f"{row['milliseconds']} ms", "yes" if row["as_expected"] else "NO", row["why"])
        for row in found["vectors"]
    ]
    table(("vector", "expected", "outcome", "status", "took", "right", "what it is"), rows)
    count, faults = len(rows), found["faults"]
    typer.echo(f"{count} vectors of {found['preset']}: " + ("all as expected." if not faults else f"{count - faults} as expected, {faults} not."))
    if faults and not secret_given:
        complain(f"the public test secret signed them: the receiver must hold it (`xyra presets show {found['preset']}`), or give its own with --secret.")
