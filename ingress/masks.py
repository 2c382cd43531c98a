"""What is not shown of a request that was kept, whoever wrote it down."""

import re
from typing import Final

from ingress.envelope import CREDENTIALS

MASK: Final = "***"
SECRET: Final = re.compile(r"authori[sz]ation|cookie|secret|token|passw|api[-_]?key|credential", re.IGNORECASE)


def masked(name: str) -> bool:
    """Tell whether the value of a header or parameter of that name is not shown."""
    return name.lower().encode("utf-8", "replace") in CREDENTIALS or SECRET.search(name) is not None
