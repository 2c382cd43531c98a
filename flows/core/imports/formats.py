"""Forms of dates and times: a few directives of strftime, each with exactly one meaning, whatever reads it."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_LONG: Final = "|".join(MONTHS)
_SHORT: Final = "|".join(month[:3] for month in MONTHS)


class _Directive(NamedTuple):
    """A directive: what it stands for, the texts it takes, and how the engine of tables spells it."""

    part: str
    pattern: str
    spelling: str


_HOURS: Final = "(?:[01][0-9]|2[0-3])"
DIRECTIVES: Final[Mapping[str, _Directive]] = {
    "%Y": _Directive("year", "[0-9]{4}", "%Y"),
    "%y": _Directive("year", "[0-9]{2}", "%y"),
    "%m": _Directive("month", "(?:0[1-9]|1[0-2])", "%m"),
    "%-m": _Directive("month", "(?:0?[1-9]|1[0-2])", "%m"),
    "%b": _Directive("month", f"(?i:{_SHORT})", "%b"),
    "%B": _Directive("month", f"(?i:{_LONG})", "%B"),
    "%d": _Directive("day", "(?:0[1-9]|[12][0-9]|3[01])", "%d"),
    "%-d": _Directive("day", "(?:0?[1-9]|[12][0-9]|3[01])", "%d"),
    "%H": _Directive("hour", _HOURS, "%H"),
    "%-H": _Directive("hour", "(?:[01]?[0-9]|2[0-3])", "%H"),
    "%I": _Directive("hour12", "(?:0[1-9]|1[0-2])", "%I"),
    "%-I": _Directive("hour12", "(?:0?[1-9]|1[0-2])", "%I"),
    "%p": _Directive("half", "(?i:am|pm)", "%p"),
    "%M": _Directive("minute", "[0-5][0-9]", "%M"),
    "%S": _Directive("second", "[0-5][0-9]", "%S"),
    ".%f": _Directive("fraction", r"\.[0-9]{1,9}", "%.f"),
    "%z": _Directive("zone", f"(?:Z|[+-]{_HOURS}:?[0-5][0-9])", "%#z"),
    "%%": _Directive("", "%", "%%"),
}
"""A year of two digits is of 1970 to 2069; a fraction is cut to microseconds; months are in English. `-`: a leading zero may be missing."""
_TOKEN: Final = re.compile(r"\.%f|%-?.|[^%.]+|\.|%", re.DOTALL)
_NEEDED: Final = ({"year"}, {"month"}, {"day"})


class Form(NamedTuple):
    """One form of a date or a time."""

    written: str
    """As the user has it."""
    spelling: str
    """For the engine of tables, which is laxer: `pattern` has to match as well."""
    pattern: str
    """Matches the texts of this form, as a whole; days that no month has among them."""
    zoned: bool
    """Whether it says the offset from UTC."""

    def takes(self, text: str) -> bool:
        """Tell whether a text is of this form."""
        return re.match(self.pattern.replace(r"\z", r"\Z"), text) is not None


def read(written: str, *, times: bool) -> Form:
    """Read a form.

    Args:
        written: as the user has it.
        times: whether it may say a time of the day.

    Raises:
        ValueError: it is none; the text says why.

    """
    spelling, pattern, parts = "", "", list[str]()
    for token in _TOKEN.findall(written):
        directive = DIRECTIVES.get(token)
        if directive is None:
            if token.startswith("%"):
                raise ValueError(f"has {token!r}, which is no directive; there are {' '.join(DIRECTIVES)}")
            if any(character.isspace() and character != " " for character in token):
                raise ValueError("has white space other than blanks")
            spelling, pattern = spelling + token, pattern + re.escape(token)
            continue
        spelling, pattern = spelling + directive.spelling, pattern + directive.pattern
        parts += [directive.part] if directive.part else []
    _judge(parts, times=times)
    return Form(written, spelling, rf"\A(?:{pattern})\z", "zone" in parts)


def _judge(parts: list[str], *, times: bool) -> None:
    said = set(parts)
    if twice := next((part for part in parts if parts.count(part) > 1), None):
        raise ValueError(f"says the {twice} twice")
    if not all(said & needed for needed in _NEEDED):
        raise ValueError("has to say year, month and day")
    clock = said - {"year", "month", "day"}
    if clock and not times:
        raise ValueError("says a time of the day, which a date has none of; take the type datetime")
    if clock and not ({"hour", "minute"} <= clock or {"hour12", "half", "minute"} <= clock):
        raise ValueError("says a part of the time, so it has to say hour and minute: %H:%M, or %I:%M %p")
    if {"hour", "hour12"} <= clock or ("half" in clock) != ("hour12" in clock):
        raise ValueError("says the hour in two ways; take %H, or %I with %p")
    if "fraction" in clock and "second" not in clock:
        raise ValueError("says a fraction of seconds that it does not say")


ISO_DATE: Final = (read("%Y-%m-%d", times=False),)
"""What a date is where no form is given."""


def _iso() -> tuple[Form, ...]:
    made = []
    for zone in ("Z", "", "%z"):  # a Z that is written out is read at a fourth of the cost
        for clock in ("%H:%M:%S", "%H:%M:%S.%f", "%H:%M"):
            for separator in ("T", " "):
                form = read(f"%Y-%m-%d{separator}{clock}{zone}", times=True)._replace(zoned=bool(zone))
                made += [*_of_length(form), form] if clock.endswith("f") else [form]
    return (*made, read("%Y-%m-%d", times=True))


def _of_length(form: Form) -> list[Form]:
    """Return a form for fractions of three and of six digits, which are read at a seventh of the cost."""
    return [form._replace(spelling=form.spelling.replace("%.f", f".%{size}f"), pattern=form.pattern.replace("{1,9}", f"{{{size}}}")) for size in (3, 6)]


ISO_DATETIME: Final = _iso()
"""What a date and time is where no form is given; a text that is of two of these means the same in both."""
ISO_HULL: Final = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?\z"
"""Matches every text of one of these, and others: what it does not match need not be tried with each."""
