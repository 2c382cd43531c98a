"""The cutter of each format."""

from enum import StrEnum

from flows.core.errors import BadRequest
from flows.core.files.csv_dialect import Dialect
from flows.core.files.cut_csv import CsvCutter
from flows.core.files.cut_json import JsonCutter, JsonOptions
from flows.core.files.cut_lines import LineCutter, LineOptions
from flows.core.files.cut_raw import RawCutter
from flows.core.files.cut_xml import XmlCutter, XmlOptions
from flows.core.files.pieces import Cutter


class Format(StrEnum):
    """How a file is cut."""

    CSV = "csv"
    LINES = "lines"
    """NDJSON too."""
    JSON = "json"
    XML = "xml"
    RAW = "raw"
    """Parquet, Excel, and whatever is compressed."""


Options = Dialect | LineOptions | JsonOptions | XmlOptions | None


def cutter(form: Format, options: Options = None, state: bytes | None = None) -> Cutter:
    """Return a cutter at the beginning of a file, or behind the piece after which another gave this state; raise `BadRequest` for options that do not fit."""
    match form, options:
        case Format.CSV, Dialect() | None:
            return CsvCutter(options or Dialect(), state)
        case Format.LINES, LineOptions() | None:
            return LineCutter(options or LineOptions(), state)
        case Format.JSON, JsonOptions() | None:
            return JsonCutter(options or JsonOptions(), state)
        case Format.XML, XmlOptions():
            return XmlCutter(options, state)
        case Format.RAW, None:
            return RawCutter(state)
        case _:
            raise BadRequest(f"A file of the format {form} is not cut by {type(options).__name__}; an XML file takes the name or path of its records.")
