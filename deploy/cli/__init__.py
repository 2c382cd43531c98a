"""The command `xyra`."""
