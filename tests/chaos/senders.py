"""Senders as they are outside: they sign, they send again until they are answered with 2xx, and some send twice all the same."""

import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from flows.core import record, topics
from flows.wire.kafka import PARTITIONER
from tests.chaos.plan import Plan, Sent

HOST: Final = "127.0.0.1"
ENDPOINT: Final = "storm"
NOBODY: Final = "nobody"
SECRET: Final = "storm-secret"
PATIENCE_S: Final = 120.0
"""A sender that got no 2xx for so long gives up, and the storm says so."""
PAUSE_S: Final = 0.2
ANSWER_S: Final = 15.0


def body(sender_id: str) -> bytes:
    """Return a webhook's body."""
    return json.dumps({"id": sender_id, "type": "storm", "amount": 12.5, "tokens": [1, 2, 3]}, separators=(",", ":")).encode()


class Door:
    """One kept-open connection to the ingress, opened anew when it breaks."""

    def __init__(self, port: int, sent: Sent) -> None:
        """Take the port, and where answers are counted."""
        self._port = port
        self._sent = sent
        self._connection: http.client.HTTPConnection | None = None

    def deliver(self, sender_id: str) -> str:
        """Send until it is accepted; return the event id.

        Raises:
            TimeoutError: it was not, for two minutes.

        """
        payload = body(sender_id)
        signature = hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-signature": f"sha256={signature}"}
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            event_id = self._once(payload, headers)
            if event_id is not None:
                return event_id
            time.sleep(PAUSE_S)
        msg = f"no 2xx for {sender_id} in {PATIENCE_S:.0f} s; answers so far: {dict(self._sent.answers)}"
        raise TimeoutError(msg)

    def _once(self, payload: bytes, headers: dict[str, str]) -> str | None:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(HOST, self._port, timeout=ANSWER_S)
            self._connection.request("POST", f"/integration/webhooks/{ENDPOINT}", payload, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._sent.answers[type(error).__name__] += 1
            self.close()
            return None
        self._sent.answers[str(answer.status)] += 1
        if answer.will_close:
            self.close()
        return str(json.loads(content)["event_id"]) if answer.status // 100 == 2 else None

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def paced(count: int, rate: float) -> Iterator[int]:
    """Give numbers at a rate; what is late comes at once."""
    begin = time.monotonic()
    for n in range(count):
        if (wait := begin + n / rate - time.monotonic()) > 0:
            time.sleep(wait)
        yield n


class Senders:
    """Everybody who sends during a storm: HTTP senders, and one producer that writes to the topic itself; each on a thread."""

    def __init__(self, plan: Plan, bootstrap: str, port: int) -> None:
        """Begin to send."""
        self.sent = Sent()
        self.failed: list[str] = []
        self._plan = plan
        self._bootstrap = bootstrap
        self._port = port
        self._threads = [self._thread(self._webhooks, n) for n in range(plan.senders)] + [self._thread(self._records, 0)]

    def _thread(self, work: Callable[[int], None], number: int) -> threading.Thread:
        def guarded() -> None:
            try:
                work(number)
            except (TimeoutError, RuntimeError) as error:
                self.failed.append(str(error))

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def running(self) -> bool:
        """Tell whether anybody still sends."""
        return any(thread.is_alive() for thread in self._threads)

    def _webhooks(self, number: int) -> None:
        plan, door = self._plan, Door(self._port, self.sent)
        share = plan.records // 2 // plan.senders
        for n in paced(share, plan.rate / 2 / plan.senders):
            sender_id = f"http-{number}-{n}"
            self.sent.accepted[sender_id] = [door.deliver(sender_id)]
            if n % plan.twice_every == 0:
                self.sent.accepted[sender_id].append(door.deliver(sender_id))
        door.close()

    def _records(self, _: int) -> None:
        """Write as another system would: the value, a key, and which endpoint it is for."""
        plan = self._plan
        producer = Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "partitioner": PARTITIONER,  # an id that comes both ways must meet itself
                "enable.idempotence": True,
                "linger.ms": 5,
                "delivery.timeout.ms": int(1000 * PATIENCE_S),
                "log_level": 2,
            }
        )

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.failed.append(f"the producer's record {message.key()!r} did not arrive: {error}")

        for n in paced(plan.records - plan.records // 2, plan.rate / 2):
            bad = n % plan.bad_every == 0
            sender_id = f"topic-{n}"
            source = f"/webhooks/{NOBODY if bad else ENDPOINT}".encode()
            for _ in range(2 if n % plan.twice_every == 1 else 1):
                producer.produce(topics.WEBHOOKS.name, body(sender_id), sender_id, headers=[(record.CE_SOURCE, source)], on_delivery=delivered)
            if bad:
                self.sent.bad.add(sender_id)
            else:
                self.sent.accepted[sender_id] = []
            producer.poll(0)
        if left := producer.flush(PATIENCE_S):
            self.failed.append(f"{left} of the producer's records did not arrive")
