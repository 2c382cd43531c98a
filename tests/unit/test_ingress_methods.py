import asyncio

import httpx
import pytest
from fastapi import FastAPI

from ingress.control import routes

ROUTE = "/integration/webhooks"


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return routes()


def ask(app: FastAPI, method: str, path: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door.invalid") as client:
            return await client.request(method, path)

    return asyncio.run(asked())


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize(
    ("method", "path", "allow", "detail"),
    [
        ("PATCH", f"{ROUTE}/shop", "DELETE, GET, POST, PUT", "This path takes DELETE, GET, POST and PUT."),
        ("HEAD", f"{ROUTE}/shop", "DELETE, GET, POST, PUT", None),
        ("PATCH", f"{ROUTE}/test", "DELETE, GET, PUT", "This path takes DELETE, GET and PUT."),
        ("GET", f"{ROUTE}/test/shop", "POST", "This path takes POST only."),
        ("PATCH", f"{ROUTE}/register", "POST", "This path takes POST only."),
        ("GET", f"{ROUTE}/register", "POST", "This path takes POST only."),
        ("PUT", f"{ROUTE}/shop/secrets", "GET, POST", "This path takes GET and POST."),
        ("GET", f"{ROUTE}/shop/secrets/key_1", "DELETE", "This path takes DELETE only."),
        ("POST", "/health", "GET", "This path takes GET only."),
    ],
)
def test_a_method_that_is_not_taken_is_told_those_that_are(app: FastAPI, prefix: str, method: str, path: str, allow: str, detail: str | None) -> None:
    answer = ask(app, method, prefix + path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert detail is None or (answer.json()["type"], answer.json()["detail"]) == ("urn:xyra:problem:method_not_allowed", detail)


@pytest.mark.parametrize(("method", "told"), [("GET", "for GET on this path"), ("PATCH", "for PATCH on this path"), ("GETSECRET", "for this path")])
def test_a_path_that_there_is_not_is_told_where_the_routes_are_listed(app: FastAPI, method: str, told: str) -> None:
    answer = ask(app, method, "/integration/secret-of-somebody?token=hidden")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:xyra:problem:not_found")
    assert answer.json()["detail"] == f"There is no route {told}. `GET /openapi.json` lists the routes, without a key; so does the README, under Routes."
