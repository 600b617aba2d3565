"""Record that a job fails on, told from what it reads again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from contracts import names
from contracts.kafka_access import KafkaAccess
from contracts.positions import Position
from operations.failing_record import Large, largest_record, tell_failing_record
from streaming.checkpoints import checkpoint_folder
from tests.checkpoint_files import write_metadata

_LARGE = b"x" * (2**20 + 1)
_NOBODY = KafkaAccess("127.0.0.1:1")


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaAccess]:
    """Start librdkafka's mock broker; in partition 0 of the raw topic the records 2 and 4 are large."""
    settings = {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0, "message.max.bytes": 4 * 2**20}
    producer = Producer(settings)
    for value in (b"{}", b"{}", _LARGE, b"{}", _LARGE + b"y", b"{}"):
        producer.produce(names.RAW_TOPIC, value, key=b"k", headers={"h": b"v"}, partition=0)
        assert producer.flush(10) == 0
    (found,) = producer.list_topics(timeout=10).brokers.values()
    yield KafkaAccess(f"{found.host}:{found.port}")
    producer.flush(0)


def _read_up_to(checkpoints: Path, job: str, offset: int) -> None:
    write_metadata(checkpoint_folder(checkpoints, job, "aaaa") / "job" / "chk-1", {names.RAW_TOPIC: {0: offset}})


def test_largest_record_is_the_largest_of_those_that_follow(kafka: KafkaAccess) -> None:
    position = Position(names.RAW_TOPIC, 0, 4)
    assert largest_record(kafka, {Position(names.RAW_TOPIC, 0, 1)}) == Large(position, len(_LARGE) + 4)


@pytest.mark.parametrize("job", names.JOBS)
def test_tell_failing_record_names_it_and_the_command_that_passes_over_it(
    kafka: KafkaAccess, tmp_path: Path, job: str
) -> None:
    _read_up_to(tmp_path, job, 3)
    assert tell_failing_record(kafka, tmp_path, job) == (
        "The largest record that it reads again is transactions.raw/0/4 with 1,048,581 bytes. To go on without it: "
        "pipeline skip transactions.raw/0/4 --why REASON"
    )


def test_tell_failing_record_among_ordinary_ones_names_the_first_that_is_read_again(
    kafka: KafkaAccess, tmp_path: Path
) -> None:
    _read_up_to(tmp_path, names.ALERTING_JOB, 5)
    told = tell_failing_record(kafka, tmp_path, names.ALERTING_JOB)
    assert told == "It reads again from transactions.raw/0/5 on"


@pytest.mark.parametrize("read", [True, False])
def test_tell_failing_record_without_a_checkpoint_or_a_broker_tells_what_is_known(tmp_path: Path, read: bool) -> None:
    if read:
        _read_up_to(tmp_path, names.LAKEHOUSE_JOB, 7)
    told = tell_failing_record(_NOBODY, tmp_path, names.LAKEHOUSE_JOB)
    assert told == f"It reads again from {'transactions.raw/0/7' if read else 'the first record'} on"
