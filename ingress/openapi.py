"""The OpenAPI 3.1 document: what FastAPI finds, and what it cannot know: problems, keys, the hot path."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ingress import tusdoc
from ingress.metrics import OPEN_PATHS
from ingress.refusals import BODY, MEANING, REF, refusals
from ingress.routes.answers import Accepted, ProblemAnswer

RECEIVE: Final = "/integration/webhooks/{endpoint_id}"
UPLOAD: Final = "/integration/import/upload"


def describe(app: FastAPI) -> None:
    """Make the app answer `GET /openapi.json` with the whole document; it is put together on first use."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the way FastAPI documents for a document of one's own


def _document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, openapi_version="3.1.0", routes=app.routes)
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for model in (ProblemAnswer, Accepted):
        schema = model.model_json_schema(ref_template=REF + "{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    components["securitySchemes"] = {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    }
    found["security"] = [{"ApiKey": []}, {"Bearer": []}]
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            _complete(path, method, operation)
    for prefix in ("", "/v1"):
        found["paths"][prefix + RECEIVE]["post"] = _receive(prefix)
    found["paths"] = _with_tus(found["paths"])
    return found


def _with_tus(paths: dict[str, Any]) -> dict[str, Any]:
    """Put the tus routes, which FastAPI does not describe, behind the other way in which a file comes."""
    whole: dict[str, Any] = {}
    for path, methods in paths.items():
        whole[path] = methods
        if path.endswith(UPLOAD):
            whole |= tusdoc.paths(path.removesuffix(UPLOAD))
    return whole


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if path.removeprefix("/v1").startswith(OPEN_PATHS):
        operation["security"] = []
        return
    wanted = ["401", "422", "503", *(status for status in answers if status in MEANING)]
    wanted += BODY if "requestBody" in operation else []
    wanted += ["404"] if "{" in path else []
    if method in {"post", "put", "delete"}:
        wanted += ["409"]
    if "/test/" in path:
        wanted += ["410"]
    answers |= refusals(wanted)


def _receive(prefix: str) -> dict[str, Any]:
    """Describe the hot path, which is no route of FastAPI's."""
    statuses = ("400", "401", "408", "410", "413", "415", "503")
    stranger = "The endpoint is unknown, or the signature does not hold; both look the same."
    return {
        "tags": ["webhooks"],
        "summary": "Receive a webhook",
        "description": "Answered once the record is on the log, acknowledged by all replicas. Signed as the endpoint's verification says; takes no key. "
        "Some presets have their own success status, and their challenges are answered here.",
        "operationId": f"receive{prefix.replace('/', '_')}",
        "security": [],
        "parameters": [{"name": "endpoint_id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": {"required": True, "content": {"*/*": {"schema": {}}}},
        "responses": {
            "202": {"description": "It is on the log.", "content": {"application/json": {"schema": {"$ref": REF + "Accepted"}}}},
            **refusals(statuses, s401=stranger),
        },
    }
