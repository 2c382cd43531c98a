"""What follows from an answer: the whole range of statuses, every error, codes that are one of a kind."""

import pytest

from flows.core.outbound import egress, outcome

AGAIN = {408, 409, 425, 429}


@pytest.mark.parametrize("status", [-1, 0, *range(100, 600), 600, 999, 10**9])
def test_every_status_has_its_consequence(status: int) -> None:
    found = outcome.of_status(status)
    if 200 <= status < 300:
        assert found.consequence == "delivered"
    elif status == 410:
        assert found.consequence == "deactivated"
    elif 400 <= status < 500 and status not in AGAIN:
        assert found is outcome.REFUSED
    else:
        assert found.consequence == "retried"


def test_every_error_has_its_row_and_others_are_tried_again() -> None:
    assert all(outcome.of_error(code).code == code for code in outcome.ERRORS)
    assert outcome.of_error("no such code") is outcome.UNKNOWN_ERROR


def test_the_errors_are_those_of_calls_out_and_two_of_our_own() -> None:
    assert outcome.ERRORS.keys() == {row.code for row in egress.CODES} | {"unknown_error", "secret_unusable"}


@pytest.mark.parametrize("row", egress.CODES, ids=lambda row: str(row.code))
def test_what_may_come_out_well_later_is_tried_again_and_nothing_else(row: egress.CodeRow) -> None:
    assert outcome.of_error(row.code).consequence == ("buried" if row.for_good else "retried")


def test_codes_are_one_of_a_kind_and_every_row_can_come_up() -> None:
    assert len({row.code for row in outcome.OUTCOMES}) == len(outcome.OUTCOMES)
    reached = {*map(outcome.of_status, range(1000)), *outcome.ERRORS.values(), outcome.ATTEMPTS_SPENT, outcome.TIME_SPENT}
    assert reached == set(outcome.OUTCOMES)


def test_only_what_was_not_tried_spends_no_attempt_and_says_nothing_of_the_target() -> None:
    assert [row.code for row in outcome.OUTCOMES if not row.counts] == ["no_place"]
    assert (outcome.NO_PLACE.consequence, outcome.NO_PLACE.failing) == ("retried", False)


def test_what_is_the_records_own_fault_does_not_count_against_the_target() -> None:
    assert not any(row.failing for row in outcome.OUTCOMES if row.consequence != "retried")


def test_a_reason_says_what_was_seen_and_what_to_do() -> None:
    reason = outcome.of_status(404).reason("HTTP 404")
    assert (reason.code, reason.pointer) == ("refused", "")
    assert reason.detail == "HTTP 404: The target refuses this request, and would again. Mend the target or the definition, then replay."
