"""What the generator's tests share."""

from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from tests.fake_producer import FakeProducer


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


@pytest.fixture
def mock_brokers() -> Iterator[Callable[[], str]]:
    """Starts librdkafka's mock cluster, which makes any topic with 4 partitions, and gives its address."""
    started: list[Producer] = []

    def start() -> str:
        started.append(Producer({"test.mock.num.brokers": 1, "log_level": 0}))
        return ",".join(f"{found.host}:{found.port}" for found in started[0].list_topics(timeout=10).brokers.values())

    yield start
    for mock in started:
        mock.close()
