import subprocess
import sys
from typing import Any

import pytest

from connectors.files.child import READERS, Session, as_read
from connectors.files.encode import ids_of
from flows.core.files import frames
from flows.core.files.frames import Frame

FILE = "cd" * 32
DATA = b"id,name\n1,a\n2\n3,b\n"
OPEN = Frame({"kind": "open", "format": "csv", "output": {"file": FILE, "key_columns": ["id"]}})
PIECES = Frame({"kind": "pieces", "places": [[0, 1, 0, 3, "records"]]}, (DATA,))


def session() -> Session:
    return Session(READERS, as_read)


def said(answers: list[Frame]) -> dict[str, Any]:
    return answers[-1].head


def test_a_portion_holds_values_keys_ids_and_rejects() -> None:
    child = session()
    assert [one.head for one in child.answer(OPEN)] == [{"kind": "done"}]
    portion, done = child.answer(PIECES)
    assert done.head == {"kind": "done"}
    rejects = [(1, 3, 12, "", "too_few_columns", "", "")]
    assert portion.head == {"kind": "portion", "rows_read": 3, "rows_accepted": 2, "rows_skipped": 0, "goes_on": len(DATA), "rejects": rejects}
    values, keys, ids, raws = (list(frames.unpack(*portion.parts[at : at + 2])) for at in (0, 2, 4, 6))
    assert values == [b'{"id":"1","name":"a"}', b'{"id":"3","name":"b"}']
    assert keys == [b"1", b"3"]
    assert ids == [one.encode() for one in ids_of(FILE, [0, 2])]
    assert raws == [b"2\n"]
    assert portion.parts[8] == b'["id","name"]'


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (PIECES, "bad_options"),
        (Frame({"kind": "open", "format": "tar", "output": {"file": FILE}}), "bad_options"),
        (Frame({"kind": "open", "format": "csv", "options": {"dialect": {"delimiter": ""}}, "output": {"file": FILE}}), "bad_options"),
    ],
)
def test_a_message_that_means_nothing_is_answered_with_a_sentence(message: Frame, code: str) -> None:
    answer = said(list(session().answer(message)))
    assert (answer["kind"], answer["code"]) == ("failed", code)
    assert answer["detail"].endswith(".")


def test_a_header_that_cannot_be_read_fails_the_file() -> None:
    child = session()
    assert said(list(child.answer(OPEN))) == {"kind": "done"}
    answer = said(list(child.answer(Frame(PIECES.head, (b'a,"b\n1,2\n',)))))
    assert (answer["kind"], answer["code"]) == ("failed", "bad_header")


def test_the_process_answers_on_stdout_and_ends_with_its_input() -> None:
    command = [sys.executable, "-P", "-m", "connectors.files", str(2 * 1024**3), "60"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        for message in (OPEN, PIECES, Frame({"kind": "end"})):
            frames.write(process.stdin, message)
        process.stdin.close()
        kinds = []
        while frame := frames.read(process.stdout):
            kinds.append(frame.head["kind"])
        assert kinds == ["done", "portion", "done", "done"]
    assert process.returncode == 0
