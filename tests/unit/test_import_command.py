"""What `xyra import` makes of answers: taken up, followed, shown, ended; over a transport of the client's own that answers by a table."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from deploy.cli import following, sending
from deploy.cli.calls import MOST_TRIES, Ingress, call
from deploy.cli.following import Bars, Lines, follow, remarking, reports
from deploy.cli.importing import Order, hint, ingress, judge, make_job
from deploy.cli.main import app
from deploy.cli.origin import Origin, read_origin, read_source
from flows.core.errors import Conflict, NotFound, Refused, Unavailable, WrongSetting

Handler = Callable[[httpx2.Request], httpx2.Response]


def client(handler: Handler) -> httpx2.Client:
    return httpx2.Client(base_url="http://ingress", transport=httpx2.MockTransport(handler))


def report(status: str = "running", read: int = 5, **over: object) -> dict[str, object]:
    rows = {"rows_read": read, "rows_accepted": read, "rows_rejected": 0, "rows_skipped": 0, "rate_rows_s": 5.0, "eta_s": 3}
    return {"job_id": "j", "status": status, "phase": "reading", "bytes_read": read, "bytes_total": 10, "trouble": None, "read_as": {}, **rows, **over}


def event(name: str, told: dict[str, object]) -> str:
    return f"id: {name}\nevent: report\ndata: {json.dumps(told)}\n\n"


def test_a_stream_that_breaks_is_gone_on_with_from_its_last_report() -> None:
    seen: list[str | None] = []
    answers = iter(["retry: 2000\n\n" + event("a", report()) + "id: b\ndata: {", None, event("c", report("completed", 10)) + event("d", report())])

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers.get("last-event-id"))
        text = next(answers)
        return httpx2.Response(503) if text is None else httpx2.Response(200, text=text)

    told: list[following.Report] = []
    waited: list[float] = []
    assert follow(client(answer), "j", told.append, waited.append)["status"] == "completed"
    assert [one["rows_read"] for one in told] == [5, 10]
    assert seen == [None, "a", "a"]
    assert waited == [0.5, 1.0]


def test_an_ingress_that_stays_away_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")

    def away(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    for work in (
        lambda pause: follow(client(away), "j", lambda _: None, pause),
        lambda pause: sending.send(client(away), tmp_path / "a", "u", lambda *_: None, pause),
    ):
        waited: list[float] = []
        with pytest.raises(Unavailable, match="http://ingress does not answer"):
            work(waited.append)
        assert len(waited) == MOST_TRIES
        assert 30 < sum(waited) < 60


def test_a_job_that_is_forgotten_while_it_is_followed() -> None:
    with pytest.raises(Refused, match="404: There is none"):
        follow(client(lambda _: httpx2.Response(404, json={"detail": "There is none."})), "j", lambda _: None, lambda _: None)


def test_an_upload_that_another_connection_has_moved_on(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abcdef")
    calls: list[str] = []
    offsets = iter(["0", "0", "2", "6"])

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "HEAD":
            return httpx2.Response(200, headers={"upload-length": "6", "upload-offset": next(offsets)})
        calls.append(request.headers["upload-offset"] + ":" + request.read().decode())
        return httpx2.Response((423, 409, 204)[len(calls) - 1])

    told: list[tuple[int, int]] = []
    waited: list[float] = []
    sending.send(client(answer), tmp_path / "a", "u", lambda at, size: told.append((at, size)), waited.append)
    assert calls == ["0:abcdef", "0:abcdef", "2:cdef"]
    assert told[-1] == (6, 6)
    assert len(waited) == 2


def test_an_ingress_that_has_not_heard_of_the_end_is_asked_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    whole = {"status": "received", "sha256": hashlib.sha256(b"abc").hexdigest()}
    answers = iter([httpx2.Response(404), httpx2.Response(200, json={"status": "receiving"}), httpx2.Response(200, json=whole)])
    waited: list[float] = []
    assert sending.received(client(lambda _: next(answers)), tmp_path / "a", "u", waited.append) == whole
    assert waited == [0.5, 1.0]
    with pytest.raises(Unavailable, match="Go on with --resume u"):
        sending.received(client(lambda _: httpx2.Response(404)), tmp_path / "a", "u", waited.append)


@pytest.mark.parametrize("status", [404, 410])
def test_an_upload_that_the_ingress_does_not_have_is_not_gone_on_with(tmp_path: Path, status: int) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    waited: list[float] = []
    with pytest.raises(NotFound, match=r"has no upload nope: .* Leave --resume away, and the file is sent anew\."):
        sending.send(client(lambda _: httpx2.Response(status)), tmp_path / "a", "nope", lambda *_: None, waited.append)
    assert waited == []


def test_an_answer_that_is_no_problem_document_is_shown_as_it_is() -> None:
    for status, kind in ((302, Refused), (401, Refused), (409, Conflict), (429, Unavailable), (502, Unavailable)):
        with pytest.raises(kind, match=f"GET /x was answered with {status}: <p>no</p>"):
            call(client(lambda _, status=status: httpx2.Response(status, text="<p>no</p>\n")), "GET", "/x")  # type: ignore[misc]  # mypy infers no lambda with a default


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_a_wrong_key_is_told_with_what_can_be_set_here(method: str) -> None:
    """An answer to HEAD has no words of its own."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        body = b"" if request.method == "HEAD" else b'{"detail": "This needs the admin key, as `X-API-Key: KEY`."}'
        return httpx2.Response(401, content=body, headers={"content-type": "application/problem+json"})

    with pytest.raises(Refused, match=rf"{method} /x was answered with 401: .*INTEGRATION_ADMIN_KEY.*--data-dir") as told:
        call(client(answer), method, "/x")
    assert "X-API-Key" not in told.value.detail


