"""Every test may use the kit's fixtures; processes that share the tests take the long files first."""

import pytest
from hypothesis import settings

pytest_plugins = ["tests.kit.fixtures"]

settings.register_profile("ours", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("ours")

FIRST = ("arch", "process", "contract", "property", "unit")
"""Folders: mypy alone takes half a minute (and leaves a cache to `process`), a file of `unit` a second."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Hand out long files first, so that no process is still at one when the others are done; alone, they run as they were found, the quick ones early."""
    if hasattr(config, "workerinput"):  # a process of xdist
        items.sort(key=lambda item: FIRST.index(item.path.relative_to(config.rootpath / "tests").parts[0]))
