"""Sending, against a producer without a broker."""

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from contracts.errors import ComponentFailed
from generator.publisher import Outcome, Publisher, producer_settings
from tests.fake_producer import FakeProducer

Settled = list[tuple[int, Outcome, int | None, int | None]]


def _publisher(producer: FakeProducer, settled: Settled, *, stopping: bool = False) -> Publisher:
    return Publisher(
        producer_settings("localhost:1", rate=10),
        "topic",
        settle=lambda *row: settled.append(row),
        stopping=lambda: stopping,
        connect=producer.connect,
    )


def test_send_delivered_records_are_ok_with_their_place(producer: FakeProducer) -> None:
    settled: Settled = []
    publisher = _publisher(producer, settled)
    publisher.send(5, [b"a", b"b"], [b"1", None])
    assert producer.records == [("topic", b"a", b"1"), ("topic", b"b", None)]
    assert settled == [(5, Outcome.OK, 0, 0), (6, Outcome.OK, 1, 0)]
    assert (publisher.counts.sent, publisher.counts.ok) == (2, 2)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Outcome.FAILED),
        (KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, Outcome.UNKNOWN),
        (KafkaError._MSG_TIMED_OUT, Outcome.UNKNOWN),
    ],
)
def test_send_error_outcome_says_whether_the_record_may_be_in_the_log(
    producer: FakeProducer, code: int, outcome: Outcome
) -> None:
    settled: Settled = []
    producer.answer = lambda number: KafkaError(code)
    _publisher(producer, settled).send(0, [b"a"], [b"1"])
    assert settled == [(0, outcome, None, None)]


def test_send_full_queue_waits_and_loses_nothing(producer: FakeProducer) -> None:
    settled: Settled = []
    producer.room = 3
    _publisher(producer, settled).send(0, [b"k"] * 10, [b"v"] * 10)
    assert [row[0] for row in settled if row[1] is Outcome.OK] == list(range(10))


def test_send_full_queue_while_stopping_settles_the_rest_as_failed(producer: FakeProducer) -> None:
    settled: Settled = []
    producer.room, producer.away = 3, True
    _publisher(producer, settled, stopping=True).send(0, [b"k"] * 5, [b"v"] * 5)
    assert settled == [(3, Outcome.FAILED, None, None), (4, Outcome.FAILED, None, None)]


def test_close_broker_away_settles_what_is_left_as_unknown(producer: FakeProducer) -> None:
    settled: Settled = []
    publisher = _publisher(producer, settled)
    producer.away = True
    publisher.send(0, [b"k"], [b"v"])
    publisher.close()
    assert settled == [(0, Outcome.UNKNOWN, None, None)]
    assert publisher.counts.unknown == 1


def test_send_record_refused_by_the_producer_is_failed_and_traffic_goes_on(producer: FakeProducer) -> None:
    settled: Settled = []
    producer.refusal = KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    _publisher(producer, settled).send(0, [b"k"], [b"v"])
    assert settled == [(0, Outcome.FAILED, None, None)]


def test_poll_after_a_fatal_error_raises(producer: FakeProducer) -> None:
    publisher = _publisher(producer, [])
    producer.settings["error_cb"](KafkaError(KafkaError._FATAL, "lost its place", fatal=True))
    with pytest.raises(ComponentFailed, match="lost its place"):
        publisher.poll()


def test_producer_settings_low_rate_waits_less_for_company() -> None:
    lingers = [producer_settings("localhost:1", rate=rate)["linger.ms"] for rate in (10, 5000, 0)]
    assert lingers == [1, 5, 5]


def test_send_fatal_refusal_settles_the_record_and_raises(producer: FakeProducer) -> None:
    settled: Settled = []
    producer.refusal = KafkaException(KafkaError(KafkaError._FATAL, "fenced", fatal=True))
    with pytest.raises(ComponentFailed, match="fenced"):
        _publisher(producer, settled).send(0, [b"k"], [b"v"])
    assert settled == [(0, Outcome.FAILED, None, None)]


def test_publisher_broker_away_is_logged_once_and_its_return_too(producer: FakeProducer) -> None:
    publisher = _publisher(producer, [])
    with capture_logs() as logs:
        for _ in range(3):
            producer.settings["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
        publisher.send(0, [b"a", b"b"], [b"1", b"2"])
    assert [line["event"] for line in logs] == ["broker_away", "broker_back"]
