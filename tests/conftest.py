"""Every test may use the kit's fixtures."""

pytest_plugins = ["tests.kit.fixtures"]
