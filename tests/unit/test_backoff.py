"""The schedules as they are promised, `Retry-After` in all its forms, clocks that jump."""

import itertools
from datetime import UTC, datetime

import pytest

from connectors.testing import ManualClock
from flows.core.outbound.backoff import GRACE_MS, MOST_RETRY_AFTER_MS, USUAL, Schedule, next_due_ms, read_retry_after, schedule
from flows.core.resources import RetryConfig, WebhookDefinition
from flows.core.verdict import Reason

HOUR_MS = 3_600_000
NOW_MS = int(datetime(2026, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()) * 1000


def waits(plan: Schedule, name: str = "a") -> list[int]:
    """Return the waits in milliseconds when every attempt fails at once."""
    due = (next_due_ms(plan, name, attempt, NOW_MS, NOW_MS) for attempt in itertools.count(1))
    return [due_ms - NOW_MS for due_ms in itertools.takewhile(lambda due_ms: isinstance(due_ms, int), due) if isinstance(due_ms, int)]


def test_delays_of_a_definition_are_kept_to_the_second_and_the_last_repeats() -> None:
    assert waits(schedule(RetryConfig())) == [60_000, 300_000]
    assert waits(schedule(RetryConfig(max_attempts=6, retry_delays=(60, 300)))) == [60_000, 300_000, 300_000, 300_000, 300_000]
    assert waits(schedule(RetryConfig(max_attempts=2, retry_delays=(0,)))) == [0]
    assert waits(schedule(RetryConfig(max_attempts=1))) == []


def test_without_a_definition_there_are_eight_attempts_over_28_hours() -> None:
    assert schedule(WebhookDefinition(endpoint_id="a").retry_config) is USUAL
    assert len(waits(USUAL)) == 7
    assert 27.5 * HOUR_MS < sum(waits(USUAL)) < 30.5 * HOUR_MS


def test_equal_names_wait_equally_and_others_do_not() -> None:
    assert waits(USUAL) == waits(USUAL)
    assert waits(USUAL) != waits(USUAL, "b")


def test_the_last_attempt_says_so() -> None:
    gave_up = next_due_ms(USUAL, "a", 8, NOW_MS, NOW_MS)
    assert isinstance(gave_up, Reason)
    assert (gave_up.code, gave_up.detail) == ("attempts_spent", "8 of 8 attempts: All attempts were made. Mend the target, then replay.")


def test_the_later_of_the_own_delay_and_the_targets_wish_counts() -> None:
    plan = schedule(RetryConfig())
    assert next_due_ms(plan, "a", 1, NOW_MS, NOW_MS, 5_000) == NOW_MS + 60_000
    assert next_due_ms(plan, "a", 1, NOW_MS, NOW_MS, 7_000_000) == NOW_MS + 7_000_000
    assert next_due_ms(plan, "a", 1, NOW_MS, NOW_MS, 10**15) == NOW_MS + MOST_RETRY_AFTER_MS


@pytest.mark.parametrize("plan", [USUAL, schedule(RetryConfig(max_attempts=8, retry_delays=(0,)))])
def test_a_target_that_always_asks_for_a_day_is_asked_every_time(plan: Schedule) -> None:
    now_ms, attempt = NOW_MS, 1
    while isinstance(due := next_due_ms(plan, "a", attempt, NOW_MS, now_ms, MOST_RETRY_AFTER_MS), int):
        now_ms, attempt = due, attempt + 1
    assert due.code == "attempts_spent"
    assert (attempt, now_ms) == (8, NOW_MS + 7 * MOST_RETRY_AFTER_MS)


@pytest.mark.parametrize("attempts", [1, 2, 8])
def test_what_was_not_tried_spends_no_attempt_and_waits_the_first_wait_until_its_time_is_over(attempts: int) -> None:
    plan = schedule(RetryConfig(max_attempts=attempts, retry_delays=(60, 3600)))
    end_ms = NOW_MS + plan.life_ms
    assert next_due_ms(plan, "a", 0, NOW_MS, NOW_MS) == NOW_MS + 60_000
    assert next_due_ms(plan, "a", 0, NOW_MS, end_ms - 60_000) == end_ms
    gave_up = next_due_ms(plan, "a", 0, NOW_MS, end_ms - 59_999)
    assert isinstance(gave_up, Reason)
    assert gave_up.code == "time_spent"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        (" 7\t", 7),
        ("0000000000000000000000000005", 5),
        ("86399", 86_399),
        ("86401", 86_400),
        ("9" * 5_000, 86_400),
        ("Fri, 06 Nov 2026 08:51:37 GMT", 120),
        ("Friday, 06-Nov-26 08:51:37 GMT", 120),
        ("Fri Nov  6 08:51:37 2026", 120),
        ("Fri, 06 Nov 2026 08:49:60 GMT", 23),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
        ("Sun Nov  6 08:49:37 1994", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
    ],
)
def test_a_wish_is_read(text: str, seconds: int) -> None:
    assert read_retry_after(text, NOW_MS) == seconds * 1000


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "-1", "+5", "1.5", "1e3", "5s", "1 2", "1, 2", "soon", "٣", "²", "1_0", "0x10"),
        *("2026-11-06T08:51:37Z", "Fri, 06 Nov 2026 08:51:37", "Fri, 06 Nov 2026 08:51:37 CET", "Fri, 06 Nov 2026 08:51:37 +0100"),
        *("Fri, 6 Nov 2026 08:51:37 GMT", "Fri, 31 Feb 2026 08:51:37 GMT", "Fri, 06 Nov 2026 24:00:00 GMT", "Fri, 06 Nov 2026 08:51:61 GMT"),
        *("Fri, 06 Nov 0000 08:51:37 GMT", "Fri, 06 nov 2026 08:51:37 GMT", "Fri Nov 6 08:51:37 2026", "Fri, 06 Nov 2026 08:51:37 GMT\n"),
    ],
)
def test_what_cannot_be_read_asks_for_nothing(text: str) -> None:
    assert read_retry_after(text, NOW_MS) is None


