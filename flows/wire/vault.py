"""Keys kept in files of their own, and secrets sealed with one of them before they reach the log."""

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flows.core.errors import WrongSetting
from flows.core.settings import Settings

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
FORMAT: Final = "v1"
ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ADMIN_KEY_LENGTH: Final = 32
"""Base62 digits: 190 bits, so that a fast hash or a plain compare is enough."""


class Kept(NamedTuple):
    """A key from a file, and whether this call made it: what is made is shown once."""

    text: str
    made: bool


def load_or_make_key(path: Path, make: Callable[[], str]) -> Kept:
    """Return the key kept at `path`; where there is none, keep what `make` returns there, readable by its owner only.

    Two processes that start at once end up with the same key, and a crash leaves either no file or a whole one.

    Raises:
        WrongSetting: the file or its directory cannot be read or written, or the file is empty; the text says which.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = not path.exists() and _keep(path, make())
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"The key file {path} cannot be read or made: {error}. Mend it, or name another place with INTEGRATION_DATA_DIR."
        raise WrongSetting(msg) from error
    if not text:
        msg = f"The key file {path} is empty. Put the key back from a copy, or delete the file to have a new one made."
        raise WrongSetting(msg)
    return Kept(text, made)


def _keep(path: Path, text: str) -> bool:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        with contextlib.suppress(FileExistsError):  # another process was faster: its key is the key
            os.link(draft, path)
            return True
    finally:
        draft.unlink()
    return False


def admin_key(settings: Settings) -> Kept:
    """Return the admin key: the setting's, else the one kept as `admin.key` in the data directory, made on first use.

    Raises:
        WrongSetting: as in `load_or_make_key`, or no request could show the key, since a header cannot carry it.

    """
    path = settings.data_dir / "admin.key"
    kept = Kept(settings.admin_key, made=False) if settings.admin_key else load_or_make_key(path, _new_admin_key)
    if not kept.text.isprintable() or kept.text != kept.text.strip():
        place = "INTEGRATION_ADMIN_KEY" if settings.admin_key else f"The key in {path}"
        msg = f"{place} holds blanks at an end, a line break or other characters that no header carries, so no request could show it. Take letters and digits."
        raise WrongSetting(msg)
    return kept


def _new_admin_key() -> str:
    return "xyra_admin_" + "".join(secrets.choice(ALPHABET) for _ in range(ADMIN_KEY_LENGTH))


class Vault:
    """Seals short texts with AES-256-GCM under one key; a sealed text opens only in the context it was sealed for."""

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes."""
        self._cipher = AESGCM(key)
        self.key_id = hashlib.sha256(b"xyra key id\x00" + key).hexdigest()[:8]
        """Names the key without telling anything of it; stands in every text it sealed."""

    @classmethod
    def load(cls, settings: Settings) -> "Vault":
        """Open the vault with the setting's key, else with `secret.key` in the data directory, made on first use.

        Raises:
            WrongSetting: the key is not 32 bytes in base64, or its file cannot be read or made.

        """
        path = settings.data_dir / "secret.key"
        text = settings.secret_key or load_or_make_key(path, lambda: base64.b64encode(os.urandom(KEY_BYTES)).decode()).text
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            place = "INTEGRATION_SECRET_KEY" if settings.secret_key else f"The key in {path}"
            msg = f"{place} is not {KEY_BYTES} bytes in base64; `openssl rand -base64 32` makes one."
            raise WrongSetting(msg)
        return cls(key)

    def seal(self, plain: str, context: str) -> str:
        """Return `plain` sealed: format, key id, and the nonce with the ciphertext, dots between them.

        `context` says where the text will stand, such as `webhook/<endpoint>/<secret>`, so that it opens nowhere else.
        """
        nonce = os.urandom(NONCE_BYTES)
        box = nonce + self._cipher.encrypt(nonce, plain.encode("utf-8", "surrogatepass"), context.encode())
        return f"{FORMAT}.{self.key_id}.{base64.urlsafe_b64encode(box).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """Return what was sealed for `context`.

        Raises:
            WrongSetting: it was sealed with another key, for another context, or was changed since; the text says which key is wanted.

        """
        form, _, rest = sealed.partition(".")
        key_id, _, box = rest.partition(".")
        if form != FORMAT or key_id != self.key_id:
            msg = f"A secret at {context} was sealed with key {key_id[:8] or '?'}, and the key here is {self.key_id}. Set INTEGRATION_SECRET_KEY to that key."
            raise WrongSetting(msg)
        try:
            raw = base64.urlsafe_b64decode(box.encode())
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode()).decode("utf-8", "surrogatepass")
        except (ValueError, InvalidTag) as error:
            msg = f"A secret at {context} was changed since it was sealed, or was moved there from elsewhere. Add the secret anew."
            raise WrongSetting(msg) from error
