"""Records that their producer dates before the retention, in a real broker: they wait for readers who are late."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from contracts import names
from contracts.kafka_access import KafkaAccess
from pipeline_assets.lib.kafka_offsets import topic_offsets
from tests.integration import accounting
from tests.integration.own_broker import own_broker

pytestmark = pytest.mark.timeout(120)

_DAYS_MS = 3 * 24 * 3_600_000
_RECORDS = 500
# A topic that is not ours: the broker deletes its records as soon as it looks, by the date that the producer gave.
_OTHERS = "dated-by-producers"


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaAccess]:
    """A broker that looks for what may be deleted every half second, and removes it at once."""
    eager = {"log_retention_check_interval_ms": "500", "log_initial_task_delay_ms": "100"}
    with own_broker(tmp_path, **eager) as running:
        access = KafkaAccess(running.servers)
        retention = {"retention.ms": "86400000", "message.timestamp.type": "CreateTime"}
        admin = AdminClient({**access.librdkafka()})
        (made,) = admin.create_topics([NewTopic(_OTHERS, num_partitions=1, config=retention)]).values()
        made.result()
        yield access


def test_topics_keep_records_that_their_producer_dates_days_ago_until_somebody_reads_them(kafka: KafkaAccess) -> None:
    producer = Producer(kafka.librdkafka())
    old = int(time.time() * 1000) - _DAYS_MS
    for topic in (names.RAW_TOPIC, names.ALERT_TOPIC, _OTHERS):
        for number in range(_RECORDS):
            producer.produce(topic, f"{number}".encode(), partition=0, timestamp=old)
    assert producer.flush(20) == 0

    def looked() -> bool:
        (topic,) = topic_offsets(kafka, (_OTHERS,))
        return topic.earliest[0] == _RECORDS

    accounting.eventually(looked, "the broker has not deleted what is older than the retention", seconds=60)
    for kept in topic_offsets(kafka, (names.RAW_TOPIC, names.ALERT_TOPIC)):
        assert (kept.earliest[0], kept.partitions[0].end) == (0, _RECORDS), kept.topic
