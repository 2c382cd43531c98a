"""The read model of `xyra.config`, and the following of both compacted topics in the event loop."""

import asyncio
import logging
from bisect import bisect_right, insort
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from pydantic import ValidationError

from flows.core import presets
from flows.core.errors import Unavailable, XyraError
from flows.core.resources import WEBHOOK, StoredSecret, StoredWebhook, config_key, live
from flows.core.verification import SHARED, Verification
from flows.wire.compacted import CompactedTopic
from flows.wire.vault import Vault
from ingress.envelope import CREDENTIALS, Places
from ingress.tallies import Tallies, Tally
from ingress.verification import Scheme, Secret, compile_scheme

LOG: Final = logging.getLogger("xyra.ingress")
POLL_S: Final = 0.010
"""How often the topics are looked at; a look that finds nothing costs a few microseconds."""
HASTY_S: Final = 0.002
"""The same while somebody waits for an offset."""


class Endpoint(NamedTuple):
    """A webhook endpoint, ready for the hot path: everything that can be worked out once has been."""

    stored: StoredWebhook
    scheme: Scheme
    secrets: tuple[Secret, ...]
    asks: frozenset[str]
    """The methods with which this sender may ask a question on set-up."""
    expires_ms: int | None
    """When the first of the secrets expires: until then all of them are live."""
    places: Places
    hidden: frozenset[bytes]
    """Headers that are not kept with the record: credentials."""
    tally: Tally

    def live(self, now_ms: int) -> tuple[Secret, ...]:
        """Return the secrets that have not expired."""
        if self.expires_ms is None or now_ms < self.expires_ms:
            return self.secrets
        live = {secret.secret_id for secret in live_secrets(self.stored, now_ms)}
        return tuple(secret for secret in self.secrets if secret.secret_id in live)


def live_secrets(stored: StoredWebhook, now_ms: int) -> tuple[StoredSecret, ...]:
    """Return the secrets of a definition that have not expired, the oldest first."""
    return live(stored.secrets, now_ms)


def seal_context(endpoint_id: str, secret_id: str) -> str:
    """Return the context a secret of an endpoint is sealed in: it opens nowhere else."""
    return f"{WEBHOOK}/{endpoint_id}/{secret_id}"


def hidden_headers(verification: Verification) -> frozenset[bytes]:
    """Return the headers that hold a credential, the secret itself where the scheme sends it."""
    header = verification.signature.header
    return CREDENTIALS | {header.lower().encode()} if header is not None and verification.algorithm in SHARED else CREDENTIALS


