"""What reads, and what cuts, a file of each format, with a job's options and what was found out about the file."""

import codecs
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from connectors.files import jsonarray, ndjson, xmlreader
from connectors.files.archive import Archive
from connectors.files.bounds import Limits, no_text, refusal, wrong_format
from connectors.files.csv_reader import CsvReader
from connectors.files.detect import ABOUT_ENCODING, detect
from connectors.files.excel import Excel, Wish
from connectors.files.inflate import Compression, blocks
from connectors.files.reader import Reader, Unreadable
from connectors.files.rubbish import rubbish
from connectors.files.whole import WholeReader
from connectors.files.xmljudge import XmlOptions as XmlRows
from flows.core.files.csv_dialect import Dialect
from flows.core.files.cut_json import JsonOptions
from flows.core.files.cut_lines import LineOptions
from flows.core.files.cut_xml import XmlOptions
from flows.core.files.cutters import Format, Options, cutter
from flows.core.files.pieces import Cutter
from flows.core.files.units import WIDE, shadow
from flows.core.files.xml_tags import first_path, root_alone
from flows.core.imports.source import LOOKS_LIKE, NOTES

Source = Mapping[str, Any]
"""A job's `source_config`, with everything settled that it left open."""
DIALECT: Final = ("delimiter", "quote", "escape", "comment", "header")
DEFAULTS: Final = {"delimiter": ",", "quote": '"', "escape": "", "comment": "", "header": True}
FORMATS: Final = ("csv", "tsv", "ndjson", "json", "xml", "parquet", "excel")
WHOLE: Final = frozenset({"parquet", "excel"})
_OTHERS: Final[Mapping[str, frozenset[str]]] = {
    "csv": frozenset({"json", "ndjson", "xml"}) | WHOLE,
    "tsv": frozenset({"json", "ndjson", "xml"}) | WHOLE,
    "json": frozenset({"xml"}) | WHOLE,
    "ndjson": frozenset({"csv", "json", "xml"}) | WHOLE,
    "xml": frozenset({"json", "ndjson"}) | WHOLE,
}
"""What a file that a job reads as one format may prove to be."""
_SURE: Final[Mapping[str, re.Pattern[str]]] = {
    "json": re.compile(r'\s*(?:\{\s*"|\[\s*\{\s*"|\[\s*$)'),
    "ndjson": re.compile(r'\s*\{\s*"'),
    "xml": re.compile(r"\s*(?:<\?xml\s|<[^<>]+>\s*<)"),
}
"""How such a file begins for certain: the names of a CSV file's columns may stand in brackets."""
_SPREAD: Final = re.compile(r"\s*\{[ \t\r]*\n")
"""An object over several lines."""
_ARRAY: Final = re.compile(r"\s*\[\s*(?:\{\s*[\"}]|\]\s*$|$)")
_LIKELY: Final = 0.8
"""How sure one has to be of a CSV file, which begins like nothing for certain."""
_NO_LINES: Final = "The file is empty: NDJSON without a line has no rows, and that is not an error."
_PARQUET: Final = re.compile(rb"PAR1[\x00-\x08\x0e-\x1f]")


def settle(form: str, source: Source, sample: bytes) -> dict[str, Any]:
    """Return a job's source with what it leaves open found out from the file's first bytes; raise `Unreadable` where these say that nothing can be read."""
    settled = {name: value for name, value in source.items() if value is not None}
    if not sample and form != "ndjson":
        raise refusal("empty_file")
    if form in WHOLE:
        return settled
    found = detect(sample, f"file.{form}")
    _require_text(form, settled.get("encoding"), found, sample)
    if "encoding" not in settled and (notes := [note for note in found["notes"] if note.startswith(ABOUT_ENCODING)]):
        settled[NOTES] = notes
    if not sample:
        settled[NOTES] = [_NO_LINES]
    settled["encoding"] = _encoding(settled.get("encoding"), found["encoding"] or "utf-8", sample)
    if form in {"csv", "tsv"}:
        told = {name: value for name, value in (found["dialect"] or {}).items() if value is not None and name != "header"}
        settled = DEFAULTS | {name: value for name, value in told.items() if name in DIALECT} | settled
    other = _other(form, found, sample)
    if other is not None:
        settled[LOOKS_LIKE] = other
        if form == "ndjson" and other == "json" and _is_array(sample.decode(settled["encoding"], "replace")):
            raise wrong_format(form, other)  # its last line would be taken for a row
    if form == "tsv":
        settled["delimiter"] = "\t"
    if form == "xml":
        settled.setdefault("record_path", _records(shadow(sample, settled["encoding"])))
    return settled


def _require_text(form: str, encoding: str | None, found: Source, sample: bytes) -> None:
    """Do nothing where bytes may be text; raises `Unreadable`."""
    if other := _binary(found, sample):
        raise wrong_format(form, other)
    if kind := rubbish(sample, wide=_encoding(encoding, found["encoding"] or "utf-8", sample) in WIDE):
        raise no_text(form, kind)


