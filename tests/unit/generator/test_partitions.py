"""Partitions of keys, held against published hashes and against librdkafka's own partitioner."""

from collections.abc import Callable

import numpy as np
import pytest
from confluent_kafka import Message, Producer

from contracts.kafka_access import KafkaAccess
from generator.partitions import murmur2, partitions_of
from generator.producer import producer_settings
from generator.texts import account_ids, octets


# From the tests of Kafka's Java client (UtilsTest.testMurmur2): lengths with every rest of a division by four.
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_published_values_are_met(key: bytes, expected: int) -> None:
    assert murmur2(np.frombuffer(key, dtype=np.uint8).reshape(1, -1)).astype(np.int32).tolist() == [expected]


def test_partitions_of_accounts_are_where_librdkafka_puts_them(mock_brokers: Callable[[], str]) -> None:
    keys = account_ids(np.array([*range(500), 123_456_788, 999_999_998]))
    placed: dict[bytes | None, int | None] = {}
    producer = Producer(producer_settings(KafkaAccess(mock_brokers()), rate=0))

    def note(error: object, message: Message) -> None:
        assert error is None
        placed[message.key()] = message.partition()

    for key in octets(keys):
        producer.produce("topic", b"v", key, on_delivery=note)
    assert producer.flush(10) == 0
    assert partitions_of(keys, 4).tolist() == [placed[key] for key in octets(keys)]
    assert len(set(placed.values())) == 4
