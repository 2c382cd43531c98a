"""What forms of dates and times mean: one text at a time, in plain Python."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flows.core.imports import formats
from flows.core.imports.rules import DataType


class Bad(Exception):
    """A value is none of its type; the text is the code."""


DIRECTIVES = {
    "%Y": r"(?P<Y>[0-9]{4})", "%y": r"(?P<y>[0-9]{2})", "%m": r"(?P<m>[0-9]{2})", "%-m": r"(?P<m>[0-9]{1,2})",
    "%b": r"(?P<b>[A-Za-z]{3})", "%B": r"(?P<B>[A-Za-z]+)", "%d": r"(?P<d>[0-9]{2})", "%-d": r"(?P<d>[0-9]{1,2})",
    "%H": r"(?P<H>[0-9]{2})", "%-H": r"(?P<H>[0-9]{1,2})", "%I": r"(?P<I>[0-9]{2})", "%-I": r"(?P<I>[0-9]{1,2})",
    "%p": r"(?P<p>[AaPp][Mm])", "%M": r"(?P<M>[0-9]{2})", "%S": r"(?P<S>[0-9]{2})", ".%f": r"\.(?P<f>[0-9]{1,9})",
    "%z": r"(?P<z>Z|[+-][0-9]{2}:?[0-9]{2})", "%%": "%",
}  # fmt: skip
ISO = [f"%Y-%m-%d{t}%H:%M{s}{z}" for t in "T " for s in ("", ":%S", ":%S.%f") for z in ("", "%z")] + ["%Y-%m-%d"]


def moment(kind: DataType, text: str) -> Any:
    doubts: list[str] = []
    for form in kind.formats or (ISO if kind.type == "datetime" else ["%Y-%m-%d"]):
        pattern = "".join(DIRECTIVES.get(token) or re.escape(token) for token in re.findall(r"\.%f|%-?.|[^%.]+|\.", form))
        found = re.fullmatch(pattern, text)
        shown = None if found is None else clock(found.groupdict())
        if found is None or shown is None:
            continue
        zone = found.groupdict().get("z")
        if kind.type == "date":
            return shown.date()
        try:
            made = shown - offset(zone) if zone else local(shown, kind)
            return made.replace(tzinfo=UTC) if zone else made
        except Bad as bad:
            doubts.append(str(bad))
        except (OverflowError, ValueError):
            continue
    raise Bad((sorted(doubts) or [f"not_{kind.type}"])[0])


def offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta(0)
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    return (1 if zone[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes)


def clock(got: Mapping[str, str]) -> datetime | None:
    short = int(got.get("y", 0))
    year = int(got["Y"]) if "Y" in got else short + (1900 if short >= 70 else 2000)
    names = [month.lower() for month in formats.MONTHS]
    if "b" in got:
        names = [name[:3] for name in names]
    word = (got.get("b") or got.get("B") or "").lower()
    hour = int(got.get("H") or 0)
    if "I" in got:
        if not 1 <= int(got["I"]) <= 12:
            return None
        hour = int(got["I"]) % 12 + (12 if got["p"].lower() == "pm" else 0)
    try:
        month = names.index(word) + 1 if word else int(got["m"])
        micros = int(got.get("f", "0").ljust(9, "0")[:6])
        return datetime(year, month, int(got["d"]), hour, int(got.get("M") or 0), int(got.get("S") or 0), micros)  # noqa: DTZ001  a text without a zone has none
    except ValueError:
        return None


def local(shown: datetime, kind: DataType) -> datetime:
    zone = ZoneInfo(kind.timezone or "UTC")
    both = [shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    fits = [one for one in both if one.astimezone(zone).replace(tzinfo=None) == shown]
    if not fits:
        raise Bad("nonexistent_time")
    if fits[0] != fits[-1] and kind.ambiguous_time == "reject":
        raise Bad("ambiguous_time")
    return max(fits) if kind.ambiguous_time == "latest" else min(fits)
