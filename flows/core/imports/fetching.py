"""Files that are fetched over HTTP, as rules: what a request says, what an answer means, where a redirect leads, how long to wait. No I/O."""

import re
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import urldefrag, urljoin

from flows.core.imports.staged import Later, Staged
from flows.core.outbound.backoff import Schedule, read_retry_after
from flows.core.outbound.egress import Failure, Refusal
from flows.core.outbound.urls import BadUrl, read

MOST_REDIRECTS: Final = 5
MOST_CALLS: Final = 1000
"""Requests for one file: a connection that breaks off again and again is given up at last."""
MOST_ANEW: Final = 3
"""How often a file that has changed is begun anew."""
MOST_WAIT_MS: Final = 3_600_000
"""However long a server asks to be left alone."""
WAITS: Final = Schedule(8, tuple(1000 * s for s in (2, 5, 15, 60, 120, 300, 300)))
"""Between attempts in a row that bring nothing."""
FEW: Final = 3
"""Attempts where a server says that the request is wrong: it may be about to be right, and whoever ordered the job wants to know soon."""
_OK, _PARTIAL, _SAME, _PAST_END = 200, 206, 304, 416
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_SOON: Final = frozenset({408, 425, 429})
_SERVERS_FAULT: Final = 500
_RANGE: Final = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")
_WORDS: Final = {
    401: "; look at source_config.headers",
    403: "; look at source_config.headers, and whether a signed URL has expired",
    404: "; look at the URL",
    410: "; look at the URL",
}


class Trouble(Exception):
    """Nothing comes of it: for good, or for now where `later` says how to go on. The sentence holds no query and nothing that a server said but its status."""

    def __init__(self, sentence: str, later: Later | None = None, *, changed: bool = False) -> None:
        """Make it; with `changed`, the file is not the one whose beginning was brought in."""
        super().__init__(sentence)
        self.sentence = sentence
        self.later = later
        self.changed = changed


class Begin(NamedTuple):
    """The body that comes is the file from a byte on."""

    start: int
    etag: str
    modified: str
    resumable: bool
    total: int | None
    """Bytes of the whole file."""


class Moved(NamedTuple):
    """It is elsewhere."""

    url: str
    stranger: bool
    """Another scheme, host or port: what was for the first one is not for it."""


class Same(NamedTuple):
    """It is as it was when an earlier run read it."""


def shown(url: str) -> str:
    """Return a URL as a sentence has it: without its query."""
    return url.partition("?")[0][:300]


def later(sentence: str, attempts: int = WAITS.attempts, wait_ms: int = 0) -> Trouble:
    """Make trouble that may pass."""
    return Trouble(sentence, Later(sentence, attempts, wait_ms))


def failed(outcome: Refusal | Failure) -> Trouble:
    """Make trouble of a call that has no answer; one that was refused is refused for good, since somebody looks at the job now."""
    return Trouble(outcome.detail) if isinstance(outcome, Refusal) else later(outcome.detail)


