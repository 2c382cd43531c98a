"""What becomes of an import job that is ordered, retried, cancelled; and rejected rows as a file of their own format."""

from asyncio import Event
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest

from flows.core.errors import Conflict, FieldError, InvalidFields, Unavailable
from flows.core.imports.history import Files
from flows.core.imports.jobs import JobDefinition, Pieces, StoredJob, home
from flows.core.imports.progress import BEGINNING, Gain, Report
from flows.core.imports.rejects import Turned
from flows.core.imports.run import UNCHANGED
from flows.core.imports.source import DataFormat
from flows.core.imports.uploads import Upload, create
from flows.core.settings import load
from ingress import jobs, originals
from ingress.jobs import RetryRequest
from ingress.originals import form_of
from ingress.streams import Seats, Streamed

NOW = 1_780_000_000_000


def definition(source: dict[str, Any] | None = None, **over: Any) -> JobDefinition:
    base = {"name": "orders", "job_type": "one_time", "data_format": "csv", "source_config": source or {"upload_id": "u-1"}}
    return JobDefinition.model_validate({**base, **over})


def seal(plain: str, context: str) -> str:
    raise AssertionError(f"{plain} is sealed for {context}")


def order(**over: Any) -> StoredJob:
    return jobs.ordered("j-1", definition(), NOW, seal).model_copy(update=over)


def running(rejected: int = 0) -> Report:
    begun = Report(job_id="j-1", updated_at_ms=NOW).after("start", NOW)
    return begun.plus(Gain(5, rejected, 0, 100, {"required": rejected} if rejected else {}), BEGINNING, NOW + 1)


def known(wanted: JobDefinition) -> Upload | None:
    return create("u-1", 10, "", NOW, 1000, 100) if wanted.source_config.upload_id == "u-1" else None


def pointers(wanted: JobDefinition, now_ms: int = NOW, **over: str) -> dict[str, str]:
    with pytest.raises(InvalidFields) as caught:
        jobs.checked(wanted, known(wanted), load({}, **over), now_ms)
    return {error.pointer: error.code for error in caught.value.errors}


def test_an_upload_that_is_known_can_be_imported_also_while_it_arrives() -> None:
    jobs.checked(definition(), known(definition()), load({}), NOW)


def test_an_upload_that_is_unknown_or_gone_is_named() -> None:
    assert pointers(definition({"upload_id": "u-2"})) == {"/source_config/upload_id": "unknown_upload"}
    assert pointers(definition(), NOW + 1000) == {"/source_config/upload_id": "upload_gone"}


def test_a_store_that_no_worker_reads_is_refused_as_its_run_would_be() -> None:
    wanted = definition({"url": "s3://inbox/orders.csv"})
    for stores in (None, ("gs", "s3")):
        jobs.checked(wanted, None, load({}), NOW, stores)
    with pytest.raises(InvalidFields) as caught:
        jobs.checked(wanted, None, load({}), NOW, ("gs",))
    sentence = "s3:// is read by s3fs, which is not installed where the worker runs: pip install 'xyra-integration[s3]'."
    assert caught.value.errors == (FieldError("/source_config/url", "not_installed", sentence),)


def test_a_path_lies_under_a_root(tmp_path: Path) -> None:
    wanted = definition({"file_path": f"{tmp_path}/orders.csv"})
    jobs.checked(wanted, known(wanted), load({}, import_roots=str(tmp_path)), NOW)
    assert pointers(wanted) == {"/source_config/file_path": "outside_roots"}
    with pytest.raises(InvalidFields) as caught:
        jobs.checked(wanted, known(wanted), load({}), NOW)
    assert "INTEGRATION_IMPORT_ROOTS names no folder" in caught.value.errors[0].detail


def test_every_rule_that_is_wrong_is_named_with_all_else() -> None:
    rules = {"regex": {"a": "("}, "data_types": {"b": "int63"}, "lenght": {}}
    found = pointers(definition({"upload_id": "u-2"}, transformation_rules=rules))
    assert {"/source_config/upload_id", "/transformation_rules/data_types/b", "/transformation_rules/lenght"} <= set(found)
    assert pointers(definition(transformation_rules={"regex": {"a": "("}})) == {"/transformation_rules/regex/a": "invalid_regex"}


