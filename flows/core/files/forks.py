"""What a process that forks others and who asks it say to each other, beside the files they hand over."""

import struct
from typing import Final

PASSED: Final = 4
"""Handed over with a request: what is stdin, stdout and stderr of the new process, and the socket of its own."""
REQUEST_BYTES: Final = 8192
NUMBER: Final = struct.Struct("<i")
"""The process id, sent with a pidfd once it lives."""
CODE: Final = struct.Struct("<i")
"""The exit code, sent when it has ended: -N for signal N."""
