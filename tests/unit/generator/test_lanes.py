"""Which record a delivery report is of, told by its order, its offset and its bytes."""

import time

import pytest
from confluent_kafka import KafkaError

from contracts.errors import ComponentFailed
from generator.circuit import State
from generator.publisher import Outcome
from tests.fake_producer import FakeProducer, FakeReport
from tests.publishing import Settled, publisher_of, send


def test_send_failure_among_successes_is_told_apart_by_its_bytes(producer: FakeProducer) -> None:
    settled = Settled()
    producer.answer = lambda number: KafkaError(KafkaError.INVALID_RECORD) if number in (2, 5) else None
    send(publisher_of(producer.connect, settled), [b"a", b"b", b"c", b"a", b"b", None])
    assert settled.sorted() == [
        (0, Outcome.OK, 0, 0),
        (1, Outcome.OK, 0, 1),
        (2, Outcome.FAILED, None, None),
        (3, Outcome.OK, 0, 2),
        (4, Outcome.OK, 0, 3),
        (5, Outcome.FAILED, None, None),
    ]


def test_send_failures_reported_before_the_records_ahead_of_them_leave_those_their_turn(producer: FakeProducer) -> None:
    settled = Settled()
    producer.away = True
    publisher = publisher_of(producer.connect, settled)
    send(publisher, [b"a", b"b"])
    send(publisher, [b"c", b"d"], first=2)
    ((_, on_delivery), *_) = producer._waiting
    on_delivery(KafkaError(KafkaError._MSG_TIMED_OUT), producer.report(2))
    publisher.poll()
    assert settled.rows == [(2, Outcome.UNKNOWN, None, None)]
    for number, offset in ((0, 7), (1, 8), (3, 9)):
        on_delivery(None, producer.report(number, offset=offset))
    publisher.poll()
    assert settled.rows[1:] == [(0, Outcome.OK, 0, 7), (1, Outcome.OK, 0, 8), (3, Outcome.OK, 0, 9)]


def test_send_acknowledged_without_a_place_is_ok_at_minus_one(producer: FakeProducer) -> None:
    settled = Settled()
    producer.away = True
    publisher = publisher_of(producer.connect, settled)
    send(publisher, [b"a", b"b"])
    ((_, on_delivery), *_) = producer._waiting
    on_delivery(None, producer.report(0, offset=None))
    on_delivery(None, producer.report(1, offset=4))
    publisher.poll()
    assert settled.rows == [(0, Outcome.OK, 0, -1), (1, Outcome.OK, 0, 4)]


@pytest.mark.parametrize(
    ("reports", "what"),
    [
        ([(None, b"b", 0)], "another record than the one whose turn it is"),
        ([(None, b"a", 3), (None, b"b", 3)], "offsets do not ascend"),
        ([(None, b"a", 3), (None, b"b", 2)], "offsets do not ascend"),
        ([(None, b"a", 3), (None, b"b", 4), (None, b"b", 5)], "more records were reported than sent"),
        ([(KafkaError(KafkaError._MSG_TIMED_OUT), b"z", None)], "not under way"),
    ],
)
def test_poll_reports_out_of_order_raise(
    producer: FakeProducer, reports: list[tuple[KafkaError | None, bytes, int | None]], what: str
) -> None:
    producer.away = True
    publisher = publisher_of(producer.connect, Settled())
    send(publisher, [b"a", b"b"])
    ((_, on_delivery), *_) = producer._waiting
    for error, value, offset in reports:
        on_delivery(error, FakeReport(b"key", value, offset))
    with pytest.raises(ComponentFailed, match=what):
        publisher.poll()


def test_poll_offset_below_that_of_an_earlier_poll_raises(producer: FakeProducer) -> None:
    producer.away = True
    publisher = publisher_of(producer.connect, Settled())
    send(publisher, [b"a", b"b"])
    ((_, on_delivery), *_) = producer._waiting
    on_delivery(None, producer.report(0, offset=3))
    publisher.poll()
    on_delivery(None, producer.report(1, offset=3))
    with pytest.raises(ComponentFailed, match="offsets do not ascend"):
        publisher.poll()


def test_close_purge_of_a_hundred_thousand_takes_seconds_at_most(producer: FakeProducer) -> None:
    settled = Settled()
    producer.away = True
    publisher = publisher_of(producer.connect, settled)
    for first in range(0, 100_000, 500):
        send(publisher, [b"%d" % number for number in range(first, first + 500)], first=first)
    # Processor time: looking through all that wait for each record would take minutes of it.
    started = time.process_time()
    publisher.close()
    assert time.process_time() - started < 30
    assert settled.rows == [(number, Outcome.UNKNOWN, None, None) for number in range(100_000)]
    assert publisher.circuit.state is State.CLOSED, "a purge tells nothing about the broker"
