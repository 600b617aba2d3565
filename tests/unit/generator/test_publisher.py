"""Sending: what the fake producer and librdkafka must both do, and what only the fake can be told to do."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from confluent_kafka import KafkaError, Producer
from structlog.testing import capture_logs

from contracts.errors import ComponentFailed, NotRunning
from contracts.kafka_access import KafkaAccess
from generator.circuit import FAILURES
from generator.producer import producer_settings
from generator.publisher import Outcome, ProducerLike
from tests.fake_producer import NOBODY, FakePartition, FakeProducer, FakeTopic
from tests.publishing import Settled, drain, publisher_of, send

TOO_LARGE = b"x" * 2_000_000


@dataclass
class World:
    """A producer, and the address of a broker for it."""

    connect: Callable[[dict[str, object]], ProducerLike]
    servers: str


@pytest.fixture(params=["fake", "librdkafka"])
def world(request: pytest.FixtureRequest, producer: FakeProducer) -> World:
    if request.param == "fake":
        producer.refuses = lambda value: (
            KafkaError(KafkaError.MSG_SIZE_TOO_LARGE) if len(value or b"") > 1_000_000 else None
        )
        return World(producer.connect, "fake:1")
    return World(Producer, request.getfixturevalue("mock_brokers")())


# What both do.


def test_send_delivered_records_are_ok_with_their_place(world: World) -> None:
    settled = Settled()
    publisher = publisher_of(world.connect, settled, servers=world.servers)
    send(publisher, [b"0", None, b"2", b"3"], first=5, partitions=[2, 0, 2, 0])
    send(publisher, [b"4"], first=9, partitions=[2])
    drain(publisher)
    assert settled.sorted() == [
        (5, Outcome.OK, 2, 0),
        (6, Outcome.OK, 0, 0),
        (7, Outcome.OK, 2, 1),
        (8, Outcome.OK, 0, 1),
        (9, Outcome.OK, 2, 2),
    ]
    assert (publisher.counts.sent, publisher.counts.ok) == (5, 5)


def test_send_full_queue_waits_and_loses_nothing(world: World) -> None:
    settled = Settled()
    publisher = publisher_of(world.connect, settled, servers=world.servers, room=7)
    send(publisher, [b"%d" % number for number in range(100)], partitions=[number % 3 for number in range(100)])
    drain(publisher)
    assert [row[:3] for row in settled.sorted()] == [(number, Outcome.OK, number % 3) for number in range(100)]
    assert [row[3] for row in settled.sorted()] == [number // 3 for number in range(100)]


def test_send_full_queue_while_stopping_settles_the_rest_as_failed(world: World) -> None:
    settled = Settled()
    publisher = publisher_of(world.connect, settled, servers=NOBODY, room=3, stopping=lambda: True)
    send(publisher, [b"v"] * 5)
    assert settled.rows == [(3, Outcome.FAILED, None, None), (4, Outcome.FAILED, None, None)]
    assert (publisher.counts.sent, publisher.counts.failed, len(publisher)) == (5, 2, 3)


def test_send_record_refused_by_the_producer_is_failed_and_the_others_go(world: World) -> None:
    settled = Settled()
    publisher = publisher_of(world.connect, settled, servers=world.servers, room=3)
    with capture_logs() as logs:
        send(publisher, [b"0", TOO_LARGE, b"2", b"3", TOO_LARGE, b"5"])
        drain(publisher)
    assert settled.sorted() == [
        (0, Outcome.OK, 0, 0),
        (1, Outcome.FAILED, None, None),
        (2, Outcome.OK, 0, 1),
        (3, Outcome.OK, 0, 2),
        (4, Outcome.FAILED, None, None),
        (5, Outcome.OK, 0, 3),
    ]
    assert [(line["event"], line["sequence"]) for line in logs] == [("record_refused", 1), ("record_refused", 4)]


def test_send_refused_record_is_logged_with_its_transaction(world: World) -> None:
    publisher = publisher_of(world.connect, Settled(), servers=world.servers)
    with capture_logs() as logs:
        send(publisher, [b'{"transaction_id": "T-1", "note": "' + TOO_LARGE + b'"}', TOO_LARGE])
        drain(publisher)
    assert [line["transaction_id"] for line in logs] == ["T-1", None]


def test_close_broker_away_settles_what_is_left_as_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.publisher._FLUSH_SECONDS", 0.1)
    settled = Settled()
    publisher = publisher_of(world.connect, settled, servers=NOBODY)
    send(publisher, [b"same", b"same", None], partitions=[0, 0, 1])
    publisher.close()
    assert settled.sorted() == [(number, Outcome.UNKNOWN, None, None) for number in range(3)]
    assert publisher.counts.unknown == 3


def test_partitions_broker_answers_is_their_number(world: World) -> None:
    assert publisher_of(world.connect, Settled(), servers=world.servers).partitions() == 4


def test_partitions_broker_away_is_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.publisher._METADATA_SECONDS", 0.1)
    assert publisher_of(world.connect, Settled(), servers=NOBODY).partitions() is None


# What only the fake can be told to do.


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
    settled = Settled()
    producer.answer = lambda number: KafkaError(code)
    send(publisher_of(producer.connect, settled), [b"1"])
    assert settled.rows == [(0, outcome, None, None)]


def test_poll_after_a_fatal_error_raises(producer: FakeProducer) -> None:
    publisher = publisher_of(producer.connect, Settled())
    producer.settings["error_cb"](KafkaError(KafkaError._FATAL, "lost its place", fatal=True))
    with pytest.raises(ComponentFailed, match="lost its place"):
        publisher.poll()


def test_send_fatal_refusal_settles_the_record_and_raises(producer: FakeProducer) -> None:
    settled = Settled()
    producer.refuses = lambda value: KafkaError(KafkaError._FATAL, "fenced", fatal=True)
    with pytest.raises(ComponentFailed, match="fenced"):
        send(publisher_of(producer.connect, settled), [b"v"])
    assert settled.rows == [(0, Outcome.FAILED, None, None)]


def test_send_waiting_for_room_calls_back(producer: FakeProducer) -> None:
    producer.away, calls = True, 0

    def waiting() -> None:
        nonlocal calls
        calls += 1
        producer.away = calls < 3

    send(publisher_of(producer.connect, Settled(), room=3, waiting=waiting), [b"v"] * 5)
    assert calls == 4, "three waits without a delivery, and the one that brought it"


def test_producer_settings_low_rate_waits_less_for_company() -> None:
    lingers = [producer_settings(KafkaAccess("localhost:1"), rate=rate)["linger.ms"] for rate in (10, 5000, 0)]
    assert lingers == [1, 5, 5]


@pytest.mark.parametrize(
    ("code", "error"),
    [(KafkaError.UNKNOWN_TOPIC_OR_PART, NotRunning), (KafkaError.TOPIC_EXCEPTION, ComponentFailed)],
)
def test_partitions_topic_that_cannot_be_used_raises(producer: FakeProducer, code: int, error: type[Exception]) -> None:
    producer.topic = FakeTopic({}, KafkaError(code))
    with pytest.raises(error, match="topic"):
        publisher_of(producer.connect, Settled()).partitions()


def test_partitions_leader_is_not_elected_yet_is_none(producer: FakeProducer) -> None:
    producer.topic = FakeTopic({}, KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
    assert publisher_of(producer.connect, Settled()).partitions() is None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_circuit_all_brokers_down_opens_and_a_probe_closes_it(producer: FakeProducer) -> None:
    clock = Clock()
    publisher = publisher_of(producer.connect, Settled(), clock=clock)
    with capture_logs() as logs:
        producer.away = True
        for _ in range(3):
            producer.settings["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
            publisher.poll()
        assert not publisher.circuit.allows()
        clock.now = 1
        assert not publisher.circuit.allows(), "the probe finds nobody"
        producer.away = False
        producer.topic = FakeTopic({0: FakePartition(), 1: FakePartition(leader=-1)})
        clock.now = 3
        assert not publisher.circuit.allows(), "a partition has no leader"
        producer.topic = FakeTopic({0: FakePartition(), 1: FakePartition()})
        clock.now = 7
        assert publisher.circuit.allows()
    events = [line["event"] for line in logs]
    assert events == ["circuit_open", *["circuit_half_open", "circuit_open"] * 2, "circuit_half_open", "circuit_closed"]
    assert logs[4]["reason"] == "1 of 2 partitions have no leader"


def test_circuit_failures_in_a_row_open_it_and_a_success_between_them_does_not(producer: FakeProducer) -> None:
    producer.answer = lambda number: KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    publisher = publisher_of(producer.connect, Settled())
    send(publisher, [b"v"] * (FAILURES - 1))
    producer.answer = lambda number: None
    send(publisher, [b"v"], first=1000)
    producer.answer = lambda number: KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    send(publisher, [b"v"] * (FAILURES - 1), first=2000)
    assert publisher.circuit.allows()
    send(publisher, [b"v"], first=3000)
    assert not publisher.circuit.allows()
    assert "authorization" in publisher.circuit.reason.lower()


def test_circuit_broker_that_keeps_silent_opens_it(producer: FakeProducer) -> None:
    clock = Clock()
    publisher = publisher_of(producer.connect, Settled(), clock=clock)
    clock.now = 100
    publisher.poll()
    producer.away = True
    send(publisher, [b"v"])
    clock.now = 120
    publisher.poll()
    assert publisher.circuit.allows()
    clock.now = 120.1
    publisher.poll()
    assert not publisher.circuit.allows()
    assert publisher.circuit.reason == "no acknowledgement for 20 s"
