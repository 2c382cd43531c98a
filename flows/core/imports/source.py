"""Where a job's rows come from, and how the file is written."""

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, StringConstraints, field_validator

from flows.core.errors import FieldError
from flows.core.fields import HeaderName, Identifier, Lines, Model, Pointer
from flows.core.outbound import urls
from flows.core.outbound.egress import sendable

DataFormat = Literal["csv", "tsv", "json", "ndjson", "xml", "parquet", "excel"]
FIXED: Final[frozenset[DataFormat]] = frozenset({"csv", "tsv", "parquet", "excel"})
"""Formats whose files say their columns once, for all rows; in others each row has those that it has."""
Name = Annotated[Lines, StringConstraints(min_length=1, max_length=256)]
"""A column of a file, say; a header that was quoted may have line breaks."""
Character = Annotated[str, StringConstraints(min_length=1, max_length=1, pattern=r"^[\x01-\x09\x0b\x0c\x0e-\x7f]$")]
"""One ASCII character that ends no line."""
MOST_COLUMNS: Final = 10_000
URL_CHARACTERS: Final = 2048
SCHEMES: Final = ("http", "https", "s3", "gs", "az")
PLACES: Final = ("upload_id", "file_path", "url")
"""Where the file is: one of them is given."""
OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "delimiter": frozenset({"csv"}),
    "quote": frozenset({"csv", "tsv"}),
    "escape": frozenset({"csv", "tsv"}),
    "comment": frozenset({"csv", "tsv"}),
    "header": frozenset({"csv", "tsv", "excel"}),
    "columns": frozenset({"csv", "tsv", "excel"}),
    "encoding": frozenset({"csv", "tsv", "json", "ndjson", "xml"}),
    "sheet": frozenset({"excel"}),
    "record_path": frozenset({"xml"}),
    "json_path": frozenset({"json"}),
    "compression": frozenset({"csv", "tsv", "json", "ndjson", "xml", "parquet", "excel"}),
    "member": frozenset({"csv", "tsv", "json", "ndjson", "xml", "parquet", "excel"}),
}
"""Which option belongs to which formats."""
READ_AS: Final = tuple(name for name in OPTIONS if name != "columns")
"""Options that are told of a job once it reads: as it says, or as was found out."""
LOOKS_LIKE: Final = "looks_like"
"""Told beside them where a file's first bytes are those of another format than the job says."""
UNKNOWN_COLUMNS: Final = "unknown_columns"
"""Told beside them: columns that the job speaks of and that no row of the file has, the first twenty."""
NOTES: Final = "notes"
"""Told beside them: what one should know about them, such as that the encoding is a guess."""
OURS: Final = frozenset("range if-range if-none-match if-modified-since if-match if-unmodified-since accept-encoding".split())
"""Headers of a request for a file that a job cannot set: what is asked for depends on how far it is."""
_OBJECT: Final = re.compile(r"[a-z0-9]+://[A-Za-z0-9][A-Za-z0-9._-]{0,221}/[^\x00-\x1f\x7f?#]*[^\x00-\x1f\x7f?#/]", re.ASCII)
"""An object of a store: bucket or container, and key."""
_WILD: Final = frozenset("*?")
_NOT_FOR_FILES: Final = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "utf-7", "mbcs", "oem"})
"""Encodings that are none of texts in files, or read alike by nobody."""


class SourceConfig(Model):
    """The file, by `upload_id`, `file_path` or `url`, and how it is to be read; what is left out is found out from the file."""

    upload_id: Identifier | None = None
    """What an upload was answered with."""
    file_path: Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^/[^\x00]*$")] | None = None
    """An absolute path under one of `INTEGRATION_IMPORT_ROOTS`. For a scheduled job `*`, `?` and `[...]` stand for parts of names."""
    url: Annotated[str, StringConstraints(min_length=1, max_length=URL_CHARACTERS)] | None = None
    """`http`, `https`, `s3`, `gs` or `az`. What stands in its query is sealed, and masked in answers."""
    headers: Mapping[HeaderName, SecretStr] | None = Field(default=None, max_length=32)
    """Sent to an `http` or `https` URL, and not on to another host: `{"Authorization": "Bearer ..."}`. Their values are sealed, and masked in answers."""
    chunk_size: int | None = Field(default=None, ge=1, le=1_000_000)
    """Rows of a chunk. Rows are read, checked and published in portions: of 32 chunks but 32,000 rows at most, or of 2 MiB of the file where that comes
    first, and an eighth of that behind one of which a quarter was rejected; of a text file no less than one piece, which is up to 512 KiB, and more where one
    row is. Absent: `INTEGRATION_BATCH_IMPORT_CHUNK_SIZE`."""
    compression: Literal["none", "gzip", "zstd", "zip"] | None = None
    """Absent: as the file's first bytes say."""
    member: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    """Which file of a zip. Absent: the only one."""
    encoding: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    """Such as utf-8, utf-16 or windows-1252."""
    delimiter: Character | None = None
    """What parts the fields of a line."""
    quote: Character | Literal[""] | None = None
    """What fields are quoted with; empty: nothing. Absent: `"`."""
    escape: Character | None = None
    """What takes the next character's meaning away. Absent: nothing does, and a quote inside quotes is doubled."""
    comment: Character | None = None
    """Lines that begin with it are left out. Absent: none are."""
    header: bool | None = None
    """Whether the first row names the columns. Absent: it does."""
    columns: tuple[Name, ...] | None = Field(default=None, max_length=MOST_COLUMNS)
    """Names of the columns, in order; with a header they take the place of its names. Absent without a header: `column_1` and so on."""
    sheet: Name | Annotated[int, Field(ge=1, le=10_000)] | None = None
    """A sheet's name, or its number from 1. Absent: the first."""
    record_path: Annotated[str, StringConstraints(pattern=r"^[^/\s\x00]+(/[^/\s\x00]+){0,31}$", max_length=1024)] | None = None
    """Names of elements from the root to the one that is a row, parted by slashes: `orders/order`. Absent: those in the root, by the name of the first."""
    json_path: Pointer | None = None
    """JSON pointer to the array whose elements are the rows: `/data/items`. Absent: the document is that array."""

    @field_validator("encoding")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None and not _is_text(value):
            raise ValueError("no encoding of this name is read; give one such as utf-8, utf-16, windows-1252 or shift_jis")
        return value

    @field_validator("columns")
    @classmethod
    def _named_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:
            raise ValueError("give at least one name, or leave it out")
        if value is not None and len(set(value)) < len(value):
            twice = next(name for name in value if value.count(name) > 1)
            raise ValueError(f"{twice!r} stands there twice; give each column a name of its own")
        return value

    @property
    def wild(self) -> bool:
        """Whether the path is a pattern, where patterns are read."""
        return self.file_path is not None and not _WILD.isdisjoint(self.file_path)

    @property
    def scheme(self) -> str:
        """Of the URL, in lower case; empty where the file is none of a URL."""
        return (self.url or "").partition("://")[0].lower()


