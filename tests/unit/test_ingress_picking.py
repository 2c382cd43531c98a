"""Dead letters that are named by their ids: also those that are only counted, since there are too many of them."""

from dataclasses import replace

import pytest

from flows.core.deadletters.summaries import Status, summary_of
from flows.core.errors import Conflict, NotFound
from flows.core.record import Record
from flows.core.verdict import Bury, Reason
from flows.engine.letters import Where, letter
from ingress.letters import LettersView
from ingress.picking import pick
from ingress.routes.letter_answers import Wanted


@pytest.fixture
def view() -> LettersView:
    """Hold the newest of five letters in full: 0-0 to 0-4, of which 0-1 was replayed and 0-2 discarded."""
    view = LettersView(1)
    decided: dict[int, Status] = {1: "replayed", 2: "discarded"}
    for offset in range(5):
        made = letter(Where("webhooks", "schema", "shop"), Record("t", 0, offset, 0, None, b"v"), Bury((Reason("schema", "x"),)), 1000 + offset, "1")
        found = summary_of(Record("xyra.dlq", 0, offset, 0, made.key, made.value, made.headers))
        view.apply(found.id, replace(found, status=decided.get(offset, "buried")).text(), offset)
    return view


def test_what_is_named_is_parted_by_how_it_stands(view: LettersView) -> None:
    picked = pick(view, Wanted(ids=("0-4", "0-0", "0-1", "0-0", "9-9", "0-2", "0-5")))
    assert ([letter.id for letter in picked.letters], picked.selected) == (["0-4"], 2)
    assert (picked.unknown, picked.decided) == (("9-9", "0-5"), ("0-1", "0-2"))


def test_where_nothing_is_left_to_do_each_id_says_why(view: LettersView) -> None:
    with pytest.raises(NotFound) as nobody:
        pick(view, Wanted(ids=("9-9", "0-5")))
    assert [(error.pointer, error.code) for error in nobody.value.errors] == [("/ids/0", "unknown"), ("/ids/1", "unknown")]
    with pytest.raises(Conflict) as over:
        pick(view, Wanted(ids=("0-2", "9-9", "0-1")))
    assert [error.code for error in over.value.errors] == ["discarded", "unknown", "replayed"]
    assert over.value.errors[0].detail == "this letter was discarded already"
