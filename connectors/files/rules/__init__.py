"""Rules of a job, compiled to Polars: a table goes in, good rows and rejects come out."""

from connectors.files.rules.compiled import Compiled, compile_rules
from connectors.files.rules.cursor import Cursor, cursor_of

__all__ = ["Compiled", "Cursor", "compile_rules", "cursor_of"]
