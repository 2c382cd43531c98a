"""What the cutters cut, the readers read: every record is a row or a reject, whatever the size of pieces, with the same rows as in one piece."""

import json
import random
from typing import Any

import pytest

from connectors.files import jsonarray, ndjson, xmlreader
from connectors.files.bypiece import ByPiece
from connectors.files.xmljudge import XmlOptions
from flows.core.files.cut_json import JsonCutter, JsonOptions
from flows.core.files.cut_lines import LineCutter, LineOptions
from flows.core.files.cut_xml import XmlCutter
from flows.core.files.cut_xml import XmlOptions as XmlCut
from flows.core.files.pieces import Cutter
from tests.kit.tables import all_rejects, all_rows, read

BROKEN = [b'{"a":nul}', b'{"a":01}', b"5", b'{"a":"\xff"}', b'{"a":"\\ud800"}', b"[1,[2]]", b'{"a" 1}']


def objects(rng: random.Random) -> list[dict[str, Any]]:
    values = [1, 2.5, "x", "},{", '"\\', True, [1, {"b": []}], {"c": "é"}, 10**18]
    return [{"n": index, **{name: rng.choice(values) for name in "abc" if rng.random() < 0.7}} for index in range(rng.randint(1, 40))]


def check(cutter: Cutter, reader: ByPiece, data: bytes, good: list[dict[str, Any]], bad: int) -> None:
    pieces = [*cutter.feed(data), *cutter.finish()]
    done = read(reader, pieces)
    assert all_rows(done) == good
    assert len(all_rejects(done)) == bad
    ordinals = sorted([reject.ordinal for reject in all_rejects(done)] + [ordinal for one in done for ordinal in one.table.ordinals])
    assert ordinals == list(range(len(good) + bad))
    for one in done:
        for index in range(one.table.frame.height):
            place = one.table.place(index)
            assert data.startswith(place.raw, place.offset)
            assert place.line == 1 + data.count(b"\n", 0, place.offset)


@pytest.mark.parametrize("seed", range(40))
def test_json(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  it makes test data
    good = objects(rng)
    records = [json.dumps(row, ensure_ascii=rng.random() < 0.5).encode() for row in good]
    bad = rng.choice([0, 0, 1, 3])
    for _ in range(bad):
        records.insert(rng.randint(0, len(records)), rng.choice(BROKEN))
    size = rng.choice([64, 200, 1000, 100_000])
    check(LineCutter(LineOptions(), piece_bytes=size), ndjson.reader(), b"\n".join(records) + b"\n", good, bad)
    check(JsonCutter(JsonOptions("/x/y"), piece_bytes=size), jsonarray.reader(), b'{"x": {"y": [\n' + b",\n ".join(records) + b"\n]}}", good, bad)


@pytest.mark.parametrize("seed", range(40))
def test_xml(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  it makes test data
    good = [{"@n": str(index), "a": rng.choice(["", " x", "é", "<&>"]), "b.c": "1"} for index in range(rng.randint(1, 40))]
    records = [f'<p:r n="{row["@n"]}"><a>{row["a"].replace("&", "&amp;").replace("<", "&lt;")}</a><b><c>1</c></b></p:r>'.encode() for row in good]
    bad = rng.choice([0, 0, 1, 3])
    for _ in range(bad):
        records.insert(rng.randint(0, len(records)), rng.choice([b"<r><a>1 & 2</a></r>", b"<r><a>\xff</a></r>", b"<r>&x;</r>", b"<r><a>\x01</a></r>"]))
    data = b'<?xml version="1.0"?>\n<!-- <r> --><w xmlns:p="u"><g>\n' + b"\n</g><g>\n".join(records) + b"\n</g></w>\n"
    cutter = XmlCutter(XmlCut("/w/g/r"), piece_bytes=rng.choice([100, 300, 1000, 100_000]))
    check(cutter, xmlreader.reader(XmlOptions(record="/w/g/r")), data, good, bad)
