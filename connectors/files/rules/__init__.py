"""Rules of a job, compiled to Polars: a table goes in, good rows and rejects come out."""

from connectors.files.rules.compiled import Compiled, compile_rules
from connectors.files.rules.unique import Nothing, Seen

__all__ = ["Compiled", "Nothing", "Seen", "compile_rules"]