def _binary(found: Source, sample: bytes) -> str | None:
    """Return what bytes that are text of no format are: a workbook, Parquet, or packed; None: they may be text, as the four letters of Parquet are."""
    if found["format"] == "parquet":
        return "parquet" if _PARQUET.match(sample) else None
    told = found["compression"] or (found["format"] if found["format"] in WHOLE else None)
    return str(told) if told else None


def _other(form: str, found: Source, sample: bytes) -> str | None:
    """Return the format that a file is of for certain, where a job says another; None: it may well be what the job says."""
    other = found["format"]
    if other not in _OTHERS[form]:
        return None
    if other in WHOLE:
        return str(other)
    text = sample.decode(found["encoding"] or "utf-8", "replace").removeprefix("\ufeff")
    if other == "csv":
        return "csv" if found["confidence"] >= _LIKELY else None
    if form == "ndjson" and other == "json":  # a line of NDJSON is JSON, too
        return "json" if _SPREAD.match(text) or _is_array(text) else None
    return str(other) if _SURE[other].match(text) else None


def _is_array(text: str) -> bool:
    """Tell whether this is an array of objects that goes on behind its first line, or is all there is; as a first line it may be a bad row of NDJSON."""
    text = text.removeprefix("\ufeff")
    if not _ARRAY.match(text):
        return False
    first, _, rest = text.strip().partition("\n")
    try:
        orjson.loads(first)
    except orjson.JSONDecodeError:
        return True
    return not rest


def _encoding(said: str | None, found: str, sample: bytes) -> str:
    """Return the encoding: as a job says; of UTF-16 the one of its two orders that the first bytes show."""
    if said is None or codecs.lookup(said).name != "utf-16":
        return said or found
    return found if found in WIDE else "utf-16-be" if sample[:1] == b"\0" else "utf-16-le"


def _records(units: bytes) -> str:
    """Return the way to the records of an XML file that nobody has named: the elements in the root that are called like the first; raise `Unreadable`."""
    names = [name.decode("latin-1") for name in first_path(units)]
    if len(names) == 1 and root_alone(units) is not None:
        return f"{names[0]}/row"  # it has no record by any name
    if len(names) == 1:
        raise refusal("no_records", where=f"<{names[0]}>")
    return "/".join(names) or "row"  # without an element: the cutter says so


def packed(form: str, path: Path, sample: bytes, limits: Limits) -> str:
    """Return how a file that begins with these bytes is compressed: a workbook is a zip itself, told by what its list of members names."""
    if form not in WHOLE or not sample.startswith(b"PK"):
        return detect(sample)["compression"] or "none"
    try:
        return "none" if Archive.open(path, limits).is_book else "zip"
    except Unreadable:
        return "none"  # the format's own reader says what is wrong with it


def first_of(form: str, source: Source, path: Path, sample: bytes, limits: Limits) -> bytes:
    """Return the first bytes of what a file comes to, where it is told by them how it is read; raises `Unreadable`."""
    if form in WHOLE or source["compression"] == "none":
        return sample
    return next(blocks(path, Compression(source["compression"]), limits, member=source.get("member")), b"")


def dialect_of(source: Source) -> Dialect:
    """Return the dialect of a CSV file; its first row names the columns unless the job says otherwise."""
    chosen = {name: source[name] for name in DIALECT if source.get(name) is not None}
    return Dialect(**chosen, encoding=source.get("encoding", "utf-8"))


def cutter_of(form: str, source: Source, state: bytes | None) -> Cutter:
    """Return what cuts such a file."""
    encoding = source.get("encoding", "utf-8")
    options: dict[str, tuple[Format, Options]] = {
        "ndjson": (Format.LINES, LineOptions(encoding)),
        "json": (Format.JSON, JsonOptions(source.get("json_path") or "", encoding=encoding)),
        "xml": (Format.XML, XmlOptions(source.get("record_path") or "", encoding)),
    }
    return cutter(*options.get(form, (Format.CSV, dialect_of(source))), state)


def reader_of(form: str, source: Source, state: bytes, at: int) -> Reader:
    """Return what reads the pieces of such a file, from byte `at` of it on; raise `BadRequest` for options that mean nothing."""
    encoding = source.get("encoding", "utf-8")
    if form == "ndjson":
        return ndjson.reader(state=state, goes_on=at, encoding=encoding)
    if form == "json":
        return jsonarray.reader(state=state, goes_on=at, encoding=encoding)
    if form == "xml":
        return xmlreader.reader(XmlRows(record=source.get("record_path") or ""), state, at, encoding)
    return CsvReader(dialect_of(source), source.get("columns") or (), state=state)


def whole_reader_of(form: str, source: Source, limits: Limits, scratch: Path) -> WholeReader:
    """Return what reads such a file from its path; raise `Unreadable` for a format that is not read so."""
    if form == "parquet":
        from connectors.files.parquet import Parquet  # noqa: PLC0415 - its library takes 30 MB and a tenth of a second, which other formats are spared

        return Parquet(limits)
    if form == "excel":
        header_row = {True: None, False: 0, None: None}[source.get("header")]
        return Excel(limits, scratch, Wish(source.get("sheet"), header_row))
    raise Unreadable("unknown_format", f"There is no reader of {form!r}.")