def test_an_ingress_that_has_not_heard_of_the_upload_is_asked_again() -> None:
    wrong = {"detail": "No.", "errors": [{"pointer": "/source_config/upload_id", "code": "unknown_upload", "detail": "there is no upload u"}]}
    answers = iter([httpx2.Response(422, json=wrong), httpx2.Response(201, json={"job_id": "j"})])
    waited: list[float] = []
    assert make_job(client(lambda _: next(answers)), {}, waited.append) == {"job_id": "j"}
    assert waited == [0.5]
    with pytest.raises(Refused, match="/source_config/upload_id: there is no upload u"):
        make_job(client(lambda _: httpx2.Response(422, json=wrong)), {}, waited.append)
    assert len(waited) == 1 + MOST_TRIES


def test_the_order_says_what_was_asked_for_and_no_more(tmp_path: Path) -> None:
    order = Order(Origin(tmp_path / "a.csv"), None, "", "a.csv", "", (), {}, {})
    assert order.body("u", {"format": "csv"}) == {
        "name": "a.csv", "job_type": "one_time", "data_format": "csv", "source_config": {"upload_id": "u"}, "transformation_rules": {},
    }  # fmt: skip
    with pytest.raises(WrongSetting, match="--format, and go on with --resume u"):
        order.body("u", None)
    full = order._replace(data_format="tsv", target_topic="orders", keys=("id",), source={"chunk_size": 5}).body("u", {"format": "csv"})
    assert (full["data_format"], full["target_topic"], full["key_columns"], full["source_config"]["chunk_size"]) == ("tsv", "orders", ("id",), 5)


