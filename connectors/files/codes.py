"""Codes of rows that could not be read: stable, since reports and those who read them go by them."""

from enum import StrEnum


class Code(StrEnum):
    """Why a record of a file is no row. Each is about one record; its neighbours are read."""

    INVALID_JSON = "invalid_json"
    INVALID_UTF8 = "invalid_utf8"
    NUL_BYTE = "nul_byte"
    LONE_SURROGATE = "lone_surrogate"
    """An escape such as `\\ud800` without its other half: no text holds it."""
    NOT_A_NUMBER = "not_a_number"
    """NaN or Infinity, which JSON does not have."""
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    """Beyond what a double holds, some 309 digits: hardly any program would read it."""
    TOO_DEEP = "too_deep"
    """Nested deeper than 1,024 in JSON, some 250 in XML."""
    NOT_AN_OBJECT = "not_an_object"
    DUPLICATE_KEY = "duplicate_key"
    INVALID_XML = "invalid_xml"
    DOCTYPE = "doctype"
    UNKNOWN_ENTITY = "unknown_entity"
    """Only the five that XML has itself, and numbers."""
    REPEATED_ELEMENT = "repeated_element"
    AMBIGUOUS_COLUMN = "ambiguous_column"
    """An element `a.b`, and an element `b` within `a`."""
    TOO_MANY_COLUMNS = "too_many_columns"
    RECORD_TOO_LARGE = "record_too_large"
    MISCOUNTED = "miscounted"
    """The stretch holds another number of records than was counted when it was cut, so none has an ordinal for certain."""
