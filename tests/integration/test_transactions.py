"""Producers' transactions in a real broker: offsets have gaps, an open one holds back what follows, and it is named."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer

from contracts import names
from contracts.errors import NotRunning, PipelineError
from contracts.kafka_access import KafkaAccess
from contracts.positions import Position
from operations.dead_letters import raw_log
from operations.dead_letters.raw_log import KafkaRawLog
from operations.held_back import tell_of_transactions
from operations.rules.beginnings import beginning_at, beginning_at_the_end
from pipeline_assets.lib import open_transactions as transactions
from pipeline_assets.lib.kafka_lag import lags, overdue
from pipeline_assets.lib.kafka_offsets import TopicOffsets, set_group_offsets, topic_offsets
from pipeline_assets.lib.kafka_records import recorded_offsets
from pipeline_assets.lib.open_transactions import OpenTransaction, open_transactions
from pipeline_assets.lib.skips import add_skip, keep_skipped
from tests.integration import accounting
from tests.integration.own_broker import own_broker
from tests.lake_tables import Lake, lake_in

pytestmark = [pytest.mark.in_order, pytest.mark.timeout(120)]

Headers = list[tuple[str, str | bytes | None]]
_LATER = timedelta(minutes=1)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaAccess]:
    with own_broker(tmp_path_factory.mktemp("broker")) as running:
        yield KafkaAccess(running.servers)


def _send(kafka: KafkaAccess, topic: str, count: int, *, partition: int = 0, header: Position | None = None) -> None:
    """Send ordinary records."""
    producer = Producer(kafka.librdkafka())
    headers: Headers = [(names.REPLAY_HEADER, str(header))] if header else []
    for _ in range(count):
        producer.produce(topic, b"{}", partition=partition, headers=headers)
    assert producer.flush(10) == 0


def _begin(
    kafka: KafkaAccess,
    topic: str,
    count: int,
    *,
    whose: str,
    partition: int = 0,
    seconds: int = 60,
    header: Position | None = None,
) -> Producer:
    """Send records in a transaction of the transactional id `whose`, and leave it open."""
    settings = {**kafka.librdkafka(), "transactional.id": whose, "transaction.timeout.ms": seconds * 1000}
    producer = Producer(settings)
    producer.init_transactions(30)
    producer.begin_transaction()
    headers: Headers = [(names.REPLAY_HEADER, str(header))] if header else []
    for _ in range(count):
        producer.produce(topic, b"{}", partition=partition, headers=headers)
    assert producer.flush(10) == 0
    return producer


def _topic(kafka: KafkaAccess, topic: str) -> TopicOffsets:
    (found,) = topic_offsets(kafka, (topic,))
    return found


def _end(kafka: KafkaAccess, topic: str) -> int:
    return _topic(kafka, topic).partitions[0].end


def _lag(kafka: KafkaAccess) -> int:
    return lags(kafka, (_topic(kafka, names.ALERT_TOPIC),))[names.ALERT_TOPIC][names.LAKEHOUSE_JOB]


def _open(kafka: KafkaAccess) -> tuple[OpenTransaction, ...]:
    return open_transactions(kafka, topic_offsets(kafka, names.TOPICS))


def test_lag_markers_and_aborted_records_at_the_end_count_for_nothing(kafka: KafkaAccess) -> None:
    """The job commits, as Flink does, the offset after the last record that it read."""
    topic = names.ALERT_TOPIC
    _begin(kafka, topic, 100, whose="committed").commit_transaction(10)
    assert _lag(kafka) == 100
    set_group_offsets(kafka, names.LAKEHOUSE_JOB, {topic: {0: 100}})
    assert (_lag(kafka), _end(kafka, topic)) == (0, 101)
    _begin(kafka, topic, 1000, whose="given up").abort_transaction(10)
    assert _lag(kafka) == 0
    _send(kafka, topic, 3)
    assert _lag(kafka) == 3
    set_group_offsets(kafka, names.LAKEHOUSE_JOB, {topic: {0: _end(kafka, topic)}})
    assert _lag(kafka) == 0


def test_overdue_of_a_job_that_has_read_all_is_nothing_though_markers_are_old(kafka: KafkaAccess) -> None:
    """Else a late commit of an idle pipeline would be called a stall, behind the last record of a transaction."""
    topic = names.ALERT_TOPIC
    _begin(kafka, topic, 2, whose="the last").commit_transaction(10)
    end = _end(kafka, topic)
    set_group_offsets(kafka, names.LAKEHOUSE_JOB, {topic: {0: end - 1}})
    assert overdue(kafka, names.LAKEHOUSE_JOB, topic, datetime.now(UTC) + _LATER) == 0
    set_group_offsets(kafka, names.LAKEHOUSE_JOB, {topic: {0: end - 3}})
    assert overdue(kafka, names.LAKEHOUSE_JOB, topic, datetime.now(UTC) + _LATER) == 2
    assert overdue(kafka, names.LAKEHOUSE_JOB, topic, datetime.now(UTC) - _LATER) == 0
    set_group_offsets(kafka, names.LAKEHOUSE_JOB, {topic: {0: end - 1}})


def test_open_transaction_is_named_while_it_holds_readers_back_and_forgotten_when_the_broker_has_ended_it(
    kafka: KafkaAccess,
) -> None:
    topic = names.ALERT_TOPIC
    before = _end(kafka, topic)
    lag = _lag(kafka)
    _begin(kafka, topic, 5, whose="forgetful", seconds=9)
    _send(kafka, topic, 2)
    found = _topic(kafka, topic)
    assert (found.held_back, found.partitions[0].end) == ({0: before}, before + 7)
    assert _lag(kafka) == lag == 0, "a job is not behind by what it cannot read"
    assert _open(kafka) == (), "a transaction of a moment is nothing to tell of"

    (told,) = accounting.eventually(lambda: _open(kafka), "no open transaction", seconds=8)
    assert (told.topic, told.partition, told.first_offset) == (topic, 0, before)
    assert (told.transactional_id, told.timeout_seconds) == ("forgetful", 9)
    assert told.producer_id is not None
    assert 5 <= told.age_seconds < 10
    faults, (warning,) = tell_of_transactions([told], kafka)
    assert faults == ()
    assert f"alerts/0/{before}, of the producer {told.producer_id} (transactional id forgetful)" in warning

    accounting.eventually(lambda: not _topic(kafka, topic).held_back, "it is still open", seconds=20)
    assert (_open(kafka), _lag(kafka)) == ((), 2), "what was given up is no record, what was held back is one"


def test_open_transactions_broker_that_does_not_tell_whose_it_is_names_the_place(
    kafka: KafkaAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "NOTED_SECONDS", -1.0)
    producer = _begin(kafka, names.ALERT_TOPIC, 1, whose="unnamed", partition=1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = [f"127.0.0.1:{silent.getsockname()[1]}"]
        monkeypatch.setattr(KafkaAccess, "kafka_python", lambda self: {"bootstrap_servers": servers})
        (told,) = open_transactions(kafka, topic_offsets(kafka, names.TOPICS), timeout=1)
    assert (told.partition, told.producer_id, told.timeout_seconds) == (1, None, None)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("kafka-io")] == []
    producer.abort_transaction(10)


def test_command_of_the_status_ends_a_transaction_that_the_broker_does_not_end(
    kafka: KafkaAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "NOTED_SECONDS", -1.0)
    producer = _begin(kafka, names.ALERT_TOPIC, 1, whose="stuck", partition=1)
    (told,) = _open(kafka)
    forgotten = OpenTransaction(
        told.topic, told.partition, told.first_offset, 1000.0, told.producer_id, told.producer_epoch
    )
    (fault,), _ = tell_of_transactions([forgotten], kafka)
    command = fault.detail.split("python ")[1].split()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _open(kafka) == ()
    del producer


def test_recorded_offsets_of_a_part_that_is_held_back_is_no_answer(kafka: KafkaAccess) -> None:
    """Taking what is not yet known for markers would settle for ever that nothing is missing."""
    _send(kafka, names.RAW_TOPIC, 3)
    producer = _begin(kafka, names.RAW_TOPIC, 2, whose="undecided")
    assert recorded_offsets(kafka, names.RAW_TOPIC, 0, 0, 3, timeout=2) == frozenset({0, 1, 2})
    with pytest.raises(NotRunning, match=r"transactions\.raw/0/5"):
        recorded_offsets(kafka, names.RAW_TOPIC, 0, 0, 5, timeout=1)
    producer.commit_transaction(10)
    assert recorded_offsets(kafka, names.RAW_TOPIC, 0, 0, 6, timeout=2) == frozenset(range(5))


def test_beginning_behind_markers_is_after_the_last_record_and_warms_the_windows(kafka: KafkaAccess) -> None:
    """The partition has five records and a marker at its end; the other has none."""
    begin = beginning_at_the_end(kafka, memory_seconds=60)
    assert (begin.judge_from, begin.read_from) == ({0: 5, 1: 0}, {0: 0, 1: 0})
    assert beginning_at(kafka, {0: 6}, memory_seconds=60).read_from == {0: 0}, "before the place is a marker"


def test_find_replay_that_was_given_up_has_not_arrived_and_one_behind_an_open_transaction_is_awaited(
    kafka: KafkaAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_log, "_SILENCE_SECONDS", 2.0)
    log, replayed = KafkaRawLog(kafka, grace_seconds=0), Position(names.RAW_TOPIC, 0, 1)
    since = log.ends()
    _begin(kafka, names.RAW_TOPIC, 1, whose="a stranger", header=replayed).abort_transaction(10)
    assert log.find([replayed], since) == {}
    producer = _begin(kafka, names.RAW_TOPIC, 1, whose="an idler")
    _send(kafka, names.RAW_TOPIC, 1, header=replayed)
    with pytest.raises(NotRunning, match="an open transaction holds it back"):
        log.find([replayed], since)  # "not there" would have it sent a second time
    producer.commit_transaction(10)
    assert log.find([replayed], since) == {replayed: Position(names.RAW_TOPIC, 0, since[0] + 3)}


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with lake_in(tmp_path) as lake:
        yield lake


def test_keep_skipped_across_markers_keeps_the_records_alone(kafka: KafkaAccess, lake: Lake) -> None:
    end = _end(kafka, names.RAW_TOPIC)
    skip = add_skip(lake.state / "skips.json", Position(names.RAW_TOPIC, 0, end - 1), why="it hurts", operator="me")
    records = recorded_offsets(kafka, names.RAW_TOPIC, 0, 0, end)
    assert records is not None
    assert keep_skipped(lake.catalog, kafka, skip, 0) == len(records) < end
    producer = _begin(kafka, names.RAW_TOPIC, 1, whose="in the way")
    beyond = add_skip(lake.state / "skips.json", Position(names.RAW_TOPIC, 0, end), why="it hurts", operator="me")
    with pytest.raises(PipelineError, match="ends at offset"):
        keep_skipped(lake.catalog, kafka, beyond, end)
    producer.abort_transaction(10)
