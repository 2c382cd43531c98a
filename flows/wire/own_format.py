"""Has rejected rows written as a file of the format they came in, by a process of its own: the libraries that write such files stay out of this one."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from time import monotonic
from typing import Any, BinaryIO, Final

from flows.core.errors import FieldError, InvalidFields, Unavailable
from flows.core.files.kept import WRITTEN
from flows.core.settings import Settings
from flows.wire.child import ANSWER_S, Child, ReaderDied
from flows.wire.readers import Readers
from flows.wire.scratch import room

ALL_S: Final = 600.0


def own_format(settings: Settings, readers: Readers, form: str, lots: Iterable[tuple[Sequence[str], Sequence[bytes]]]) -> BinaryIO:
    """Return a file with all rows, open at its beginning; it has no name any more, so that nothing is left of it once it is closed. Blocks for minutes at most.

    Args:
        settings: where the file may lie meanwhile.
        readers: starts the process.
        form: `parquet` or `excel`.
        lots: of some rows each what is wrong with them, and they themselves as they were kept.

    Raises:
        InvalidFields: they do not fit into one file, or take too long.
        Unavailable: there is no room for the file, the process ended, or what `lots` raises.

    """
    until = monotonic() + ALL_S
    with ExitStack() as stack:
        place = room(settings)
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        child = readers.begin(place)
        stack.callback(child.close)
        try:
            _ask(child, until, {"kind": "spool", "format": form, "told": []})
            for told, rows in lots:
                _ask(child, until, {"kind": "spool", "format": form, "told": told}, rows)
            while not _ask(child, until, {"kind": "write"})["over"]:
                pass
        except ReaderDied as error:
            raise Unavailable(f"The rejected rows could not be written. {error}") from error
        return (place / WRITTEN).open("rb")


def _ask(child: Child, until: float, head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> Mapping[str, Any]:
    left = until - monotonic()
    if left <= 0:
        raise _refused("too_slow", f"They were not written within {ALL_S:g} s. Take them as csv or ndjson, which are sent while they are read.")
    answer = child.ask(head, parts, min(left, ANSWER_S)).head
    if answer["kind"] == "failed":
        raise _refused(answer["code"], answer["detail"])
    return answer


def _refused(code: str, detail: str) -> InvalidFields:
    return InvalidFields("The rows cannot be had in this format.", errors=(FieldError("/query/format", code, detail),))
