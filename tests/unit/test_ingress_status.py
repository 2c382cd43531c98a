import orjson
import pytest

from connectors.testing import ManualClock
from flows.core import beats
from ingress.health import FINE, flow_part
from ingress.rates import Meter
from ingress.status import MOST_TRACES, StatusView
from ingress.tallies import Tallies


def told(view: StatusView, key: str, **tally: object) -> None:
    view.apply(key, orjson.dumps(tally), 0)


def test_tallies_add_up_over_partitions_and_later_ones_replace_earlier() -> None:
    view = StatusView(ManualClock())
    told(view, "tally/webhooks/0/shop", **{"in": 5, "out": 3, "dropped": {"duplicate": 2}, "buried": {}, "waiting": 0, "last_in_ms": 10, "last_out_ms": 9})
    told(view, "tally/webhooks/1/shop", **{"in": 1, "out": 0, "dropped": {}, "buried": {"schema": 1}, "waiting": 0, "last_in_ms": 20, "last_out_ms": 0})
    told(view, "tally/webhooks/0/shop", **{"in": 7, "out": 4, "dropped": {"duplicate": 3}, "buried": {}, "waiting": 0, "last_in_ms": 30, "last_out_ms": 29})
    shop = view.resources["shop"]
    assert (shop.totals["in"], shop.totals["out"]) == (8, 4)
    assert shop.by_reason("dropped") == {"duplicate": 3}
    assert shop.by_reason("buried") == {"schema": 1}
    assert shop.last_ms["last_out_ms"] == 29
    assert view.flows["webhooks", "0"].totals["in"] == 7


def test_what_is_counted_of_deliveries_is_kept_apart() -> None:
    view = StatusView(ManualClock())
    told(view, "tally/webhooks/0/shop", **{"in": 5, "out": 5})
    told(view, "tally/deliveries/3/shop", **{"in": 5, "out": 2, "waiting": 3})
    assert view.resources["shop"].totals["out"] == 5
    assert (view.deliveries["shop"].totals["out"], view.deliveries["shop"].totals["waiting"]) == (2, 3)
    assert view.flows["deliveries", "3"].totals["in"] == 5
    told(view, "breaker/deliveries/3/shop", state="open", off=None)
    told(view, "breaker/other/3/shop", state="closed")
    assert view.breakers == {"shop": {"state": "open", "off": None}}


@pytest.mark.parametrize("value", [b"", b"no json", b"[]", b'{"in": "x"}', b'{"dropped": {"a": []}}', b"7", b"null"])
def test_what_cannot_be_read_changes_nothing(value: bytes) -> None:
    view = StatusView(ManualClock())
    told(view, "tally/webhooks/0/shop", **{"in": 5})
    view.apply("tally/webhooks/0/shop", value, 1)
    view.apply("tally/x", b"{}", 2)
    view.apply("trace/e", value, 3)
    assert view.resources["shop"].totals["in"] in {5, 0}


def test_a_flow_is_run_by_somebody_as_long_as_signs_of_life_come() -> None:
    clock = ManualClock()
    view = StatusView(clock)
    assert not view.runs("webhooks")
    view.apply("beat/webhooks/0", beats.text(clock.now_ms()), 0)
    view.apply("beat/webhooks/1", beats.text(clock.now_ms() - beats.GONE_MS), 1)
    clock.advance(beats.GONE_MS - 1)
    assert view.runs("webhooks")
    assert flow_part(view, "webhooks", clock.now_ms(), hears=True).state == "ok"
    clock.advance(1)
    assert not view.runs("webhooks")
    part = flow_part(view, "webhooks", clock.now_ms(), hears=True)
    assert (part.state, part.detail["last_seen"], part.detail["seconds_since_seen"]) == ("stopped", "2027-01-15T08:00:00.000Z", 35.0)
    assert flow_part(view, "webhooks", clock.now_ms(), hears=False).state == "away", "the broker is away, so nothing could be heard"
    view.apply("flow/webhooks/0", b'{"why": "ordered"}', 2)
    assert flow_part(view, "webhooks", clock.now_ms(), hears=True).state == "stopped"
    view.apply("beat/webhooks/1", beats.text(clock.now_ms()), 3)
    assert flow_part(view, "webhooks", clock.now_ms(), hears=True).state == "paused"


def test_a_flow_whose_workers_have_all_said_goodbye_has_ended() -> None:
    clock = ManualClock()
    view = StatusView(clock)
    view.apply("beat/totals/0", beats.text(clock.now_ms()), 0)
    view.apply("beat/totals/1", beats.text(clock.now_ms(), last=True), 1)
    assert flow_part(view, "totals", clock.now_ms(), hears=True).state == "ok", "one of the two still runs"
    view.apply("beat/totals/0", beats.text(clock.now_ms(), last=True), 2)
    for hears in (True, False):
        assert flow_part(view, "totals", clock.now_ms(), hears=hears).state == "ended"
    clock.advance(10 * beats.GONE_MS)
    assert flow_part(view, "totals", clock.now_ms(), hears=True).state == "ended"
    assert "ended" in FINE
    view.apply("beat/totals/0", beats.text(clock.now_ms()), 3)
    assert flow_part(view, "totals", clock.now_ms(), hears=True).state == "ok"


