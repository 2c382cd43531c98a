"""The conformance kit against real receivers: ours, which is right, and others, each wrong in its own way."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from deploy.conformance import PATIENCE, Outcome, examine, receiver
from deploy.local.ports import free_port
from flows.core import presets
from flows.core.clock import SystemClock
from flows.core.errors import WrongSetting
from ingress.verification.sender import known_key
from tests.kit.door import RunningDoor
from tests.kit.vectors import PRESETS

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(answering: Answering) -> AsyncIterator[str]:
    """Run a receiver on a port of its own; `answering` is called once a request has been read whole."""
    handled: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handled.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            await answering(reader, writer)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=2**20)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        await asyncio.gather(*(task for task in handled if task is not None))


def says(answer: bytes) -> Answering:
    async def answering(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return answering


def status(code: int, extra: str = "") -> bytes:
    return f"HTTP/1.1 {code} Some\r\n{extra}content-length: 0\r\n\r\n".encode()


async def seen(url: str, preset_id: str = "stripe", timeout_s: float = 5, **keys: str) -> list[Outcome]:
    preset = presets.load(preset_id)
    second = known_key(preset.verification, keys["second"]) if "second" in keys else None
    key = known_key(preset.verification, preset_id)
    return list(await examine(receiver(url), preset, key, clock=SystemClock(), second=second, timeout_s=timeout_s))


async def typed(*words: str, given: str = "") -> Result:
    """Type a command while this loop serves."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["presets", *words], given)


@pytest.mark.parametrize("preset_id", PRESETS)
async def test_our_own_door_is_as_it_should_be(door: RunningDoor, preset_id: str) -> None:
    scheme = presets.load(preset_id).verification
    name = door.register(preset=preset_id, secret=known_key(scheme, preset_id).receives)
    door.http.post(f"/integration/webhooks/{name}/secrets", json={"secret": known_key(scheme, "second").receives}).raise_for_status()
    outcomes = await seen(f"{door.url}/integration/webhooks/{name}", preset_id, 30, second="second")
    assert not [outcome for outcome in outcomes if not outcome.as_expected]
    assert {"second_secret", "good_again"} <= {outcome.vector for outcome in outcomes}


async def test_a_receiver_that_takes_everything_is_found_out() -> None:
    async with serving(says(status(200))) as url:
        outcomes = await seen(url)
    assert {outcome.vector for outcome in outcomes if not outcome.as_expected} == {outcome.vector for outcome in outcomes if outcome.expected == "refused"}
    assert {outcome.outcome for outcome in outcomes} == {"accepted"}


async def test_a_receiver_that_refuses_everything_is_found_out() -> None:
    async with serving(says(status(401))) as url:
        outcomes = await seen(url)
    assert {outcome.vector for outcome in outcomes if not outcome.as_expected} == {outcome.vector for outcome in outcomes if outcome.expected == "accepted"}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (status(500), "server error"),
        (status(503, "retry-after: 1\r\n"), "server error"),
        (status(307, "location: http://127.0.0.1:1/\r\n"), "redirected"),
        (status(429), "rate limited"),
        (b"", "connection closed without an answer"),
        (b"HTTP/1.1 200 OK\r\ncont", "connection closed in the middle of an answer"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "no HTTP/1.1 answer"),
        (b"HTTP/1.1 999 Odd\r\n\r\n", "no HTTP/1.1 answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"a" * 200_000, "no HTTP/1.1: more than 64 KiB of head"),
    ],
)
async def test_an_answer_that_is_none_is_a_fault_whatever_was_sent(answer: bytes, outcome: str) -> None:
    async with serving(says(answer)) as url:
        outcomes = await seen(url)
    assert not any(one.as_expected for one in outcomes)
    assert outcomes[0].outcome == outcome


async def test_what_is_said_before_the_answer_is_passed_over() -> None:
    async with serving(says(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + status(202) + b"more than was announced")) as url:
        outcomes = await seen(url)
    assert {outcome.status for outcome in outcomes} == {202}


@pytest.mark.parametrize("drips", [False, True])
async def test_a_receiver_that_hangs_ends_the_run_soon(drips: bool) -> None:
    over = asyncio.Event()

    async def answering(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx: " if drips else b"")
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.02)
            writer.write(b"y" if drips else b"")

    async with serving(answering) as url:
        outcomes = await seen(url, timeout_s=0.1)
        over.set()
    assert [outcome.outcome for outcome in outcomes[:PATIENCE]] == ["no answer in 0.1 s"] * PATIENCE
    assert {outcome.outcome for outcome in outcomes[PATIENCE:]} == {"not sent: the receiver gave no answers"}
    assert not any(outcome.as_expected for outcome in outcomes)


async def test_nobody_there_is_told() -> None:
    outcomes = await seen(f"http://127.0.0.1:{free_port()}/")
    assert outcomes[0].outcome.startswith("not reached: ")


async def test_no_tls_is_told() -> None:
    async with serving(says(status(200))) as url:
        outcomes = await seen(url.replace("http:", "https:"), timeout_s=0.3)
    assert not any(outcome.as_expected for outcome in outcomes)
    assert outcomes[0].status is None


