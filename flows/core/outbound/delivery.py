"""The headers of a delivery: Standard Webhooks signatures, CloudEvents attributes.

A receiver verifies with any Standard Webhooks library, and reads the event's attributes with any CloudEvents SDK (HTTP, binary mode).
Every value is made safe for a header here, whoever wrote the record.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from flows.core.record import CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TYPE, CONTENT_TYPE, Record

WHSEC: Final = "whsec_"
FEWEST_BYTES: Final = 24
MOST_BYTES: Final = 64
NEW_BYTES: Final = 32

WEBHOOK_ID: Final = "webhook-id"
WEBHOOK_TIMESTAMP: Final = "webhook-timestamp"
WEBHOOK_SIGNATURE: Final = "webhook-signature"
USER_AGENT: Final = "user-agent"
CE: Final = "ce_"
DATA_CONTENT_TYPE: Final = "ce_datacontenttype"

_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ATTRIBUTE: Final = re.compile(r"ce_[a-z0-9]{1,64}")
_FIELD_VALUE: Final = re.compile(r"[!-~](?:[ !-~]{0,254}[!-~])?")
_UNESCAPED: Final = "".join(map(chr, range(0x21, 0x7F))).translate({ord('"'): None, ord("%"): None})
"""What the CloudEvents HTTP binding (§3.1.3.2) leaves as it is; spaces, quotes, percent signs and all that is not ASCII are escaped."""
_REQUIRED: Final = (CE_ID, CE_SOURCE, CE_TYPE)
_MOST_ATTRIBUTES: Final = 32
_MOST_ATTRIBUTE_BYTES: Final = 1024
"""A longer one, or one more, is left out: receivers take some 8 KiB of headers."""
_UNKNOWN_TYPE: Final = "application/octet-stream"


def new_secret() -> str:
    """Make a secret: `whsec_` and 32 random bytes in base64."""
    return WHSEC + base64.b64encode(os.urandom(NEW_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Return the bytes to sign with.

    Raises:
        ValueError: it is no Standard Webhooks secret; the text says what one is, and nothing of this one.

    """
    try:
        key = base64.b64decode(secret.removeprefix(WHSEC), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(WHSEC) or not FEWEST_BYTES <= len(key) <= MOST_BYTES:
        raise ValueError(f"a delivery secret is `{WHSEC}` and {FEWEST_BYTES} to {MOST_BYTES} bytes in base64")
    return key


def message_id(event_id: str) -> str:
    """Return the `webhook-id` of an event, the same for every attempt: its id, or a hash of it where that could not stand in a header or be signed."""
    if _PLAIN_ID.fullmatch(event_id):
        return event_id
    return "msg_" + hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def signature(keys: Sequence[bytes], webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """Sign a body with every live secret, so that a receiver may still hold any of them."""
    content = b"%s.%d.%s" % (webhook_id.encode(), timestamp_s, body)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)


def headers(record: Record, webhook_id: str, body: bytes, keys: Sequence[bytes], now_ms: int, user_agent: str) -> list[tuple[str, str]]:
    """Return the headers of one attempt.

    Args:
        record: the event; its CloudEvents attributes and content type are handed on.
        webhook_id: as `message_id` gives it.
        body: what is sent, byte for byte.
        keys: the bytes of the live secrets, the newest first.
        now_ms: the time of this attempt; receivers refuse one that is minutes from their own.
        user_agent: names us.

    """
    seconds = now_ms // 1000
    return [
        (USER_AGENT, user_agent),
        (CONTENT_TYPE, _content_type(record)),
        (WEBHOOK_ID, webhook_id),
        (WEBHOOK_TIMESTAMP, str(seconds)),
        (WEBHOOK_SIGNATURE, signature(keys, webhook_id, seconds, body)),
        *_attributes(record),
    ]


def _content_type(record: Record) -> str:
    text = record.text(CONTENT_TYPE) or record.text(DATA_CONTENT_TYPE) or _UNKNOWN_TYPE
    return text if _FIELD_VALUE.fullmatch(text) else _UNKNOWN_TYPE


def _attributes(record: Record) -> list[tuple[str, str]]:
    """Return the CloudEvents attributes as HTTP headers; none at all where one is missing that every event must have."""
    names = [name for name, _ in record.headers if _ATTRIBUTE.fullmatch(name) and name not in {CE_SPECVERSION, DATA_CONTENT_TYPE}]
    found = {name: quote(text, safe=_UNESCAPED) for name in (*_REQUIRED, *names[:_MOST_ATTRIBUTES]) if (text := record.text(name))}
    short = {name: text for name, text in found.items() if len(text) <= _MOST_ATTRIBUTE_BYTES}
    if not all(name in short for name in _REQUIRED):
        return []
    return [("ce-specversion", "1.0"), *(("ce-" + name.removeprefix(CE), text) for name, text in short.items())]
