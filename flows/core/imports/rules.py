"""What `transformation_rules` may say: what becomes of a file's columns, and which of its rows are turned away.

    {"column_mapping": {"customer_id": "id", "customer_name": "name"},
     "data_types": {"id": "int64", "created_at": "datetime",
                    "price": {"type": "decimal", "scale": 2, "decimal_comma": true, "thousands_separator": "."},
                    "seen_at": {"type": "datetime", "formats": ["%d.%m.%Y %H:%M"], "timezone": "Europe/Berlin"}},
     "trim": true, "case": {"email": "lower"}, "null_values": ["", "n/a"],
     "defaults": {"country": "DE"}, "constants": {"source": "crm"},
     "required": ["id"], "regex": {"email": "[^@ ]+@[^@ ]+"}, "min": {"price": 0}, "length": {"name": {"max": 80}},
     "enum": {"country": ["DE", "FR"]}, "unique": ["id"],
     "expression": {"filter": "row.country != 'FR'", "columns": {"label": "row.name + ' (' + row.country + ')'"},
                    "checks": {"named": "size(row.name) > 0"}},
     "drop_columns": ["note"]}

The order is always the same: mapping, trim, null values, case, types, defaults, constants, computed columns, filter, checks, uniqueness, dropped
columns. Columns have their names after mapping everywhere but on the left of `column_mapping`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr, StringConstraints, model_serializer, model_validator

from flows.core.fields import Expression, Lines, Model

MOST: Final = 1000
"""Columns that one rule may name."""
DIGITS: Final = 38
"""Most digits of a decimal."""

Column = Annotated[Lines, StringConstraints(min_length=1, max_length=256)]
Columns = Annotated[tuple[Column, ...], Field(max_length=MOST)]
Kind = Literal["int64", "float64", "decimal", "string", "bool", "date", "datetime", "json"]
CURSORS: Final = ("int64", "float64", "decimal", "string", "date", "datetime")
"""Types of values that have an order, the same in every run."""
Token = Annotated[str, StringConstraints(max_length=256)]
Tokens = Annotated[tuple[Token, ...], Field(max_length=100)]
Separator = Literal[".", ",", " ", "'", "_", "\u2019", "\u00a0", "\u202f"]
Bound = StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)] | Annotated[StrictStr, StringConstraints(max_length=64)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Choice = StrictBool | StrictInt | Annotated[StrictStr, StringConstraints(max_length=4096)]


class Reading(Model):
    """How the text of values is read."""

    null_values: Tokens | None = None
    """Texts that stand for no value. Absent: the empty text, in columns of a type other than string."""
    decimal_comma: bool | None = None
    """Numbers have a comma where others have a point."""
    thousands_separator: Separator | None = None
    """What may stand between groups of three digits."""
    true_values: Tokens | None = None
    """Words for true, in whatever case. Absent: true, t, yes, y, 1."""
    false_values: Tokens | None = None
    """Words for false, in whatever case. Absent: false, f, no, n, 0."""


class DataType(Reading):
    """A column's type, and how its text is read; what it leaves out is as the rules say for all columns."""

    type: Kind
    """What values are to be. Numbers are ASCII digits without blanks; a decimal goes out as text, so that no digit is lost; a datetime in UTC.

    It is kept to the microsecond: digits of a second beyond the sixth are cut off. `nan` and `inf` are no float64.
    """
    scale: int | None = Field(default=None, ge=0, le=DIGITS)
    """Digits behind a decimal's point: fewer are filled up, more turn the row away. Absent: as they are written."""
    formats: tuple[Annotated[str, StringConstraints(min_length=1, max_length=128)], ...] = Field(default=(), max_length=16)
    """Forms of a date or datetime, as strftime has them (`%d.%m.%Y %H:%M`); the first that fits counts. None: ISO 8601."""
    timezone: str | None = Field(default=None, max_length=64)
    """The zone of datetimes that give no offset, as in Europe/Berlin. Absent: UTC."""
    ambiguous_time: Literal["reject", "earliest", "latest"] = "reject"
    """What a time is that came twice when clocks went back."""

    @model_serializer(mode="wrap")
    def _short(self, handler: Any) -> Any:
        """Write a type of which nothing else is said as it was given: by its name."""
        return self.type if self.model_fields_set <= {"type"} else handler(self)


