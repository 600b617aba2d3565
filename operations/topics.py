"""Makes the Kafka topics."""

from collections.abc import Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from contracts import names
from contracts.kafka_access import KafkaAccess
from contracts.record_sizes import DEAD_LETTER_TOPIC_BYTES, RAW_TOPIC_BYTES
from contracts.settings import Kafka

log = structlog.get_logger()

_TIMESTAMPS, _BROKERS = "message.timestamp.type", "LogAppendTime"
_HOUR_MS = 3_600_000
_MIB = 1024 * 1024
_LARGEST_BYTES = {names.RAW_TOPIC: RAW_TOPIC_BYTES, names.DEAD_LETTER_TOPIC: DEAD_LETTER_TOPIC_BYTES}


def create_topics(kafka: KafkaAccess, settings: Kafka, *, timeout: float = 30) -> None:
    """Every topic that is not there yet; those that are there are dated by the broker from now on.

    Raises KafkaException where the broker refuses or does not answer.
    """
    admin = AdminClient({**kafka.librdkafka(), "log_level": 0})
    missing = set(names.TOPICS) - set(admin.list_topics(timeout=timeout).topics)
    _date_by_the_broker(admin, sorted(set(names.TOPICS) - missing), timeout)
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


def date_by(admin: AdminClient, topic: str, clock: str, *, timeout: float = 10) -> None:
    """Have the records of `topic` dated by `clock` from now on: LogAppendTime (the broker's) or CreateTime.

    Raises KafkaException where the broker refuses or does not answer.
    """
    change = ConfigEntry(_TIMESTAMPS, clock, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])
    (future,) = admin.incremental_alter_configs([resource], request_timeout=timeout).values()
    future.result()


def _date_by_the_broker(admin: AdminClient, topics: Sequence[str], timeout: float) -> None:
    """Topics of an earlier version, or of somebody else, are dated by their producers."""
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    if not resources:
        return
    for resource, future in admin.describe_configs(resources, request_timeout=timeout).items():
        if future.result()[_TIMESTAMPS].value == _BROKERS:
            continue
        try:
            date_by(admin, resource.name, _BROKERS, timeout=timeout)
            log.info("records are dated by the broker from now on", topic=resource.name)
        except KafkaException as error:
            words = "records stay dated by their producers, and those with old dates are deleted unread"
            log.warning(words, topic=resource.name, reason=error.args[0].str())


def topic_config(topic: str, settings: Kafka) -> dict[str, str]:
    """The configuration of `topic` in Kafka's own keys."""
    retention = {
        # The broker's clock, which retention is counted by: a producer's may be wrong, and a record that is dated
        # before the retention would be deleted before anybody has read it.
        _TIMESTAMPS: _BROKERS,
        "retention.ms": str(settings.retention_hours * _HOUR_MS),
        "retention.bytes": str(settings.retention_mb * _MIB),
    }
    if largest := _LARGEST_BYTES.get(topic):
        return {**retention, "max.message.bytes": str(largest)}
    return retention
