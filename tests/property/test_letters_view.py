"""The index of dead letters that an ingress holds, against one that keeps everything."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from flows.core.deadletters.summaries import STATUSES, Summary, summary_of
from flows.core.orders import Filter
from flows.core.record import Record
from flows.core.verdict import Bury, Reason
from flows.engine.letters import Where, letter
from ingress.letters import MOST_GROUPS, LettersView
from ingress.routes.letter_answers import Search
from ingress.routes.letters import count

PLACES = st.tuples(st.integers(0, 2), st.integers(0, 30))
CHANGES = st.lists(st.tuples(PLACES, st.sampled_from([None, *STATUSES]), st.integers(0, 3), st.integers(0, 50)), max_size=60)
"""Where a letter stands, what became of it (None: it has expired), its cause, and when it was buried."""


def summary(partition: int, offset: int, cause: int, at_ms: int) -> Summary:
    record = Record("t", 0, offset, 0, None, b"v")
    made = letter(Where("flow", f"step{cause // 2}", f"r{cause % 2}"), record, Bury((Reason("schema", "x"),)), at_ms + 1, "1")
    return summary_of(Record("xyra.dlq", partition, offset, 0, made.key, made.value, made.headers))


@settings(max_examples=200)
@given(CHANGES, st.integers(1, 20))
def test_the_newest_are_held_and_all_are_counted(changes: list[tuple[tuple[int, int], str | None, int, int]], most: int) -> None:
    view, model = LettersView(most), dict[str, Summary]()
    facts: dict[tuple[int, int], tuple[int, int]] = {}
    for offset, (place, status, *drawn) in enumerate(changes):
        cause, at_ms = facts.setdefault(place, (drawn[0], drawn[1]))  # a letter's cause and time never change
        made = summary(*place, cause, at_ms)
        if status is None:
            model.pop(made.id, None)
            view.apply(made.id, None, offset)
        else:
            model[made.id] = replace(made, status=status)  # type: ignore[arg-type]  # one of them
            view.apply(made.id, model[made.id].text(), offset)
        held = list(view.newest())
        assert len(held) <= most
        assert all(model[one.id] == one for one in held)
        keys = [(one.buried_at_ms, *map(int, one.id.split("-"))) for one in held]
        assert keys == sorted(keys, reverse=True)
        counted = {(group.fingerprint, name): n for group in view.groups() for name, n in zip(STATUSES, group.counts, strict=True) if n}
        assert counted == Counter((one.fingerprint, one.status) for one in model.values())
        assert view.left_out == len(model) - len(held)
        narrow, complete = count(view, Search(status="buried", group=True, cursor="1.0.0"))
        assert complete == (len(held) == len(model))
        assert sum(sum(group.counts) for group in narrow) == sum(one.status == "buried" for one in held)
        for search in (Search(group=True), Search(group=True, flow="flow"), Search(group=True, flow="another")):
            found, complete = count(view, search)
            assert complete
            assert sum(sum(group.counts) for group in found) == (0 if search.flow == "another" else len(model))
        for resource in ("r0", "r1"):
            found, complete = count(view, Search(group=True, resource=resource))
            assert complete
            assert sum(sum(group.counts) for group in found) == sum(one.resource == resource for one in model.values())


@given(st.lists(st.tuples(st.text(max_size=12), st.one_of(st.none(), st.binary(max_size=30)))))
def test_what_is_no_summary_changes_nothing(records: list[tuple[str, bytes | None]]) -> None:
    view = LettersView(10)
    for offset, (key, value) in enumerate(records):
        view.apply(key, value, offset)
    assert list(view.newest()) == []
    assert view.groups() == []


def test_where_causes_are_too_many_a_narrowed_count_is_not_said_to_be_whole() -> None:
    view, made = LettersView(1), summary(0, 0, 0, 0)
    for cause in range(MOST_GROUPS + 1):
        name = f"0-{cause}"
        view.apply(name, replace(made, id=name, fingerprint=str(cause)).text(), cause)
    assert [complete for _, complete in (count(view, Search(group=True)), count(view, Search(group=True, flow="flow")))] == [True, False]


def test_an_offset_out_of_all_bounds_is_not_believed() -> None:
    view = LettersView(10)
    view.apply("0-5", summary(0, 5, 0, 0).text(), 0)
    for offset in (5 + (1 << 25), 10**17):
        view.apply(f"0-{offset}", replace(summary(0, 5, 0, 0), id=f"0-{offset}").text(), 1)
    assert [one.id for one in view.newest()] == ["0-5"]
    assert view.malformed == 2


def test_filters() -> None:
    one = replace(summary(0, 1, 0, 999), letter_class="ours", resource="shop")
    assert Filter().matcher()(one)
    assert Filter.model_validate({"class": "ours", "resource": "shop", "from": "1970-01-01T00:00:01Z", "to": "1970-01-01T00:00:01.001Z"}).matcher()(one)
    for wrong in ({"class": "theirs"}, {"flow": "x"}, {"from": "1970-01-01T00:00:01.001Z"}, {"to": "1970-01-01T01:00:01+01:00"}, {"event_id": "x"}):
        assert not Filter.model_validate(wrong).matcher()(one), wrong
