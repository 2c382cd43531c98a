"""The slow work of a job: reads the next portion of a file, in a process of its own, and keeps that process for the portion behind it."""

import shutil
import time
from base64 import b64decode
from collections import OrderedDict
from functools import partial
from pathlib import Path
from threading import Lock, Timer
from typing import Any, Final

import orjson

from flows.core import topics
from flows.core.errors import Unavailable
from flows.core.files.frames import Frame
from flows.core.files.guess import Cut
from flows.core.files.pieces import Part
from flows.core.imports.opening import opening
from flows.core.imports.portion import Place, Portion
from flows.core.settings import Settings
from flows.engine import Task
from flows.steps.ahead import OFFSET_BYTES, Ahead, following
from flows.steps.supply import PORTION_BYTES, Found, Gone, Most, Supply
from flows.wire.readers import Readers
from flows.wire.scratch import clear, scratch

CHUNKS: Final = 32
"""A portion has so many chunks of `chunk_size` rows at most, and one at least: a row that is published takes a kilobyte and more, however short it is."""
MOST_ROWS: Final = 32_000
"""However large a chunk is: each row may be turned away, and is held with its reasons until it is published."""
FIRST: Final = 8
"""The first portion of a process has so small a part of that: its rows go out sooner, and the next one is read meanwhile."""
MANY: Final = 1 / 4
"""Behind a portion of which so much or more was turned away the next is as small as the first: each reject takes the flow thirty microseconds, and other jobs
wait."""
KEPT: Final = 4
KEPT_S: Final = 60.0
SAMPLE: Final = 256 * 1024


class Parser:
    """The handler; several portions may be read at once, each of another job."""

    def __init__(self, settings: Settings, readers: Readers) -> None:
        """Clear away what a worker that died has left. `readers` starts the processes."""
        self._settings, self._readers = settings, readers
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[Reading, Ahead | None]] = OrderedDict()
        clear(settings.batch_import_upload_dir)

    def __call__(self, task: Task) -> bytes:
        """Read a portion: the request of `flows.steps.asks.ask` in, the offset of the next piece and a `Portion` out; blocks.

        Raises:
            ReaderDied: the process that read ended.
            Unavailable: the broker is away.

        """
        asked: dict[str, Any] = orjson.loads(task.payload)
        reading, ahead = self._take(asked)
        try:
            found = ahead.take()
        except Gone as error:
            reading.close()
            return unreadable(asked, error.code, str(error))
        except BaseException:
            reading.close()
            raise
        if ahead.asked is not None:
            self._keep(reading, ahead)
        elif reading.over and reading.settled:
            reading.close()
        else:
            self._keep(reading, None)
        return found

    def close(self) -> None:
        """End the processes that were kept for what was to be asked next."""
        with self._lock:
            kept, self._kept = self._kept, OrderedDict()
        for reading, ahead in kept.values():
            (ahead or reading).close()

    def _take(self, asked: dict[str, Any]) -> "tuple[Reading, Ahead]":
        """Return the process that reads what is asked, and what it reads: most often it was begun when the portion before was answered."""
        with self._lock:
            reading, ahead = self._kept.pop(asked["job"]["job_id"], (None, None))
        if ahead is not None and ahead.asked == asked and reading is not None:
            return reading, ahead
        if ahead is not None:
            ahead.close()
        elif reading is not None and reading.serves(asked):
            return reading, Ahead(reading, asked)
        elif reading is not None:
            reading.close()
        reading = Reading(self._settings, self._readers, asked)
        return reading, Ahead(reading, asked)

    def _keep(self, reading: "Reading", ahead: Ahead | None) -> None:
        """Keep it for what is asked next; the one that was used the longest time ago makes room."""
        if reading.over:  # nothing more may be asked of it, and nobody else come by
            later = Timer(KEPT_S + 1, self._let_go)
            later.daemon = True
            later.start()
        with self._lock:
            other = self._kept.pop(reading.job_id, None)  # of a partition that went and came back: the portion was read twice at once
            self._kept[reading.job_id] = reading, ahead
        if other is not None:
            (other[1] or other[0]).close()
        self._let_go()

    def _let_go(self) -> None:
        """End processes that were not used for a while, and the oldest where there are too many."""
        gone: list[Reading | Ahead] = []
        with self._lock:
            idle = time.monotonic() - KEPT_S
            while self._kept and (len(self._kept) > KEPT or next(iter(self._kept.values()))[0].used_at < idle):
                reading, ahead = self._kept.popitem(last=False)[1]
                gone.append(ahead or reading)
        for one in gone:
            one.close()


