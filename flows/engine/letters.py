"""Dead letters: the original bytes, and everything one needs to know about why they are here."""

from typing import Final, NamedTuple

import orjson

from flows.core import topics
from flows.core.deadletters.letters import CONNECT_PREFIX as CONNECT
from flows.core.deadletters.letters import LEFT_OUT, class_of, event_id_of, fingerprint
from flows.core.deadletters.letters import OURS_PREFIX as OURS
from flows.core.record import ATTEMPT, Header, Output, Record
from flows.core.verdict import Bury, Reason

MOST_REASONS: Final = 50
MOST_DETAIL: Final = 1000
MOST_DIGITS: Final = 9


def attempt(record: Record) -> int:
    """Return how often a record was tried before; a header that is no such number counts as never."""
    text = record.header(ATTEMPT) or b""
    return int(text) if text.isdigit() and len(text) <= MOST_DIGITS else 0


def with_header(record: Record, name: str, value: bytes) -> Record:
    """Return the record with one header set, in place of any others of that name."""
    return record._replace(headers=(*(header for header in record.headers if header[0] != name), (name, value)))


class Where(NamedTuple):
    """Where a record was buried."""

    flow: str
    step: str
    resource: str
    """What it is counted under."""


def letter(where: Where, record: Record, verdict: Bury, now_ms: int, version: str) -> Output:
    """Make the dead letter of a record: its key, value and headers as they came, and ours behind them.

    What an earlier burial said, of a record that was replayed since, is left out, and so is how often it was tried, which `x-dlq-attempt` says.
    """
    kept = tuple(header for header in record.headers if header[0] != ATTEMPT and not header[0].startswith((OURS, CONNECT)))
    told = (*_ours(where, record, verdict, now_ms, version), *_connect(where, record, verdict.reasons[0]))
    if size(record) > topics.RECORD_BYTES:  # compressed, a record can be larger on the log than anybody may write it again
        return Output(topics.DLQ.name, None, None, (*told, (LEFT_OUT, b"%d" % size(record))))
    return Output(topics.DLQ.name, record.key, record.value, kept + told)


def size(record: Record) -> int:
    """Return how many bytes a record has, headers included."""
    return len(record.key or b"") + len(record.value or b"") + sum(len(name) + len(value or b"") for name, value in record.headers)


def _ours(where: Where, record: Record, verdict: Bury, now_ms: int, version: str) -> tuple[Header, ...]:
    reasons = verdict.reasons
    told = [{"code": reason.code, "detail": _clean(reason.detail), "pointer": _clean(reason.pointer)} for reason in reasons[:MOST_REASONS]]
    return (
        ("x-dlq-topic", record.topic.encode()),
        ("x-dlq-partition", b"%d" % record.partition),
        ("x-dlq-offset", b"%d" % record.offset),
        ("x-dlq-timestamp", b"%d" % record.timestamp_ms),
        ("x-dlq-flow", where.flow.encode()),
        ("x-dlq-step", where.step.encode()),
        ("x-dlq-time", b"%d" % now_ms),
        ("x-dlq-attempt", b"%d" % (attempt(record) + verdict.counts)),
        ("x-dlq-version", version.encode()),
        ("x-dlq-code", reasons[0].code.encode()),
        ("x-dlq-class", class_of(*(reason.code for reason in reasons)).encode()),
        ("x-dlq-fingerprint", fingerprint(*where, reasons).encode()),
        ("x-dlq-event-id", event_id_of(record).encode()),
        ("x-dlq-reasons", orjson.dumps(told)),
        ("x-dlq-reason-count", b"%d" % len(reasons)),
        ("x-dlq-resource", where.resource.encode()),
    )


def _connect(where: Where, record: Record, reason: Reason) -> tuple[Header, ...]:
    return (
        (CONNECT + "topic", record.topic.encode()),
        (CONNECT + "partition", b"%d" % record.partition),
        (CONNECT + "offset", b"%d" % record.offset),
        (CONNECT + "connector.name", f"xyra-{where.flow}".encode()),
        (CONNECT + "task.id", b"%d" % record.partition),
        (CONNECT + "stage", where.step.upper().encode()),
        (CONNECT + "class.name", where.step.encode()),
        (CONNECT + "exception.class.name", reason.code.encode()),
        (CONNECT + "exception.message", _clean(reason.detail).encode()),
        (CONNECT + "exception.stacktrace", b""),
    )


def _clean(text: str) -> str:
    """Return text that is not too long and can be encoded; half a surrogate pair, out of somebody's JSON, cannot."""
    return text[:MOST_DETAIL].encode("utf-8", "replace").decode()
