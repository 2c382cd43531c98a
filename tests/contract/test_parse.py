"""The slow work that reads a portion: whatever is asked of it at once, nothing is left behind."""

from pathlib import Path
from threading import Thread

from flows.core.imports.progress import Report
from flows.core.imports.run import Run
from flows.core.imports.shelf import Shelf
from flows.engine import Task
from flows.steps.asks import ask
from flows.steps.parse import Parser
from tests.kit.door import until
from tests.kit.importer import READERS, importer, people


def test_a_portion_that_is_asked_for_twice_at_once_leaves_no_process_behind(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    upload_id = made.upload(people(100_000))
    order, told = made.order("twice", source={"upload_id": upload_id}), made.uploads[upload_id]
    shelf = Shelf(told.first, told.last, told.length, length=told.length, sha256=told.sha256)
    asked = ask(order, Run(Report(job_id="twice", turn=1, updated_at_ms=0), upload_id), shelf, told.partition, 1 << 20)
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
