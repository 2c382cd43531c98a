"""The control plane: FastAPI, its routes under two prefixes, and problem documents for whatever goes wrong."""

import logging
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from flows.core.errors import PROBLEM, BadRequest, InvalidFields, MethodNotAllowed, NotFound, OurError, XyraError
from ingress import fields, methods, problems
from ingress.door import Door
from ingress.jobs import RULES, faults_within
from ingress.openapi import describe
from ingress.routes import (
    deliveries,
    events,
    flows,
    job_errors,
    job_events,
    jobs,
    letter_progress,
    letters,
    operations,
    preview,
    probe,
    replays,
    secrets,
    tus,
    uploads,
    webhooks,
)

LOG: Final = logging.getLogger("xyra.ingress")
PREFIXES: Final = ("", "/v1")


def control_plane(door: Door) -> FastAPI:
    """Return the control plane over the parts of an ingress."""
    app = routes()
    app.state.door = door
    return app


def routes() -> FastAPI:
    """Return the routes alone: enough for the OpenAPI document, and nothing can be asked of them."""
    app = FastAPI(title="Xyra Integration", version="1", docs_url=None, redoc_url=None, redirect_slashes=False, strict_content_type=False)
    for prefix in PREFIXES:
        imports = (uploads, tus, preview, jobs, job_errors, job_events)
        groups = (webhooks, secrets, deliveries, letters, letter_progress, flows, probe, events, replays, *imports, operations)
        for router in (group.router for group in groups):
            app.include_router(router, prefix=prefix)
    app.add_exception_handler(XyraError, _ours)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _bare)
    app.add_exception_handler(Exception, _bug)
    describe(app)
    return app


def _response(problem: problems.Problem) -> Response:
    headers = {name: value for name, value in problem.headers if name not in {"content-type", "content-length"}}
    return Response(problem.body, problem.status, headers, PROBLEM)


async def _ours(_: Request, error: Exception) -> Response:
    if not isinstance(error, XyraError):
        raise error
    return _response(problems.of_error(error))


async def _not_valid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    body_field = getattr(request.scope.get("route"), "body_field", None)
    wanted = body_field.field_info.annotation if body_field is not None else None
    wrong = fields.errors_of(error.errors(), error.body, wanted)
    if RULES not in {one.pointer for one in wrong}:
        wrong += faults_within(error.body)
    return _response(problems.of_error(InvalidFields("The request has fields that are not valid.", errors=wrong)))


async def _bare(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _response(problems.of_error(NotFound(methods.nowhere(request.method))))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        path = getattr(request.scope.get("route"), "path", "")
        found = methods.allowed(request.app.openapi()["paths"], path, request.path_params.get("endpoint_id", ""))
        if found:  # the framework knows of the first route it met, not of the others on the same path
            return _response(problems.of_error(MethodNotAllowed(methods.sentence(found)), {"allow": ", ".join(found)}))
        return _response(problems.of_error(MethodNotAllowed("This path does not take the method."), error.headers))
    return _response(problems.of_error(BadRequest(str(error.detail)), error.headers))


async def _bug(request: Request, error: Exception) -> Response:
    LOG.error("%s %s ended in an error of ours", request.method, request.url.path, exc_info=error)
    return _response(problems.of_error(OurError("This is an error of ours; the log has the details.")))