def test_a_rule_that_says_null_stays_on_the_log() -> None:
    wanted = jobs.ordered("j-1", definition(transformation_rules={"constants": {"a": None}}), NOW, seal)
    assert StoredJob.model_validate_json(jobs.text(wanted)) == wanted


def test_how_a_job_is_shown_before_the_flow_has_come_to_it() -> None:
    assert jobs.shown(order(), None).status == "queued"
    assert jobs.shown(order(cancelled=True), None).status == "cancelled"
    assert jobs.shown(order(cancelled=True), running()).phase == "cancelling"
    for event in ("complete", "complete_with_errors", "fail", "cancel"):
        over = running(1).now(NOW, phase="reading").after(event, NOW)
        assert (jobs.shown(order(), over).phase, over.phase) == ("", "reading"), "what the next turn goes on in is not kept"
    assert jobs.shown(order(), running().now(NOW, phase="reading")).phase == "reading"
    assert jobs.shown(order(), running().now(NOW, phase=UNCHANGED).after("complete", NOW)).phase == UNCHANGED
    assert jobs.shown(order(cancelled=True), None).phase == ""
    again = jobs.shown(order(turn=2), running(1).after("fail", NOW, "too many"))
    assert (again.status, again.trouble, again.rows_rejected, again.over) == ("queued", "", 1, False)


def test_a_retry_of_the_rejected_rows() -> None:
    report = running(2).after("complete_with_errors", NOW)
    after = jobs.retried(RetryRequest(only="rejected", transformation_rules={"trim": True}), report, NOW + 9)(order())
    assert (after.turn, after.only, after.standing, after.definition.transformation_rules) == (2, "rejected", 2, {"trim": True})
    rest = jobs.retried(RetryRequest(), running(2).after("fail", NOW), NOW + 9)(order(cancelled=True))
    assert (rest.turn, rest.standing, rest.cancelled) == (2, 1, False)


@pytest.mark.parametrize(
    ("report", "only", "sentence"),
    [
        (None, "rest", "The job is queued: it cannot be retried; it can be cancelled."),
        (running(), "rest", "The job is running: it cannot be retried; it can be cancelled."),
        (running().after("complete", NOW), "rest", "The job is completed: it cannot be retried."),
        (running().after("fail", NOW), "rejected", "No row of the job is rejected, so that there is none to run again."),
        (running(1).after("complete_with_errors", NOW), "rest", "The job has read its file to the end;"),
    ],
)
def test_what_cannot_be_retried(report: Report | None, only: Any, sentence: str) -> None:
    with pytest.raises(Conflict) as caught:
        jobs.retried(RetryRequest(only=only), report, NOW)(order())
    assert caught.value.detail.startswith(sentence)


@pytest.mark.parametrize("data_format", get_args(DataFormat))
def test_rejected_rows_of_every_format_can_be_run_again(data_format: str) -> None:
    job = order(definition=definition().model_copy(update={"data_format": data_format}))
    again = jobs.retried(RetryRequest(only="rejected"), running(1).after("fail", NOW), NOW)(job)
    assert (again.turn, again.only, again.standing) == (job.turn + 1, "rejected", job.turn + 1)


def test_rejected_rows_that_cannot_be_run_again() -> None:
    job = order(definition=definition().model_copy(update={"all_or_nothing": True}))
    with pytest.raises(Conflict) as caught:
        jobs.retried(RetryRequest(only="rejected"), running(1).after("fail", NOW), NOW)(job)
    assert caught.value.detail.startswith("Nothing of the file")


def scheduled(**over: Any) -> StoredJob:
    config = {"job_type": "scheduled", "schedule_config": {"frequency": "daily"}}
    return jobs.ordered("j-1", definition({"file_path": "/in/*.csv"}, **config), NOW, seal).model_copy(update=over)


def test_a_schedule_that_was_cancelled_goes_on_whatever_its_last_run_came_to() -> None:
    done = running().after("complete", NOW)
    after = jobs.retried(RetryRequest(), done, NOW + 9)(scheduled(cancelled=True))
    assert (after.turn, after.cancelled, after.updated_at_ms) == (2, False, NOW + 9)
    with pytest.raises(Conflict, match="The job is completed"):
        jobs.retried(RetryRequest(), done, NOW)(scheduled())


