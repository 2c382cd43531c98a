"""What jobs remember: levels that are compared as what they are, and keys that are counted until they are forgotten."""

import pytest

from flows.core.imports.recall import DIGEST, Days, Level, Lot, Recalled, higher


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("int64", 9, 10), ("float64", -1.5, 0.25), ("decimal", "9.5", "10.25"), ("string", "10", "9"), ("date", 19_000, 19_001), ("datetime", 5, 6)],
)
def test_levels_are_compared_by_their_kind(kind: str, low: float | str, high: float | str) -> None:
    one, other = Level(kind, low), Level(kind, high)
    assert other.above(one)
    assert not one.above(other)
    assert not one.above(one)
    assert one.above(None)
    assert higher(one, other) == higher(other, one) == higher(None, other) == higher(other, None) == other


def test_keys_that_have_expired_are_not_counted() -> None:
    days = Days()
    days.add(10, 5)
    days.add(12, 3)
    days.add(10, -2)
    days = Days.of(days.text())
    assert days.alive(10) == 6
    assert days.alive(11) == 3
    assert days.alive(13) == Days.of(None).alive(0) == 0


def test_a_dry_run_knows_what_its_own_portions_have_let_through() -> None:
    def key(number: int) -> bytes:
        return bytes([number]) * DIGEST

    recalled = Recalled()
    first = [Lot("file", key(1) + key(2), bytes(2), key(1) + key(2)), Lot("rows", key(1) + key(7) + key(2) + key(8), bytes(2), key(1) + key(7))]
    assert recalled.answers(first) == [bytes(2), bytes(2)]
    recalled.keep(first)
    behind = [Lot("file", key(2) + key(3), bytes(2), b""), Lot("rows", key(1) + key(7) + key(1) + key(9), bytes(2), b"")]
    assert recalled.answers(behind) == [b"\1\0", b"\1\0"]