def _is_text(name: str) -> bool:
    try:
        found = codecs.lookup(name)
        return found.name not in _NOT_FOR_FILES and bool(" ".encode(name))
    except (LookupError, ValueError):  # LookupError: unknown, or one of bytes or of texts only; ValueError: a name with NUL in it
        return False


def faults(source: SourceConfig, data_format: DataFormat, *, scheduled: bool) -> Iterator[FieldError]:
    """Yield what is wrong between fields that are valid each; pointers begin at the source."""
    if sum(getattr(source, place) is not None for place in PLACES) != 1:
        yield FieldError("", "value_error", "give upload_id, file_path or url, one of them")
    for name, formats in OPTIONS.items():
        if getattr(source, name) is not None and data_format not in formats:
            yield FieldError(f"/{name}", "not_here", f"{name} is for {', '.join(sorted(formats))}, and data_format is {data_format}; leave it out")
    if source.member is not None and source.compression not in {None, "zip"}:
        yield FieldError("/member", "not_here", "only a zip has members; leave member or compression out")
    yield from _places(source, scheduled=scheduled)
    yield from _characters(source)


def _places(source: SourceConfig, *, scheduled: bool) -> Iterator[FieldError]:
    if source.upload_id is not None and scheduled:
        yield FieldError("/upload_id", "not_here", "an upload is read once; give a scheduled job file_path or url")
    if source.file_path is not None and not _plain(source.file_path):
        yield FieldError("/file_path", "wrong_form", "write the path without empty parts, . and ..")
    if source.file_path is not None and scheduled and "**" in source.file_path.split("/"):
        yield FieldError("/file_path", "wrong_form", "** is not read in patterns; name each folder, or put * in its place")
    if source.wild and not scheduled:
        yield FieldError("/file_path", "not_here", "a pattern is for scheduled jobs; give the path of one file")
    yield from _headers(source)
    if source.url is not None:
        if source.scheme not in SCHEMES:
            yield FieldError("/url", "url_invalid", f"The URL must begin with one of {', '.join(f'{known}://' for known in SCHEMES)}.")
        elif source.scheme in {"http", "https"}:
            try:
                urls.read(source.url)
            except urls.BadUrl as error:
                yield FieldError("/url", "url_invalid", str(error))
        elif not _OBJECT.fullmatch(source.url):
            yield FieldError("/url", "url_invalid", f"write it as {source.scheme}://BUCKET/KEY, without a user, a query, ? and #; credentials are the worker's")


def _headers(source: SourceConfig) -> Iterator[FieldError]:
    """Yield what is wrong with headers; no sentence has a value, which is secret."""
    if source.headers is not None and source.scheme not in {"http", "https"}:
        yield FieldError("/headers", "not_here", "headers are for an http or https url; leave them out")
    for name, value in (source.headers or {}).items():
        pointer = "/headers/" + name.replace("~", "~0").replace("/", "~1")
        if name.lower() in OURS:
            yield FieldError(pointer, "not_here", "this header says which part of the file is asked for, and is not a job's to set; leave it out")
        elif not sendable(name, value.get_secret_value()):
            detail = "this header cannot be sent: it is one of the connection's own, or its value is not one line of Latin-1 of at most 16,384 characters"
            yield FieldError(pointer, "wrong_form", detail)
    if source.headers is not None and len({name.lower() for name in source.headers}) < len(source.headers):
        yield FieldError("/headers", "conflict", "a header stands there twice; name each once")


def _plain(path: str) -> bool:
    return all(part not in {"", ".", ".."} for part in path[1:].split("/"))


def _characters(source: SourceConfig) -> Iterator[FieldError]:
    """Yield each character that has two meanings; an escape that is the quote would be one, and is what no escape means already."""
    taken: dict[str, str] = {}
    for name in ("delimiter", "quote", "escape", "comment"):
        character = getattr(source, name) or {"quote": '"' if source.quote is None else ""}.get(name, "")
        if not character:
            continue
        if character in taken:
            yield FieldError(f"/{name}", "conflict", f"{name} and {taken[character]} are both {character!r}; give each a character of its own")
        taken.setdefault(character, name)
