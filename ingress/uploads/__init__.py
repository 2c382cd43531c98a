"""How files come in: read as they arrive, cut, written piece by piece, acknowledged."""
