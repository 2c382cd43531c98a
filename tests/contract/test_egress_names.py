"""Names that move, lie and are slow: resolved once, and only what was judged is connected to."""

import asyncio
import socket
import threading

import pytest

from connectors.testing import ManualClock
from flows.core.outbound.egress import Failure, Outgoing, Policy, Vetted
from flows.core.settings import load
from flows.wire.names import FAILED_KEPT_S, KEPT_S, MOST_LOOKUPS, MOST_NAMES, Names, system_addresses
from tests.kit.egress import SOON_S, answer, egress, failure, post, refusal
from tests.kit.targets import OK, answers, counted, target
from tests.kit.wander import wander

POLICY = Policy.of(load({}))


async def test_a_name_that_is_rebound_reaches_nothing_inside() -> None:
    """127.0.0.2 stands for an address that may be called, 127.0.0.1 for one that may not."""
    said = [["127.0.0.2"]]
    asked: list[str] = []

    def resolve(name: str) -> list[str]:
        asked.append(name)
        return said.pop(0) if said else ["127.0.0.1"]

    clock = ManualClock()
    with counted() as (port, inside):
        async with target(answers(OK), "127.0.0.2", port) as seen:
            with egress(allow="127.0.0.2/32", resolve=resolve, clock=clock) as client:
                url = f"http://rebound.test:{port}/"
                for _ in range(3):
                    assert (await answer(client, post(url))).address == "127.0.0.2"
                assert asked == ["rebound.test"]
                clock.advance(int(KEPT_S * 1000))
                for _ in range(3):
                    assert (await refusal(client, post(url))).code == "address_not_allowed"
        assert asked == ["rebound.test"] * 2
        assert len(seen.requests) == 3
    assert inside == []


async def test_no_fuzzed_url_connects_to_anything() -> None:
    """The long form is `python -m tests.chaos urls --urls 1000000`."""
    with counted() as (port, come):
        outcomes = await wander(2000, seed=7, port=port)
        assert come == []
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.recv(1)
        assert len(come) == 1, "the listener counts"
    assert all(outcomes[code] > 100 for code in ("url_invalid", "address_not_allowed")), outcomes


