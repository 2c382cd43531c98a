"""What a webhook is, once its bytes are here and its sender was looked at: a question, somebody to turn away, or a record for the log."""

from collections.abc import Mapping, MutableMapping
from typing import Any, Final, NamedTuple

from flows.core import ids, record
from flows.core.errors import Gone, TooLarge, Unauthorized, Unavailable, XyraError
from flows.wire.entry import Headers
from ingress.answers import Answer, accepted, of_challenge
from ingress.envelope import attributes, http_header, identify
from ingress.verification import Rejected, Request, Verified
from ingress.view import Endpoint

Scope = MutableMapping[str, Any]

NOBODY: Final = Unauthorized("The endpoint is unknown, or the signature does not hold.")
"""One answer for both, so that nobody learns which endpoints there are."""
DEFAULT_TYPE: Final = b"application/octet-stream"


class Turned(Exception):
    """A webhook is turned away: why, for the metrics, and what its sender is told."""

    def __init__(self, reason: str, error: XyraError, *, close: bool = False) -> None:
        """Take the reason's code, the error to answer with, and whether the connection is of no more use."""
        super().__init__(reason)
        self.reason = reason
        self.error = error
        self.close = close


class Arrival(NamedTuple):
    """A webhook that may go on the log: its record, and what is counted once it is there."""

    endpoint: Endpoint
    secret_id: str
    event_id: str
    now_ms: int
    key: bytes
    body: bytes
    fields: Headers

    def accepted(self) -> Answer:
        """Say that it is on the log."""
        return accepted(self.event_id, self.endpoint.scheme.verification.success_status)


def judge(
    endpoint: Endpoint,
    scope: Scope,
    headers: Mapping[bytes, bytes],
    request: Request,
    body: bytes,
    verdict: Verified | Rejected,
    now_ms: int,
    *,
    test: bool = False,
) -> Answer | Arrival:
    """Say what becomes of a request whose signature was looked at; nothing is awaited and nothing counted.

    Args:
        endpoint: whose it is.
        scope: of the request, as ASGI has it.
        headers: its headers by name, the last line of each.
        request: what was verified.
        body: its body, unpacked.
        verdict: what the verification says.
        now_ms: the time, milliseconds since the epoch.
        test: it is the test route's: no question is answered, and it is traced.

    Returns:
        The answer to a sender's question on set-up, or what is to be written.

    Raises:
        Turned: the sender did not prove itself, or the endpoint takes nothing any more.

    """
    active = endpoint.stored.status == "active"
    if active and not test and "POST" in endpoint.asks:
        asked = endpoint.scheme.challenge(request, endpoint.live(now_ms), verdict)
        if asked is not None:
            return of_challenge(asked)
    if isinstance(verdict, Rejected):
        raise Turned(verdict.reason, NOBODY)
    if not active:  # told only to whom the endpoint knows: to anybody else it looks like one that never was
        raise Turned("inactive", Gone(f"The endpoint {endpoint.stored.definition.endpoint_id} was deactivated; nothing was taken."))
    return _arrival(endpoint, scope, headers, body, verdict, now_ms, test)


def _arrival(endpoint: Endpoint, scope: Scope, headers: Mapping[bytes, bytes], body: bytes, verdict: Verified, now_ms: int, test: bool) -> Arrival:  # noqa: FBT001  as `judge` has it
    event_id = ids.event_id(now_ms)
    sender_id, key = identify(endpoint.places, verdict.sender_id, headers, body)
    content_type = headers.get(b"content-type", DEFAULT_TYPE).decode("latin-1")
    fields = attributes(endpoint.stored.definition.endpoint_id, event_id, now_ms, content_type)
    fields += [(record.KEY_ID, verdict.secret_id), (record.HTTP, http_header(scope, endpoint.hidden))]
    if verdict.event_type:
        fields.append((record.CE_TYPE, verdict.event_type))
    if sender_id:
        fields.append((record.SENDER_ID, sender_id))
    if test:
        fields += [(record.TEST, "1"), (record.TRACE, "1")]
    return Arrival(endpoint, verdict.secret_id, event_id, now_ms, key, body, fields)


def not_written(error: TooLarge | Unavailable) -> Turned:
    """Turn away a webhook that the broker did not take, or did not acknowledge in time."""
    return Turned("too_large_for_broker" if isinstance(error, TooLarge) else "unavailable", error)


def url_of(scope: Scope, headers: Mapping[bytes, bytes], public_url: str) -> str:
    """Return the URL as the sender saw it; a lie in the proxy's headers breaks the signature and nothing else."""
    base = public_url
    if not base:
        host = headers.get(b"x-forwarded-host") or headers.get(b"host", b"")
        proto = headers.get(b"x-forwarded-proto", scope["scheme"].encode())
        base = f"{proto.decode('latin-1')}://{host.decode('latin-1')}"
    query = scope["query_string"]
    path = scope["raw_path"].decode("latin-1")
    return f"{base}{path}?{query.decode('latin-1')}" if query else base + path
