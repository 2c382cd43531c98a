"""Why a rule turns a row away: one table of codes, which never change their meaning."""

from typing import Final, NamedTuple


class Code(NamedTuple):
    """A code, what it says of the value, and what to do about it."""

    code: str
    sentence: str
    remedy: str


MISSING: Final = Code("missing", "the column is required, and there is no value", "give a value, or a default in defaults")
NOT_INT64: Final = Code(
    "not_int64", "is no whole number", "write digits with at most a sign before them; blanks around them need trim, groups of digits thousands_separator"
)
NOT_FLOAT64: Final = Code("not_float64", "is no number", "write it like -1.5 or 1e6; a decimal comma needs decimal_comma; there is no NaN or infinity")
NOT_DECIMAL: Final = Code(
    "not_decimal", "is no decimal number", "write digits with at most a sign and a point, and no exponent; a decimal comma needs decimal_comma"
)
NOT_BOOL: Final = Code("not_bool", "is neither true nor false", "write true or false, or name your words in true_values and false_values")
NOT_DATE: Final = Code("not_date", "is no date of the calendar in the form wanted", "write YYYY-MM-DD, or give the form in formats")
NOT_DATETIME: Final = Code("not_datetime", "is no date and time in the form wanted", "write YYYY-MM-DDTHH:MM:SSZ, or give the form in formats")
NOT_JSON: Final = Code("not_json", "is not JSON", "write JSON, or take the type string")
NOT_TEXT: Final = Code("not_text", "is an object, a list or a number where text is wanted", "give text, or the column's type in data_types")
OUT_OF_RANGE: Final = Code("out_of_range", "is too large or too small for its type", "take a wider type: float64, decimal or string")
TOO_PRECISE: Final = Code("too_precise", "has more digits behind the point than scale lets it have", "raise scale, or round the value")
NONEXISTENT_TIME: Final = Code("nonexistent_time", "was skipped when the clocks of its zone went forward", "write the offset from UTC, or mend the time")
AMBIGUOUS_TIME: Final = Code(
    "ambiguous_time", "came twice when the clocks of its zone went back", "write the offset from UTC, or set ambiguous_time to earliest or latest"
)
TOO_SMALL: Final = Code("too_small", "is less than min", "mend the value, or lower min")
TOO_LARGE: Final = Code("too_large", "is more than max", "mend the value, or raise max")
TOO_SHORT: Final = Code("too_short", "has fewer characters than length wants", "mend the value, or lower length.min")
TOO_LONG: Final = Code("too_long", "has more characters than length lets it have", "mend the value, or raise length.max")
NO_MATCH: Final = Code("no_match", "does not match regex as a whole", "mend the value; to look for a part only, begin and end the pattern with .*")
NOT_ONE_OF: Final = Code("not_one_of", "is none of enum", "mend the value, or add it to enum")
DUPLICATE: Final = Code("duplicate", "has been seen before", "take out the repeated row, or the columns from unique")
NO_CURSOR: Final = Code(
    "no_cursor", "has no value, or one of over 1,000 characters, by which the row could be told from those of earlier runs", "give a value, or one in defaults"
)
CHECK_FAILED: Final = Code("check_failed", "the check is not true for this row", "mend the row, or the expression")
EXPRESSION_FAILED: Final = Code(
    "expression_failed", "the expression has no value for this row", "let the expression see to nulls and kinds, as in row.a != null && row.a > 0"
)
COLUMN_CONFLICT: Final = Code(
    "column_conflict", "the file has a column of a name that column_mapping gives to another", "map that column to another name as well"
)

CODES: Final[tuple[Code, ...]] = tuple(value for value in list(vars().values()) if isinstance(value, Code))
"""All of them."""