def test_two_digits_of_a_year_are_never_more_than_fifty_years_ahead() -> None:
    ahead = int(datetime(2076, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()) * 1000
    assert read_retry_after("Friday, 06-Nov-76 08:49:38 GMT", ahead) == 1000
    assert read_retry_after("Friday, 06-Nov-76 08:49:38 GMT", NOW_MS) == MOST_RETRY_AFTER_MS
    assert read_retry_after("Friday, 06-Nov-77 08:49:38 GMT", NOW_MS) == 0


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_moves_what_is_due_by_as_much_and_no_more(hours: int) -> None:
    """What was due stays due at its hour of the clock; what fails afterwards waits its whole delay from there."""
    clock = ManualClock(NOW_MS)
    due_ms = next_due_ms(USUAL, "a", 4, NOW_MS, clock.now_ms())
    clock.jump(hours * HOUR_MS)
    later_ms = next_due_ms(USUAL, "a", 4, NOW_MS, clock.now_ms())
    assert isinstance(due_ms, int)
    assert isinstance(later_ms, int)
    assert later_ms - due_ms == hours * HOUR_MS


def test_a_clock_set_forward_takes_its_jump_off_the_time_for_all_attempts() -> None:
    plan = schedule(RetryConfig(max_attempts=100, retry_delays=(60,)))
    end_ms = NOW_MS + 99 * MOST_RETRY_AFTER_MS + GRACE_MS
    assert plan.life_ms == end_ms - NOW_MS
    assert next_due_ms(plan, "a", 1, NOW_MS, end_ms - 60_000) == end_ms
    gave_up = next_due_ms(plan, "a", 1, NOW_MS, end_ms - 59_999)
    assert isinstance(gave_up, Reason)
    assert gave_up.code == "time_spent"
    assert next_due_ms(plan, "a", 1, NOW_MS, NOW_MS - HOUR_MS) == NOW_MS - HOUR_MS + 60_000