@pytest.mark.parametrize(("only", "sentence"), [("rest", "Each of the run's 3 files"), ("rejected", "The run has read several files")])
def test_a_run_of_several_files_is_not_gone_on_with(only: Any, sentence: str) -> None:
    report = running(1).now(NOW, files=Files(found=3, read=3)).after("complete_with_errors", NOW)
    with pytest.raises(Conflict) as caught:
        jobs.retried(RetryRequest(only=only), report, NOW)(scheduled())
    assert caught.value.detail.startswith(sentence)


def test_a_run_beside_the_schedule() -> None:
    done = running().after("complete", NOW)
    assert jobs.run_beside(done, NOW)(scheduled(extra=4)).extra == 5
    assert jobs.run_beside(None, NOW)(scheduled()).extra == 1
    for job, report, sentence in (
        (order(), done, "The job is one_time"),
        (scheduled(cancelled=True), done, "The job is cancelled"),
        (scheduled(), done.next_run(NOW), "Run 1 of the job is under way"),
    ):
        with pytest.raises(Conflict, match=sentence):
            jobs.run_beside(report, NOW)(job)


def test_a_scheduled_job_is_through_when_it_is_cancelled() -> None:
    daily = definition({"url": "https://example.com/a.csv"}, job_type="scheduled", schedule_config={"frequency": "daily"})
    scheduled, done = jobs.ordered("j-1", daily, NOW, seal), running().after("complete", NOW)
    assert not jobs.is_through(scheduled, done)
    assert jobs.is_through(scheduled.model_copy(update={"cancelled": True}), done)
    assert jobs.is_through(order(), done)
    assert not jobs.is_through(order(), running())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/a?X-Amz-Signature=abc&part=2&token=&flag&=x", "https://h/a?X-Amz-Signature=***&part=***&token=&***&=***"),
        ("https://h/a@b", "https://h/a@b"),
        ("https://h/a?", "https://h/a?"),
        ("https://h/a?" + "&".join(["a=1"] * 500), "https://h/a?*"),
    ],
)
def test_secrets_of_a_source_are_sealed_and_masked(url: str, shown: str) -> None:
    headers = {"Authorization": "Bearer hidden"}
    made = jobs.ordered("j-1", definition({"url": url, "headers": headers}), NOW, lambda plain, context: f"{context}:{plain[::-1]}")
    context, _, box = (made.sealed or "").partition(":")
    assert (context, orjson.loads(box[::-1])) == ("job/j-1/source", {"url": url, "headers": headers})
    stored = jobs.text(made)
    assert b"hidden" not in stored
    found = StoredJob.model_validate_json(stored)
    assert found.definition.source_config.url == shown
    assert [*(found.definition.source_config.headers or {})] == ["Authorization"]


def test_a_source_without_secrets_is_not_sealed() -> None:
    assert jobs.ordered("j-1", definition({"url": "https://h/a.csv"}), NOW, seal).sealed is None


def test_seats_are_given_back() -> None:
    seats = Seats(1, "listeners", 5)
    for _ in range(2):
        with seats.taken(), pytest.raises(Unavailable), seats.taken():
            pass


def turned(raw: bytes, *reasons: tuple[str, str, str, str]) -> Turned:
    return Turned("j-1", 1, 0, 2, 5, reasons or (("a", "wrong_type", "int64", "x"),), raw)


def written(job: JobDefinition, head: bytes, *rows: Turned) -> bytes:
    form = form_of(job, head)
    return form.front + form.between.join(map(form.row, rows)) + form.back


ERROR = "wrong_type a: int64"


@pytest.mark.parametrize(
    ("source", "head", "raw", "wanted"),
    [
        ({}, b"a,b\r\n1,2\r\n", b"x,2\r\n", f'_error,a,b\r\n"{ERROR}",x,2\r\n'),
        ({}, b"a,b\r\n1,2\r\n", b"x,2", f'_error,a,b\r\n"{ERROR}",x,2\r\n'),
        ({}, b"a,b\r1,2\r", b"x,2\r", f'_error,a,b\r"{ERROR}",x,2\r'),
        ({}, b"a;b\n1;2\n", b'x;"open', f'_error;a;b\n"{ERROR}";x;"open\n'),
        ({"columns": ["a", "b"]}, b"", b"x,2", f'_error,"a","b"\n"{ERROR}",x,2\n'),
        ({"header": False}, b"1,2\n", b"x,2\n", f'"{ERROR}",x,2\n'),
        ({"quote": "", "delimiter": ":"}, b"a:b\n", b"x:2\n", "_error:a:b\nwrong_type a int64:x:2\n"),
        ({"encoding": "windows-1252"}, "é,b\n".encode("cp1252"), "ü,2\n".encode("cp1252"), f'_error,é,b\n"{ERROR}",ü,2\n'),
    ],
)
def test_rows_of_csv(source: dict[str, Any], head: bytes, raw: bytes, wanted: str) -> None:
    job = definition({"upload_id": "u-1", **source})
    assert written(job, head, turned(raw)).decode(source.get("encoding", "utf-8")) == wanted


