"""Kills the worker while it judges a window of the log anew: the short form of `make chaos`."""

import os
from pathlib import Path

import pytest

from deploy.local import broker
from tests.chaos.replays import judge_anew

KILLS = 4


@pytest.mark.timeout(240)
def test_a_replay_is_neither_repeated_nor_cut_short_by_kills(tmp_path: Path) -> None:
    with broker.running(tmp_path / "kafka", os.environ) as kafka:
        outcome = judge_anew(kafka.bootstrap, tmp_path / "storm", KILLS)
    assert not outcome.wrong, outcome.text()
