"""The slow work that reads a portion: whatever is asked of it at once, nothing is left behind."""

from pathlib import Path
from threading import Thread
from typing import Any

import orjson

from flows.core.imports.portion import Portion
from flows.core.imports.progress import Report
from flows.core.imports.run import Run
from flows.core.imports.shelf import Shelf
from flows.engine import Task
from flows.steps.ahead import OFFSET_BYTES, following
from flows.steps.asks import ask
from flows.steps.parse import Parser
from tests.kit.door import until
from tests.kit.importer import READERS, Importer, importer, people

MOST_REJECTS = 17_000
"""Of one portion, which is one piece of such rows: what publishing them takes, another job waits for, several times."""


def asking(made: Importer, data: bytes, **fields: Any) -> dict[str, Any]:
    """Return what is asked for first of a job on this file."""
    upload_id = made.upload(data)
    order, told = made.order(f"asks-{upload_id}", source={"upload_id": upload_id}, **fields), made.uploads[upload_id]
    shelf = Shelf(told.first, told.last, told.length, length=told.length, sha256=told.sha256)
    asked: dict[str, Any] = orjson.loads(ask(order, Run(Report(job_id=order.job_id, turn=1, updated_at_ms=0), upload_id), shelf, told.partition, 1 << 20))
    return asked


def test_portions_behind_one_of_rejects_are_small_so_that_others_have_their_turn(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    parser = Parser(made.bench.settings, READERS)
    rejected = dict[str, list[int]]()
    for name, bad in (("all", 1), ("few", 100)):
        asked, portions = asking(made, people(200_000, bad), transformation_rules={"data_types": {"age": "int64"}}), list[Portion]()
        while not portions or not portions[-1].over:
            answer = parser(Task(b"", orjson.dumps(asked)))
            asked, portions = following(asked, answer), [*portions, Portion.unpack(answer, OFFSET_BYTES)]
        assert sum(portion.rows_read for portion in portions) == 200_000
        rejected[name] = [portion.rejected for portion in portions]
    assert max(rejected["all"][2:]) < MOST_REJECTS
    assert len(rejected["few"]) < len(rejected["all"])
    parser.close()


def test_a_portion_that_is_asked_for_twice_at_once_leaves_no_process_behind(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    asked = orjson.dumps(asking(made, people(100_000)))
    settings = made.bench.settings
    parser, answers = Parser(settings, READERS), list[bytes]()
    threads = [Thread(target=lambda: answers.append(parser(Task(b"twice", asked)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    parser.close()
    until(lambda: not [*settings.batch_import_upload_dir.glob("reader-*")], timeout_s=30)
