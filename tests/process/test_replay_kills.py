"""Kills the flow `replay` in the middle of replays that two operators have ordered: the short form of `make chaos`."""

from pathlib import Path

import pytest

from tests.chaos.replays import replay_letters

KILLS = 3


@pytest.mark.timeout(240)
def test_each_letter_enters_once_while_the_worker_dies(kafka: str, tmp_path: Path) -> None:
    outcome = replay_letters(kafka, tmp_path, KILLS)
    assert not outcome.wrong, outcome.text()
