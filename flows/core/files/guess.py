"""How a file is cut, told by its first bytes, its name and what its sender says of it: light, and enough for the choice of a cutter.

What holds of the pieces: they end between records as this `Cut` reads the file. A job may read it otherwise. As long as delimiter, quote, escape, comment,
encoding and the way to the records are those of the cut, its pieces hold whole records, and their ordinals are right where `header` is the same too. Of a CSV
file without line ends in quotes all of that may differ, but for the encoding's width. In every other case a row may be torn by the end of a piece: its reader
then takes the bytes of the pieces, which are the file's, and cuts them anew with the job's own options. So each piece carries its cut (`shelf.CUT`).
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from flows.core.errors import BadRequest
from flows.core.files.csv_dialect import Dialect
from flows.core.files.cut_json import SIGNS, JsonOptions
from flows.core.files.cut_lines import LineOptions
from flows.core.files.cut_xml import XmlOptions
from flows.core.files.cutters import Format, cutter
from flows.core.files.pieces import Cutter
from flows.core.files.units import WIDE, named

SAMPLE: Final = 64 * 1024
"""So many of the first bytes are looked at."""
HINTS: Final = ("data_format", "delimiter", "quote", "escape", "comment", "header", "encoding", "record_path", "json_path", "compression")
"""What a sender may say, by the names a job has for it."""
_MAGIC: Final = (
    (b"PAR1", "parquet", ""),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "excel", ""),
    (b"\x1f\x8b", "", "gzip"),
    (b"\x28\xb5\x2f\xfd", "", "zstd"),
    (b"BZh", "", "bzip2"),
    (b"\xfd7zXZ\x00", "", "xz"),
)
EXTENSIONS: Final = {
    **dict.fromkeys(("csv", "txt", "psv"), "csv"),
    **dict.fromkeys(("tsv", "tab"), "tsv"),
    **dict.fromkeys(("ndjson", "jsonl"), "ndjson"),
    **dict.fromkeys(("xlsx", "xls", "xlsb", "xlsm", "ods"), "excel"),
    **dict.fromkeys(("parquet", "pq"), "parquet"),
    "json": "json",
    "xml": "xml",
}
_BOOK: Final = (b"[Content_Types].xml", b"xl/", b"opendocument.spreadsheet")
"""What stands among the first bytes of a zip archive that is a workbook."""
_TYPES: Final = {
    **dict.fromkeys(("application/x-ndjson", "application/jsonl", "application/jsonlines"), "ndjson"),
    **dict.fromkeys(("text/xml", "application/xml"), "xml"),
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/json": "json",
}
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_QUOTED: Final = re.compile(r'"[^"]*+"')
_DELIMITERS: Final = (",", ";", "\t", "|")
_DEFAULTS: Final[Mapping[str, Any]] = {"quote": '"', "header": True, "json_path": ""}


@dataclass(frozen=True, slots=True)
class Cut:
    """How a file is cut."""

    form: Format = Format.RAW
    data_format: str | None = None
    """As jobs have it; None: that is not to be told by these bytes."""
    compression: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the cutter, by the names a job has for them."""

    def cutter(self, state: bytes | None = None) -> Cutter:
        """Return a cutter at the beginning of the file, or one that goes on from a state; raises BadRequest for options that mean nothing."""
        found, encoding = self.options, self.options.get("encoding", "utf-8")
        match self.form:
            case Format.CSV:
                return cutter(self.form, Dialect(**found), state)
            case Format.LINES:
                return cutter(self.form, LineOptions(encoding), state)
            case Format.JSON:
                return cutter(self.form, JsonOptions(found.get("json_path", ""), encoding=encoding), state)
            case Format.XML:
                return cutter(self.form, XmlOptions(_element(found["record_path"]), encoding), state)
            case _:
                return cutter(Format.RAW, None, state)

    def serves(self, data_format: str, source: Mapping[str, Any]) -> bool:
        """Tell whether a job that reads a file so finds whole records in its pieces, and their ordinals right; `source` is its `source_config`."""
        told = {name: value for name, value in source.items() if name in HINTS and value is not None}
        if self.compression or told.pop("compression", "none") != "none":
            return False
        wanted = {"csv": Format.CSV, "tsv": Format.CSV, "ndjson": Format.LINES, "json": Format.JSON, "xml": Format.XML}
        if data_format == "tsv":
            told["delimiter"] = "\t"
        return wanted.get(data_format) is self.form and all(self.options.get(name, _DEFAULTS.get(name)) == value for name, value in told.items())

    def source(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """Return a job's `source_config` with what the pieces were cut by, where it says nothing; that they were cut as UTF-8 says nothing of other letters."""
        cut_by = {name: value for name, value in self.options.items() if (name, value) != ("encoding", "utf-8")}
        return {**cut_by, **{name: value for name, value in source.items() if value is not None}}

    def text(self) -> bytes:
        """Write it as JSON."""
        return orjson.dumps({"form": self.form, "data_format": self.data_format, "compression": self.compression, "options": dict(self.options)})

    @classmethod
    def of(cls, text: str | bytes) -> "Cut":
        """Read what `text` wrote."""
        found = orjson.loads(text)
        return cls(Format(found["form"]), found["data_format"], found["compression"], found["options"])


def _element(path: str) -> str:
    """Return a job's `record_path`, from the root on, as the cutter has it; a single name is one at whatever depth."""
    return f"/{path.removeprefix('/')}" if "/" in path else path


def guess(sample: bytes, name: str = "", content_type: str = "", hints: Mapping[str, Any] | None = None) -> Cut:
    """Return how a file that begins with `sample` is cut: magic bytes count most, then what the sender says, the extension, the type, the first character.

    Args:
        sample: its first bytes, `SAMPLE` of them or all.
        name: the file's.
        content_type: as a header has it.
        hints: what the sender says, by the names in `HINTS`; the caller has seen to it that they can be.

    """
    said = dict(hints or {})
    compression, data_format = _packed(sample, name, said)
    if compression or data_format:
        return Cut(Format.RAW, data_format, compression)
    hinted = said.get("data_format") or _extension(name) or _TYPES.get(content_type.partition(";")[0].strip().lower())
    encoding = _encoding(sample, said.get("encoding"))
    if hinted in {"parquet", "excel"} or not encoding:
        return Cut(Format.RAW, hinted)
    text = sample.decode(encoding, "replace").lstrip("\ufeff")
    data_format = _kind(text, hinted, whole=len(sample) < SAMPLE)
    form, options = _shape(text, data_format, said, encoding)
    return Cut(form, data_format, None, options)


def _shape(text: str, data_format: str, said: Mapping[str, Any], encoding: str) -> tuple[Format, dict[str, Any]]:
    """Return the cutter for a text; without a way to its records XML, and JSON that is no array, is not cut between them."""
    match data_format:
        case "csv" | "tsv":
            return Format.CSV, _dialect(text, data_format, said, encoding)
        case "ndjson":
            return Format.LINES, {"encoding": encoding}
        case "xml" if "record_path" in said:
            return Format.XML, {"encoding": encoding, "record_path": said["record_path"]}
        case "json" if _sure_of_brackets(encoding) and ("json_path" in said or text.lstrip().startswith("[")):
            return Format.JSON, {"json_path": said.get("json_path", ""), "encoding": encoding}
    return Format.RAW, {}


def _sure_of_brackets(encoding: str) -> bool:
    """Tell whether JSON in this encoding can be cut: in some a letter may hold the byte of a bracket."""
    try:
        named(encoding, SIGNS)
    except BadRequest:
        return False
    return True


def _packed(sample: bytes, name: str, said: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return compression and format of what is no text."""
    if sample.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return (None, "excel") if is_book(sample) or _extension(name) == "excel" else ("zip", said.get("data_format"))
    for sign, kind, compression in _MAGIC:
        if sample.startswith(sign):
            inner = name.rpartition(".")[0] if compression else ""
            return compression or None, kind or said.get("data_format") or _extension(inner)
    packed = said.get("compression")
    return (None if packed == "none" else packed), None


def is_book(sample: bytes) -> bool:
    """Tell whether a zip archive that begins so is a workbook: its first member is a part of one, and no file that holds such parts itself."""
    name = sample[30 : 30 + int.from_bytes(sample[26:28], "little")].decode("utf-8", "replace")
    return _extension(name) in {None, "xml"} and any(sign in sample for sign in _BOOK)


def _extension(name: str) -> str | None:
    return EXTENSIONS.get(name.lower().rpartition(".")[2])


def _encoding(sample: bytes, said: str | None) -> str:
    """Return the encoding as far as it matters for cutting; legacy ones of one byte that nobody has named are cut alike. Empty: it cannot be cut."""
    if sample.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return ""
    likely = next((encoding for mark, encoding in _MARKS if sample.startswith(mark)), None) or _width(sample)
    if said is None:
        return likely
    try:
        name = codecs.lookup(said).name
        return (likely if likely in WIDE else "utf-16-le") if name == "utf-16" else named(name)
    except (LookupError, BadRequest):
        return ""


def _width(sample: bytes) -> str:
    """Tell text of two bytes a character by where its zeros stand."""
    half = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if half > 1 and max(even, odd) > half * 0.4 and min(even, odd) < half * 0.1:
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8"


def _kind(text: str, hinted: str | None, *, whole: bool) -> str:
    """Return the format of a text; a name that says JSON may stand on lines of it."""
    if hinted not in {None, "json"}:
        return str(hinted)
    start = text.lstrip()
    if start.startswith("<") and hinted is None:
        return "xml"
    if start.startswith("{"):
        return "ndjson" if _lines(start, hinted, whole=whole) else "json"
    return "json" if hinted or start.startswith("[") else "csv"


def _lines(start: str, hinted: str | None, *, whole: bool) -> bool:
    """Tell whether each line is a value of its own."""
    first, end, rest = start.partition("\n")
    if not end and not whole:
        return False
    try:
        orjson.loads(first)
    except ValueError:
        return False
    return bool(rest.strip()) or hinted is None


def _dialect(text: str, data_format: str, said: Mapping[str, Any], encoding: str) -> dict[str, Any]:
    found = {name: said[name] for name in ("quote", "escape", "comment", "header") if name in said}
    line = _QUOTED.sub("", re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0])
    likely = max(_DELIMITERS, key=line.count) if any(sign in line for sign in _DELIMITERS) else ","
    delimiter = said.get("delimiter") or ("\t" if data_format == "tsv" else likely)
    return found | {"delimiter": delimiter, "encoding": encoding}


def check_hints(hints: Mapping[str, Any]) -> None:
    """Do nothing where a cutter takes what a sender says; raises BadRequest."""
    for name in ("csv", "xml", "json", "ndjson"):
        try:
            guess(b"", "", "", {**hints, "data_format": name, "compression": "none"}).cutter()
        except (TypeError, ValueError) as error:
            raise BadRequest(f"The file cannot be cut as you say: {error}.") from error
