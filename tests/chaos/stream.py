"""Senders that never pause: each sends the next webhook of its key as soon as the last one is answered, or is known to be lost."""

import http.client
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, Self

from tests.kit.door import RunningDoor, sign
from tests.kit.topics import Read

SENDERS: Final = 4
ANSWER_S: Final = 10
AGAIN_S: Final = 0.02
ACCEPTED: Final = 202


class Stream:
    """Sends to one ingress, under an endpoint of its own, for the length of a block; the ingress may be killed meanwhile."""

    def __init__(self, door: RunningDoor) -> None:
        """Register the endpoint."""
        self._port, self.endpoint = door.port, door.register(ordering_key="/key")
        self.accepted: dict[bytes, list[int]] = {b"s%d" % n: [] for n in range(SENDERS)}
        """What was answered with 202, by key."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(key,), daemon=True) for key in self.accepted]

    def __enter__(self) -> Self:
        """Begin to send."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more, and wait for the last answers."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send(self, key: bytes) -> None:
        number, line = 0, self._connection()
        while not self._over.is_set():
            body = b'{"n": %d, "key": "%s"}' % (number, key)
            try:
                line.request("POST", f"/integration/webhooks/{self.endpoint}", body, {"x-signature": sign(body), "content-type": "application/json"})
                with line.getresponse() as answer:
                    answer.read()
                taken = answer.status == ACCEPTED
            except (OSError, http.client.HTTPException):
                line.close()
                taken = False
            if taken:
                self.accepted[key].append(number)
            else:
                time.sleep(AGAIN_S)
            number += 1
        line.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S)

    def faults(self, records: Iterable[Read]) -> list[str]:
        """Hold what is on the topic against what was answered: each that was accepted once, none twice, in the order of sending."""
        found: dict[bytes | None, list[int]] = defaultdict(list)
        for read in records:
            found[read.key].append(number_of(read.value or b""))
        wrong = []
        for key, accepted in self.accepted.items():
            name, there = f"{self.endpoint}, {key.decode()}", found[key]
            if not accepted:
                wrong.append(f"{name}: nothing was accepted, which proves nothing")
            if lost := set(accepted) - set(there):
                wrong.append(f"{name}: {len(lost):,} of {len(accepted):,} that were accepted are not on the topic, the first is {min(lost)}")
            if any(later <= earlier for earlier, later in pairwise(there)):
                wrong.append(f"{name}: some are on the topic twice, or out of order")
        return wrong


def number_of(body: bytes) -> int:
    """Return which of its key a webhook is."""
    return int(body.removeprefix(b'{"n": ').partition(b",")[0])
