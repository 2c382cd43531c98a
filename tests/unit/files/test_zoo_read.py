"""Every file of the zoo in the hands of the process that reads files for a worker: refused with a sentence or read, within bounds, and nobody is hurt."""

import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from flows.core.settings import load
from flows.wire.readers import Readers
from tests.kit import zoo_packed, zoo_sheets, zoo_texts
from tests.kit.reading import Outcome, read_through
from tests.kit.zoo import Entry, Refused, Rows

ENTRIES: Final = [*zoo_packed.ENTRIES, *zoo_sheets.ENTRIES, *zoo_texts.ENTRIES]
SETTINGS: Final = load({})
READERS: Final = Readers(SETTINGS)
MEMORY_MIB: Final = 384
"""Most that the process ever held: its own limit is 1 GiB."""
SLOW_S: Final = 20.0
"""A refusal takes some milliseconds, the largest file some seconds; machines that run tests are busy."""
MIB: Final = 1 << 20
WIDER: Final[dict[str, Rows | Refused]] = {
    "gzip: of nothing": Refused("empty_file"),
    "gzip: bomb": Rows(0, 1),
    "zstd: bomb": Rows(0, 1),
    "zip: bomb": Rows(0, 1),
    "zip: many members": Refused("which_member"),
    "excel: a sheet of blanks": Rows(0),
    "excel: rows without end": Rows(60_001),
    "excel: a row of 2 MiB": Rows(1),
    "excel: 1,001 columns": Rows(1),
    "parquet: more rows than may be": Rows(2_000_000),
    "parquet: 1,001 columns": Rows(1),
}
"""What becomes of files that the zoo holds against bounds narrower than a job's; the real ones are in `LARGE`."""


def _zipped(data: bytes) -> bytes:
    return zoo_packed.zipped(("a.csv", data))


PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {"gzip": zoo_packed.gzipped, "zstd": zoo_packed.zstandarded, "zip": _zipped}
ZEROS: Final = bytes(100 * MIB)
LARGE: Final = [
    *(Entry(f"{name}: bomb of 100 MiB", "lines", partial(pack, ZEROS), Refused("ratio_too_high"), name) for name, pack in PACKERS.items()),
    Entry("excel: 5 MiB in a row", "excel", lambda: zoo_sheets.row_of(5 * MIB), Refused("row_too_large")),
    Entry("zip: 10,001 members", "lines", lambda: zoo_packed.zipped(*((f"{n}.csv", b"") for n in range(10_001))), Refused("too_many_members"), "zip"),
    Entry("parquet: 10,001 columns", "parquet", lambda: zoo_sheets.wide_parquet(10_001), Refused("too_many_columns")),
]


class Reader:
    """A reading process that is replaced when it has ended."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.child = READERS.begin(scratch)
        assert self.read(b"a\n1\n", "csv").good == 1, "warm: its libraries are loaded"

    def read(self, data: bytes, data_format: str, **more: Any) -> Outcome:
        return read_through(self.child, data, data_format, self.scratch, kept=1, **more)

    def peak_mib(self) -> float:
        """Return the most memory that it ever held; 0: the system does not say."""
        try:
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.child.pid}/status").read_text())
        except FileNotFoundError:
            return 0.0
        return int(found[1]) / 1024 if found else 0.0


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Run one for all files: that it goes on behind each of them is a part of the claim."""
    found = Reader(tmp_path_factory.mktemp("reader"))
    yield found
    peak = found.peak_mib()
    found.child.close()
    assert peak < MEMORY_MIB


@pytest.mark.parametrize("entry", [*ENTRIES, *LARGE], ids=lambda entry: entry.name)
def test_a_file_of_the_zoo_is_read_or_refused(entry: Entry, reader: Reader) -> None:
    source: dict[str, Any] = dict(entry.options)
    data_format = entry.format
    if data_format == "lines":
        data_format, source = "csv", {"header": False, "compression": entry.compression}
    data = entry.make()
    begun = time.monotonic()
    found = reader.read(data, data_format, **source)
    took = time.monotonic() - begun
    if found.refused is not None:
        assert re.fullmatch(r"[A-Z<].{15,}\.", found.refused[1]), "a refusal is a sentence"
        assert "{" not in found.refused[1]
    told = Refused(found.refused[0]) if found.refused is not None else Rows(found.good, found.rejected)
    assert told == WIDER.get(entry.name, entry.expect)
    assert found.rows_read == found.good + found.rejected + found.skipped
    assert took < SLOW_S


@pytest.mark.parametrize("name", ["a.xlsx", "a.csv", "a.json", "a.xml", "a.parquet", "a.gz", "a", "a.csv.gz"])
@pytest.mark.parametrize("told", ["csv", "ndjson"])
def test_a_name_that_lies_changes_nothing(name: str, told: str, reader: Reader) -> None:
    data = b"a,b\n1,2\n3,4\n" if told == "csv" else b'{"a":1}\n{"a":2}\n'
    assert reader.read(data, told, name=name).good == 2
