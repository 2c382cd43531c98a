"""Presets: the verification schemes of well-known senders, one TOML file each."""

import functools
from typing import NamedTuple

from pydantic import ValidationError

from flows.core.errors import FieldError, InvalidFields
from flows.core.verification import PUBLIC_KEY, Location, Preset, Verification, preset_ids, preset_table


@functools.cache
def load(preset_id: str) -> Preset:
    """Read one preset, once; raises InvalidFields, with the ids there are, when there is none of that name."""
    try:
        return Preset.model_validate({**preset_table(preset_id), "preset_id": preset_id})
    except ValidationError:
        raise  # a file of ours is wrong: a bug, not the caller's
    except ValueError as error:
        raise InvalidFields(str(error), errors=(FieldError("/preset", "unknown_preset", str(error)),)) from error


def load_all() -> tuple[Preset, ...]:
    """Read all presets, sorted by id."""
    return tuple(load(preset_id) for preset_id in preset_ids())


def resolve(preset_id: str | None, verification: Verification | None) -> Verification:
    """Return the scheme of a definition: its own, else its preset's, else `X-Signature: sha256=<hex HMAC of the raw body>`."""
    if verification is not None:
        return verification
    return Verification() if preset_id is None else load(preset_id).verification


class PresetRow(NamedTuple):
    """A preset as a line of the README's table, in Markdown."""

    preset: str
    sender: str
    algorithm: str
    signed_content: str
    header: str
    window: str
    sender_id: str
    event_type: str
    challenge: str


def _place(location: Location) -> str:
    if location.header is not None:
        return f"`{location.header}`" + (f" `{location.element}`" if location.element else "")
    if location.path is not None:
        return f"body `{location.path}`"
    return f"query `{location.query}`" if location.query is not None else f"form `{location.form}`"


def _places(locations: tuple[Location, ...]) -> str:
    return ", else ".join(_place(location) for location in locations) or "-"


def _row(preset: Preset) -> PresetRow:
    scheme = preset.verification
    name, stamp, signature = scheme.algorithm, scheme.timestamp, scheme.signature
    shown = f"{name}, {signature.encoding}" + (", public key" if name in PUBLIC_KEY else "")
    challenges = dict.fromkeys(c.method + ("" if c.signed else ", unsigned") for c in scheme.challenges)
    return PresetRow(
        preset=f"`{preset.preset_id}`",
        sender=f"[{preset.title}]({preset.documentation})",
        algorithm=name if name in {"token", "basic"} else shown,
        signed_content="nothing" if name in {"token", "basic"} else f"`{scheme.content}`",
        header=_place(signature) + (f" `{signature.prefix.strip()}`" if signature.prefix else ""),
        window=f"± {stamp.window_seconds} s ({stamp.unit})" if stamp else "none",
        sender_id=_places(scheme.id),
        event_type=_places(scheme.event_type),
        challenge="; ".join(challenges) or "-",
    )


def rows() -> tuple[PresetRow, ...]:
    """Return what the README's table of presets is made of, sorted by id."""
    return tuple(_row(preset) for preset in load_all())
