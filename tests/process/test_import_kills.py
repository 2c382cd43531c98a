"""Kills the flow `imports`, and the process that reads for it, in the middle of a file: the short form of `make chaos`."""

from pathlib import Path

import pytest

from tests.chaos.imports import storm
from tests.kit.importer import importer

KILLS = 3


@pytest.mark.timeout(240)
@pytest.mark.parametrize("twice", [False, True])
def test_each_row_is_published_once_while_the_worker_dies(kafka: str, tmp_path: Path, *, twice: bool) -> None:
    outcome = storm(importer(kafka, tmp_path), kafka, tmp_path / "storm", KILLS, twice=twice)
    assert not outcome.wrong, outcome.text()
