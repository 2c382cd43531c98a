"""The test route: a signed sample goes the whole way, and the answer says what each step did with it."""

import asyncio
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter
from pydantic import Field

from flows.core import ids, topics
from flows.core.errors import FieldError, Gone, InvalidFields
from flows.core.fields import Model
from ingress.door import Door
from ingress.jsonbody import StrictRoute
from ingress.probes import Landed, Probe
from ingress.routes.answers import RECEIVE_PATH, Spot, Step, Tested
from ingress.routes.webhooks import TheDoor, known
from ingress.samples import Sample, sample_of
from ingress.status import TRACE
from ingress.verification import Signed, Unsigned
from ingress.view import Endpoint

router = APIRouter(prefix="/integration/webhooks", tags=["webhooks"], route_class=StrictRoute)
PATIENCE_S: Final = 4.5
"""How long after it was asked it says what it knows, wherever the event is then."""
LOOK_S: Final = 0.01
FLOW: Final = "webhooks"
ORIGIN: Final = "http://test.invalid"
"""Stands for the public address in signed URLs where no setting names one; the same is verified as was signed."""


class TestRequest(Model):
    """What to send; without it, the preset's own sample."""

    __test__ = False  # not a test, whatever its name begins with

    payload: Any = None
    """The body, any JSON; absent: the preset's sample, else a small object."""
    event_type: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Put where this sender puts it."""


@router.post("/test/{endpoint_id}", summary="Send a test event the whole way")
async def send_test(endpoint_id: str, door: TheDoor, wanted: TestRequest | None = None) -> Tested:
    """Sign a sample as the sender would, receive it, and wait up to 5 s for what the flow made of it. The event is a real one."""
    if known(door, endpoint_id).status != "active":
        raise Gone(f"The endpoint {endpoint_id} was deactivated; PUT makes it active again.")
    endpoint = door.definitions.endpoint(endpoint_id)
    started = door.clock.monotonic()
    steps: list[Step] = []
    landed, refused = await _send(door, endpoint, wanted or TestRequest(), steps) if endpoint is not None else (None, None)
    if landed is None:
        took = round((door.clock.monotonic() - started) * 1000)
        return Tested(endpoint_id=endpoint_id, event_id=None, outcome="rejected", steps=tuple(steps), outputs=(), missing=refused, took_ms=took)
    trace = await _wait(door, landed.event_id, started + PATIENCE_S)
    took = round((door.clock.monotonic() - started) * 1000)
    if trace is None:
        steps.append(Step(step="flow", verdict="missing"))
        missing = _silence(door)
        return Tested(endpoint_id=endpoint_id, event_id=landed.event_id, outcome="incomplete", steps=tuple(steps), outputs=(), missing=missing, took_ms=took)
    steps += [Step.model_validate(step) for step in trace.get("steps", ())]
    spots = tuple(Spot.model_validate(spot) for spot in trace.get("outputs", ()))
    return Tested(endpoint_id=endpoint_id, event_id=landed.event_id, outcome=_outcome(trace), steps=tuple(steps), outputs=spots, took_ms=took)


async def _send(door: Door, endpoint: Endpoint, wanted: TestRequest, steps: list[Step]) -> tuple[Landed | None, str | None]:
    """Sign and receive, noting each step; give where the record stands, or what the door said instead."""
    path = RECEIVE_PATH + endpoint.stored.definition.endpoint_id
    now_ms = door.clock.now_ms()
    sample = sample_of(endpoint.stored.definition, endpoint.scheme.verification, wanted.payload, wanted.event_type, ids.event_id(now_ms))
    secrets = endpoint.live(now_ms)
    if not secrets:
        steps.append(Step(step="sign", verdict="failed", reason="no_live_secret"))
        return None, "The endpoint has no live secret; add one."
    url = (door.settings.http_public_url or ORIGIN) + path
    signed = endpoint.scheme.sign(sample.body, secrets[-1], now_ms, event_id=sample.event_id, event_type=sample.event_type, url=url)
    if isinstance(signed, Unsigned) and signed.reason != "public_key_only":
        wrong = FieldError("/payload", signed.reason, "the sender puts an id, a time or a signature into the body: give a JSON object or a form")
        raise InvalidFields("The payload has no room for what this sender signs.", errors=(wrong,))
    trust = isinstance(signed, Unsigned)
    reason = "the endpoint holds only the sender's public key, so nothing here can sign for it" if trust else None
    steps.append(Step(step="sign", verdict="skipped" if trust else "signed", reason="public_key_only" if trust else None, detail=reason))
    probe = Probe(trust=trust)
    message = signed if isinstance(signed, Signed) else Signed((), sample.body, url)
    status, answered = await _receive(door, endpoint, path, sample, message, probe)
    if not probe.landed:
        steps.append(Step(step="receive", verdict="rejected", detail={"status": status, "answer": answered}))
        return None, "The door turned it away; the step `receive` has its answer."
    landed = probe.landed[0]
    spot = {"topic": topics.WEBHOOKS.name, "partition": landed.delivery.partition, "offset": landed.delivery.offset}
    steps.append(Step(step="receive", verdict="accepted", detail={"status": status, "secret_id": landed.secret_id or None, "record": spot}))
    return landed, None


async def _receive(door: Door, endpoint: Endpoint, path: str, sample: Sample, message: Signed, probe: Probe) -> tuple[int, Any]:
    """Hand the message to the hot path as the server would."""
    origin, _, query = message.url.partition("?")
    headers = [(b"host", origin.partition("://")[2].partition("/")[0].encode()), (b"content-type", sample.content_type.encode())]
    headers += [(name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in message.headers]
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": origin.partition("://")[0],
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": message.body, "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    await door.intake.receive(endpoint.stored.definition.endpoint_id, scope, receive, send, probe)
    return sent[0]["status"], orjson.loads(sent[1]["body"])


async def _wait(door: Door, event_id: str, until: float) -> dict[str, Any] | None:
    """Wait for the trace, and take it off the topic once it was seen."""
    while (trace := door.status.trace(event_id)) is None:
        if door.clock.monotonic() >= until:
            return None
        await asyncio.sleep(LOOK_S)
    door.producer.send(topics.STATUS.name, (TRACE + event_id).encode(), None)
    return trace


def _silence(door: Door) -> str:
    """Say why the flow may not have said anything."""
    whys = [str(why.get("why")) for (flow, _), why in door.status.pauses.items() if flow == FLOW]
    if whys:
        return f"The flow `{FLOW}` is paused. {whys[0]} The event waits; POST /integration/flows/{FLOW}/resume lets it go on."
    return f"The flow `{FLOW}` has not said what it did: see that a worker runs (`xyra status`) and does not lag (`GET /metrics`)."


def _outcome(trace: dict[str, Any]) -> Literal["emitted", "dropped", "buried", "waiting", "incomplete"]:
    found = trace.get("outcome")
    for outcome in ("emitted", "dropped", "buried", "waiting"):
        if found == outcome:
            return outcome
    return "incomplete"