async def test_bytes_arrive_as_the_sender_writes_them() -> None:
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(status(200))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=2**20)
    port = server.sockets[0].getsockname()[1]
    await seen(f"http://127.0.0.1:{port}/hook?a=1", "pandadoc")
    server.close()
    assert requests[0].startswith(b"POST /hook?a=1&signature=")
    assert f"host: 127.0.0.1:{port}\r\n".encode() in requests[0]


async def test_a_url_is_signed_as_the_sender_has_it_on_file(door: RunningDoor) -> None:
    scheme = presets.load("square").verification
    name = door.register(preset="square", secret=known_key(scheme, "square").receives)
    url = f"{door.url}/integration/webhooks/{name}"
    done = await typed("verify", url, "--preset", "square", "--public-url", f"https://hooks.example.com/integration/webhooks/{name}", "--json")
    wrong = [row["vector"] for row in json.loads(done.stdout)["vectors"] if not row["as_expected"]]
    assert wrong == ["good", "spaced", "good_again"]  # the door takes itself to be reached at the address that was called
    assert (await typed("verify", f"http://localhost:{door.port}/integration/webhooks/{name}", "--preset", "square", "--json")).exit_code == 0


async def test_the_command_says_all_is_well_with_exit_code_0(door: RunningDoor) -> None:
    name = door.register(preset="github", secret="s-1")
    url = f"{door.url}/integration/webhooks/{name}"
    done = await typed("verify", url, "--preset", "github", "--secret", "s-1", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["as_expected"], found["faults"]) == (0, True, 0)
    assert found["vectors"][0] | {"milliseconds": 0} == {
        "vector": "good", "expected": "accepted", "outcome": "accepted", "status": 202, "as_expected": True, "milliseconds": 0,
        "why": "a message as the sender writes it",
    }  # fmt: skip
    read = await typed("verify", url, "--preset", "github", "--secret", "-", given="s-1\n")
    assert (read.exit_code, read.stdout.splitlines()[-1]) == (0, f"{len(found['vectors'])} vectors of github: all as expected.")
    wrong = await typed("verify", url, "--preset", "github")
    assert wrong.exit_code == 1
    assert "xyra presets show github" in wrong.output
    assert "s-1" not in done.output + read.output + wrong.output


async def test_the_command_reads_a_private_key_from_standard_input(door: RunningDoor) -> None:
    private = Ed25519PrivateKey.generate()
    name = door.register(preset="discord", secret=private.public_key().public_bytes_raw().hex())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    done = await typed("verify", f"{door.url}/integration/webhooks/{name}", "--preset", "discord", "--secret", "-", given=pem)
    assert done.exit_code == 0, done.output


async def test_the_command_names_each_fault_with_exit_code_1() -> None:
    async with serving(says(status(500))) as url:
        done = await typed("verify", url, "--preset", "slack")
    assert done.exit_code == 1
    assert "server error" in done.stdout
    assert "vectors of slack: 0 as expected" in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("http://a", "--preset", "strpe"), "there is no preset 'strpe'; there are airtable,"),
        (("ftp://a/", "--preset", "stripe"), "is no URL of a receiver"),
        (("hooks.example.com", "--preset", "stripe"), "is no URL of a receiver"),
        (("https://u:p@a/", "--preset", "stripe"), "without user, password"),
        (("https://a/ b", "--preset", "stripe"), "is no URL of a receiver"),
        (("https://a:99999/", "--preset", "stripe"), "is no URL: Port out of range"),
        ((f"https://{'a' * 64}/", "--preset", "stripe"), "is no URL: "),
        (("https://a/", "--preset", "stripe", "--public-url", "a"), "is no URL of a receiver"),
        (("https://a/", "--preset", "svix", "--secret", "whsec_!"), "should be standard base64"),
        (("https://a/", "--preset", "svix", "--second-secret", "whsec_!"), "should be standard base64"),
        (("https://a/", "--preset", "stripe", "--secret", "-"), "should be some UTF-8 text"),
    ],
)
async def test_what_cannot_be_run_is_told_with_exit_code_2(words: tuple[str, ...], sentence: str) -> None:
    done = await typed("verify", *words)
    assert isinstance(done.exception, WrongSetting)
    assert done.exception.exit_code == 2
    assert sentence in done.exception.detail


@pytest.mark.parametrize("words", [("verify",), ("verify", "http://a"), ("verify", "http://a", "--preset", "stripe", "--timeout", "0"), ("show",)])
async def test_wrong_usage_has_exit_code_2(words: tuple[str, ...]) -> None:
    assert (await typed(*words)).exit_code == 2


async def test_presets_are_listed_and_shown() -> None:
    rows = json.loads((await typed("list", "--json")).stdout)
    assert [row["preset"] for row in rows] == list(PRESETS)
    assert "Stripe" in (await typed("list")).stdout
    for preset_id in PRESETS:
        found = json.loads((await typed("show", preset_id, "--json")).stdout)
        assert found["test_secret"] == known_key(presets.load(preset_id).verification, preset_id).receives
        assert found["verification"]["algorithm"]
        assert "test_secret" in (await typed("show", preset_id)).stdout
    assert isinstance((await typed("show", "nope")).exception, WrongSetting)
