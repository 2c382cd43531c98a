"""Health and metrics: open to whoever can reach the port, as probes and scrapers expect; they show no secret and no payload."""

from typing import Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from flows.wire.telemetry import CONTENT_TYPE
from ingress import health, metrics
from ingress.negotiation import JSON, preferred
from ingress.routes.webhooks import TheDoor

router = APIRouter(tags=["operation"])
FORMS: Final = ("text/plain", JSON)
Verdict = Literal["ok", "degraded", "unavailable"]


class PartAnswer(BaseModel):
    """One thing the ingress stands on."""

    model_config = ConfigDict(extra="allow")

    status: health.State
    needed: bool
    """Whether webhooks are refused without it."""


class Health(BaseModel):
    """How the ingress is, part by part."""

    status: Verdict
    live: bool
    ready: bool
    parts: dict[str, PartAnswer]


class Yes(BaseModel):
    """A short answer for a probe."""

    status: Verdict


@router.get("/health", summary="How the ingress is, part by part", responses={503: {"model": Health, "description": "A part that is needed is away."}})
async def whole(door: TheDoor, response: Response) -> Health:
    """Look at every part; from memory, so that it is answered at once whatever is away."""
    parts = health.parts(door)
    is_ready = health.ready(door)
    fine = all(part.state in health.FINE for part in parts.values())
    response.status_code = 200 if is_ready else 503
    shown = {name: PartAnswer(status=part.state, needed=part.needed, **part.detail) for name, part in parts.items()}
    return Health(status="unavailable" if not is_ready else "ok" if fine else "degraded", live=health.live(door), ready=is_ready, parts=shown)


@router.get("/health/live", summary="Whether the process works", responses={503: {"model": Yes, "description": "Start it again."}})
async def live(door: TheDoor, response: Response) -> Yes:
    """Tell whether the event loop moved lately."""
    return _probe(response, yes=health.live(door))


@router.get("/health/ready", summary="Whether webhooks are taken", responses={503: {"model": Yes, "description": "Send no webhooks here now."}})
async def ready(door: TheDoor, response: Response) -> Yes:
    """Tell whether the definitions are read and the broker acknowledged something lately, or the spill log keeps what comes."""
    return _probe(response, yes=health.ready(door))


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus text, or JSON where `Accept` prefers it.", "content": {"text/plain": {}, "application/json": {}}}},
)
async def show_metrics(door: TheDoor, request: Request) -> Response:
    """Show every metric of this ingress and the flows' tallies: Prometheus text, or with `Accept: application/json` the same as JSON in plain words."""
    if preferred(request.headers.get("accept", ""), FORMS) == JSON:
        found: dict[str, Any] = metrics.as_json(door)
        return JSONResponse(found)
    return Response(door.telemetry.render(), media_type=CONTENT_TYPE)


def _probe(response: Response, *, yes: bool) -> Yes:
    response.status_code = 200 if yes else 503
    return Yes(status="ok" if yes else "unavailable")