class Reading:
    """One file being read."""

    def __init__(self, settings: Settings, readers: Readers, asked: dict[str, Any]) -> None:
        """Start a process."""
        self.job_id: str = asked["job"]["job_id"]
        self.used_at = time.monotonic()
        self.over = False
        self.settled = True
        """Whether the last answer will do: it is not asked for once more, with what is known then."""
        self._settings = settings
        self._at, self._next = asked["at"], asked["from"]
        self._opened = self._file = False
        self._remembers = False
        self._bad = False
        """Whether much of the last portion was turned away."""
        self._offset = 0
        self._last: dict[str, Any] | None = None
        self._behind: dict[str, Any] | None = None
        self._supply = Supply(settings, asked["partition"], asked["upload"], asked["at"])
        self._scratch = scratch(settings.batch_import_upload_dir)
        try:
            self._child = readers.begin(self._scratch)
        except Unavailable:
            self._scratch.rmdir()
            raise

    def portion(self, asked: dict[str, Any]) -> bytes:
        """Read the next one, or return the last one by other answers."""
        if self._last is not None and {**asked, "known": None} == self._last:
            answer = self._child.ask({"kind": "decide", "known": asked["known"]})
            return self._answered(asked, None, answer, _head(answer))
        begin, most = self._next if self._opened else asked["from"], self._most(asked)
        found: list[Found] = []
        first = self._supply.first(asked) if asked["state"] and not self._opened else None
        self._file = self._file or (first is not None and _is_file(asked, first))
        if not self._file:
            found = self._supply.take(begin, asked, most)
        if not self._opened:
            self._open(asked, found, first or next(iter(found), None))
        if self._file:
            answer = self._child.ask({"kind": "rows", "most": most.rows, "known": asked["known"]})
            return self._answered(asked, found, answer, _head(answer))
        answer = self._fed(asked, found)
        head = _head(answer)
        while found and found[-1].offset < asked["last"] and _inside(asked, head):
            found = self._supply.take(found[-1].offset + 1, asked, self._most(asked))
            answer = self._fed(asked, found)
            head = _head(answer)
        return self._answered(asked, found, answer, head)

    def _fed(self, asked: dict[str, Any], found: list[Found]) -> Frame:
        """Return what these pieces hold, and have those behind them ready."""
        last = asked["whole"] and (not found or found[-1].offset + 1 >= asked["last"])
        pieces = [one.piece for one in found]
        places = [[piece.start, piece.line, piece.first, piece.records, piece.part] for piece in pieces]
        head = {"kind": "pieces", "places": places, "last": last, "torn": asked.get("torn", ""), "known": asked["known"]}
        ahead = partial(self._supply.look_ahead, found[-1].offset + 1, asked, self._most(asked)) if found else None
        return self._child.ask(head, [piece.data for piece in pieces], meanwhile=ahead)

    def behind(self, asked: dict[str, Any], answer: bytes) -> dict[str, Any] | None:
        """Return what is asked for behind an answer, if it can be read: there is more of the file, and the answer will do."""
        self._last = {**asked, "known": None}
        self._behind = following(asked, answer)
        self.settled = not self._remembers or asked["known"] is not None
        return self._behind if self.settled and not self.over and (self._file or self._next <= asked["last"]) else None

    def serves(self, asked: dict[str, Any]) -> bool:
        """Tell whether what is asked follows the last portion, or is that one by other answers."""
        return asked == self._behind or {**asked, "known": None} == self._last

    def stop(self) -> None:
        """End the process, so that who waits for it waits no longer; from any thread."""
        self._child.stop()

    def close(self) -> None:
        """End the process and clear away its files."""
        self._child.close()
        self._supply.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _answered(self, asked: dict[str, Any], found: list[Found] | None, answer: Frame, head: dict[str, Any] | None) -> bytes:
        """Return what came; `found` are the pieces that it came of, None where they are those of the answer before."""
        self.used_at = time.monotonic()
        if head is None:
            self.over, self._remembers = True, False
            return unreadable(asked, answer.head["code"], answer.head["detail"])
        packed, (read, skipped, good) = answer.parts[0], head["rows"]
        self._bad = 0 < read * MANY <= read - skipped - good
        self._at, self.over, self._remembers = head["place"][0], head["over"] or head["unreadable"] is not None, bool(head["lots"])
        offset: int = asked["from"] if found is not None else self._offset
        if found:
            self._next = found[-1].offset + 1
            offset = next((one.offset for one in found if one.piece.start == self._at), self._next if self._at >= self._supply.fed else offset)
        self._offset = offset
        return offset.to_bytes(OFFSET_BYTES, "big") + packed

    def _open(self, asked: dict[str, Any], found: list[Found], first: Found | None) -> None:
        source = asked["job"]["definition"]["source_config"]
        self._file = first is not None and _is_file(asked, first)
        if first is not None and first.cut and not self._file:
            source = Cut.of(first.cut).source(source)
        path = self._assembled(asked) if self._file else None
        answer = self._child.ask(opening(asked, source, path), (b64decode(asked["state"]), b"".join(one.piece.data for one in found)[:SAMPLE]))
        if answer.head["kind"] == "failed":
            raise Gone(answer.head["detail"], answer.head["code"])
        self._opened = True

    def _assembled(self, asked: dict[str, Any]) -> Path:
        """Put the file together in the scratch directory."""
        path, size = self._scratch / "file", 0
        with path.open("wb") as file:
            for one in self._supply.all(asked):
                size += file.write(one.piece.data)
        if size != asked["length"]:
            raise Gone(f"Of the file's {asked['length']:,} bytes {size:,} are left on {topics.UPLOADS.name}. Upload it again.")
        return path

    def _most(self, asked: dict[str, Any]) -> Most:
        """Return how many rows and bytes the next portion may have."""
        chunk = asked["job"]["definition"]["source_config"].get("chunk_size") or self._settings.batch_import_chunk_size
        part = FIRST if not self._opened or self._bad else 1
        return Most(min(CHUNKS * chunk, MOST_ROWS) // part or 1, PORTION_BYTES // part)


def _inside(asked: dict[str, Any], head: dict[str, Any] | None) -> bool:
    """Tell whether all that was read lies inside one record, which is not over: behind that answer the same would be asked for ever."""
    return head is not None and not head["over"] and head["unreadable"] is None and not head["rows"][0] and head["place"][0] == asked["at"]


def _head(answer: Frame) -> dict[str, Any] | None:
    """Return the head of an answer's portion; None: it has failed."""
    if answer.head["kind"] == "failed":
        return None
    packed = answer.parts[0]
    found: dict[str, Any] = orjson.loads(packed[: packed.index(b"\n")])
    return found


def _is_file(asked: dict[str, Any], first: Found) -> bool:
    """Tell whether a job reads a file from its path: it is not cut between records, or not as the job reads it."""
    job = asked["job"]["definition"]
    return first.piece.part is Part.RAW or (first.cut is not None and not Cut.of(first.cut).serves(job["data_format"], job["source_config"]))


def unreadable(asked: dict[str, Any], code: str, sentence: str) -> bytes:
    """Return the answer that nothing more of a file can be read."""
    place, offset = Place(asked["at"], b64decode(asked["state"]), asked["line"], asked["ordinal"]), int(asked["from"])
    packed = Portion(place, over=False, rows_read=0, skipped=0, good=0, values=[], keys=[], ids=[], rejects=[], unreadable=(code, sentence)).pack()
    return offset.to_bytes(OFFSET_BYTES, "big") + packed
