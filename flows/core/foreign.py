"""Calls into libraries written in Rust: whatever goes wrong in them becomes one error of ours."""

import json
from collections.abc import Callable
from typing import Final, TypeVar

import orjson

T = TypeVar("T")
LONGEST: Final = 300
"""Characters of a library's text that are kept: a reason is a sentence, not a dump."""

INFINITE: Final = "number is infinity when parsed as double"
"""orjson's word for a number such as 1e400."""


def guarded(run: Callable[[], T], failure: Callable[[str], Exception], let: tuple[type[Exception], ...] = ()) -> T:
    """Run a call into a library, and raise `failure(text)` for whatever it raises, a panic of its Rust code included.

    Args:
        run: the call.
        failure: makes our error out of the library's text.
        let: classes that are passed on as they are.

    """
    try:
        return run()
    except let:
        raise
    except Exception as error:  # such libraries raise a dozen unrelated classes, and each means the same here
        raise failure(short(str(error))) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # PyO3's class stands below BaseException and cannot be imported
            raise
        raise failure(f"the library gave up: {short(str(error))}") from error


def misread(error: orjson.JSONDecodeError) -> tuple[str, str]:
    """Return a code of what is wrong with a body that is to be JSON, and what it is or has; a number that no double holds is JSON all the same."""
    worse: Exception = error
    if error.msg == INFINITE:
        try:
            json.loads(error.doc, parse_int=str, parse_float=str, parse_constant=_no_number)
        except (ValueError, RecursionError) as found:  # orjson reads no further than that number
            worse = found
        else:
            return "number_out_of_range", f"has a number beyond what a double holds, at line {error.lineno} column {error.colno}: write it as a text"
    return "not_json", f"is not JSON: {worse}"


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def short(text: str) -> str:
    """Cut a library's text to one that a person reads."""
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