async def test_a_name_with_one_address_inside_is_not_called_at_all() -> None:
    with counted() as (port, come), counted("127.0.0.2") as (_, others):
        for addresses in (["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]):
            with egress(("both.test", addresses), allow="127.0.0.2/32") as client:
                assert (await refusal(client, post(f"http://both.test:{port}/"))).code == "address_not_allowed"
    assert come == others == []


async def test_a_name_that_moves_is_called_at_its_new_address() -> None:
    said = [["127.0.0.2"], ["127.0.0.3"]]
    clock = ManualClock()
    async with target(answers(OK), "127.0.0.2") as old, target(answers(OK), "127.0.0.3", old.port) as new:
        with egress(resolve=lambda _: said.pop(0), clock=clock) as client:
            url = f"http://moving.test:{old.port}/"
            assert (await answer(client, post(url))).address == "127.0.0.2"
            clock.advance(int(KEPT_S * 1000))
            assert (await answer(client, post(url))).address == "127.0.0.3"
            await asyncio.wait_for(old.gone.wait(), 10)
    assert (len(old.requests), len(new.requests)) == (1, 1)


async def test_the_next_address_is_tried_when_one_cannot_be_connected_to() -> None:
    async with target(answers(OK), "127.0.0.3") as seen:
        with egress(("some.test", ["127.0.0.4", "127.0.0.5", "127.0.0.3"])) as client:
            assert (await answer(client, post(f"http://some.test:{seen.port}/"))).address == "127.0.0.3"


async def test_the_port_is_free_only_in_the_networks_that_are_allowed() -> None:
    with egress(("public.test", ["8.8.8.8"]), ("both.test", ["8.8.8.8", "127.0.0.1"])) as client:
        for name in ("public.test", "both.test"):
            assert (await refusal(client, post(f"http://{name}:9999/"))).code == "port_not_allowed"


async def test_a_name_that_is_not_there_fails_for_now() -> None:
    clock, asked = ManualClock(), []

    def resolve(name: str) -> list[str]:
        asked.append(name)
        raise socket.gaierror(socket.EAI_NONAME, "no")

    with egress(resolve=resolve, clock=clock) as client:
        for _ in range(3):
            assert (await failure(client, post("http://nowhere.test/"))).code == "dns_failed"
        assert len(asked) == 1
        clock.advance(int(FAILED_KEPT_S * 1000))
        found = await failure(client, post("http://nowhere.test/"))
    assert len(asked) == 2
    assert found.detail.startswith("The name nowhere.test was not resolved")
    assert not found.sent


async def test_a_slow_name_server_holds_up_its_own_calls_only() -> None:
    released, asked = threading.Event(), []

    def resolve(name: str) -> list[str]:
        asked.append(name)
        if name == "slow.test":
            released.wait(20)
        return ["127.0.0.1"]

    async with target(answers(OK)) as seen:
        with egress(resolve=resolve) as client:
            slow = [asyncio.create_task(client.call(post(f"http://slow.test:{seen.port}/", deadline_s=SOON_S))) for _ in range(50)]
            await answer(client, post(f"http://quick.test:{seen.port}/"))
            assert {found.code for found in await asyncio.gather(*slow) if not isinstance(found, tuple)} == {"timed_out"}
            later = asyncio.create_task(answer(client, post(f"http://slow.test:{seen.port}/")))
            await asyncio.sleep(0)
            released.set()
            await later
    assert sorted(asked) == ["quick.test", "slow.test"]


async def test_who_finds_no_place_among_the_look_ups_has_not_called() -> None:
    released = threading.Event()

    def resolve(name: str) -> list[str]:
        if name.startswith("slow"):
            released.wait(20)
        return ["127.0.0.1"]

    async with target(answers(OK)) as seen:
        with egress(resolve=resolve) as client:
            slow = [asyncio.create_task(client.call(post(f"http://slow{number}.test/", deadline_s=SOON_S))) for number in range(MOST_LOOKUPS)]
            await asyncio.sleep(0)  # they are in front
            found = await failure(client, post(f"http://quick.test:{seen.port}/", deadline_s=SOON_S))
            assert (found.code, found.sent) == ("no_place", False)
            assert found.detail == "There was no place for a look-up of quick.test in time: as many as may be at once were under way."
            assert {found.code for found in await asyncio.gather(*slow) if isinstance(found, Failure)} == {"timed_out"}
            released.set()
            await answer(client, post(f"http://quick.test:{seen.port}/"))


async def test_names_remembered_are_bounded() -> None:
    names = Names(POLICY, ManualClock(), lambda _: ["8.8.8.8"])
    await asyncio.gather(*(names.ask(f"n{number}.test") for number in range(MOST_NAMES + 10)))
    assert names.known("n0.test") is None
    assert names.known(f"n{MOST_NAMES + 9}.test") == Vetted(("8.8.8.8",), listed=False)


def test_the_systems_resolver_gives_every_address() -> None:
    assert "127.0.0.1" in system_addresses("localhost")


async def test_localhost_is_refused_by_the_systems_resolver_too() -> None:
    with egress(allow="", resolve=system_addresses) as client:
        assert (await refusal(client, Outgoing("GET", "http://localhost/"))).code == "address_not_allowed"


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/", "http://[::ffff:127.0.0.1]:{}/", "http://any.test:{}/", "http://0.0.0.0:{}/", "http://2130706433:{}/"])
async def test_by_default_nothing_on_this_machine_is_called(url: str) -> None:
    with counted() as (port, come), egress(("any.test", ["127.0.0.1"]), allow="") as client:
        await refusal(client, post(url.format(port)))
    assert come == []
