"""What the forms of text that definitions ask for are in words: a pattern is for machines."""

from collections.abc import Mapping
from typing import Final

from ingress.paging import JOBS, REPLAYS, WEBHOOKS, form

CURSOR: Final = "the `next_cursor` of a page of this list, as it was given"
FORMS: Final[Mapping[str, str]] = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$": "1 to 128 letters, digits, '_', '.' and '-', the first a letter or digit",
    r"^(/([^~/]|~[01])*)+$": "a JSON pointer such as /order/id; write ~1 for a / in a name, and ~0 for a ~",
    r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$": "the name of a header, such as X-Event-Id",
    r"^[A-Za-z0-9._-]{1,249}$": "the name of a topic: 1 to 249 letters, digits, '.', '_' and '-'",
    r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s]+$": "a URL that begins with http:// or https:// and has no spaces",
    r"^[a-z][a-z0-9_]{0,31}$": "1 to 32 small letters, digits and '_', the first a letter",
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$": "a time of day such as 06:30, from 00:00 to 23:59",
    r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$": "a name of the time zone database, such as Europe/Berlin or UTC",
    r"^[\x01-\x09\x0b\x0c\x0e-\x7f]$": "one character of ASCII that is no line break",
    r"^/[^\x00]*$": "the whole path of a file, which begins with /",
    r"^[^/\s\x00]+(/[^/\s\x00]+){0,31}$": "the names of elements, at most 32, with / between them and none at the beginning",
    r"^(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})$": "the id of a dead letter, such as 3-1742, as a list of them gives it",
    r"^([0-9]{1,18}\.[0-9]{1,18}\.[0-9]{1,18})?$": CURSOR,
    **dict.fromkeys(map(form, (WEBHOOKS, JOBS, REPLAYS)), CURSOR),
    r"^[^\x00-\x1f\x7f-\x9f]*$": "text on one line, without control characters",
    r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$": "text without control characters other than tabs and line breaks",
    r"^[0-9]*$": CURSOR,
}
"""Each pattern that a request can be held against; a test goes through the OpenAPI document."""
