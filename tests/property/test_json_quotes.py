"""Lines split at their quotes: where that gives an answer at all, it is the pattern's, whatever was done to the lines."""

import random
from collections.abc import Iterable
from typing import Final

import pytest

from connectors.files.jsonrows import Kind, Kinds
from connectors.files.jsontemplate import learn

Style = tuple[str, str, bytes]
KINDS: Final[Kinds] = {
    "id": Kind.INT,
    "name": Kind.TEXT,
    "price": Kind.FLOAT,
    "true": Kind.BOOL,
    "é x": Kind.TEXT,
    "mixed": Kind.FRAGMENT,
    "none": Kind.NONE,
    "never": Kind.TEXT,
}
CLEAN: Final = {
    "id": ["1", "0", "-7", "-0", "123456789012345678", "null"],
    "name": ['"a"', '"é😀"', '""', '"null"', '"a, b: c"', '"{:,}"', '"true"', '" 1 "'],
    "price": ["1.5", "0.25", "-3.0", "1e2", "1.0E-7", "null"],
    "true": ["true", "false", "null"],
    "é x": ['"x"', '"\u2028"', '"\x7f"'],
    "mixed": ["1", "2.5", "-0.0", "null"],
    "none": ["null"],
}
SIGNS: Final = [*'",:{}[] \n\r\t\\\x00\x02\x03\x0b0+-.eu', "\ufeff", "id", "name", "true", "null", '""', "\n\n", '":"', '","', '"id":1,', '"x":1,', "01", "1_0"]
STYLES: Final[list[Style]] = [
    (":", ",", b"\n"),
    (": ", ", ", b"\n"),
    (" : ", " , ", b",\n"),
    (":", ",", b",\n  "),
    (":", ",", b" ,\n"),
    (":", ",", b","),
    (": ", ", ", b", "),
    (":", ",", b"\r\n"),
]
BROKEN: Final = [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xc0\xa2"]


def written(names: list[str], values: Iterable[str], style: Style) -> bytes:
    """Write a record."""
    pairs = (f'"{name}"{style[0]}{value}' for name, value in zip(names, values, strict=True))
    return b"{%b}" % style[1].join(pairs).encode()


def lines_of(records: list[bytes], gap: bytes) -> bytes:
    """Write records as a template is given them."""
    return gap.join(records) + (gap.partition(b"\n")[0] if b"\n" in gap else b"")


def damaged(rng: random.Random, body: bytes) -> bytes:
    """Put something in or take something away, in one place or in some, of which one may make up for another."""
    for _ in range(rng.choice([0, 1, 1, 2, 2, 4])):
        at, size = rng.randrange(len(body) + 1), rng.choice([0, 0, 1, 2, 5])
        put = rng.choice([b"", rng.choice(SIGNS).encode(), rng.choice(SIGNS).encode(), rng.choice(BROKEN), body[at - size : at]])
        body = body[:at] + put + body[at + size :]
    return body


@pytest.mark.parametrize("seed", range(200))
def test_what_is_split_is_what_the_pattern_takes(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  it makes test data
    names, style = rng.sample(list(CLEAN), rng.randint(1, len(CLEAN))), rng.choice(STYLES)
    sample = written(names, (CLEAN[name][0] for name in names), style)
    body = lines_of([written(names, (rng.choice(CLEAN[name]) for name in names), style) for _ in range(rng.choice([1, 2, 5, 40]))], style[2])
    for _ in range(12):
        template = learn(sample, style[2], KINDS)  # each has forgotten the misses of the one before
        assert template is not None
        text = damaged(rng, body)
        taken, wanted = template.take(text), template._replace(quoted=None).take(text)
        assert (taken is None) == (wanted is None)
        if taken is not None and wanted is not None:
            assert taken.frame.equals(wanted.frame)
            assert taken.sizes.to_list() == wanted.sizes.to_list()


@pytest.mark.parametrize("style", STYLES[:-1])
def test_lines_that_are_sound_are_split(style: Style) -> None:
    records = [written(list(CLEAN), (values[at % len(values)] for values in CLEAN.values()), style) for at in range(9)]
    template = learn(records[0], style[2], KINDS)
    assert template is not None
    assert template.quoted is not None
    body = lines_of(records, style[2])
    lines = body.replace(template.seam, b"}\n%b{" % (b" " * (len(template.seam) - 3))) if template.seam else body
    taken = template.quoted.take(lines, KINDS)
    assert taken is not None
    assert taken[0].height == len(records)
    assert list(map(len, lines.split(b"\n"))) == taken[1].to_list()


def test_a_line_whose_end_is_a_quote_is_not_sound() -> None:
    style = STYLES[0]
    good = written(["id", "name"], ("1", '"a"'), style)
    for bad in (good[:-1] + b'"', good + b'"', good[:-1], good[:-2], good[:-2] + b'""', good[:-1] + b'"}'):
        for lines in (bad, good + b"\n" + bad, bad + b"\n" + good, bad + b"\n" + bad):
            template = learn(good, style[2], KINDS)
            assert template is not None
            assert template.quoted is not None
            assert template.quoted.take(lines, KINDS) is None


def test_after_a_miss_lines_are_not_split_for_some_time() -> None:
    style = STYLES[0]
    good, bad = (written(["id", "name"], values, style) for values in (("1", '"a"'), ("1", "null")))
    template = learn(good, style[2], KINDS)
    assert template is not None
    assert template.quoted is not None
    found = [template.quoted.take(line, KINDS) is not None for line in (good, bad, good, good, good, bad, *[good] * 3)]
    assert found == [True, False, False, False, True, False, False, False, True]
