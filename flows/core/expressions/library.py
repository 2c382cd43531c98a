"""The CEL library, without its command line: that would load a terminal toolkit into every process, for 0.25 s and 25 MB."""

import sys
from types import ModuleType

ours = "cel.cli" not in sys.modules
if ours:
    sys.modules["cel.cli"] = ModuleType("cel.cli")  # `import cel` imports it, and nothing there is used here
import cel  # noqa: E402  the line above is what this module is for

if ours:
    del sys.modules["cel.cli"]  # whoever wants the command line still gets it

Program = cel.Program
compile_source = cel.compile
