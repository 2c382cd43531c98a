"""JSON, NDJSON and XML in encodings other than UTF-8: rows come out as text, and a reject stands where it stands in the file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from connectors.files.detect import detect
from flows.core.errors import BadRequest
from flows.core.files.cut_json import JsonCutter, JsonOptions
from flows.core.settings import load
from flows.wire.readers import Readers
from tests.kit.reading import Outcome, read_through

NAMES = ["Müller", "Ærø", "plain", 'ÿ<>&"', "naïve \\ x"]
ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "windows-1252", "iso-8859-15"]
WIDE_TEXT = "日本 😀 上"


def ndjson(names: list[str]) -> str:
    return "".join(f'{{"n":{n},"s":{orjson.dumps(name).decode()}}}\n' for n, name in enumerate(names))


def array(names: list[str]) -> str:
    return "[" + ndjson(names).strip().replace("\n", ",\n") + "]"


def nested(names: list[str]) -> str:
    return f'{{"é":[1],"rows":{array(names)}}}'


def xml(names: list[str]) -> str:
    def safe(name: str) -> str:
        return name.replace("&", "&amp;").replace("<", "&lt;")

    return "<rows>" + "".join(f"<row><n>{n}</n><s>{safe(name)}</s></row>\n" for n, name in enumerate(names)) + "</rows>"


MAKERS: list[tuple[str, Callable[[list[str]], str], dict[str, str]]] = [
    ("ndjson", ndjson, {}),
    ("json", array, {}),
    ("json", nested, {"json_path": "/rows"}),
    ("xml", xml, {}),
    ("xml", xml, {"record_path": "row"}),
]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Outcome]]:
    scratch: Path = tmp_path_factory.mktemp("encodings")
    readers = Readers(load({}))
    child = readers.begin(scratch)
    yield lambda data, data_format, **source: read_through(child, data, data_format, scratch, kept=1 << 20, **source)
    child.close()
    readers.close()


@pytest.mark.parametrize("rows", [5, 30_000])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("data_format", "make", "source"), MAKERS, ids=["ndjson", "array", "nested", "xml", "xml by name"])
def test_rows_are_text(
    read: Callable[..., Outcome], data_format: str, make: Callable[[list[str]], str], source: dict[str, str], encoding: str, rows: int
) -> None:
    names = [NAMES[n % len(NAMES)] + (WIDE_TEXT if encoding.startswith("utf") else "") for n in range(rows)]
    found = read(make(names).encode(encoding), data_format, encoding=encoding, **source)
    assert found.refused is None
    assert (found.good, found.rejected) == (rows, 0)
    assert [orjson.loads(value)["s"] for value in found.values] == names


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("data_format", "make", "source"), MAKERS, ids=["ndjson", "array", "nested", "xml", "xml by name"])
def test_a_reject_stands_where_it_stands_in_the_file(
    read: Callable[..., Outcome], data_format: str, make: Callable[[list[str]], str], source: dict[str, str], encoding: str
) -> None:
    text = make([f"é{n}" for n in range(20_000)])
    whole = '"é15000"' if data_format != "xml" else "<s>é15000</s>"
    broken = '"é15000" "é' if data_format != "xml" else "<s>é15000</t>"
    assert whole in text
    data = text.replace(whole, broken).encode(encoding)
    found = read(data, data_format, encoding=encoding, **source)
    assert (found.refused, found.good, found.rejected) == (None, 19_999, 1)
    (reject,) = found.rejects
    assert reject.ordinal == 15_000
    assert data[reject.offset :].startswith(reject.raw)
    assert broken.encode(encoding.replace("utf-16", "utf-16-le") if encoding == "utf-16" else encoding) in reject.raw
    assert reject.line in {0, text[: text.index(whole)].count("\n") + 1}


def test_bytes_that_are_none_of_the_encoding_cost_their_row(read: Callable[..., Outcome]) -> None:
    good = '{"s":"é"}\n'.encode("windows-1252")
    found = read(good + b'{"s":"\x81"}\n' + good, "ndjson", encoding="windows-1252")
    assert (found.good, found.rejected, found.rejects[0].offset, found.rejects[0].raw) == (2, 1, len(good), b'{"s":"\x81"}')
    wide = '{"s":"é"}\n'.encode("utf-16-le")
    found = read(wide + '{"s":"'.encode("utf-16-le") + b"\x00\xd8" + '"}\n'.encode("utf-16-le") + wide, "ndjson", encoding="utf-16-le")
    assert (found.good, found.rejected, found.rejects[0].offset) == (2, 1, len(wide))


def test_an_encoding_whose_letters_may_look_like_brackets_is_refused_for_json(read: Callable[..., Outcome]) -> None:
    with pytest.raises(BadRequest, match="may be half of another character"):
        JsonCutter(JsonOptions(encoding="shift_jis"))
    lines = read('{"s":"表"}\n'.encode("shift_jis"), "ndjson", encoding="shift_jis")
    assert [orjson.loads(value) for value in lines.values] == [{"s": "表"}]


def test_an_xml_file_says_what_it_is_in(read: Callable[..., Outcome]) -> None:
    data = ('<?xml version="1.0" encoding="ISO-8859-2"?>' + xml(["Łódź"])).encode("iso-8859-2")
    assert detect(data)["encoding"] == "iso8859-2"
    assert orjson.loads(read(data, "xml").values[0])["s"] == "Łódź"
    assert detect(b'<?xml version="1.0" encoding="UTF-16"?><a/>')["encoding"] == "utf-8"


def test_legacy_files_are_told_from_damaged_ones(read: Callable[..., Outcome]) -> None:
    names = ["Jürgen Müller", "Käthe Schröder", "Jörg Weiß", "Günther Groß", "plain"] * 20
    legacy = read("".join(f"{name},1\n" for name in ["name", *names]).encode("windows-1252"), "csv")
    assert [orjson.loads(value)["name"] for value in legacy.values] == names
    assert legacy.read_as["encoding"] == "cp1252"
    damaged = read("id,name\n1,José\n2,Müller\n".encode() + b"3,\xff\n", "csv")
    assert (damaged.good, damaged.rejected, damaged.read_as["encoding"]) == (2, 1, "utf-8")
