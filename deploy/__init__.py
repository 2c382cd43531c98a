"""How it is run: the `xyra` command, the local stack, images."""
