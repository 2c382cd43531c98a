from itertools import product

import pytest

from flows.core.imports.portion import BEGINNING, Lines, Portion, joined

VALUES = [b'{"a":1}', b"", b'{"a":"\xc3\xa9"}']
IDS = [b"%064d" % number for number in range(3)]


def portion(values: list[bytes] | Lines, keys: list[bytes | None]) -> Portion:
    return Portion(BEGINNING, True, 3, 0, 3, values, keys, Lines.of(IDS), [])


@pytest.mark.parametrize("keys", [[None] * 3, [b"k", None, b""]])
def test_a_portion_of_lines_comes_out_as_one_of_values(keys: list[bytes | None]) -> None:
    found = Portion.unpack(b"12345678" + portion(Lines.of(VALUES), keys).pack(), 8)
    assert (found.values, found.ids, found.keys) == (VALUES, IDS, keys)
    assert found == Portion.unpack(portion(VALUES, keys).pack())


def test_blocks_keep_the_line_ends_within_them() -> None:
    blocks = [b"1\n2\n", b"3\n"]
    assert Portion.unpack(portion(blocks, [None, None]).pack()).values == blocks


def test_lines_tell_whether_each_is_short_enough() -> None:
    assert Lines.of([]).within(0)
    for sizes in product([0, 1, 7, 8, 9, 30], repeat=4):
        lines = Lines.of(b"x" * size for size in sizes)
        assert [lines.within(most) for most in range(32)] == [max(sizes) <= most for most in range(32)]


def test_lines_are_a_sequence_of_their_values() -> None:
    lines = Lines.of(iter(VALUES))
    assert (len(lines), [*lines], lines[0], lines[-1], lines[1:], VALUES[2] in lines) == (3, VALUES, VALUES[0], VALUES[2], VALUES[1:], True)
    assert joined([lines, Lines.of([]), lines]) == Lines.of(VALUES * 2)
    assert joined([lines, [b"x\ny"]]) == [*VALUES, b"x\ny"]
