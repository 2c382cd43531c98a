"""Every process says when in one form: RFC 3339, UTC, milliseconds."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.cli.output import Progress, said

TIME = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"
SAYS = "import logging; from flows.wire.logs import log_to_stderr; log_to_stderr('info', 'webhooks/0'); logging.getLogger('a').warning('went away')"
LOCAL = Path(__file__).parents[2] / "deploy" / "local"


def is_now(text: str) -> bool:
    return abs(datetime.fromisoformat(text) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_process_logs_in_utc_wherever_it_runs() -> None:
    said_ = subprocess.run([sys.executable, "-c", SAYS], env={**os.environ, "TZ": "Asia/Tokyo"}, capture_output=True, text=True, check=True).stderr
    found = re.fullmatch(TIME + r" WARNING webhooks/0 [0-9]+ a went away\n", said_)
    assert found is not None, said_
    assert is_now(found[1])


def test_the_supervisor_says_when_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    Progress().say("webhooks ready after  1.0 s")
    line = capsys.readouterr().out.removesuffix("\n")
    found = re.fullmatch(TIME + "  webhooks ready after  1.0 s", line)
    assert found is not None, line
    assert is_now(found[1])
    assert said(line) == "webhooks ready after  1.0 s"
    assert said("xyra: it  could not") == "xyra: it  could not"


def test_the_local_broker_logs_in_utc() -> None:
    assert "%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}{UTC} " in (LOCAL / "log4j2.yaml").read_text()
