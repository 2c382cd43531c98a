"""Why a row could not be read, for a person: what each code of damage says, and what to do. Codes of rules stand in `codes`."""

from typing import Final

from flows.core.files.rejects import Reject
from flows.core.imports.codes import CODES, Code

DAMAGE: Final[tuple[Code, ...]] = (
    Code(
        "unterminated_quote",
        "a quote was opened that nothing closes, or nothing in the next 1 MiB, in which half of the lines look like rows",
        "close it, or double it where it is meant as a character; see that `quote` is right; shorten a text of so many such lines",
    ),
    Code(
        "junk_after_quote", "something stands between a closing quote and the delimiter", "double the quotes inside the field, or take out what stands behind"
    ),
    Code("record_too_long", "the row has more bytes than a row may have", "see that the delimiter and the quote are right, or shorten the row"),
    Code("invalid_encoding", "the row has bytes that are no text in the file's encoding", "give `encoding`, or mend the bytes"),
    Code("nul_byte", "the row has a NUL, which no text has", "take it out; whole files of them are UTF-16, which `encoding` can say"),
    Code("too_few_columns", "the row has fewer fields than the header", "add the missing delimiters"),
    Code("too_many_columns", "the row has more fields or columns than there may be", "quote fields that hold the delimiter, or take fields out"),
    Code("invalid_json", "the row is not JSON", "mend it at the place that is shown"),
    Code("invalid_utf8", "the row has bytes that are not UTF-8", "give `encoding`, or mend the bytes"),
    Code("lone_surrogate", "an escape such as \\ud800 stands there without its other half", "write both halves, or the character itself"),
    Code("not_a_number", "NaN or Infinity stands there, which JSON does not have", "write null, or a text"),
    Code("number_out_of_range", "a number is beyond what a double holds", "write it as a text"),
    Code("too_deep", "the row is nested too deep", "flatten it"),
    Code("not_an_object", "the row is no JSON object", "write an object for each row"),
    Code("duplicate_key", "a key stands there twice", "keep one of the two"),
    Code("invalid_xml", "the row is not well-formed XML", "mend it; see that each element is closed"),
    Code("doctype", "the row declares a document type, which is not read", "take it out"),
    Code("unknown_entity", "an entity stands there that XML itself does not have", "write the character, or its number"),
    Code("repeated_element", "an element stands there more than once", "keep one of them"),
    Code("ambiguous_column", "two elements would be one column", "rename one of them"),
    Code("record_too_large", "the row has more bytes than a row may have", "take the large values out of it"),
    Code("miscounted", "what stands here is another number of rows than was counted when the file was cut", "mend the brackets or tags around the place"),
    Code("bad_cell", "the cell holds something other than its type says", "type the value in again"),
    Code("value_too_large", "the value has more bytes than a record takes", "take the large values out of the row"),
    Code("row_too_large", "the row has more bytes than its topic takes", "take the large values out of it, or leave their columns out"),
)
"""All of them."""
_KNOWN: Final = {one.code: one for one in (*CODES, *DAMAGE)}


def message(reject: Reject) -> str:
    """Return a sentence for a person: what is wrong, where, and what to do."""
    known = _KNOWN.get(reject.code)
    if known is None:
        return f"The row was turned away with {reject.code}."
    what = f"{reject.column}: {known.sentence}" if reject.column else known.sentence[0].upper() + known.sentence[1:]
    return f"{what}. To mend it, {known.remedy}."
