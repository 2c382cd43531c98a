"""Every bound on what a file may be, and every sentence with which one is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from connectors.files.reader import Unreadable


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds on one file. Those of a job may be narrower; a file within them is read in bounded memory."""

    inflated_bytes: int = 1 << 40
    """Most that a compressed file may come to."""
    ratio: int = 200
    """Most bytes that one compressed byte may become, on the whole."""
    ratio_from: int = 64 << 20
    """Below so many inflated bytes the ratio is not asked for: small files of zeros do no harm."""
    window_bytes: int = 32 << 20
    """Most that a zstd frame may ask us to remember."""
    members: int = 10_000
    """Most entries of a zip archive."""
    rows: int = 1_000_000_000
    columns: int = 10_000
    """Most columns that hold anything; where in a sheet they stand does not matter."""
    cells: int = 20_000_000_000
    depth: int = 64
    """How deep a column of a Parquet file may be nested."""
    value_bytes: int = 1 << 20
    """Most of one value: what is larger fits no record, and turns its row away."""
    row_bytes: int = 4 << 20
    """Most of one row of a sheet as XML."""
    expansion: int = 10_000
    """Most bytes of values for each byte of a Parquet file."""
    table_bytes: int = 16 << 20
    """About what one table of Parquet rows comes to in memory."""
    table_rows: int = 50_000
    footer_bytes: int = 16 << 20
    """Most of a Parquet file's footer, which is read as a whole."""
    part_bytes: int = 16 << 20
    """Most of a workbook's list of sheets, of its styles and of its relations, each of which is read as a whole."""
    string_bytes: int = 16 << 20
    """So many bytes of a workbook's shared strings are held in memory; what is more lies in a scratch file."""
    whole_bytes: int = 20_000_000
    """Most of an xls, xlsb or ods file, which can only be read as a whole."""
    seconds: int = 3_600
    """CPU time that one child process may use."""


REFUSALS: Final[Mapping[str, str]] = MappingProxyType({
    "empty_file": "The file is empty; whoever sent or wrote it may have broken off. See that it has rows, and have it read anew.",
    "no_records": "There is no element in {where} within the first bytes of the file that could be a record. Name the records in source_config.record_path.",
    "wrong_format": "There is not one good row of {what} in the file, and its first bytes are those of {where}. {how}.",
    "not_parquet": "This is no Parquet file: {what}. Name its real format in data_format.",
    "not_excel": "This is no Excel workbook: {what}. Name its real format in data_format, or save it as .xlsx.",
    "not_gzip": "This is no gzip file: it does not begin with 1f 8b. Name its real compression in source_config.compression, or leave that out.",
    "not_zstd": "This is no zstd file: it does not begin with 28 b5 2f fd. Name its real compression in source_config.compression, or leave that out.",
    "not_zip": "This is no zip archive: {what}. Name its real compression in source_config.compression, or leave that out.",
    "truncated": "The file ends early, {where}. Send it again, whole.",
    "damaged": "The file is damaged {where}: {what}. Write it again and send that.",
    "encrypted": "{where} is encrypted, and there is nothing here to open it with. Save it without a password.",
    "nested_archive": "{where} is an archive inside an archive. Unpack the outer one and send what is in it.",
    "bad_member_name": "The archive names a member {where}, which points out of the archive. Pack it again with plain names.",
    "too_many_members": "The archive has {count} members, {limit} at most are allowed. Send the one that holds the data.",
    "no_such_member": "The archive has no member {where}; it has {what}. Name one of them in source_config.member.",
    "no_data_member": "The archive holds no data file. Send the data.",
    "which_member": "The archive holds several files: {what}. Name one of them in source_config.member.",
    "is_a_workbook": "The file is a workbook itself, and no archive that holds one. Leave source_config.compression out, and name excel in data_format.",
    "unknown_method": "{where} is packed with method {what}; stored and deflated members can be read. Pack it again with an ordinary zip program.",
    "inflates_too_far": "The file comes to more than {limit} bytes when unpacked ({where}). Raise INTEGRATION_IMPORT_MAX_INFLATED_BYTES or send it in parts.",
    "ratio_too_high": "The file unpacks to more than {limit} times its size ({count} bytes so far, {where}), as a bomb does. Send it unpacked.",
    "window_too_large": "The zstd frame asks for a window above {limit} bytes. Pack it without --long.",
    "too_many_rows": "The file has {count} rows, {limit} at most are allowed. Send it in parts.",
    "too_many_columns": "The file has {count} columns, {limit} at most are allowed ({where}). Drop those that are not needed.",
    "too_many_cells": "The file has {count} values, {limit} at most are allowed. Send it in parts.",
    "too_deep": "Column {where} is nested more than {limit} deep. Flatten it.",
    "row_too_large": "{where} takes more than {limit} bytes. Take the large values out of it.",
    "part_too_large": "{where} takes more than {limit} bytes. Save the workbook anew, without what it does not need.",
    "file_too_large": "The file has {count} bytes; {what} can only be read up to {limit}. Save it as .xlsx, which is read at any size.",
    "expands_too_far": "The values come to more than {limit} times the file's size ({count} bytes, {where}), as a bomb's do. Send them in another format.",
    "forbidden_markup": "{where} declares a document type, which no spreadsheet program writes. Save the workbook anew.",
    "no_key_column": "There is no column {where} to make keys of: rows go out with {what}. key_columns go by names after mapping.",
    "no_such_column": "There is no column {where} for {rule} to tell rows by: rows have {what}. Rules go by names after mapping.",
    "no_such_sheet": "The workbook has no sheet {where}; it has {what}. Name one of them in source_config.sheet.",
    "no_sheet": "The workbook has no sheet that can be seen. Name a hidden one in source_config.sheet: {what}.",
    "no_header": "The sheet {where} has no row {what} that could name the columns. Set source_config.header to false, or name another in source_config.sheet.",
    "does_not_fit": "The rows do not fit into one file of their own format here: {what}. Take them as csv or ndjson, which are sent while they are read.",
})  # fmt: skip
"""Each code and what a person is told."""


def wrong_format(form: str, other: str) -> Unreadable:
    """Return the refusal of a file that is read as one format and is of another, or packed."""
    packed = other in {"gzip", "zstd", "zip"}
    how = "Name its real compression in source_config.compression, or leave that out" if packed else "Name its real format in data_format"
    return refusal("wrong_format", what=form, where=other, how=how)


def no_text(form: str, kind: str) -> Unreadable:
    """Return the refusal of a file that is read as text and is none, nor of any format that is read: of which `kind`."""
    how = "Write its rows in a format that is read, such as CSV, and import that; where it is text after all, name its encoding in source_config.encoding"
    return refusal("wrong_format", what=form, where=kind, how=how)


def refusal(code: str, **facts: str | int) -> Unreadable:
    """Return the refusal of a file, to be raised: `facts` fill the sentence of its code."""
    return Unreadable(code, REFUSALS[code].format(**{name: f"{fact:,}" if isinstance(fact, int) else fact[:500] for name, fact in facts.items()}))