def conditions(staged: Staged, at: int, known: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the headers that say what is asked for: the file from `at` on if it is the one it was, or all of it if it is not the `known` one.

    Args:
        staged: how far it was brought in, and what its server said of it.
        at: the byte to begin with; above 0 only where it is `resumable`.
        known: `{"etag", "modified"}` of what an earlier run has read, or nothing.

    """
    if at:
        return (("Range", f"bytes={at}-"), ("If-Range", staged.etag or staged.modified))
    if staged.at:
        return ()
    told = (("If-None-Match", known.get("etag", "")), ("If-Modified-Since", known.get("modified", "")))
    return tuple((name, value) for name, value in told if value)


def judge(url: str, status: int, headers: tuple[tuple[str, str], ...], staged: Staged, at: int, most_bytes: int, now_ms: int) -> Begin | Moved | Same:
    """Say what an answer means.

    Args:
        url: what was called.
        status: of the answer.
        headers: its headers, names in lower case.
        staged: how far the file was brought in.
        at: the byte that was asked for.
        most_bytes: what a file may have.
        now_ms: the time.

    Raises:
        Trouble: no file comes of it.

    """
    found = dict(reversed(headers))  # the first of a name counts
    if status in _MOVED and "location" in found:
        return _moved(url, found["location"])
    if status == _SAME and not staged.at:
        return Same()
    begin = _begin(url, status, found, staged, at)
    if begin is None:
        raise _refused(url, status, found, now_ms)
    if _changed(begin, staged):
        raise Trouble(f"{shown(url)} was changed while it was fetched.", changed=True)
    if begin.total is not None and begin.total > most_bytes:
        raise too_large(url, most_bytes)
    coding = found.get("content-encoding", "identity").strip().lower()
    if coding not in {"", "identity", "gzip", "x-gzip", "zstd"}:
        raise Trouble(f"{shown(url)} comes in the content encoding {coding[:20]!r} although none was asked for; have it sent as it is.")
    return begin


def too_large(url: str, most_bytes: int) -> Trouble:
    """Make the trouble of a file that is too large."""
    return Trouble(f"{shown(url)} has more than the {most_bytes:,} bytes that INTEGRATION_BATCH_IMPORT_MAX_FILE_SIZE allows.")


def _begin(url: str, status: int, found: Mapping[str, str], staged: Staged, at: int) -> Begin | None:
    """Return where a body begins, None for an answer that is no part of the file that was asked for."""
    etag, modified = found.get("etag", "")[:256], found.get("last-modified", "")[:64]
    sure = (bool(etag) and not etag.startswith("W/")) or (not etag and _settled(modified, found.get("date", "")))
    if status == _OK:
        length = found.get("content-length", "")
        total = int(length) if length.isdecimal() and "transfer-encoding" not in found else None
        return Begin(0, etag, modified, sure, total)
    told = _RANGE.fullmatch(found.get("content-range", ""))
    if at and told is not None and status in {_PARTIAL, _PAST_END}:
        total = int(told[2]) if told[2] != "*" else None
        if status == _PARTIAL and told[1] is not None and int(told[1]) == at:
            return Begin(at, etag or staged.etag, modified or staged.modified, staged.resumable, total)
        if status == _PAST_END:
            if total == at:
                return Begin(at, staged.etag, staged.modified, staged.resumable, total)
            raise Trouble(f"{shown(url)} was changed while it was fetched.", changed=True)
    return None


def _changed(begin: Begin, staged: Staged) -> bool:
    """Tell whether a file is surely not the one whose beginning was brought in."""
    pairs = ((begin.etag, staged.etag), (begin.modified, staged.modified)) if staged.at else ()
    told = [now != before for now, before in pairs if now and before]
    sizes = begin.total is not None and staged.at > 0 and (begin.total < staged.at or (staged.total is not None and begin.total != staged.total))
    return sizes or any(told)


def _settled(modified: str, date: str) -> bool:
    """Tell whether a time of change tells one state from another: a second later the file was still as it is (RFC 9110 §8.8.2.2)."""
    try:
        return parsedate_to_datetime(date) - parsedate_to_datetime(modified) >= timedelta(seconds=1)
    except (ValueError, TypeError):  # TypeError: one of them tells no zone
        return False


def _moved(url: str, location: str) -> Moved:
    before = read(url)
    try:
        after = urldefrag(urljoin(url, location.strip())).url
        there = read(after)
    except (BadUrl, ValueError) as error:
        raise Trouble(f"{shown(url)} redirects to what cannot be called: {error}") from error
    if (before.scheme, there.scheme) == ("https", "http"):
        raise Trouble(f"{shown(url)} redirects from https to http, which is not followed; give the URL it leads to.")
    return Moved(after, (before.scheme, before.host, before.port) != (there.scheme, there.host, there.port))


def _refused(url: str, status: int, found: Mapping[str, str], now_ms: int) -> Trouble:
    soon = status >= _SERVERS_FAULT or status in _SOON
    sentence = f"{shown(url)} answered {status}{_WORDS.get(status, '')}."
    wait_ms = read_retry_after(found["retry-after"], now_ms) if soon and "retry-after" in found else None
    return later(sentence, WAITS.attempts if soon else FEW, min(wait_ms or 0, MOST_WAIT_MS))