def test_a_url_is_ordered_as_one(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('{"data_types": {"at": "datetime"}}')
    origin = read_origin("https://example.com/a/orders%20of.May.csv.gz?signature=b/c.json")
    assert (origin.file, origin.name, origin.data_format) == (None, "orders of.May.csv.gz", "csv")
    order = Order(origin, rules, "", origin.name, "", (), {}, {"cursor_column": "at"})
    assert order.body("", None) == {
        "name": "orders of.May.csv.gz", "job_type": "one_time", "data_format": "csv", "source_config": {"url": origin.url},
        "transformation_rules": {"data_types": {"at": "datetime"}}, "incremental": {"cursor_column": "at"},
    }  # fmt: skip
    assert read_origin("s3://bucket").name == "bucket"
    with pytest.raises(WrongSetting, match=r"What latest is was not found out: name it with --format\.$"):
        order._replace(origin=read_origin("https://example.com/latest?b.csv")).body("", None)
    with pytest.raises(WrongSetting, match="--incremental seen needs the column's type in --rules"):
        order._replace(incremental={"cursor_column": "seen"}).read_rules()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["https://example.com/a.csv", "--resume", "u"], "Invalid value for --resume: it goes on with an upload, and a URL is fetched by a worker"),
        (["pyproject.toml", "--incremental", "at", "--incremental-file"], "give one of --incremental, --incremental-key and --incremental-file"),
        (["pyproject.toml", "--incremental-key", "id", "--incremental-file"], "give one of --incremental, --incremental-key and --incremental-file"),
        (["pyproject.toml", "--format", "foo"], "'foo' is none; give csv, tsv, json, ndjson, xml, parquet, excel."),
        (["pyproject.toml", "--set", "jsonpath=/a"], "Invalid value for --set: 'jsonpath=/a' sets nothing; write NAME=VALUE, where NAME is one of headers, "),
        (["pyproject.toml", "--set", "delimiter"], "'delimiter' sets nothing"),
        (["pyproject.toml", "--set", "url=http://a"], "where the file is says FILE|URL, and not url"),
        (
            ["pyproject.toml", "--set", "json_path=data.items"],
            "json_path cannot be 'data.items'. JSON pointer to the array whose elements are the rows: `/data/items`.",
        ),
        (["no-such-file.csv"], "File 'no-such-file.csv' does not exist."),
        (["."], "File '.' is a directory."),
        ([os.devnull], f"File '{os.devnull}' is no regular file"),
        (["http://[::1/a.csv"], "URL 'http://[::1/a.csv' cannot be read"),
    ],
)
def test_what_does_not_go_together_is_told_before_anything_is_sent(options: list[str], told: str) -> None:
    done = CliRunner().invoke(app, ["import", *options, "--url", "http://127.0.0.1:9"], env={"COLUMNS": "400", "TERM": "dumb"})
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


