"""One record of XML that is damaged, in whatever way, costs itself and none of its neighbours; and many that are cost no more than time in proportion."""

import time
from functools import partial

import pytest

from connectors.files import xmlreader
from connectors.files.xmljudge import XmlOptions as XmlRows
from flows.core.files.cut_xml import XmlCutter, XmlOptions
from tests.kit.cutting import FILES, check, cut, seeded, sizes

SOUND = [
    "<row><id>{n}</id></row>",
    "<row>\n <id>{n}</id><!-- x --></row>",
    "<row><id>{n}</id><s><![CDATA[</row>]]></s></row>",
    '<row a="&gt;"><id>{n}</id></row >',
]
DAMAGED = [
    "<row><id>x</id>",
    "<id>x</id></row>",
    "<row><id>x<s>y</s></row>",
    "<row><id>x</id></id></row>",
    "<row><row><s>x</s></row>",
    "<row <id>x</id></row>",
    "<row><id>x</id></row",
    "<row><id>5 < 0</id></row>",
    "<row><!-- <id>x</id></row>",
    "<row><? <id>x</id></row>",
    '<row a="x><id>x</id></row>',
    "</row>",
    "</other>",
    "</rows>",
    "<row><id>x</id></rows></row>",
    "<!-- ",
    "garbage & <",
]


def read(data: bytes, path: str, size: int, seed: object) -> tuple[list[str], int]:
    """Return the ids that were read, and how many rows were turned away."""
    pieces, cutter = cut(partial(XmlCutter, XmlOptions(path), piece_bytes=size), data, seeded(seed), 0.3)
    check(pieces, data, size)
    assert cutter.refused is None, cutter.refused
    reader = xmlreader.reader(XmlRows(record=path))
    reads = [*reader.read(pieces), *reader.finish()]
    assert sum(found.rows_read for found in reads) == sum(piece.records for piece in pieces)
    ids = [value for found in reads if "id" in found.table.frame.columns for value in found.table.frame["id"].to_list()]
    return ids, sum(len({reject.ordinal for reject in found.rejects}) for found in reads)


@pytest.mark.parametrize("path", ["rows/row", "row"])
@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_record_costs_itself_alone(damaged: str, path: str) -> None:
    rng = seeded(f"{damaged} {path}")
    for _ in range(FILES // 100):
        rows = [rng.choice(SOUND).format(n=n) for n in range(rng.randint(2, 30))]
        at = rng.randint(1, len(rows) - 1)
        between = rng.choice(["", "\n"])
        data = f"<rows>{between.join([*rows[:at], damaged, *rows[at:]])}</rows>".encode()
        ids, rejected = read(data, path, rng.choice([sizes(rng), 100_000]), rng.random())
        assert [one for one in ids if one and one.isdigit()] == [str(n) for n in range(len(rows))], data
        assert rejected <= 2


@pytest.mark.parametrize("damaged", DAMAGED)
def test_many_damaged_records_take_time_in_proportion(damaged: str) -> None:
    def seconds(count: int) -> float:
        data = b"<rows>" + (damaged.encode() + b"<row><id>1</id></row>\n") * count + b"</rows>"
        cutter = XmlCutter(XmlOptions("rows/row"))
        begun = time.process_time()
        for at in range(0, len(data), 65536):
            cutter.feed(data[at : at + 65536])
        cutter.finish()
        return time.process_time() - begun

    few, many = seconds(500), seconds(4_000)
    assert many < 40 * few + 0.5
