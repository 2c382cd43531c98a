"""The command line without a cluster: help, settings, what is wrong with them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.ledger import Row
from deploy.cli.main import app
from deploy.cli.output import printable
from deploy.cli.screen import commands
from deploy.cli.topics import all_topics, listed
from deploy.local import record
from deploy.local.place import KAFKA, decide, running
from deploy.local.processes import Identity
from flows.core.errors import Unavailable, WrongSetting

COMMANDS = [
    "up",
    "down",
    "status",
    "worker",
    "ledger",
    "settings",
    "import",
    "topics list",
    "topics make",
    "topics read",
    "presets list",
    "presets show",
    "presets verify",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_with_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"])
    assert shown.exit_code == 0
    assert "Example" in shown.stdout
    assert f"xyra {command}" in shown.stdout


def test_the_example_of_a_worker_takes_no_port_of_a_running_stack() -> None:
    assert "910" not in CliRunner().invoke(app, ["worker", "--help"]).stdout


def test_the_exit_codes_are_written_down() -> None:
    assert "Exit codes: 0 done" in CliRunner().invoke(app, ["--help"]).stdout


def test_a_wrong_option_is_usage() -> None:
    assert CliRunner().invoke(app, ["status", "--nonsense"]).exit_code == 2


def test_settings_show_where_a_value_comes_from_and_no_secret(tmp_path: Path) -> None:
    environ = {"INTEGRATION_ADMIN_KEY": "do-not-show", "INTEGRATION_HTTP_PORT": "8123", "INTEGRATION_HTP_PORT": "1"}
    shown = CliRunner(env=environ).invoke(app, ["settings", "--json", "--data-dir", str(tmp_path)])
    found = json.loads(shown.stdout)
    rows = {row["variable"]: row for row in found["settings"]}
    assert found["unknown"] == ["INTEGRATION_HTP_PORT"]
    assert (rows["INTEGRATION_HTTP_PORT"]["value"], rows["INTEGRATION_HTTP_PORT"]["from"]) == ("8123", "environment")
    assert (rows["INTEGRATION_KAFKA_BOOTSTRAP_SERVERS"]["value"], rows["INTEGRATION_KAFKA_BOOTSTRAP_SERVERS"]["from"]) == ("127.0.0.1:9092", "local stack")
    assert (rows["INTEGRATION_DATA_DIR"]["value"], rows["INTEGRATION_DATA_DIR"]["from"]) == (str(tmp_path), "option")
    assert rows["INTEGRATION_RATE_LIMIT_DEFAULT"]["value"] == rows["INTEGRATION_RATE_LIMIT_DEFAULT"]["default"]
    assert rows["INTEGRATION_EGRESS_PORTS"]["value"] == rows["INTEGRATION_EGRESS_PORTS"]["default"]
    assert rows["INTEGRATION_ADMIN_KEY"]["value"] == "(set)"
    assert "do-not-show" not in shown.output
    assert "do-not-show" not in CliRunner(env=environ).invoke(app, ["settings"]).output


def test_nothing_runs_on_an_empty_directory(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["status", "--json", "--data-dir", str(tmp_path)])
    assert found.exit_code == 1
    assert json.loads(found.stdout)["state"] == "stopped"
    for command in ("status", "down"):
        shown = CliRunner().invoke(app, [command, "--data-dir", str(tmp_path)]).stdout
        assert shown == f"Nothing runs on {tmp_path}, and no stack has left data there.\n"


ASKING = ["ledger", "topics list", "topics make", "topics read xyra.events"]


@pytest.mark.parametrize("command", ASKING)
def test_a_directory_without_a_stack_never_means_another_stack(tmp_path: Path, command: str) -> None:
    for data in (tmp_path, tmp_path / "missing"):
        done = CliRunner(env={KAFKA: ""}).invoke(app, [*command.split(), "--data-dir", str(data)])
        assert isinstance(done.exception, Unavailable), done.output
        assert done.exception.exit_code == 1
        assert done.exception.detail.startswith(f"Nothing runs on {data}, and no stack has left data there. Name the directory")
        assert f"or set {KAFKA}" in done.exception.detail
    assert not (tmp_path / "missing").exists()


def test_a_directory_whose_stack_was_stopped_says_how_to_start_it(tmp_path: Path) -> None:
    record.path(tmp_path).parent.mkdir()
    record.write(tmp_path, record.StackRecord(Identity(1, 0.0, ("gone",)), "stopped", {}))
    with pytest.raises(Unavailable, match=rf"^Nothing runs on {tmp_path}\. Start it with `xyra up --data-dir {tmp_path}`, or set {KAFKA}"):
        running({}, str(tmp_path))
    assert running({KAFKA: "example:9092"}, str(tmp_path)).kafka_bootstrap_servers == "example:9092"
    assert running({}).kafka_bootstrap_servers  # no directory is named: the default address stands
    assert CliRunner().invoke(app, ["status", "--data-dir", str(tmp_path)]).stdout == f"Nothing runs on {tmp_path}.\n"


def test_an_unknown_flow_is_named_with_those_there_are(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["worker", "nope", "--data-dir", str(tmp_path)])
    assert isinstance(done.exception, WrongSetting)
    assert "webhooks" in str(done.exception)


def test_the_commands_on_the_screen_fit_the_place(tmp_path: Path) -> None:
    everywhere = {"INTEGRATION_HTTP_HOST": "0.0.0.0", "INTEGRATION_HTTP_PORT": "8123"}  # noqa: S104  nobody listens here
    register, send, read = commands(decide(everywhere, str(tmp_path / "a b")).settings, "demo-1")
    assert "http://127.0.0.1:8123/integration/webhooks/register" in register
    assert f"$(cat '{tmp_path}/a b/admin.key')" in register
    assert "http://127.0.0.1:8123/integration/webhooks/demo-1 " in send
    assert read.endswith(f"--data-dir '{tmp_path}/a b'")
    kept_elsewhere = commands(decide({"INTEGRATION_ADMIN_KEY": "secret"}).settings, "demo-1")
    assert "$INTEGRATION_ADMIN_KEY" in kept_elsewhere[0]
    assert "secret\n" not in "\n".join(kept_elsewhere)
    assert "--data-dir" not in kept_elsewhere[2]


def test_the_list_of_topics_has_this_version_s_and_the_cluster_s_other_ones() -> None:
    ours = [topic.name for topic in all_topics()]
    rows = listed({"paid": 3, "__consumer_offsets": 50, ours[0]: 8, "audit": 1})
    assert [row["topic"] for row in rows] == [*ours, "audit", "paid"]
    assert [row["partitions"] for row in rows] == [8, *[None] * (len(ours) - 1), 1, 3]
    assert rows[-1]["meaning"] == "Named by a definition, or yours."
    assert len({tuple(row) for row in rows}) == 1


@pytest.mark.parametrize(
    ("out", "counted", "balanced"),
    [(3, None, True), (3, 10, True), (3, 11, False), (3, 9, False), (2, None, False), (4, 10, False)],
)
def test_a_row_of_the_ledger_balances_or_not(out: int, counted: int | None, balanced: bool) -> None:
    row = Row("webhooks", 0, 10, out, {"duplicate": 4}, {"schema": 2}, 1, 10, 10, counted)
    assert row.balanced is balanced
    assert row.as_dict()["in"] == 10


def test_what_a_terminal_would_act_on_is_escaped() -> None:
    assert printable(b"a\x1b[31m\n\xff\xc3\xa9") == "a\\x1b[31m\\n\\xff\u00e9"
    assert printable(None) == "-"