class Definitions:
    """Every webhook definition, parsed and compiled when it is first asked for. Never blocks; read again from the topic after a crash."""

    def __init__(self, vault: Vault, tallies: Tallies) -> None:
        """Start empty."""
        self._vault = vault
        self._tallies = tallies
        self._raw: dict[str, bytes] = {}
        self._ids: list[str] = []
        self._ready: dict[str, Endpoint | Unavailable] = {}
        self._unopened: set[str] = set()
        self._unusable: set[str] = set()
        self.offset_text = b"0"
        """How far the topic was applied, as `x-config-offset` has it."""

    def apply(self, key: str, value: bytes | None, offset: int) -> None:
        """Take one record of the topic."""
        self.offset_text = str(offset + 1).encode()
        kind, _, identifier = key.partition("/")
        if kind != WEBHOOK or value is None:
            return  # other kinds of definition have their own readers, and a webhook is never deleted
        if identifier not in self._raw:
            insort(self._ids, identifier)
        self._raw[identifier] = value
        self._ready.pop(identifier, None)
        self._unusable.discard(identifier)
        self._unopened.add(identifier)

    def raw(self, endpoint_id: str) -> bytes | None:
        """Return a definition's record as it stands on the log."""
        return self._raw.get(endpoint_id)

    def stored(self, endpoint_id: str) -> StoredWebhook | None:
        """Return a definition, None when there is none.

        Raises:
            Unavailable: the record on the log cannot be read, as when a newer release wrote it.

        """
        raw = self._raw.get(endpoint_id)
        if raw is None:
            return None
        try:
            return StoredWebhook.model_validate_json(raw)
        except ValidationError as error:
            place = config_key(WEBHOOK, endpoint_id).decode()
            raise Unavailable(
                f"The definition {place} on xyra.config cannot be read by this release: {error.error_count()} fields are unknown or wrong."
            ) from error

    def known(self, endpoint_id: str) -> StoredWebhook | None:
        """Return a definition, None when there is none or it cannot be read."""
        with suppress(Unavailable):
            return self.stored(endpoint_id)
        return None

    def page(self, after: str, limit: int) -> list[str]:
        """Return up to `limit` ids that come after `after`, in order."""
        start = bisect_right(self._ids, after)
        return self._ids[start : start + limit]

    def __len__(self) -> int:
        """Return how many definitions there are."""
        return len(self._raw)

    def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint ready for use, None when there is none.

        Raises:
            Unavailable: its record cannot be read, or its secrets cannot be opened with the key here; an operator can mend it.

        """
        found = self._ready.get(endpoint_id)
        if found is None:
            if endpoint_id not in self._raw:
                return None
            found = self._ready[endpoint_id] = self._made(endpoint_id)
        if isinstance(found, Unavailable):
            raise found
        return found

    def look(self, most: int) -> None:
        """Open the secrets of some endpoints that nobody has asked for yet, `most` at once, so that health knows of those that cannot be used."""
        while self._unopened and most > 0:
            endpoint_id, most = self._unopened.pop(), most - 1
            if endpoint_id not in self._ready:
                made = self._made(endpoint_id)
                if isinstance(made, Unavailable):
                    self._ready[endpoint_id] = made

    @property
    def unusable(self) -> int:
        """How many endpoints cannot be used here: their record cannot be read, or their secrets were sealed with another key."""
        return len(self._unusable)

    def _made(self, endpoint_id: str) -> Endpoint | Unavailable:
        """Compile an endpoint, or keep why that cannot be done: it is tried, and logged, once for each record of it on the log."""
        self._unopened.discard(endpoint_id)
        try:
            stored = self.stored(endpoint_id)
            return self._compiled(endpoint_id, stored) if stored is not None else Unavailable(f"There is no endpoint {endpoint_id}.")
        except Unavailable as error:
            LOG.warning("%s", error)
            self._unusable.add(endpoint_id)
            return error

    def _compiled(self, endpoint_id: str, stored: StoredWebhook) -> Endpoint:
        try:
            secrets = tuple(Secret(s.secret_id, self._vault.open(s.sealed, seal_context(endpoint_id, s.secret_id))) for s in stored.secrets)
            scheme = compile_scheme(presets.resolve(stored.definition.preset, stored.definition.verification))
        except (XyraError, ValueError) as error:
            raise Unavailable(f"The endpoint {endpoint_id} cannot be used here: {error}") from error
        expiries = [s.expires_at_ms for s in stored.secrets if s.expires_at_ms is not None]
        places, hidden = Places.of(stored.definition), hidden_headers(scheme.verification)
        return Endpoint(stored, scheme, secrets, scheme.challenge_methods, min(expiries, default=None), places, hidden, self._tallies.of(endpoint_id))


class Followed:
    """A compacted topic followed in the event loop: polled on a timer, waited for by offset."""

    def __init__(self, topic: CompactedTopic, fail: Callable[[XyraError], None]) -> None:
        """Begin to follow; must be made in the loop.

        Args:
            topic: the follower, owned from here on.
            fail: is told of an error after which the process cannot go on.

        """
        self.topic = topic
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._timer = self._loop.call_soon(self._poll)

    @property
    def ready(self) -> bool:
        """Whether all that stood on the topic at the start has been applied."""
        return self.topic.reached_end

    async def reached(self, position: int, timeout_s: float) -> None:
        """Wait until everything before offset `position` has been applied.

        Raises:
            Unavailable: that took longer than `timeout_s` seconds.

        """
        if self.topic.position >= position:
            return
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((position, future))
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError as error:
            raise Unavailable(f"{self.topic.topic} was not read up to offset {position} within {timeout_s:g} s.", retry_after_s=5) from error
        finally:
            self._waiters = [waiter for waiter in self._waiters if waiter[1] is not future]

    def close(self) -> None:
        """Stop following; blocks for less than a second."""
        self._timer.cancel()
        self.topic.close()

    def _poll(self) -> None:
        try:
            count = self.topic.poll(0.0)
        except XyraError as error:
            self._fail(error)
            return
        for position, future in self._waiters:
            if self.topic.position >= position and not future.done():
                future.set_result(None)
        pause = 0.0 if count else HASTY_S if self._waiters else POLL_S
        self._timer = self._loop.call_later(pause, self._poll)
