"""The tus routes in the OpenAPI document: what they take and answer is the protocol's (tus 1.0.0), and no model's of ours."""

from typing import Any, Final

from flows.core.imports.tus import EXTENSIONS
from flows.core.imports.tusheaders import ALGORITHMS, OFFSET_TYPE, VERSION
from ingress.refusals import BODY, refusals

PATH: Final = "/integration/import/tus"
WHOLE: Final = {"type": "integer", "minimum": 0}
TEXT: Final = {"type": "string"}
TOLD: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "Tus-Resumable": ({"type": "string", "enum": [VERSION]}, "The version of the protocol that is spoken."),
    "Tus-Version": (TEXT, "The versions that are spoken here."),
    "Tus-Extension": (TEXT, f"What is spoken of its extensions: {', '.join(EXTENSIONS)}."),
    "Tus-Max-Size": (WHOLE, "The most bytes that a file may have."),
    "Tus-Checksum-Algorithm": (TEXT, f"What `Upload-Checksum` may be made with: {', '.join(ALGORITHMS)}."),
    "Location": (TEXT, "The upload's own path."),
    "Upload-Offset": (WHOLE, "How many bytes have come; the next PATCH begins there."),
    "Upload-Length": (WHOLE, "How many bytes the file has."),
    "Upload-Defer-Length": ({"type": "string", "enum": ["1"]}, "How many bytes the file has is not known yet."),
    "Upload-Metadata": (TEXT, "What its sender says of the file: names, each with its value in base64, such as `filename`, `filetype`, `sha256`."),
    "Upload-Expires": (TEXT, "Until when it can be gone on with."),
    "Upload-Checksum": (TEXT, "The algorithm, and in base64 the checksum of this body: all of it is taken or nothing."),
    "Cache-Control": (TEXT, "`no-store`."),
}
"""The headers, asked and answered."""
BYTES: Final = {"content": {OFFSET_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
ONE: Final = {"name": "upload_id", "in": "path", "required": True, "schema": TEXT}
FOUND: Final = ("400", "401", "404", "410", "412", "503")
"""How a request about one upload may be refused, whatever it wants."""


def paths(prefix: str) -> dict[str, Any]:
    """Return the paths under a prefix, each with its methods."""
    options = _asked("What is spoken of tus", 204, ("Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"), ("400", "401"))
    return {
        prefix + PATH: _named(prefix, "uploads", {"options": options, "post": _begin()}),
        prefix + PATH + "/{upload_id}": _named(
            prefix, "upload", {"options": _of_one(options), "head": _of_one(_ask()), "patch": _of_one(_send()), "delete": _of_one(_end())}
        ),
    }


def _begin() -> dict[str, Any]:
    made = _asked("Begin an upload that can be resumed", 201, ("Location", "Upload-Offset", "Upload-Expires"), (*BODY, "401", "412", "460", "503"))
    takes = ("Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Checksum")
    about = "Say `Upload-Length`, or `Upload-Defer-Length: 1`. A body is the file's first bytes."
    return made | {"description": about, "parameters": [_version(), *map(_taken, takes)], "requestBody": {"required": False, **BYTES}}


def _ask() -> dict[str, Any]:
    told = ("Upload-Offset", "Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Expires", "Cache-Control")
    return _asked("Ask how much of an upload has come", 200, told, FOUND) | {"parameters": [_version()]}


def _send() -> dict[str, Any]:
    made = _asked("Send more of an upload", 204, ("Upload-Offset", "Upload-Expires"), (*FOUND, *BODY, "409", "423", "460"))
    about = "A client that can send POST alone says `X-HTTP-Method-Override: PATCH`; so with HEAD and DELETE. Bytes of a body that broke off are kept."
    takes = [_version(), {**_taken("Upload-Offset"), "required": True}, *map(_taken, ("Upload-Length", "Upload-Checksum"))]
    return made | {"description": about, "parameters": takes, "requestBody": {"required": True, **BYTES}}


def _end() -> dict[str, Any]:
    return _asked("Take an upload back", 204, (), (*FOUND, "423")) | {"parameters": [_version()]}


def _asked(summary: str, status: int, told: tuple[str, ...], refused: tuple[str, ...]) -> dict[str, Any]:
    headers = {name: {"description": TOLD[name][1], "schema": TOLD[name][0]} for name in ("Tus-Resumable", *told)}
    return {"tags": ["imports"], "summary": summary, "responses": {str(status): {"description": "So it is.", "headers": headers}, **refusals(refused)}}


def _of_one(operation: dict[str, Any]) -> dict[str, Any]:
    return {**operation, "parameters": [ONE, *operation.get("parameters", ())]}


def _version() -> dict[str, Any]:
    return {**_taken("Tus-Resumable"), "required": True}


def _taken(name: str) -> dict[str, Any]:
    schema, meaning = TOLD[name]
    return {"name": name, "in": "header", "description": meaning, "schema": schema}


def _named(prefix: str, what: str, methods: dict[str, Any]) -> dict[str, Any]:
    return {method: {**operation, "operationId": f"tus{prefix.replace('/', '_')}_{what}_{method}"} for method, operation in methods.items()}
