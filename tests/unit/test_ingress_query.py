"""What stands in a query and means nothing is refused on every route, and so is a cursor that no page has given."""

import asyncio
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from ingress.control import routes
from ingress.metrics import OPEN_PATHS
from ingress.openapi import RECEIVE
from ingress.paging import JOBS, WEBHOOKS, after, name_in
from ingress.problems import MOST_ERRORS
from ingress.tusdoc import PATH as TUS

LISTS: Final = {
    "/integration/webhooks": "limit, cursor",
    "/integration/import/jobs": "status, name, limit, cursor",
    "/integration/replays": "limit, cursor",
    "/integration/import/jobs/x/errors": "format, turn, limit, cursor",
    "/integration/dlq": "flow, resource, class, fingerprint, event_id, from, to, status, id, group, limit, cursor",
}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = routes()
    app.state.door = None  # what is not valid is refused before the door is asked for anything
    return app


def ask(app: FastAPI, method: str, path: str, **query: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door.invalid") as client:
            return await client.request(method, path, params=query or None, json={} if method in {"POST", "PUT"} else None)

    return asyncio.run(asked())


def strict() -> list[tuple[str, str]]:
    """Return the methods and paths of the control plane; the hot path takes what senders add, and tus is a protocol of others."""
    paths: dict[str, Any] = routes().openapi()["paths"]
    return [
        (method.upper(), path)
        for path, methods in paths.items()
        for method in methods
        if not path.removeprefix("/v1").startswith((*OPEN_PATHS, TUS)) and (method, path.removeprefix("/v1")) != ("post", RECEIVE)
    ]


@pytest.mark.parametrize(("method", "path"), strict())
def test_a_parameter_that_is_not_known_is_refused_everywhere(app: FastAPI, method: str, path: str) -> None:
    answer = ask(app, method, path, foo="1", limit="")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "/query/foo"


@pytest.mark.parametrize(("path", "known"), LISTS.items())
def test_those_that_are_known_are_named(app: FastAPI, path: str, known: str) -> None:
    (error,) = ask(app, "GET", path, curser="x", limit="1").json()["errors"]
    assert error == {
        "pointer": "/query/curser",
        "code": "unknown_parameter",
        "detail": f"there is no parameter curser; did you mean cursor? there are {known}",
    }
    (error,) = ask(app, "GET", "/integration/flows", curser="x").json()["errors"]
    assert error["detail"] == "there is no parameter curser; this route has none"


def test_only_so_many_are_named_and_in_short(app: FastAPI) -> None:
    answer = ask(app, "GET", "/integration/webhooks", **{f"{n}/{'x' * 90}": "" for n in range(300)})
    errors = answer.json()["errors"]
    assert (answer.status_code, len(errors)) == (422, MOST_ERRORS)
    assert errors[0]["pointer"] == f"/query/0~1{'x' * 62}"


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("cursor", ["nope", "webhooks:", "jobs:a/b", "0.0", "018f-1", "others:a"])
def test_a_cursor_that_no_page_has_given_is_refused(app: FastAPI, path: str, cursor: str) -> None:
    answer = ask(app, "GET", path, cursor=cursor)
    assert answer.status_code == 422, answer.text
    assert [(error["pointer"], error["detail"]) for error in answer.json()["errors"]] == [
        ("/query/cursor", "give the `next_cursor` of a page of this list, as it was given")
    ]


def test_a_cursor_holds_the_name_its_page_ended_with() -> None:
    assert name_in(after(WEBHOOKS, "shop.eu_1-a")) == "shop.eu_1-a"
    assert name_in("") == ""


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_of_one_list_is_none_of_another(app: FastAPI, path: str) -> None:
    other = after(WEBHOOKS if path.endswith("jobs") else JOBS, "018f")
    assert [error["pointer"] for error in ask(app, "GET", path, cursor=other).json()["errors"]] == ["/query/cursor"]


def test_a_parameter_that_is_given_twice_is_refused(app: FastAPI) -> None:
    answer = ask(app, "GET", "/integration/webhooks?limit=5&limit=6&cursor=")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/query/limit", "code": "given_twice", "detail": "limit stands there 2 times; give it once"}]


@pytest.mark.parametrize("time", ["0", "1700000000", "1e9"])
def test_a_number_is_no_time(app: FastAPI, time: str) -> None:
    answer = ask(app, "GET", "/integration/dlq", **{"from": time})
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [("/query/from", "not_a_time")]
