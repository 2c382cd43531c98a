"""Dead letters: fingerprints, ids, summaries and what comes back out of a letter, whatever went in."""

import csv
import io
import re
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flows.core.deadletters.letters import class_of, fingerprint, fold, fold_pointer, letter_id, place_of, restored
from flows.core.deadletters.summaries import Summary, reasons_in, summary_of
from flows.core.record import Record
from flows.core.verdict import Bury, Reason
from flows.engine.letters import Where, attempt, letter
from ingress.export import COLUMNS, csv_head, csv_line, guarded, unguarded

TEXT = st.text(max_size=60)
NAME = st.from_regex(r"[a-z][a-z_]{0,11}", fullmatch=True)
REASON = st.builds(Reason, NAME, TEXT, TEXT)
BYTES = st.one_of(st.none(), st.binary(max_size=50))
HEADERS = st.lists(
    st.tuples(st.sampled_from(["ce_id", "ce_source", "x-attempt", "x-http", "own", "x-dlq-topic", "x-dlq-reasons", "x-replay-id"]), st.binary(max_size=30))
)
RECORD = st.builds(
    Record, NAME, st.integers(0, 99), st.integers(0, 2**40), st.integers(0, 2**40), BYTES, BYTES, HEADERS.map(tuple)
)  # fmt: skip


@given(st.text(max_size=400))
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.lists(st.one_of(st.sampled_from(["field", "must be", "of type", ":", ","]), st.just(None)), max_size=12), st.data())
def test_values_do_not_part_causes(parts: list[str | None], data: st.DataObject) -> None:
    """Two sentences that differ in numbers, ids and quoted values only have one fingerprint."""
    values = st.one_of(
        st.integers().map(str), st.uuids().map(str), st.floats(allow_nan=False, allow_infinity=False).map(str),
        st.text(st.characters(exclude_characters="'\"`"), max_size=10).map(lambda text: f"'{text}'"),
        st.text(st.characters(exclude_characters="'\"`"), max_size=10).map(lambda text: f'"{text}"'),
    )  # fmt: skip
    told = [" ".join(data.draw(values) if part is None else part for part in parts) for _ in range(2)]
    first, second = (fingerprint("f", "s", "r", [Reason("c", text, f"/items/{data.draw(st.integers(0, 999))}/n")]) for text in told)
    assert first == second


@given(st.tuples(NAME, NAME, TEXT), st.tuples(NAME, NAME, TEXT), REASON, NAME)
def test_flow_step_resource_and_code_part_causes(where: tuple[str, str, str], elsewhere: tuple[str, str, str], reason: Reason, code: str) -> None:
    mine = fingerprint(*where, [reason])
    assert re.fullmatch("[0-9a-f]{16}", mine)
    assume((*where, reason.code) != (*elsewhere, code))
    assert fingerprint(*elsewhere, [Reason(code, reason.detail, reason.pointer)]) != mine


@given(st.lists(REASON, min_size=1, max_size=6), st.data())
def test_a_cause_is_the_set_of_its_reasons(reasons: list[Reason], data: st.DataObject) -> None:
    """Their order and how often one is told make no other cause; one more or one less does."""
    mine = fingerprint("f", "s", "r", reasons)
    assert fingerprint("f", "s", "r", data.draw(st.permutations([*reasons, data.draw(st.sampled_from(reasons))]))) == mine
    other = data.draw(REASON)
    assume(other.code not in {reason.code for reason in reasons})
    assert fingerprint("f", "s", "r", [*reasons, other]) != mine
    assert class_of(*(reason.code for reason in reasons)) == class_of(*(reason.code for reason in reversed(reasons)))


@given(st.lists(REASON, max_size=3), st.lists(REASON, max_size=3), TEXT)
def test_nothing_runs_into_what_stands_beside_it(reasons: list[Reason], others: list[Reason], resource: str) -> None:
    folded = [{(one.code, fold_pointer(one.pointer), fold(one.detail)) for one in told} for told in (reasons, others)]
    assert (fingerprint("f", "s", resource, reasons) == fingerprint("f", "s", resource, others)) == (folded[0] == folded[1])


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ([Reason("schema", '"x" is not of type "integer"', "/items/17/n")], "0c4fbcb88a08836f"),
        ([Reason("unknown_endpoint", "There is no endpoint 'shop': register it, then replay this record.")], "817bacc67628f1fe"),
        ([Reason("bug", "KeyError: 'a' (in transform, line 17)")], "f4fc3e57ee0d524d"),
        ([Reason("attempts_spent", "8 of 8 attempts: All attempts were made."), Reason("target_failed", "HTTP 503: The target failed.")], "f598971da8574ba4"),
    ],
)
def test_fingerprints_are_the_same_in_every_version(reasons: list[Reason], told: str) -> None:
    assert fingerprint("webhooks", "schema", "shop", reasons) == told


