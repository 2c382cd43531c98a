"""The hot path: a webhook comes in, its sender proves itself, the record is on the log, and only then the answer is 202.

While the broker is away the log is that of this machine's disk (`flows/wire/spill.py`).

Plain ASGI: the order is route, size while reading, signature over the raw bytes, produce, acknowledgement. Everything it
needs is in memory; nothing here blocks or asks anybody but the broker.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from flows.core import record, signals, topics
from flows.core.clock import Clock
from flows.core.errors import Refused, TooLarge, Unavailable
from flows.core.settings import Settings
from flows.wire.entry import Headers
from flows.wire.produce import Delivery, LoopProducer, Outcome
from flows.wire.spill import Spill
from flows.wire.telemetry import Telemetry
from ingress.answers import Answer, Send, of_challenge, of_error, respond
from ingress.body import Budget, Disconnected, Patience, Receive, inflate, read_body
from ingress.judgement import NOBODY, Arrival, Scope, Turned, judge, not_written, url_of
from ingress.probes import Landed, Probe
from ingress.tallies import Tallies
from ingress.verification import Rejected, Request, Verified, decoy_verify
from ingress.view import Definitions, Endpoint

ROUTE: Final = "/integration/webhooks/{endpoint_id}"
LARGE: Final = 256 * 1024
"""From here on a body is hashed in a thread: a millisecond in the loop is a millisecond for everybody."""
UNKNOWN: Final = "-"
ACCEPTED: Final = 202
PLAIN: Final = frozenset({b"", b"identity"})
STARTING: Final = Unavailable("The definitions are still being read; send it again.", retry_after_s=1)
VOUCHED: Final = Verified("", None, None, None)


class Intake:
    """Receives webhooks. A crash loses nothing that was answered.

    What is answered with 202 is on the log, acknowledged by all replicas, or on this machine's disk, from where it comes to the log once.
    An acknowledgement that does not come in time is answered with 503, and the record may land all the same: the
    sender sends again, and the flow drops the second one by the sender's id or the body's hash.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        definitions: Definitions,
        tallies: Tallies,
        producer: LoopProducer,
        spill: Spill,
        telemetry: Telemetry,
        ready: Callable[[], bool],
    ) -> None:
        """Take the parts; `ready` says whether all definitions have been read."""
        self._settings = settings
        self._clock = clock
        self._definitions = definitions
        self._tallies = tallies
        self._producer = producer
        self._spill = spill
        self._ready = ready
        self._telemetry = telemetry
        self._limit = settings.webhook_max_payload_size
        self._budget = Budget(settings.webhook_max_held_bytes)
        self._patience = Patience(settings.webhook_body_timeout_ms / 1000)
        self.in_flight = 0
        """Requests in hand."""
        self._answered = telemetry.child(signals.HTTP_REQUESTS, route=ROUTE, method="POST", status=ACCEPTED)
        self._seconds = telemetry.child(signals.HTTP_SECONDS, route=ROUTE)
        self._accepted = telemetry.child(signals.WEBHOOKS_ACCEPTED)
        self._bytes = telemetry.child(signals.WEBHOOK_BYTES)

    async def receive(self, endpoint_id: str, scope: Scope, receive: Receive, send: Send, probe: Probe | None = None) -> None:
        """Take one POST and answer it; `probe` is the test route's."""
        started = monotonic()
        self.in_flight += 1
        held = 0
        try:
            headers = dict(scope["headers"])
            self._admit()
            wire = await self._read(headers, receive)
            held = len(wire)
            answer = await self._handle(endpoint_id, scope, headers, wire, probe)
        except Disconnected:
            self._count_rejected(endpoint_id, "disconnected")
            return
        except Turned as turned:
            answer = self._turned(endpoint_id, turned)
        finally:
            self._let_go(held, started)
        self._count_answer(answer)
        await respond(answer, send)

    def takes_whole(self, size: int) -> bool:
        """Tell whether `take` is for a body of that size, in bytes."""
        return size < LARGE and size <= self._limit

    def take(self, endpoint_id: str, scope: Scope, body: bytes, answer: Callable[[Answer], None]) -> None:
        """Take a POST that has come whole and is not packed, as nearly all have: what `receive` does, without a task for each.

        `answer` is called once, at once or when the broker has answered, and must not raise.
        """
        started = monotonic()
        self.in_flight += 1
        held = 0

        def done(found: Answer) -> None:
            self._let_go(held, started)
            self._count_answer(found)
            answer(found)

        def written(outcome: Outcome) -> None:
            done(self._written(arrival) if isinstance(outcome, Delivery) else self._turned(endpoint_id, not_written(outcome)))

        try:
            self._admit()
            self._hold(len(body))
            held = len(body)
            judged = self._judge_whole(endpoint_id, scope, body)
            if isinstance(judged, Answer):
                done(judged)
                return
            arrival = judged
            self._post(arrival, written)
        except Turned as turned:
            done(self._turned(endpoint_id, turned))
        except BaseException:
            self._let_go(held, started)
            raise

    def ask(self, endpoint_id: str, scope: Scope) -> Answer | None:
        """Answer a GET or HEAD with which a sender asks whether the endpoint is its own; None: it asks nothing that is answered here."""
        if not self._ready():  # a sender that is told 401 may never ask again
            return of_error(STARTING)
        try:
            endpoint = self._definitions.endpoint(endpoint_id)
        except Unavailable:
            return None
        if endpoint is None or endpoint.stored.status != "active" or "GET" not in endpoint.asks:
            return None
        request = self._request(scope, dict(scope["headers"]), b"")
        asked = endpoint.scheme.challenge(request, endpoint.live(self._clock.now_ms()))
        return None if asked is None else of_challenge(asked)

    def _admit(self) -> None:
        if not self._ready():
            raise Turned("starting", STARTING)
        if self.in_flight > self._settings.webhook_max_in_flight:
            raise Turned("overload", Unavailable("Too many requests are in hand; send it again.", retry_after_s=1))

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        try:
            return await read_body(receive, headers.get(b"content-length"), self._limit, self._patience, self._budget)
        except Unavailable as error:
            raise Turned("overload", error) from error
        except Refused as error:
            raise Turned(error.code, error, close=True) from error  # what is left of the body would be read as the next request

    def _hold(self, size: int) -> None:
        try:
            self._budget.take(size)
        except Unavailable as error:
            raise Turned("overload", error) from error

    def _let_go(self, held: int, started: float) -> None:
        self._budget.give_back(held)
        self.in_flight -= 1
        self._seconds.observe(monotonic() - started)

    async def _handle(self, endpoint_id: str, scope: Scope, headers: dict[bytes, bytes], wire: bytes, probe: Probe | None) -> Answer:
        now_ms = self._clock.now_ms()
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        body = wire if encoding in PLAIN else await self._inflated(wire, encoding.decode("latin-1"))
        request = self._request(scope, headers, wire, None if body is wire else body)
        endpoint = self._endpoint(endpoint_id)
        if endpoint is None:
            await self._pretend(request)
            raise Turned("unknown_endpoint", NOBODY)
        verdict = VOUCHED if probe is not None and probe.trust else await self._verify(endpoint, request, now_ms)
        judged = judge(endpoint, scope, headers, request, body, verdict, now_ms, test=probe is not None)
        if isinstance(judged, Answer):
            return judged
        try:
            way = self._spill if probe is None else self._producer  # a test asks whether the broker takes it now
            sent = way.send(topics.WEBHOOKS.name, judged.key, judged.body, self._fields(judged))
            delivery = await (sent if probe is None else probe.acknowledged(sent))
        except (TooLarge, Unavailable) as error:
            raise not_written(error) from error
        if probe is not None:
            probe.landed.append(Landed(judged.event_id, delivery, judged.secret_id))
        return self._written(judged)

    def _judge_whole(self, endpoint_id: str, scope: Scope, body: bytes) -> Answer | Arrival:
        now_ms, headers = self._clock.now_ms(), dict(scope["headers"])
        request = self._request(scope, headers, body)
        endpoint = self._endpoint(endpoint_id)
        if endpoint is None:
            decoy_verify(request)
            raise Turned("unknown_endpoint", NOBODY)
        return judge(endpoint, scope, headers, request, body, endpoint.scheme.verify(request, endpoint.live(now_ms), now_ms), now_ms)

    def _post(self, arrival: Arrival, written: Callable[[Outcome], None]) -> None:
        try:
            self._spill.post(topics.WEBHOOKS.name, arrival.key, arrival.body, self._fields(arrival), written)
        except Unavailable as error:
            raise not_written(error) from error

    def _fields(self, arrival: Arrival) -> Headers:
        return [*arrival.fields, (record.CONFIG_OFFSET, self._definitions.offset_text)]

    def _request(self, scope: Scope, headers: dict[bytes, bytes], body: bytes, unpacked: bytes | None = None) -> Request:
        return Request(scope["method"], url_of(scope, headers, self._settings.http_public_url), scope["headers"], body, unpacked)

    def _endpoint(self, endpoint_id: str) -> Endpoint | None:
        try:
            return self._definitions.endpoint(endpoint_id)
        except Unavailable as error:  # the log has the detail; an operator mends it, and the sender comes back
            raise Turned("unusable", Unavailable("The endpoint cannot be used at the moment; send it again.", retry_after_s=60)) from error

    async def _inflated(self, wire: bytes, encoding: str) -> bytes:
        try:
            return await asyncio.to_thread(inflate, wire, encoding, self._limit)
        except Refused as error:
            raise Turned(error.code, error) from error

    async def _verify(self, endpoint: Endpoint, request: Request, now_ms: int) -> Verified | Rejected:
        secrets, verify = endpoint.live(now_ms), endpoint.scheme.verify
        if max(len(request.body), len(request.document)) < LARGE:
            verdict = verify(request, secrets, now_ms)
        else:
            verdict = await asyncio.to_thread(verify, request, secrets, now_ms)
        if isinstance(verdict, Rejected) and request.unpacked is not None:  # senders differ in whether they sign before or after they pack
            verdict = await asyncio.to_thread(verify, request._replace(body=request.unpacked), secrets, now_ms)
        return verdict

    async def _pretend(self, request: Request) -> None:
        """Do the work of `_verify` for an endpoint that there is not."""
        if max(len(request.body), len(request.document)) < LARGE:
            decoy_verify(request)
        else:
            await asyncio.to_thread(decoy_verify, request)
        if request.unpacked is not None:
            await asyncio.to_thread(decoy_verify, request._replace(body=request.unpacked))

    def _written(self, arrival: Arrival) -> Answer:
        """Count a webhook that is on the log, and say so."""
        tally = arrival.endpoint.tally
        tally.received += 1
        tally.accepted += 1
        tally.last_received_ms = arrival.now_ms
        tally.keys[arrival.secret_id] = arrival.now_ms
        tally.changed = True
        self._accepted.inc()
        self._bytes.inc(len(arrival.body))
        return arrival.accepted()

    def _turned(self, endpoint_id: str, turned: Turned) -> Answer:
        self._count_rejected(endpoint_id, turned.reason)
        return of_error(turned.error, close=turned.close)

    def _count_answer(self, answer: Answer) -> None:
        if answer.status == ACCEPTED:
            self._answered.inc()
        else:
            self._telemetry.count(signals.HTTP_REQUESTS, route=ROUTE, method="POST", status=answer.status)

    def _count_rejected(self, endpoint_id: str, reason: str) -> None:
        known = self._definitions.raw(endpoint_id) is not None
        tally = self._tallies.of(endpoint_id if known else UNKNOWN)
        tally.received += 1
        tally.last_received_ms = self._clock.now_ms()
        tally.reject(reason)
        self._telemetry.count(signals.WEBHOOKS_REJECTED, reason=reason)
