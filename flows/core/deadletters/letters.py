"""Dead letters as everybody sees them: the names of their headers, their two classes, and the fingerprint that groups equal causes."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final, Literal

from flows.core import ids, pointer
from flows.core.record import ATTEMPT, CE_ID, TRACE, Record
from flows.core.verdict import Reason

OURS_PREFIX: Final = "x-dlq-"
CONNECT_PREFIX: Final = "__connect.errors."
"""The header family of Kafka Connect (KIP-298), so that viewers of dead letters show ours."""
REPLAY_ID: Final = "x-replay-id"
"""On a record that was replayed: which replay brought it back."""
REPLAYED_LETTER: Final = "x-replayed-letter"
"""On a record that was replayed: the id of the dead letter it was."""
LEFT_OUT: Final = OURS_PREFIX + "left-out"
"""Present: the record was too large to be kept, and the letter only says where it stands."""

Class = Literal["ours", "theirs"]
OURS: Final[Class] = "ours"
THEIRS: Final[Class] = "theirs"
OURS_CODES: Final = frozenset({"bug", "unknown", "unknown_error", "unavailable", "no_such_topic", "unusable_definition", "secret_unusable"})
"""Codes that an operator of this installation has to see to; any other is the sender's, or the target's."""

MOST_EVENT_ID: Final = 512
MOST_FOLDED: Final = 300
MARK: Final = "#"
FINGERPRINT_BYTES: Final = 8
MOST_DIGITS: Final = 18

_QUOTED: Final = re.compile(r"""(?<!\w)'[^']*'|"[^"]*"|`[^`]*`""")
_OPEN: Final = r"[^\s,:;()\[\]{}=]"
_STATUS: Final = rf"(?:(?<=^HTTP )|(?<=[\s,:;()\[\]{{}}=]HTTP ))[1-9][0-9]{{2}}(?!{_OPEN})"
_WORD: Final = re.compile(rf"(?<!{_OPEN})(?!{_STATUS})[^\s,:;()\[\]{{}}=\d{MARK}]*+[\d{MARK}]{_OPEN}*+")
"""A word with a digit or a mark in it, but for an HTTP status; found in time that grows with the text."""
_CUT: Final = re.compile(r"\bHTTP [0-9]{1,2}\Z")
"""A status that was cut off at the end."""
_RUN: Final = re.compile(r"#(?:[\s,:;]*#)+")


def class_of(*codes: str) -> Class:
    """Say whose a letter with reasons of these codes is: `ours` where one is (a bug, a part that was away, a definition that cannot be run), else `theirs`."""
    return THEIRS if OURS_CODES.isdisjoint(codes) else OURS


def fold(detail: str) -> str:
    """Take out of a sentence what differs from record to record: quoted values, and every word with a digit in it but for an HTTP status.

    Folding twice changes nothing more.
    """
    folded = _WORD.sub(MARK, _QUOTED.sub(MARK, detail))
    return _CUT.sub("HTTP", _RUN.sub(MARK, " ".join(folded.split()))[:MOST_FOLDED]).rstrip()


def fold_pointer(where: str) -> str:
    """Take the array places out of a JSON pointer."""
    try:
        tokens = pointer.parse(where)
    except ValueError:
        return fold(where)
    return "".join("/" + (MARK if pointer.index(token) is not None else token.replace("~", "~0").replace("/", "~1")) for token in tokens)


def fingerprint(flow: str, step: str, resource: str, reasons: Iterable[Reason]) -> str:
    """Name a cause: 16 hex digits, equal for letters that one mend would spare. The same in every version, since counts go by it.

    The cause is the set of all reasons, folded: neither their order nor how often one is told makes another. What another resource is buried for is
    another cause, since a mended target or definition is one resource's.
    """
    folded = {_joined(reason.code, fold_pointer(reason.pointer), fold(reason.detail)) for reason in reasons}
    cause = _joined(flow, step, resource) + b"".join(b"%d:" % len(one) + one for one in sorted(folded))
    return hashlib.blake2b(cause, digest_size=FINGERPRINT_BYTES).hexdigest()


def _joined(*texts: str) -> bytes:
    """Join texts so that others never come out the same."""
    return b"".join(b"%d:" % len(part) + part for part in (text.encode("utf-8", "replace") for text in texts))


def event_id_of(record: Record) -> str:
    """Return the id of the event that a record carries; one that carries none readable is named by its place on the log."""
    raw = record.header(CE_ID)
    if raw and len(raw) <= MOST_EVENT_ID:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            pass
    return ids.origin_id(record.topic, record.partition, record.offset)


def letter_id(partition: int, offset: int) -> str:
    """Name a dead letter by its place on `xyra.dlq`."""
    return f"{partition}-{offset}"


def place_of(identifier: str) -> tuple[int, int] | None:
    """Return partition and offset of a dead letter's id, None when the text is none."""
    partition, _, offset = identifier.partition("-")
    parts = [int(part) for part in (partition, offset) if part.isascii() and part.isdecimal() and len(part) <= MOST_DIGITS]
    return (parts[0], parts[1]) if len(parts) == 2 and letter_id(*parts) == identifier else None  # noqa: PLR2004  the two parts


def restored(letter: Record) -> Record:
    """Return the record that a dead letter was made of: where it stood, its key, value and headers, ready to enter once more.

    What we and Connect have put on it is off, and so are its attempts, an earlier replay and a wish for a trace, for which nobody waits any more. It keeps its
    event's id: one that had none is named by the place where it first stood, so that it is the same event again.
    """
    ours = (OURS_PREFIX, CONNECT_PREFIX)
    kept = tuple(header for header in letter.headers if not header[0].startswith(ours) and header[0] not in NOT_RESTORED)
    topic = _header(letter, "topic").decode("utf-8", "replace")
    record = Record(topic, _number(letter, "partition"), _number(letter, "offset"), _number(letter, "timestamp"), letter.key, letter.value, kept)
    named = event_id_of(record)
    return record if record.text(CE_ID) == named else record._replace(headers=(*(header for header in kept if header[0] != CE_ID), (CE_ID, named.encode())))


NOT_RESTORED: Final = frozenset({ATTEMPT, TRACE, REPLAY_ID, REPLAYED_LETTER})


def _header(letter: Record, name: str) -> bytes:
    return letter.header(OURS_PREFIX + name) or b""


def _number(letter: Record, name: str) -> int:
    raw = _header(letter, name)
    return int(raw) if raw.isdigit() and len(raw) <= MOST_DIGITS else 0
