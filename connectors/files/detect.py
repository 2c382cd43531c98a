"""What a file is, by its first bytes: format, encoding, dialect, columns. A guess, which whoever imports may overrule."""

import codecs
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Final

import orjson

from connectors.files.csv_reader import unique
from connectors.files.legacy import legacy
from connectors.files.rubbish import rubbish
from flows.core.errors import BadRequest
from flows.core.files.csv_dialect import Dialect
from flows.core.files.csv_rows import rows
from flows.core.files.guess import EXTENSIONS, is_book
from flows.core.files.units import WIDE, named, width

SAMPLE_BYTES: Final = 256 * 1024
_LEGACY_BYTES: Final = 64 * 1024
_ROWS: Final = 200
_DIALECT_BYTES: Final = 32 * 1024
"""Enough for a dialect; the tokenizer reads it once for each delimiter."""
_COLUMNS: Final = 1_000
_MAGIC: Final = (
    (b"PAR1", "parquet", ""),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "excel", ""),
    (b"\x1f\x8b", "", "gzip"),
    (b"\x28\xb5\x2f\xfd", "", "zstd"),
)
_LETTER: Final = re.compile(rb"[A-Za-z][\xc0-\xff]|[\xc0-\xff][A-Za-z]|[\xc0-\xff]{3}")
"""A letter of Europe's legacy encodings beside one of ASCII, or several of them, as no damage to UTF-8 makes them."""
_DECLARED: Final = re.compile(rb"\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]{0,39})[\"']")
_COMPRESSED: Final = {".gz": "gzip", ".zst": "zstd", ".zip": "zip"}
ABOUT_ENCODING: Final = "The encoding "
"""Notes on how letters are read begin so."""
_PARTS: Final = re.compile(rb'[<>",;\t]')
_NO_TEXT: Final = "These bytes are neither text nor of a known format."
_DELIMITERS: Final = (",", "\t", ";", "|", ":")
_TYPES: Final = (
    ("bool", re.compile(r"(?i:true|false|yes|no)")),
    ("int64", re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")),
    ("float64", re.compile(r"[+-]?(?:\d{1,300}\.?\d{0,300}|\.\d{1,300})(?:[eE][+-]?\d{1,3})?")),
    ("date", re.compile(r"\d{4}-\d\d-\d\d")),
    ("datetime", re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?")),
)


def detect(sample: bytes, name: str = "", stated: str = "") -> dict[str, Any]:
    """Return what a file that begins with these bytes is: `format`, `compression`, `encoding`, `dialect`, `columns`, `confidence` (0 to 1) and `notes`.

    Never raises. Bytes count for more than the format that its sender `stated`, or else the name's extension; where they differ a note says so.
    """
    whole = len(sample) < SAMPLE_BYTES
    sample = sample[:SAMPLE_BYTES]
    kind, compression = _magic(sample)
    hint = "csv" if stated == "tsv" else stated or _hint(name)
    found: dict[str, Any] = {"format": kind, "compression": compression, "encoding": None, "dialect": None, "columns": [], "confidence": 1.0, "notes": []}
    if compression:
        found.update(format=hint, confidence=0.5 if hint else 0.0)
    elif not kind:
        _text(found, sample, hint, whole=whole)
    if not sample:
        found.update(format=hint, confidence=0.0, notes=["The file is empty."])
    elif hint and found["format"] and hint != found["format"]:
        found["notes"].append(f"The {'sender' if stated else 'name'} says {hint}, the bytes say {found['format']}; the bytes were believed.")
    return found


def _magic(sample: bytes) -> tuple[str | None, str | None]:
    """Return format and compression of bytes that begin with a known sign."""
    if sample.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ("excel", None) if is_book(sample) else (None, "zip")
    for sign, kind, compression in _MAGIC:
        if sample.startswith(sign):
            return kind or None, compression or None
    return None, None


def _hint(name: str) -> str | None:
    """Return the format that a file's name speaks of."""
    path = PurePath(name.lower())
    if path.suffix in _COMPRESSED:
        path = path.with_suffix("")
    found = EXTENSIONS.get(path.suffix.removeprefix("."))
    return "csv" if found == "tsv" else found  # which of them it is, the dialect says


def _text(found: dict[str, Any], sample: bytes, hint: str | None, *, whole: bool) -> None:
    """Say what text is."""
    encoding, sure, certain = _encoding(sample, whole=whole)
    none = rubbish(sample, wide=encoding in WIDE)
    if not certain and not none:
        found["notes"].append(guess_of(encoding))
    if (declared := _declared(sample)) and not _said(declared):
        unknown = f"{ABOUT_ENCODING}{declared!r} that the file declares is none that it can be in: it is read as {encoding}."
        found["notes"].append(f"{unknown} Name its encoding in source_config.encoding if letters look wrong.")
    text = sample.decode(encoding, "replace").removeprefix("\ufeff")
    start = text.lstrip()
    found.update(encoding=encoding, confidence=sure)
    if none:
        found.update(format=hint, confidence=0.0)
        found["notes"].append(_NO_TEXT)
    elif start.startswith("<") and re.match(r"<[?!A-Za-z_]", start):
        found["format"] = "xml"
    elif (start.startswith(("{", "[")) or hint == "ndjson") and (kind := _json(start, hint, whole=whole)):
        found["format"] = kind
    elif "\0" in text:
        found.update(format=hint, confidence=0.0)
        found["notes"].append(_NO_TEXT)
    else:
        found["format"] = "csv"
        _csv(found, sample, text, encoding, whole=whole)


def guess_of(encoding: str) -> str:
    """Return what is said of an encoding that is a guess, by the name that people know it by."""
    name = f"windows-{encoding[2:]}" if encoding.startswith("cp125") else encoding
    return f"{ABOUT_ENCODING}is a guess ({name}): name it in source_config.encoding if letters look wrong."


def _encoding(sample: bytes, *, whole: bool) -> tuple[str, float, bool]:
    """Return an encoding, how sure it is, and whether it is more than a guess."""
    for mark, name in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if sample.startswith(mark):
            return name, 1.0, True
    if (declared := _declared(sample)) and (said := _said(declared)):
        return said, 1.0, True
    half = len(sample) // 2
    for name, zeros in (("utf-16-le", sample[1::2].count(0)), ("utf-16-be", sample[::2].count(0))):
        if half and zeros > half // 2:
            return name, 0.9, True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, whole)
    except UnicodeDecodeError:
        if not _is_legacy(sample):
            return "utf-8", 0.5, True
        encoding, certain = legacy(b"\n".join(line for line in sample.split(b"\n") if not line.isascii())[:_LEGACY_BYTES])
        return encoding, 0.9 if certain else 0.5, certain
    return "utf-8", 1.0, True


def _declared(sample: bytes) -> str:
    """Return the encoding that an XML file names at its beginning."""
    found = _DECLARED.match(sample[:1024])
    return found[1].decode("ascii") if found else ""


def _said(name: str) -> str:
    """Return the encoding that an XML file says it is in; empty: none that it can be in, since its first bytes were read as ASCII."""
    try:
        found = named(name)
    except BadRequest:
        return ""
    return found if width(found) == 1 else ""


def _is_legacy(sample: bytes) -> bool:
    """Tell whether bytes that are not all UTF-8 are in another encoding, rather than damaged: most lines beyond ASCII are, and several, or one with letters.

    Where all of them stand in one line, as XML and JSON may, the texts in it are looked at.
    """
    beyond = [line for line in sample.split(b"\n") if not line.isascii()]
    if one := len(beyond) == 1:
        beyond = [part for part in _PARTS.split(beyond[0]) if not part.isascii()]
    wrong = [line for line in beyond if not _is_utf8(line)]
    return 2 * len(wrong) > len(beyond) and ((len(wrong) > 1 and not one) or any(map(_LETTER.search, wrong)))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _json(text: str, hint: str | None, *, whole: bool) -> str | None:
    """Return which kind of JSON this is; an object on the only line is either, as `hint` says."""
    lines = text.splitlines()
    if not whole and len(lines) > 1:
        lines.pop()
    several, lines = len(lines) > 1 or not whole, [line for line in lines[:20] if line.strip()]
    objects = [*map(_is_object, lines)]
    if several and any(objects) and 2 * sum(objects) >= len(lines) + (not objects[0]):  # a line or two may be bad
        return "ndjson"
    if hint == "ndjson" and objects == [True]:
        return hint
    likely = re.match(r'\{\s*(?:"|\}|$)|\[\s*(?:[\[{"\]\d.tfn-]|$)', text)
    return "json" if likely else None


def _is_object(line: str) -> bool:
    """Tell whether a line is a JSON object."""
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _csv(found: dict[str, Any], sample: bytes, text: str, encoding: str, *, whole: bool) -> None:
    """Say which delimiter and quote there are, whether a header, and what stands in the columns."""
    whole = whole and len(sample) <= _DIALECT_BYTES
    sample, text = sample[:_DIALECT_BYTES], text[:_DIALECT_BYTES]
    dialect, table, agreement = max((_tried(sample, text, delimiter, encoding, whole=whole) for delimiter in _DELIMITERS), key=lambda one: one[2])
    header = len(table) > 1 and _is_header(table)
    found["dialect"] = {"delimiter": dialect.delimiter, "quote": dialect.quote, "escape": dialect.escape, "comment": dialect.comment, "header": header}
    found["confidence"] = round(found["confidence"] * min(1.0, agreement), 2)
    if not table:
        return
    body = table[1:] if header else table
    names = unique(table[0][:_COLUMNS] if header else [""] * min(len(table[0]), _COLUMNS))
    columns = []
    for number, name in enumerate(names):
        values = [row[number] for row in body if number < len(row) and row[number]]
        columns.append({"name": name, "type": type_of(values), "samples": [value[:256] for value in values[:3]]})
    found["columns"] = columns


def _tried(sample: bytes, text: str, delimiter: str, encoding: str, *, whole: bool) -> tuple[Dialect, list[Sequence[str]], float]:
    """Return the rows under one delimiter, and how well their numbers of fields agree: more than 0.5 only where it occurs."""
    quote = "'" if text.count(f"{delimiter}'") > text.count(f'{delimiter}"') + 2 else '"'
    comment = "#" if text.startswith("#") else ""
    escape = "\\" if f"\\{quote}" in text and f"{quote}{quote}" not in text else ""
    dialect = Dialect(delimiter, quote, escape, comment, header=False, encoding=encoding)
    table: list[Sequence[str]] = []
    try:
        for row in rows(sample, dialect):
            if len(table) >= _ROWS or (row.end >= len(sample) and not whole and table):
                break
            if not row.code:
                table.append(row.fields)
    except BadRequest:
        return dialect, [], 0.0
    width, times = Counter(map(len, table)).most_common(1)[0] if table else (0, 0)
    share = times / len(table) if table else 0.0
    return dialect, table, share * (1.0 - 0.1 / width if width > 1 else 0.5)


def _is_header(table: list[Sequence[str]]) -> bool:
    """Tell whether the first row names columns: all of it is text, no name twice, and below it is another type, or none of its words."""
    first = [field.strip() for field in table[0]]
    if not all(first) or len(set(first)) < len(first) or any(type_of([field]) != "string" for field in first):
        return False
    typed = any(type_of([row[at] for row in table[1:] if at < len(row) and row[at]]) != "string" for at in range(min(len(first), _COLUMNS)))
    return typed or not any(set(first) & set(row) for row in table[1:])


def type_of(values: Sequence[str]) -> str:
    """Return the narrowest type that all values are of."""
    for name, pattern in _TYPES:
        if values and all(map(pattern.fullmatch, values)):
            return name
    return "string"
