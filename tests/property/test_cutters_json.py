"""The JSON cutter against the standard parser for sound files, and against damage."""

import json
from functools import partial
from random import Random
from typing import Any

import pytest

from flows.core.files.cut_json import JsonCutter, JsonOptions
from flows.core.files.json_values import Value, values
from flows.core.files.pieces import Part, Piece
from tests.kit.cutting import FILES, check, cut, seeded, sizes, soup, whole

TEXTS = ["", "a", '"', "\\", "},{", "é", "]", "\n", "x" * 30, '":[{']


def value(rng: Random, depth: int = 3) -> Any:
    kind = rng.randint(0, 5 if depth else 2)
    if kind <= 2:
        return rng.choice([None, True, 1, -2.5e3, rng.choice(TEXTS), rng.choice(TEXTS)])
    if kind == 3:
        return [value(rng, depth - 1) for _ in range(rng.randint(0, 4))]
    return {rng.choice(TEXTS) + str(n): value(rng, depth - 1) for n in range(rng.randint(0, 4))}


def elements(pieces: list[Piece], *, listed: bool) -> list[Value]:
    """Return the records, each cut off from its neighbours, and check that each piece counts its own."""
    found: list[Value] = []
    for piece, data in whole(pieces):
        mine = list(values(data, piece.start, piece.line, listed=listed)) if piece.records else []
        if piece.records == 1:
            blank = len(data) - len(data.lstrip())
            mine = [Value(piece.start + blank, piece.line + data.count(b"\n", 0, blank), data.strip().removesuffix(b",") if listed else data.strip())]
        assert (piece.first, piece.records) == (len(found), len(mine))
        found += mine
    return found


@pytest.mark.parametrize("path", ["", "/data", "/a~1b/1/é"])
def test_the_elements_of_an_array_are_those_of_the_standard_parser(path: str) -> None:
    rng = seeded(path)
    for _ in range(FILES // 3):
        wanted = [value(rng) for _ in range(rng.randint(0, 12))]
        around: dict[str, Any] = {"": wanted, "/data": {"x": value(rng), "y": "data", "data": wanted, "z": value(rng)}}
        tree = around.get(path, {"a": {"a/b": []}, "a/b": [[wanted], {"é": wanted}], "é": []})
        data, size = json.dumps(tree, indent=rng.choice([None, 1]), ensure_ascii=rng.random() < 0.5).encode(), sizes(rng)
        data = rng.choice([b"", b"\xef\xbb\xbf"]) + data
        pieces, cutter = cut(partial(JsonCutter, JsonOptions(path), piece_bytes=size), data, rng, rng.choice([0.0, 0.5, 1.0]))
        check(pieces, data, size)
        assert cutter.refused is None
        found = elements(pieces, listed=True)
        assert [json.loads(each.raw) for each in found] == wanted
        for each in found:
            if len(found) < 3:
                assert each.line == data.count(b"\n", 0, data.index(each.raw, each.start)) + 1


def test_values_that_follow_one_another_are_those_of_the_standard_parser() -> None:
    rng = seeded(7)
    for _ in range(FILES // 2):
        wanted = [value(rng) for _ in range(rng.randint(0, 12))]
        gap = rng.choice(["\n", "\n", " ", "\r\n", "\n\n"])
        data, size = gap.join(json.dumps(each, indent=rng.choice([None, 1])) for each in wanted).encode(), sizes(rng)
        pieces, _ = cut(partial(JsonCutter, JsonOptions(concatenated=True), piece_bytes=size), data, rng, rng.choice([0.0, 0.5, 1.0]))
        check(pieces, data, size)
        assert [json.loads(each.raw) for each in elements(pieces, listed=False)] == wanted


@pytest.mark.parametrize("listed", [True, False])
def test_any_bytes_are_cut_alike_in_blocks_of_any_size(listed: bool) -> None:
    rng = seeded(listed)
    for _ in range(FILES // 2):
        data = soup(rng, ['{"a":1}', ",", ",", "[", "]", "{", "}", '"', ":", "1", "\n", "\\", '{"a":', '{"b":"x"},'], "utf-8")
        data, size = (b"[" if listed else b"") + data, sizes(rng)
        make = partial(JsonCutter, JsonOptions(concatenated=not listed), piece_bytes=size)
        pieces, cutter = cut(make, data, rng)
        again, _ = cut(make, data, rng, 1.0)
        if not cutter.refused or cutter.refused.code == "truncated":
            check(pieces, data, size)
        assert elements(pieces, listed=listed) == elements(again, listed=listed)


DAMAGE = [
    '{"id":%d,"v":"x}',
    '{"id":%d,"v":{"w":1}',
    '{"id":%d,"v":[1}',
    '{"id":%d}}',
    '{"id":%d,"v":nope}',
    '{"id":%d,"v":"\n"}',
    '{"id":%d "v":"a"b"}',
    '{"id":%d,,}',
    "",
    '"id":%d}',
]


@pytest.mark.parametrize("broken", DAMAGE)
@pytest.mark.parametrize("gap", [",", ",\n  "])
def test_a_broken_element_costs_itself_alone(broken: str, gap: str) -> None:
    rng = seeded(broken + gap)
    sound = ['{"id":%d,"v":"},{","w":[{"x":1},{"x":2},{"x":3}]}'.replace("%d", str(n)) for n in range(30)]
    at = rng.randint(1, 28)
    texts = [*sound[:at], broken % at if "%" in broken else broken, *sound[at:]]
    data = ("[" + gap.join(texts) + "]").encode()
    for size in (200, 4_000):
        pieces, _ = cut(partial(JsonCutter, JsonOptions(), piece_bytes=size), data, rng, 0.3)
        check(pieces, data, size)
        found = [each.raw.decode() for each in elements(pieces, listed=True)]
        assert found == texts


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        ("", '{"a":1}', "not_an_array"),
        ("/b", '{"a":[1]}', "path_not_found"),
        ("/a/1", '{"a":[[1]]}', "path_not_found"),
        ("/a", '{"a":"x"}', "not_an_array"),
        ("", "", None),
        ("", "[1,2", "truncated"),
    ],
)
def test_a_file_without_the_array_is_refused_with_a_sentence(path: str, text: str, code: str | None) -> None:
    cutter = JsonCutter(JsonOptions(path))
    cutter.feed(text.encode())
    cutter.finish()
    assert (cutter.refused.code if cutter.refused else None) == code or (code is None and cutter.refused)
    if code in {"not_an_array", "path_not_found"}:
        assert "source_config.json_path" in str(cutter.refused)
    if text == '{"a":1}':
        assert "put it in brackets, or on one line with ndjson as data_format" in str(cutter.refused)


LAST = [one for one in DAMAGE if one and not one.endswith(':"x}')]


@pytest.mark.parametrize("broken", [*LAST, '{"id":%d}{"id":0}', '{"id":%d', '{"id":%d,"v":"x}\n'])
@pytest.mark.parametrize(("path", "around"), [("", "[%s]"), ("", "[\n%s\n]\n"), ("/x/0", '{"x": [[%s ]\n]} ')])
def test_a_broken_last_element_costs_itself_alone(broken: str, path: str, around: str) -> None:
    rng = seeded(broken + around)
    texts = ['{"id":%d,"v":[{"x":1},{"x":"},{"}]}'.replace("%d", str(n)) for n in range(12)] + [broken % 12]
    data = around.replace("%s", ",\n".join(texts)).encode()
    for size in (200, 4_000):
        pieces, cutter = cut(partial(JsonCutter, JsonOptions(path), piece_bytes=size), data, rng, rng.choice([0.0, 0.5, 1.0]))
        check(pieces, data, size)
        assert cutter.refused is None
        assert [each.raw.decode() for each in elements(pieces, listed=True)] == [one.strip() for one in texts]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"id":1},{"id":2,"a":"un}]', "The file ends at byte 27, and record 2 is not closed: "),
        ('[{"id":1},{"id":2,"a":[1', "The file ends at byte 24, and record 2 is not closed: "),
        ('[{"id":1},{"id":2', "The file ends at byte 17, and record 2 is not closed: "),
        ('[{"id":1},{"id":2}', "The file ends at byte 18, behind record 2, and its array is not closed: "),
        ('[{"id":1},{"id":2}{"id":3,"a":[1,2]', "Record 2 is damaged, and neither its end nor that of the array is found before the file ends at byte 35. "),
        ('[{"id":1},{"id":2}{"id":3}] and more', "Record 2 is damaged, and neither its end nor that of the array is found before the file ends at byte 36. "),
    ],
)
def test_it_is_told_what_is_not_closed(text: str, told: str) -> None:
    for restart in (0.0, 1.0):
        for size in (16, 4_000):
            pieces, cutter = cut(partial(JsonCutter, JsonOptions(), piece_bytes=size), text.encode(), seeded(text), restart)
            assert sum(piece.records for piece in pieces) == 2
            assert cutter.refused is not None
            assert cutter.refused.torn.startswith(told)