@pytest.mark.parametrize(
    ("encoding", "mark", "charset"),
    [
        (None, b"", "utf-8"),
        ("cp1252", b"", "windows-1252"),
        ("latin-1", b"", "iso-8859-1"),
        ("utf-16-le", b"\xff\xfe", "utf-16"),
        ("utf-16-be", b"", "utf-16be"),
        ("euc_jp", b"", "euc-jp"),
        ("shift_jis", b"", "shift_jis"),
    ],
)
def test_a_file_of_text_says_its_own_encoding(encoding: str | None, mark: bytes, charset: str) -> None:
    head = mark + "a,b\r\n".encode(encoding or "utf-8")
    form = form_of(definition({"upload_id": "u-1", "encoding": encoding}), head)
    assert form.media("text/csv") == f"text/csv; charset={charset}"
    assert form.front == mark + "_error,a,b\r\n".encode(encoding or "utf-8")
    as_json = form_of(definition({"upload_id": "u-1", "encoding": encoding}, data_format="ndjson"), head)
    assert as_json.media("application/x-ndjson") == "application/x-ndjson"


def test_what_was_found_out_about_a_file_says_how_its_rows_go_back() -> None:
    found = Report(job_id="j-1", read_as={"delimiter": ":", "quote": "'", "encoding": "cp1252", "header": True, "member": "a.csv"})
    job = jobs.as_read(definition(), found)
    assert written(job, b"a:b,c\n", turned("ü:2\n".encode("cp1252"))).decode("cp1252") == f"_error:a:b,c\n'{ERROR}':ü:2\n"
    said = jobs.as_read(definition({"upload_id": "u-1", "delimiter": ";"}), found).source_config
    assert (said.delimiter, said.quote) == (";", "'"), "what the job says itself counts for more"
    assert jobs.as_read(definition(), None) == definition()


def test_rows_of_csv_in_utf_16_keep_their_mark() -> None:
    head = "a\tb\n1\t2\n".encode("utf-16")
    made = written(definition(), head, turned("x\t2\r\n".encode("utf-16-le")))
    assert made.decode("utf-16") == f'_error\ta\tb\n"{ERROR}"\tx\t2\r\n'
    assert made[:2] == head[:2]


def test_an_error_is_no_formula() -> None:
    made = written(definition({"upload_id": "u-1", "header": False}), b"", turned(b"1,2", ("a", "=cmd|' /C calc'!A0", "", "")))
    assert made.startswith(b"\"'=cmd")


def test_rows_of_json() -> None:
    rows = [turned(b' {"a": 1.50}'), turned(b"{}"), turned(b"[1]"), turned(b'{"a": \xff'), turned(b'{"_error": "old", "b": 1}')]
    found = [{"_error": ERROR, "a": 1.5}, {"_error": ERROR}, {"_error": ERROR, "_row": "[1]"}, {"_error": ERROR, "_row": '{"a": \ufffd'}]
    found.append({"_error": ERROR, "b": 1})
    made = written(definition(data_format="ndjson"), b"", *rows)
    assert list(map(orjson.loads, made.splitlines())) == found
    assert b'"a": 1.50}' in made
    assert orjson.loads(written(definition(data_format="json"), b"", *rows)) == found
    assert orjson.loads(written(definition(data_format="json"), b"")) == []


def test_rows_of_xml() -> None:
    job = definition({"upload_id": "u-1", "record_path": "orders/order"}, data_format="xml")
    rows = [turned(b'<o:order id="1"><a>x</a></o:order>'), turned(b'<order a="/>"/>'), turned(b"<order><a></order>", ("", "not_xml", "", ""))]
    made = written(job, b'<?xml version="1.0"?><orders xmlns:o="urn:o"><o:order/>', *rows).decode()
    error = f"<_error>{ERROR}</_error>"
    assert made.splitlines() == [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<orders xmlns:o="urn:o">',
        f'<o:order id="1">{error}<a>x</a></o:order>',
        f'<order a="/>">{error}</order>',
        "<_row><_error>not_xml</_error>&lt;order&gt;&lt;a&gt;&lt;/order&gt;</_row>",
        "</orders>",
    ]