@pytest.mark.parametrize("text", ["{", "[]"])
def test_rules_that_are_none_are_told_before_a_file_is_sent(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.json").write_text(text)
    with pytest.raises(WrongSetting, match=r"rules\.json"):
        Order(Origin(tmp_path), tmp_path / "rules.json", "", "", "", (), {}, {}).read_rules()


def test_where_the_ingress_is_and_its_key(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match=r"holds no admin\.key"):
        ingress({}, str(tmp_path), "http://example.com")
    with pytest.raises(WrongSetting, match="http://HOST:PORT"):
        ingress({}, str(tmp_path), "example.com")
    with pytest.raises(Unavailable, match="Nothing runs on"):
        ingress({}, str(tmp_path), "")
    assert not list(tmp_path.iterdir())
    (tmp_path / "admin.key").write_text("a-key")
    (tmp_path / "admin.key").chmod(0o600)
    assert ingress({}, str(tmp_path), "http://example.com/")[:3] == ("http://example.com", "a-key", f"$(cat {tmp_path}/admin.key)")
    found = ingress({"INTEGRATION_ADMIN_KEY": "b"}, str(tmp_path), "http://example.com")
    assert found.curl("/a", "-X", "DELETE") == "curl -sS -X DELETE 'http://example.com/a' -H \"X-API-Key: $INTEGRATION_ADMIN_KEY\""
    assert isinstance(found, Ingress)


def test_plain_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for at in range(1001):
        lines.sent(at, 1000)
    for read in range(11):
        lines.report(report(read=read))
        lines.report(report(read=read))
    lines.report(report("failed", 10, phase="", trouble="It is no table."))
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 11 + 11 + 1
    assert said.err.endswith("failed: 10 rows read, 10 accepted, 0 rejected, 0 skipped (It is no table.)\n")


def test_bars_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.sent(5, 10)
        bars.report(report("queued", 0, bytes_total=None, phase="", eta_s=None))
        bars.report(report(phase="[red]reading"))
    said = capsys.readouterr().err
    file, job = (line.strip() for line in said.splitlines()[-2:])
    assert file.startswith("sending ")
    assert file.endswith(" 50% 5 bytes of 10 bytes")
    assert job.startswith("[red]reading ")
    assert job.endswith(" 50% 5 rows, 0 rejected, 5/s, 3 s to go")


@pytest.mark.parametrize("kind", [Lines, Bars])
def test_what_one_should_know_of_the_file_is_said_once(kind: type[Lines] | type[Bars], capsys: pytest.CaptureFixture[str]) -> None:
    note = "The encoding cp1252 is a guess, of words such as [b]Müller[/b]; give source_config.encoding where it is known to be another one."
    found = {"encoding": "cp1252", "notes": [note], "looks_like": "json"}
    show = remarking(kind())
    show(report(read_as=found))
    show(report(read=6, read_as=found))
    show(report("completed", 10, read_as=found | {"unknown_columns": ["a ge", "b"]}))
    said = capsys.readouterr()
    assert said.out == ""
    lines = ["The file begins like json, which is not the format that was ordered.", "Rules speak of columns that no row has: 'a ge', 'b'."]
    assert [said.err.splitlines().count(line) for line in (note, *lines)] == [1, 1, 1]


def test_a_report_that_is_broken_off_is_none() -> None:
    assert list(reports([": nothing new", "", "id: a", 'data: {"n": 1}', "", "id: b", 'data: {"n"'])) == [("a", {"n": 1})]


def test_each_way_to_end_is_written_down() -> None:
    shown = " ".join(CliRunner().invoke(app, ["import", "--help"]).stdout.split())
    for code in ("0 ordered", "1 the ingress is away", "2 wrong usage", "5 completed, with rejected rows", "6 failed or cancelled", "7 refused", "130 Ctrl-C"):
        assert code in shown


def test_how_a_file_is_read_can_be_said_field_by_field() -> None:
    given = ["json_path=/data/items", "header=false", "sheet=2", 'columns=["a", "b"]', "delimiter=;", "encoding=850", "member=1", "source_config.quote="]
    assert read_source(given) == {
        "json_path": "/data/items", "header": False, "sheet": 2, "columns": ["a", "b"], "delimiter": ";", "encoding": "850", "member": "1", "quote": "",
    }  # fmt: skip
    order = Order(read_origin("https://example.com/a.json"), None, "", "a", "", (), read_source(["json_path=/a"]), {})
    assert order.body("", None)["source_config"] == {"url": "https://example.com/a.json", "json_path": "/a"}


def test_what_is_said_of_the_source_is_said_with_how_to_set_it() -> None:
    assert hint("Name it in source_config.json_path, or else /source_config/sheet") == "\n  Here: --set json_path=... --set sheet=..."
    assert hint("/source_config/url: no") == hint("no") == ""


@pytest.mark.parametrize("data_format", ["", "csv"])
def test_an_order_is_judged_before_its_file_is_sent(tmp_path: Path, data_format: str) -> None:
    wrong = [{"pointer": "/source_config/upload_id", "code": "unknown_upload", "detail": "there is no upload"}]
    order = Order(Origin(tmp_path / "a.csv"), None, data_format, "a", "", (), {"json_path": "/a"}, {})
    with client(lambda _: httpx2.Response(422, json={"detail": "No.", "errors": wrong})) as http:
        judge(http, order)
    of_format = {"pointer": "/source_config/json_path", "code": "not_here", "detail": "json_path is for json"}
    with client(lambda _: httpx2.Response(422, json={"detail": "No.", "errors": [*wrong, of_format]})) as http:
        if data_format:
            with pytest.raises(Refused, match=r"nothing was sent:\n  /source_config/json_path: json_path is for json$"):
                judge(http, order)
        else:
            judge(http, order)
    with client(lambda _: httpx2.Response(401)) as http, pytest.raises(Refused, match="admin key"):
        judge(http, order)
    with client(lambda _: httpx2.Response(503)) as http:
        judge(http, order)


@pytest.mark.parametrize(
    "begins",
    [b"PK\x03\x04" + bytes(26) + b"a.csv", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", bytes(range(256)), b""],
    ids=["zip", "gzip", "zstd", "bytes", "empty"],
)
def test_a_file_that_nobody_knows_is_not_sent(tmp_path: Path, begins: bytes) -> None:
    file = tmp_path / "latest.zip"
    file.write_bytes(begins)
    order = Order(Origin(file), None, "", "a", "", (), {}, {})
    with (
        client(lambda _: httpx2.Response(500)) as http,
        pytest.raises(WrongSetting, match=r"^What .*latest\.zip is was not found out: name it with --format\.$"),
    ):
        judge(http, order)


def test_a_file_whose_name_says_nothing_is_judged_by_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "latest"
    file.write_bytes(b"<rows><row/></rows>")
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(json.loads(request.read())["data_format"])
        return httpx2.Response(200)

    with client(answer) as http:
        judge(http, Order(Origin(file), None, "", "a", "", (), {}, {}))
    assert asked == ["xml"]
