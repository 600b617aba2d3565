"""Makes the Kafka topics."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from contracts import names
from contracts.kafka_access import KafkaAccess
from contracts.record_sizes import DEAD_LETTER_TOPIC_BYTES, RAW_TOPIC_BYTES
from contracts.settings import Kafka

_HOUR_MS = 3_600_000
_MIB = 1024 * 1024
_LARGEST_BYTES = {names.RAW_TOPIC: RAW_TOPIC_BYTES, names.DEAD_LETTER_TOPIC: DEAD_LETTER_TOPIC_BYTES}


def create_topics(kafka: KafkaAccess, settings: Kafka, *, timeout: float = 30) -> None:
    """Every topic that is not there yet. Raises KafkaException where the broker refuses or does not answer."""
    admin = AdminClient({**kafka.librdkafka(), "log_level": 0})
    missing = set(names.TOPICS) - set(admin.list_topics(timeout=timeout).topics)
    if not missing:
        return
    wanted = [
        NewTopic(
            topic,
            num_partitions=settings.partitions,
            replication_factor=settings.replication,
            config=topic_config(topic, settings),
        )
        for topic in missing
    ]
    for future in admin.create_topics(wanted, operation_timeout=timeout).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def topic_config(topic: str, settings: Kafka) -> dict[str, str]:
    """The configuration of `topic` in Kafka's own keys."""
    retention = {
        "retention.ms": str(settings.retention_hours * _HOUR_MS),
        "retention.bytes": str(settings.retention_mb * _MIB),
    }
    if largest := _LARGEST_BYTES.get(topic):
        return {**retention, "max.message.bytes": str(largest)}
    return retention
