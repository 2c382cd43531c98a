"""Rejected rows as a file of the format they came in, each with a column that says what is wrong: to be mended and imported again.

The column, `_error`, comes first: behind a row with an unclosed quote, or with too few fields, it could not be told from the row. The row itself is
left as it stood, byte for byte; of CSV with its line end, and the line that names the columns has the file's.
"""

import codecs
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

import orjson

from flows.core.files.kept import ERROR, ROW
from flows.core.imports.jobs import JobDefinition
from flows.core.imports.rejects import Turned
from flows.core.imports.source import DataFormat
from ingress import export

DELIMITERS: Final = ",;\t|"
LINE: Final = re.compile(rb"[^\r\n]*")
OPENING: Final = re.compile(rb"<[^\s<>/!?][^\s<>/]*(?:\s(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*?)?(/?)>")
"""The first tag of an element: it may close itself."""
ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold (XML 1.0, §2.2)."""
BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
LINE_ENDS: Final = ("\r\n", "\n", "\r")
CHARSETS: Final = ((r"cp(125\d)", r"windows-\1"), (r"iso8859-(\d+)", r"iso-8859-\1"), (r"utf-16-([bl]e)", r"utf-16\1"), (r"(euc|iso2022)_(\w+)", r"\1-\2"))
"""Names of encodings as Python has them, and as media types do."""
UNMARKED: Final = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
"""Encodings that would write a mark before each text, as those that do not."""
MEDIA: Final[Mapping[DataFormat, tuple[str, str]]] = {
    "csv": (export.CSV, "csv"),
    "tsv": ("text/tab-separated-values", "tsv"),
    "json": ("application/json", "json"),
    "ndjson": (export.NDJSON, "ndjson"),
    "xml": ("application/xml", "xml"),
}
"""Formats that are written here, as media types and as the ends of file names."""
WHOLE: Final[Mapping[DataFormat, tuple[str, str]]] = {
    "parquet": ("application/vnd.apache.parquet", "parquet"),
    "excel": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
}
"""Those that a process of its own writes as a whole (`flows/wire/own_format.py`): of any workbook an xlsx."""


class Form(NamedTuple):
    """How a file is written."""

    front: bytes
    """What stands before its rows."""
    row: Callable[[Turned], bytes]
    between: bytes
    """What parts two rows."""
    back: bytes
    charset: str = "utf-8"
    """As media types name it."""

    def media(self, kind: str) -> str:
        """Return the media type with the encoding of what is written, where that is not said by the format."""
        return f"{kind}; charset={self.charset}" if kind.startswith("text/") else kind


def form_of(job: JobDefinition, head: bytes) -> Form:
    """Return how the file of a job is written; `head` is how it begins, empty where that is not known. Its format is one of `MEDIA`."""
    if job.data_format in {"csv", "tsv"}:
        return _lines(job, head)
    if job.data_format == "xml":
        return _xml(job, head)
    encoding = _encoding(job, head)
    if job.data_format == "json":
        return Form(b"[\n", lambda row: _object(row, encoding), b",\n", b"\n]\n")
    return Form(b"", lambda row: _object(row, encoding) + b"\n", b"", b"")


def told(row: Turned) -> str:
    """Say in a line what is wrong with a row."""
    reasons = (f"{code} {column}".rstrip() + (f": {rule}" if rule else "") for column, code, rule, _ in row.reasons)
    return " ".join("; ".join(reasons).split())


def _encoding(job: JobDefinition, head: bytes) -> str:
    marked = next((name for mark, name in BOMS if head.startswith(mark)), None)
    given = codecs.lookup(job.source_config.encoding or "utf-8").name
    return marked or UNMARKED.get(given, given)


def _lines(job: JobDefinition, head: bytes) -> Form:
    source, encoding = job.source_config, _encoding(job, head)
    mark = next((mark for mark, _ in BOMS if head.startswith(mark)), b"")
    named = source.header is not False
    first = _first_line(head[len(mark) :], encoding) if named else ""
    delimiter = source.delimiter or ("\t" if job.data_format == "tsv" else _likely(first))
    quote = '"' if source.quote is None else source.quote

    def cell(text: str) -> str:
        bare = export.guarded(text).replace(quote or "\0", quote * 2)
        return f"{quote}{bare}{quote}" if quote else " ".join(bare.replace(delimiter, " ").split())

    def line(row: Turned) -> bytes:
        own = b"" if row.raw.endswith(known) else end
        return (cell(told(row)) + delimiter).encode(encoding, "replace") + row.raw + own

    known = tuple(one.encode(encoding) for one in LINE_ENDS)
    end = _line_end(head, encoding).encode(encoding)
    titles = delimiter.join(map(cell, source.columns)) if source.columns is not None and named else first
    front = f"{ERROR}{delimiter}{titles}".encode(encoding, "replace") + end if titles else b""
    return Form(mark + front, line, b"", b"", "utf-16" if mark and encoding.startswith("utf-16") else _charset(encoding))


def _line_end(head: bytes, encoding: str) -> str:
    """Return what ends the lines of a file that begins so."""
    found = re.search(r"\r\n?|\n", head[: 1 << 16].decode(encoding, "replace"))
    return found[0] if found is not None else "\n"


def _charset(encoding: str) -> str:
    return next((re.sub(known, name, encoding) for known, name in CHARSETS if re.fullmatch(known, encoding)), encoding)


def _first_line(data: bytes, encoding: str) -> str:
    """Return the line that names the columns; a name with a line end in it would be cut."""
    found = data[: 1 << 16].decode(encoding, "replace")
    return next((line for line in re.split(r"\r\n?|\n", found) if line), "")


def _likely(line: str) -> str:
    """Return what parts the names of columns, where nobody has said."""
    counts = Counter(sign for sign in line if sign in DELIMITERS)
    return max(DELIMITERS, key=lambda sign: counts[sign])


def _object(row: Turned, encoding: str) -> bytes:
    error = orjson.dumps(told(row))
    text = row.raw.decode(encoding, "replace").strip("\ufeff \t\r\n")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        return orjson.dumps({ERROR: told(row), ROW: text})
    if value.pop(ERROR, None) is not None:  # of an import before
        text = orjson.dumps(value).decode()
    return b'{"%b":%b%b%b' % (ERROR.encode(), error, b"," if value else b"", text[1:].lstrip().encode())


def _xml(job: JobDefinition, head: bytes) -> Form:
    root, _, _ = (job.source_config.record_path or "rows/row").partition("/")
    encoding = _encoding(job, head)
    opening = re.search(rb"<%b(?:\s[^<>]*)?>" % re.escape(root.encode()), head[: 1 << 16])  # with the names of its namespaces
    start = opening[0] if opening is not None and encoding == "utf-8" and not opening[0].endswith(b"/>") else b"<%b>" % root.encode()
    return Form(b'<?xml version="1.0" encoding="utf-8"?>\n%b\n' % start, lambda row: _element(row, encoding), b"\n", b"\n</%b>\n" % root.encode())


def _element(row: Turned, encoding: str) -> bytes:
    """Return an element with the error as its first child; one that is damaged stands in it as a text."""
    error = f"<{ERROR}>{escape(told(row))}</{ERROR}>".encode()
    text = row.raw.decode(encoding, "replace").strip()
    raw = text.encode("utf-8", "replace")
    tag = OPENING.match(raw)
    damaged = any(not column and not rule for column, _, rule, _ in row.reasons)
    if tag is None or damaged or ILLEGAL.search(text) is not None or not _closed(raw, tag):
        return b"<%b>%b%b</%b>" % (ROW.encode(), error, escape(ILLEGAL.sub("\ufffd", text)).encode("utf-8", "replace"), ROW.encode())
    if tag[1]:
        return b"%b>%b</%b>" % (tag[0][:-2].rstrip(), error, _name(tag[0]))
    return tag[0] + error + raw[tag.end() :]


def _closed(raw: bytes, tag: re.Match[bytes]) -> bool:
    """Tell whether an element begins and ends alike; what stands between is as it was in the file."""
    if tag[1]:
        return tag.end() == len(raw)
    return re.search(rb"</%b\s*>\Z" % re.escape(_name(tag[0])), raw) is not None and not any(code in raw for code in (b"<!DOCTYPE", b"<!ENTITY"))


def _name(tag: bytes) -> bytes:
    return re.split(rb"[\s/>]", tag[1:], maxsplit=1)[0]