def test_an_http_status_parts_causes() -> None:
    assert fold("HTTP 404: refused, as HTTP 4041 and XHTTP 404 and HTTP x404 in 17 ms") == "HTTP 404: refused, as HTTP # and XHTTP # and HTTP # in # ms"
    assert fold("'a'HTTP 404 HTTP 0x1 HTTP\t404") == "# HTTP # HTTP #"
    for end in range(8):
        cut = fold("x" * (300 - end) + " HTTP 404 and more")
        assert fold(cut) == cut
    assert fingerprint("f", "s", "r", [Reason("refused", "HTTP 404: no")]) != fingerprint("f", "s", "r", [Reason("refused", "HTTP 401: no")])


def test_what_is_folded() -> None:
    assert fold("'a' is 17 of 4e3, id 0f8fad5b-d9cb-469f-a165-70867728950e: \"it's\" no") == "# is # of #, id # no"
    assert fold("[1, 2, 'x'] is not [3]") == "[#] is not [#]"
    assert fold_pointer("/a/0/b/12/c~1d/x1") == "/a/#/b/#/c~1d/x1"
    assert (class_of("bug"), class_of("schema"), class_of("unheard_of")) == ("ours", "theirs", "theirs")
    assert (class_of("attempts_spent", "unknown_error"), class_of("attempts_spent", "target_failed")) == ("ours", "theirs")


@given(st.integers(0, 10**17), st.integers(0, 10**17))
def test_an_id_is_its_place(partition: int, offset: int) -> None:
    assert place_of(letter_id(partition, offset)) == (partition, offset)


@given(st.text(max_size=30))
def test_no_other_text_is_an_id(text: str) -> None:
    place = place_of(text)
    assert place is None or letter_id(*place) == text


@given(RECORD, st.lists(REASON, min_size=1, max_size=12), NAME, TEXT, st.booleans())
def test_a_letter_tells_everything_and_gives_its_record_back(record: Record, reasons: list[Reason], step: str, resource: str, counts: bool) -> None:
    where, verdict = Where("flow", step, resource), Bury(tuple(reasons), counts)
    made = letter(where, record, verdict, 17, "1")
    found = Record("xyra.dlq", 4, 9, 20, made.key, made.value, made.headers)
    summary = summary_of(found)
    assert (summary.id, summary.flow, summary.step, summary.resource) == ("4-9", "flow", step, resource or "-")
    assert (summary.topic, summary.partition, summary.offset, summary.code) == (*record[:3], reasons[0].code)
    assert (summary.fingerprint, summary.letter_class) == (fingerprint(*where, reasons), class_of(*(reason.code for reason in reasons)))
    assert summary.attempt == attempt(record) + counts
    assert made.headers.count(("x-attempt", record.header("x-attempt") or b"")) == 0
    assert [reason.code for reason in reasons_in(found)] == [reason.code for reason in reasons]
    back = restored(found)
    assert back[:6] == record[:6]
    named = {"x-attempt", "x-replay-id", "ce_id"}
    assert [header for header in back.headers if header[0] not in named] == [
        header for header in record.headers if header[0] not in named and not header[0].startswith("x-dlq-")
    ]
    assert back.text("ce_id") == summary.event_id
    assert restored(found._replace(headers=letter(where, back, verdict, 17, "1").headers)) == back


@given(RECORD, st.lists(st.tuples(st.sampled_from(["class", "fingerprint", "event-id", "reasons", "offset", "time", "code", "topic"]), st.binary(max_size=30))))
def test_whatever_stands_on_the_topic_has_a_summary(record: Record, forged: list[tuple[str, bytes]]) -> None:
    headers = (*record.headers, *((f"x-dlq-{name}", value) for name, value in forged))
    summary = summary_of(record._replace(headers=headers))
    assert Summary.read(summary.text()) == summary


@given(st.recursive(st.one_of(st.none(), st.integers(), TEXT), lambda inner: st.dictionaries(st.sampled_from(["id", "reasons", "status", "size"]), inner)))
def test_what_is_no_summary_is_a_value_error(value: Any) -> None:
    try:
        text = orjson.dumps(value)
    except TypeError:  # an integer of more than 64 bits
        return
    with pytest.raises(ValueError, match="summary"):
        Summary.read(text)


CELL = st.one_of(TEXT, st.text("=+-@'\"\t\r\n ;,|", max_size=12))


@given(CELL)
def test_no_cell_is_a_formula(cell: str) -> None:
    safe = guarded(cell)
    assert unguarded(safe) == cell
    assert safe[:1] not in set("=+-@\t\r\n＝＋－＠")  # noqa: RUF001  wide forms
    assert not re.match(r"[\s\"`]*[=+\-@]", safe)


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(COLUMNS, CELL)), max_size=5))
def test_what_is_exported_comes_back(items: list[dict[str, str]]) -> None:
    text = csv_head() + "".join(map(csv_line, items))
    rows = list(csv.DictReader(io.StringIO(text.encode().decode(), newline="")))
    assert [{name: unguarded(cell) for name, cell in row.items()} for row in rows] == [{name: item.get(name, "") for name in COLUMNS} for item in items]