class Length(Model):
    """How many characters a text may have."""

    min: int | None = Field(default=None, ge=0)
    """The fewest."""
    max: int | None = Field(default=None, ge=0)
    """The most."""

    @model_validator(mode="after")
    def _some(self) -> "Length":
        if self.min is None and self.max is None:
            raise ValueError("give min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is more than max: no text has such a length")
        return self


class Unique(Model):
    """Columns whose values together may come once only; the first row that passes everything else has them. A row with a null among them is not compared."""

    columns: tuple[Column, ...] = Field(min_length=1, max_length=16)
    """Those whose values together may come once only."""
    across_runs: bool = False
    """Whether rows that earlier runs of this job let through count as well."""


class Expressions(Model):
    """CEL over `row`, an object with a field for each column: numbers, texts (dates, times and decimals too), true, false, null.

    Rows whose types are wrong reach no expression.
    """

    columns: Mapping[Column, Expression] = Field(default_factory=dict, max_length=100)
    """Columns that are computed, in this order; each sees those before it. One that reads a field that is not there has no value."""
    filter: Expression | None = None
    """Rows for which it is not true are left out, and counted as skipped; it comes before all checks. A CSV, TSV, Parquet or Excel file without a column
    that it reads fails, unless it asks for it: `has(row.note)`."""
    checks: Mapping[Annotated[Lines, StringConstraints(min_length=1, max_length=128)], Expression] = Field(default_factory=dict, max_length=100)
    """By a name of your own: a row for which one is not true is turned away."""


def _type(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


def _unique(value: Any) -> Any:
    if isinstance(value, str):
        return {"columns": [value]}
    return {"columns": value} if isinstance(value, list | tuple) else value


class TransformationRules(Reading):
    """What becomes of a file's columns, and which of its rows are turned away."""

    column_mapping: Mapping[Column, Column] = Field(default_factory=dict, max_length=MOST)
    """A column's name in the file to its name from there on. Others keep theirs."""
    data_types: Mapping[Column, Annotated[DataType, BeforeValidator(_type, json_schema_input_type=Kind | DataType)]] = Field(
        default_factory=dict, max_length=MOST
    )
    """A column's type: int64, float64, decimal, string, bool, date, datetime, json; or an object with `type` and how it is read, `null_values` and
    the like for this column alone. Others stay as they are in the file."""
    trim: bool | Columns = False
    """Take white space off both ends of texts: in all columns, or in these."""
    case: Mapping[Column, Literal["lower", "upper"]] = Field(default_factory=dict, max_length=MOST)
    """Turn texts into lower or upper case."""
    defaults: Mapping[Column, Any] = Field(default_factory=dict, max_length=MOST)
    """What stands where there is no value. In a column without a type: a text."""
    constants: Mapping[Column, Any] = Field(default_factory=dict, max_length=MOST)
    """Columns that have the same value in each row, whatever the file says."""
    required: Columns = ()
    """Columns that must have a value."""
    regex: Mapping[Column, Pattern] = Field(default_factory=dict, max_length=100)
    """What a text has to match as a whole, in Rust's syntax: linear time, so no look-around and no back-references."""
    min: Mapping[Column, Bound] = Field(default_factory=dict, max_length=MOST)
    """The least value of a column of numbers, dates or datetimes; the last two as ISO 8601."""
    max: Mapping[Column, Bound] = Field(default_factory=dict, max_length=MOST)
    """The greatest value, likewise."""
    length: Mapping[Column, Length] = Field(default_factory=dict, max_length=MOST)
    """How many characters (code points) a text has."""
    enum: Mapping[Column, Annotated[tuple[Choice, ...], Field(min_length=1, max_length=10_000)]] = Field(default_factory=dict, max_length=MOST)
    """The values that there are: texts, or whole numbers in a column of int64."""
    unique: tuple[Annotated[Unique, BeforeValidator(_unique, json_schema_input_type=Column | tuple[Column, ...] | Unique)], ...] = Field(
        default=(), max_length=8
    )
    """Columns, or lists of columns, whose values may come once only; as objects with `columns` and `across_runs` also over runs."""
    expression: Expressions = Expressions()
    """`{"columns", "filter", "checks"}`, in CEL over `row`."""
    drop_columns: Columns = ()
    """Columns that do not go out; rules see them."""