def test_a_job_that_remembers_earlier_runs_is_told_where_its_upload_stands() -> None:
    wanted = definition(incremental={"file": True})
    begun = create("u-1", 10, "", NOW, 1000, 100)
    with pytest.raises(InvalidFields) as caught:
        jobs.checked(wanted, begun, load({}), NOW)
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/source_config/upload_id", "not_whole")]
    whole = replace(begun, offset=10, cut=10, pieces=2, partition=3, first=7, last=9, sha256="ab" * 32)
    jobs.checked(wanted, whole, load({}), NOW)
    pieces = jobs.ordered("j-1", wanted, NOW, seal, whole).pieces
    assert pieces == Pieces(partition=3, first=7, last=10, length=10, sha256="ab" * 32)
    empty = jobs.ordered("j-1", wanted, NOW, seal, replace(begun, length=0, sha256="cd" * 32)).pieces
    assert empty == Pieces(partition=0, first=0, last=-1, length=0, sha256="cd" * 32)
    assert jobs.ordered("j-1", definition(), NOW, seal, whole).pieces is None


def test_jobs_of_a_name_that_remember_have_one_home_and_others_that_of_their_upload() -> None:
    across: dict[str, Any] = {"unique": ["a", {"columns": ["b"], "across_runs": True}]}
    homes = [
        home(jobs.ordered("j-1", definition(**over), NOW, seal))
        for over in ({}, {"transformation_rules": {"unique": ["a"]}}, {"transformation_rules": across}, {"incremental": {"key": ["a"]}})
    ]
    assert homes == ["u-1", "u-1", "name/orders", "name/orders"]
    with pytest.raises(Conflict, match="cannot begin or cease to remember"):
        jobs.retried(RetryRequest(transformation_rules=across), running().after("fail", NOW), NOW)(order())


def test_one_rule_of_unique_is_a_list_of_one() -> None:
    one: dict[str, Any] = {"unique": {"columns": ["b"], "across_runs": True}}
    wanted = definition(transformation_rules=one)
    assert jobs.rule_faults(wanted.transformation_rules) == ()
    assert wanted.transformation_rules == RetryRequest(transformation_rules=one).transformation_rules == {"unique": [one["unique"]]}
    assert wanted.remembers
    assert pointers(definition(transformation_rules={"unique": {"colums": ["b"]}})).keys() >= {"/transformation_rules/unique/0/colums"}


def test_a_cursor_needs_a_type_by_which_its_values_are_compared() -> None:
    cursor = {"incremental": {"cursor_column": "at"}}
    for types in ({}, {"at": "json"}, {"at": {"type": "bool"}}):
        found = pointers(definition({"upload_id": "u-2"}, transformation_rules={"data_types": types}, **cursor))
        assert found["/incremental/cursor_column"] == "not_of_type"
    job = definition({"file_path": "/in/a.csv"}, transformation_rules={"data_types": {"at": {"type": "datetime"}}}, **cursor)
    jobs.checked(job, None, load({}, import_roots="/in"), NOW)
    with pytest.raises(Conflict, match="cannot be run with incremental: 'at' needs a type"):
        jobs.retried(RetryRequest(transformation_rules={"trim": True}), running().after("fail", NOW), NOW)(order(definition=job))


def test_rows_of_every_format_are_written_in_their_own() -> None:
    assert {*originals.MEDIA, *originals.WHOLE} == {*get_args(DataFormat)}


async def test_a_file_is_closed_behind_its_sending_and_where_it_was_refused() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"a"

    async def receive() -> dict[str, Any]:
        await Event().wait()
        return {}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    sent: list[MutableMapping[str, Any]] = []
    closed: list[str] = []
    seats, none = Seats(1, "files", 1), Seats(0, "files", 1)
    await Streamed(parts(), seats, "text/csv", {}, lambda: closed.append("sent"))({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)
    assert (closed, [message.get("body") for message in sent]) == (["sent"], [None, b"a", b""])
    with pytest.raises(Unavailable):
        await Streamed(parts(), none, "text/csv", {}, lambda: closed.append("refused"))({"type": "http"}, receive, send)
    assert closed == ["sent", "refused"]
