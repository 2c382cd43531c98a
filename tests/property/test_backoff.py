"""Retry arithmetic: later by what is promised, never longer, the same each time; `Retry-After` never breaks it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from flows.core.outbound.backoff import MOST_RETRY_AFTER_MS, USUAL, Schedule, next_due_ms, read_retry_after, schedule, spread
from flows.core.resources import RetryConfig
from flows.core.verdict import Reason

NOWS = st.integers(0, 4_000_000_000_000)
DELAYS = st.lists(st.integers(0, 2_592_000), min_size=1, max_size=8)
PLANS = st.one_of(
    st.just(USUAL),
    st.builds(lambda attempts, delays: schedule(RetryConfig(max_attempts=attempts, retry_delays=tuple(delays))), st.integers(1, 100), DELAYS),
    st.builds(
        Schedule,
        attempts=st.integers(1, 20),
        delays_ms=DELAYS.map(lambda delays: tuple(1000 * delay for delay in sorted(delays))),
        jitter_percent=st.integers(0, 100),
    ),
)


@given(PLANS, st.text(max_size=8), st.integers(1, 120), NOWS, st.none() | st.integers(0, 2 * MOST_RETRY_AFTER_MS))
def test_a_wait_is_its_delay_and_at_most_its_jitter(plan: Schedule, name: str, attempt: int, now_ms: int, asked_ms: int | None) -> None:
    due_ms = next_due_ms(plan, name, attempt, now_ms, now_ms, asked_ms)
    assert due_ms == next_due_ms(plan, name, attempt, now_ms, now_ms, asked_ms)
    assert isinstance(due_ms, Reason) == (attempt >= plan.attempts)
    if isinstance(due_ms, int):
        own_ms, asked_ms = plan.delay_ms(attempt), min(asked_ms or 0, MOST_RETRY_AFTER_MS)
        assert max(own_ms, asked_ms) <= due_ms - now_ms <= max(own_ms * (100 + plan.jitter_percent) // 100, asked_ms)


@given(PLANS, st.integers(1, 99))
def test_delays_are_the_definitions_own_and_the_last_repeats(plan: Schedule, attempt: int) -> None:
    assert plan.delay_ms(attempt) == (list(plan.delays_ms) + [plan.delays_ms[-1]] * attempt)[attempt - 1]


@given(st.integers(1, 7))
def test_the_usual_waits_never_become_shorter(attempt: int) -> None:
    assert USUAL.delay_ms(attempt) <= USUAL.delay_ms(attempt + 1)


@given(PLANS, st.text(max_size=4), NOWS, st.lists(st.none() | st.integers(0, MOST_RETRY_AFTER_MS), min_size=101, max_size=101))
def test_every_attempt_is_made_in_time_whatever_its_target_asks_for(plan: Schedule, name: str, first_ms: int, wishes: list[int | None]) -> None:
    now_ms, attempt = first_ms, 1
    while isinstance(due_ms := next_due_ms(plan, name, attempt, first_ms, now_ms, wishes[attempt - 1]), int):
        assert now_ms <= due_ms <= first_ms + plan.life_ms
        now_ms, attempt = due_ms, attempt + 1
    assert (attempt, due_ms.code) == (plan.attempts, "attempts_spent")


@given(PLANS, st.text(max_size=4), NOWS, st.lists(st.integers(0, MOST_RETRY_AFTER_MS), min_size=1, max_size=8))
def test_a_delivery_ends_however_long_it_is_held_up(plan: Schedule, name: str, first_ms: int, late_ms: list[int]) -> None:
    """Each attempt comes late, and some are none."""
    now_ms, tried, step = first_ms, 0, 0
    while isinstance(due_ms := next_due_ms(plan, name, tried if step % 3 else 0, first_ms, now_ms, MOST_RETRY_AFTER_MS), int):
        assert now_ms <= due_ms <= first_ms + plan.life_ms
        now_ms, step = due_ms + late_ms[step % len(late_ms)], step + 1
        tried += step % 3 > 0
    assert due_ms.code == ("attempts_spent" if tried >= plan.attempts and step % 3 else "time_spent")


@given(PLANS, st.text(max_size=4), NOWS)
def test_without_wishes_every_attempt_is_made(plan: Schedule, name: str, first_ms: int) -> None:
    now_ms, attempt = first_ms, 1
    while isinstance(due_ms := next_due_ms(plan, name, attempt, first_ms, now_ms), int):
        now_ms, attempt = due_ms, attempt + 1
    assert attempt == plan.attempts


@given(st.text(), st.integers(0, 10**6))
def test_what_is_spread_stays_within_its_width(name: str, width: int) -> None:
    assert 0 <= spread(name, width) <= width


def test_what_is_spread_is_spread_evenly() -> None:
    places = [spread(f"delivery-{n}", 9) for n in range(10_000)]
    assert all(850 < places.count(place) < 1150 for place in range(10))


@given(NOWS, st.integers(-10_000, 200_000))
def test_a_date_in_any_form_asks_for_the_same_wait(now_ms: int, seconds: int) -> None:
    when = datetime.fromtimestamp(now_ms // 1000, UTC) + timedelta(seconds=seconds)
    if when.year < 1970:
        return
    days = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
    fixed = format_datetime(when, usegmt=True)
    forms = (
        fixed,
        f"{days[when.weekday()]}, {when:%d}-{fixed[8:11]}-{when:%y %H:%M:%S} GMT",
        f"{fixed[:3]} {fixed[8:11]} {when.day:2} {when:%H:%M:%S} {when.year}",
    )
    expected = min(max(0, seconds * 1000 - now_ms % 1000), MOST_RETRY_AFTER_MS)
    assert [read_retry_after(form, now_ms) for form in forms] == [expected] * 3


@given(st.text(), NOWS)
def test_no_text_breaks_the_reading(text: str, now_ms: int) -> None:
    wish = read_retry_after(text, now_ms)
    assert wish is None or 0 <= wish <= MOST_RETRY_AFTER_MS
