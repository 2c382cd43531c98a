"""Every file of the zoo comes to what it has to, and quickly."""

import re
import time
from pathlib import Path
from typing import Final

import pytest

from connectors.files.bounds import REFUSALS
from connectors.files.excel import Excel
from connectors.files.inflate import Compression, blocks
from connectors.files.parquet import Parquet
from connectors.files.whole import WholeReader
from flows.core.imports.source import SourceConfig
from tests.kit import zoo_packed, zoo_sheets, zoo_texts
from tests.kit.zoo import LIMITS, Entry, Refused, Rows, run

ENTRIES: Final = [*zoo_packed.ENTRIES, *zoo_sheets.ENTRIES, *zoo_texts.ENTRIES]


def _lines(entry: Entry, path: Path) -> Rows:
    return Rows(sum(block.count(b"\n") for block in blocks(path, Compression(entry.compression), LIMITS)))


def _whole(reader: WholeReader, path: Path) -> Rows:
    rows = rejects = 0
    for portion in reader.tables(path):
        rows += portion.table.frame.height
        rejects += len(portion.rejects)
        assert len(portion.table.ordinals) == portion.table.frame.height
    return Rows(rows, rejects)


FORMATS: Final = {
    "lines": _lines,
    "parquet": lambda _, path: _whole(Parquet(LIMITS), path),
    "excel": lambda _, path: _whole(Excel(LIMITS, path.parent), path),
}


PLUGGED: Final = [entry for entry in ENTRIES if entry.format in FORMATS]
"""Formats that are read in pieces are added to `FORMATS` with their readers."""


@pytest.mark.parametrize("entry", PLUGGED, ids=[entry.name for entry in PLUGGED])
def test_a_file_of_the_zoo(entry: Entry, tmp_path: Path) -> None:
    begun = time.process_time()
    assert run(entry, tmp_path, FORMATS) == entry.expect
    assert time.process_time() - begun < 5


def test_the_zoo_is_large_and_each_of_its_files_is_one_of_a_kind() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES) >= 60
    assert {entry.expect.code for entry in PLUGGED if isinstance(entry.expect, Refused)} <= REFUSALS.keys()


def test_who_is_told_to_name_something_is_told_in_which_field() -> None:
    """As a job has it; some facts are put in where the braces are."""
    for code, sentence in REFUSALS.items():
        if re.search(r"\b(?:Name|name) ", sentence):
            assert re.search(r"source_config\.|data_format|\{how\}|plain names", sentence), code
        for field in re.findall(r"source_config\.(\w+)", sentence):
            assert field in SourceConfig.model_fields, f"{code}: a job has no {field}"