@pytest.mark.parametrize("behind", ['{"id":3}', "[3]", "x" * 300, "\0", ",3]"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_what_stands_behind_the_array_is_told_with_its_place_and_white_space_is_nothing(behind: str, encoding: str) -> None:
    rng = seeded(behind + encoding)
    for size in (64, 4_000):
        for text, told in (('[{"id":1},{"id":2}]\n ' + behind + "\n", True), ('[{"id":1},{"id":2}] \r\n' + " " * 200, False)):
            data = text.encode(encoding)
            make = partial(JsonCutter, JsonOptions(encoding=encoding), piece_bytes=size)
            pieces, cutter = cut(make, data, rng, rng.choice([0.0, 0.5, 1.0]))
            check(pieces, data, size)
            assert sum(piece.records for piece in pieces) == 2
            assert (cutter.refused is not None) is told
            if cutter.refused is not None:
                assert cutter.refused.torn.startswith(
                    f"At byte {21 * (len(data) // len(text))}, behind record 2 and the end of the array, something else stands"
                )


def test_what_stands_behind_an_array_on_a_path_is_the_rest_of_its_document() -> None:
    _, cutter = cut(partial(JsonCutter, JsonOptions("/x")), b'{"x": [{"id":1}], "y": 2}', seeded(1))
    assert cutter.refused is None


def test_deep_nesting_is_linear_and_never_crashes() -> None:
    data = b'[1,{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"},2," + b"[" * 100_000
    pieces, _ = cut(partial(JsonCutter, JsonOptions(), piece_bytes=4_096), data, seeded(1))
    check(pieces, data, 4_096)
    assert sum(piece.records for piece in pieces) == 4
    assert {piece.part for piece in pieces} == set(Part) - {Part.RAW}
