"""Topics that outputs may go to: whether they are there, and what they take."""

from dataclasses import replace
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # the package re-exports it without saying so

from flows.core.errors import Unavailable, WrongSetting
from flows.core.settings import Settings
from flows.core.topics import EVENTS, RECORD_BYTES
from flows.wire.kafka import client_config, ensure_topics, partition_count

ANSWER_S: Final = 10.0
HEADROOM: Final = 64 * 1024
"""Room for the headers and for what the log adds."""


class Destinations:
    """Knows the topics outputs go to; a missing one is made on first use, so that a definition may name a new one.

    One bad name must not fail a transaction that carries everybody's records, therefore it is looked at before.
    """

    def __init__(self, settings: Settings) -> None:
        """Know nothing yet; does not block."""
        self._settings = settings
        self._limits: dict[str, int] = {}

    def limit(self, topic: str) -> int:
        """Return how many bytes a record on `topic` may have, 0 when nothing can be written there; blocks for seconds on first use of a topic.

        Raises:
            Unavailable: the broker is away.

        """
        known = self._limits.get(topic)
        if known is None:
            known = self._limits[topic] = self._look(topic)
        return known

    def _look(self, name: str) -> int:
        if partition_count(self._settings, name) is None:
            try:
                ensure_topics(self._settings, [replace(EVENTS, name=name)])
            except WrongSetting:
                return 0
        config = client_config(self._settings)
        del config["allow.auto.create.topics"]
        admin = AdminClient(config)  # must outlive the answer
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        try:
            rows = admin.describe_configs([resource])[resource].result(ANSWER_S)
        except (KafkaException, TimeoutError) as error:
            raise Unavailable(f"Kafka at {self._settings.kafka_bootstrap_servers} does not say what the topic {name} takes ({error}).") from error
        return max(0, min(int(rows["max.message.bytes"].value), RECORD_BYTES) - HEADROOM)
