"""Who may use the control routes: whoever shows the admin key."""

import hashlib
import hmac
from collections.abc import Mapping


class KeyCheck:
    """Compares keys in constant time, whatever their lengths; keeps only the hash of the right one."""

    def __init__(self, key: str) -> None:
        """Take the right key."""
        self._digest = _digest(key.encode())

    def allows(self, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a request shows the key, as `X-API-Key: KEY` or `Authorization: Bearer KEY`."""
        kind, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        shown = headers.get(b"x-api-key") or (bearer.strip() if kind.lower() == b"bearer" else b"")
        return hmac.compare_digest(_digest(shown), self._digest)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
