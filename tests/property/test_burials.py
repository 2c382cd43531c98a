"""A flow that pauses itself: how much may be buried, whatever comes."""

from hypothesis import given
from hypothesis import strategies as st

from flows.core.deadletters.burials import WINDOW_S, Burials

BATCHES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 300), st.integers(0, 300)), max_size=60)
"""Seconds since the last one, records besides those to be buried, and those."""


@given(BATCHES, st.floats(0, 0.99), st.integers(1, 200))
def test_what_may_be_buried_stays_below_the_limit_of_the_minute(batches: list[tuple[int, int, int]], ratio: float, least: int) -> None:
    made, now, seconds = Burials(ratio, least), 1000, []
    for passed, besides, wanted in batches:
        now += passed
        allowed = made.allow(now + 0.5, besides + wanted, wanted)
        seconds.append((now, besides + allowed, allowed))
        within = [one for one in seconds if one[0] > now - WINDOW_S]
        decided, buried = sum(one[1] for one in within), sum(one[2] for one in within)
        assert (made.decided, made.buried) == (decided, buried)
        assert 0 <= allowed <= wanted
        if allowed:
            assert buried < least or buried <= ratio * decided + 1e-6
        if allowed < wanted:  # one more would have been too many
            whole, all_buried = decided - allowed + wanted, buried - allowed + wanted
            assert all_buried >= least
            assert all_buried > ratio * whole


@given(BATCHES, st.integers(1, 200))
def test_where_everything_may_be_buried_nothing_is_held_back(batches: list[tuple[int, int, int]], least: int) -> None:
    made = Burials(1, least)
    assert all(made.allow(n, besides + wanted, wanted) == wanted for n, (_, besides, wanted) in enumerate(batches))


def test_few_bad_records_never_stop_a_flow_that_does_little() -> None:
    made = Burials(0.5, 100)
    assert made.allow(0, 99, 99) == 99
    assert made.allow(1, 5, 5) == 0
    assert made.allow(1 + WINDOW_S, 5, 5) == 5


def test_one_bad_sender_among_many_does_not_stop_the_others() -> None:
    made = Burials(0.5, 100)
    assert all(made.allow(second, 1000, 499) == 499 for second in range(300))


def test_only_as_much_is_buried_as_may_be() -> None:
    made = Burials(0.5, 100)
    assert made.allow(0, 25_000, 20_000) == 5_000
    assert (made.decided, made.buried) == (10_000, 5_000)
    made.clear()
    assert made.allow(0, 25_000, 25_000) == 99