def test_a_flow_of_which_a_worker_has_died_has_not_ended() -> None:
    clock = ManualClock()
    view = StatusView(clock)
    view.apply("beat/totals/0", beats.text(clock.now_ms()), 0)
    clock.advance(10_000)
    view.apply("beat/totals/1", beats.text(clock.now_ms(), last=True), 1)
    clock.advance(beats.GONE_MS)
    assert flow_part(view, "totals", clock.now_ms(), hears=True).state == "stopped"
    view.apply("beat/totals/2", beats.text(clock.now_ms(), last=True), 2)
    assert flow_part(view, "totals", clock.now_ms(), hears=True).state == "ended", "the one that died was gone before this one ran"


def test_what_workers_can_is_what_one_of_those_that_run_can() -> None:
    clock = ManualClock()
    view = StatusView(clock)
    assert view.can("imports") is None
    view.apply("beat/imports/0", beats.text(clock.now_ms(), can=("s3",)), 0)
    clock.advance(beats.GONE_MS - 1)
    view.apply("beat/imports/1", beats.text(clock.now_ms(), can=()), 1)
    assert view.can("imports") == frozenset({"s3"})
    clock.advance(1)
    assert view.can("imports") == frozenset(), "the one that could is gone"
    view.apply("beat/imports/2", beats.text(clock.now_ms()), 2)
    assert view.can("imports") is None, "one does not say what it can"
    view.apply("beat/imports/2", beats.text(clock.now_ms(), last=True), 3)
    assert view.can("imports") == frozenset()


def test_what_an_old_record_tells_is_no_sign_of_life() -> None:
    """An ingress that starts reads the whole topic: what a flow counted yesterday was not heard now."""
    clock = ManualClock()
    view = StatusView(clock)
    told(view, "tally/webhooks/0/shop", **{"in": 5, "out": 5, "last_in_ms": clock.now_ms() - 86_400_000, "last_out_ms": clock.now_ms() - 86_400_000})
    assert not view.runs("webhooks")
    told(view, "tally/webhooks/0/shop", **{"in": 6, "out": 5, "last_in_ms": clock.now_ms()})
    assert view.runs("webhooks")


def test_a_worker_whose_clock_is_ahead_is_not_alive_for_longer() -> None:
    clock = ManualClock()
    view = StatusView(clock)
    view.apply("beat/webhooks/0", beats.text(clock.now_ms() + 3_600_000), 0)
    clock.advance(beats.GONE_MS)
    assert not view.runs("webhooks")


def test_rates_rise_and_fall() -> None:
    clock = ManualClock()
    view = StatusView(clock)
    told(view, "tally/ingress/i/shop", accepted=100)
    assert view.rates("shop", "accepted") == {"1m": 0, "5m": 0, "15m": 0}, "what was counted before is no rate of now"
    for n in range(1, 61):
        clock.advance(5000)
        told(view, "tally/ingress/i/shop", accepted=100 + 50 * n)
        view.tick()
    rates = view.rates("shop", "accepted")
    assert rates["1m"] == pytest.approx(10, rel=0.02)
    assert rates["1m"] > rates["5m"] > rates["15m"] > 0
    for _ in range(1000):
        clock.advance(10_000)
        view.tick()
    assert view.rates("shop", "accepted") == {"1m": 0, "5m": 0, "15m": 0}


def test_a_meter_asked_seldom_is_right_too() -> None:
    meter = Meter(0.0)
    assert meter.rates(6000.0, 12_000)["1m"] == pytest.approx(2.0)


def test_traces_are_bounded_and_removed() -> None:
    view = StatusView(ManualClock())
    for n in range(MOST_TRACES + 5):
        told(view, f"trace/{n}", outcome="emitted")
    assert view.trace("0") is None
    assert view.trace(str(MOST_TRACES)) == {"outcome": "emitted"}
    view.apply(f"trace/{MOST_TRACES}", None, 0)
    assert view.trace(str(MOST_TRACES)) is None


def test_an_ingress_goes_on_from_what_it_published() -> None:
    view, tallies = StatusView(ManualClock()), Tallies()
    told(view, "tally/ingress/me/shop", received=5, accepted=3, rejected={"signature_mismatch": 2}, last_received_ms=9, keys={"k": 8})
    told(view, "tally/ingress/other/shop", received=50, accepted=50, rejected={}, last_received_ms=99, keys={})
    tallies.of("shop").received += 1
    tallies.of("shop").reject("overload")
    tallies.restore(view, "me")
    mine = tallies.of("shop")
    assert (mine.received, mine.accepted, mine.rejected) == (6, 3, {"overload": 1, "signature_mismatch": 2})
    assert mine.keys == {"k": 8}
    assert view.resources["shop"].last_ms["key:k"] == 8
