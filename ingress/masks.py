"""What is not shown of a request that was kept, whoever wrote it down."""

import json
import re
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote_plus, urlencode

import orjson

from flows.core import pointer, presets
from flows.core.errors import InvalidFields
from flows.core.imports.source import URL_CHARACTERS
from flows.core.pointer import Path
from flows.core.resources import StoredWebhook
from flows.core.verification import Signature
from ingress.envelope import CREDENTIALS

MASK: Final = "***"
SECRET: Final = re.compile(r"auth(?!ors?\b)|cookie|secret|token|passw|signature|credential|api[-_]?key|session|hmac|(?<![a-z])sig(?![a-z])", re.IGNORECASE)
"""Names of headers and parameters; what a sender signed with them is known to be good or bad from the verdict."""
BLANKS: Final = frozenset(" \t\r\n")
JSON: Final = json.JSONDecoder(parse_int=str, parse_float=str)
"""Finds where a value ends; numbers are passed over, however long they are."""

Span = tuple[int, int]


class Request(NamedTuple):
    """A request as it may be shown."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


def proof_of(stored: StoredWebhook | None) -> Signature | None:
    """Return where an endpoint's sender proves itself, the secret itself with some; None where that is not known."""
    if stored is None:
        return None
    try:
        return presets.resolve(stored.definition.preset, stored.definition.verification).signature
    except InvalidFields:  # another release knows the preset
        return None


def masked(name: str, proof: Signature | None = None) -> bool:
    """Tell whether the value of a header of that name is not shown."""
    if proof is not None and proof.header is not None:
        ours, theirs = proof.header.lower(), name.lower()
        if theirs == ours or (proof.numbered and theirs.startswith(ours)):
            return True
    return name.lower().encode("utf-8", "replace") in CREDENTIALS or SECRET.search(name) is not None


def request(raw: bytes | None, proof: Signature | None = None) -> Request | None:
    """Read `x-http` with credentials masked; None where it is not as the door writes it. A producer may have written it: the door leaves credentials out."""
    parameter = proof.query if proof is not None else None
    try:
        found = orjson.loads(raw or b"")
        headers = {str(name): MASK if masked(str(name), proof) else str(value) for name, value in found["headers"].items()}
        query = [(name, MASK if name == parameter or masked(name) else value) for name, value in parse_qsl(str(found["query"]), keep_blank_values=True)]
        return Request(str(found["method"]), str(found["path"]), urlencode(query, safe="*"), headers)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def source(url: str) -> str:
    """Return the URL of a file as it may be shown and stored: of its query the names, and no value, since any may be a signature."""
    front, mark, query = url.partition("?")
    if not query:
        return url
    pairs = (pair.partition("=") for pair in query.split("&"))
    told = front + mark + "&".join(name + equals + (MASK if value else "") if equals else (MASK if name else "") for name, equals, value in pairs)
    return told if len(told) <= URL_CHARACTERS else f"{front}?*"


def body(value: bytes, proof: Signature | None) -> bytes:
    """Return a body as it may be shown: what stands where its sender proves itself is masked, everything else is left byte for byte.

    Parses all of a JSON body; call it beside the event loop. What is no JSON, or no form, has no such place and is returned as it is.
    """
    if proof is not None and proof.path is not None:
        return _json(value, pointer.parse(proof.path))
    return _form(value, proof.form) if proof is not None and proof.form is not None else value


def _json(value: bytes, path: Path) -> bytes:
    try:
        text = value.decode()
        end, spans = _find(text, 0, path)
        if _after_blanks(text, end) < len(text):
            return value  # no JSON
    except (ValueError, RecursionError):
        return _unless_json(value)
    parts, at = [], 0
    for start, stop in spans:
        parts += [text[at:start], f'"{MASK}"']
        at = stop
    return "".join((*parts, text[at:])).encode()


def _unless_json(value: bytes) -> bytes:
    """Mask all of a body that the door may have read, though it is nested too deep to be looked through here."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    return f'"{MASK}"'.encode()


def _form(value: bytes, field: str) -> bytes:
    parts = []
    for part in value.split(b"&"):
        name, equals, _ = part.partition(b"=")
        hidden = equals and unquote_plus(name.decode("utf-8", "replace")) == field
        parts.append(name + equals + MASK.encode() if hidden else part)
    return b"&".join(parts)


def _find(text: str, at: int, path: Path) -> tuple[int, list[Span]]:
    """Return where the value that begins at `at` ends, and where in it those stand that `path` leads to: a key may be there twice.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep.

    """
    at = _after_blanks(text, at)
    if path and text[at : at + 1] in {"{", "["}:
        return _find_inside(text, at, path)
    _, end = JSON.raw_decode(text, at)
    return end, [] if path else [(at, end)]


def _find_inside(text: str, at: int, path: Path) -> tuple[int, list[Span]]:
    keyed = text[at] == "{"
    wanted, closing = (path[0], "}") if keyed else (pointer.index(path[0]), "]")
    found: list[Span] = []
    name: Any = -1
    at = _after_blanks(text, at + 1)
    if text[at : at + 1] == closing:
        return at + 1, found
    while True:
        if keyed:
            name, at = JSON.raw_decode(text, at)
            at = _past(text, at, ":")
        else:
            name += 1
        if name == wanted:
            at, spans = _find(text, at, path[1:])
            found += spans
        else:
            _, at = JSON.raw_decode(text, _after_blanks(text, at))
        at = _after_blanks(text, at)
        if text[at : at + 1] == closing:
            return at + 1, found
        at = _after_blanks(text, _past(text, at, ","))


def _past(text: str, at: int, mark: str) -> int:
    at = _after_blanks(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(at)
    return at + 1


def _after_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in BLANKS:
        at += 1
    return at
