"""The generator against a Kafka protocol server: librdkafka's mock cluster inside the test's process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from contracts.names import RAW_TOPIC
from contracts.paths import PROJECT

Received = dict[tuple[int, int], tuple[bytes | None, bytes | None]]


@pytest.fixture
def brokers() -> Iterator[str]:
    """The address of a broker that lives as long as this producer."""
    mock = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    yield ",".join(f"{broker.host}:{broker.port}" for broker in mock.list_topics(timeout=10).brokers.values())
    mock.close()


def _generator(brokers: str, ledger: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "generator", "--ledger", str(ledger), *options]
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": brokers, "PIPELINE_SESSION": "session-1"}
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """Its log, once it ended well. Every line must be JSON."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    return [json.loads(line) for line in out.splitlines()]


def _ledger(folder: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("*.parquet")))


def _received(brokers: str, count: int) -> Received:
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test", "log_level": 0})
    partitions = consumer.list_topics(RAW_TOPIC, timeout=10).topics[RAW_TOPIC].partitions
    consumer.assign([TopicPartition(RAW_TOPIC, partition, 0) for partition in partitions])
    found: Received = {}
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        for message in consumer.consume(1000, timeout=0.5):
            assert message.error() is None
            found[(message.partition() or 0, message.offset() or 0)] = (message.key(), message.value())
    consumer.close()
    return found


def test_generator_limited_run_ledger_agrees_with_the_topic_record_by_record(brokers: str, tmp_path: Path) -> None:
    log = _finish(_generator(brokers, tmp_path, "--rate", "0", "--limit", "5000", "--seed", "7"))
    rows = _ledger(tmp_path).to_pylist()
    received = _received(brokers, 5000)
    assert [row["seq"] for row in rows] == list(range(5000))
    assert {row["outcome"] for row in rows} == {"ok"}
    assert len(received) == 5000
    partition_of: dict[str, int] = {}
    for row in rows:
        key, value = received[(row["partition"], row["offset"])]
        assert key == row["account_id"].encode()
        assert row["transaction_id"] is None or row["transaction_id"].encode() in (value or b"")
        assert partition_of.setdefault(row["account_id"], row["partition"]) == row["partition"]
    assert len(set(partition_of.values())) > 1
    assert [line["event"] for line in log] == ["started", "stopped"]
    assert {line["session_id"] for line in log} == {"session-1"}
    assert (log[0]["seed"], log[1]["ok"]) == (7, 5000)


def test_generator_sigterm_flushes_and_exits_with_zero(brokers: str, tmp_path: Path) -> None:
    process = _generator(brokers, tmp_path, "--rate", "200")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "started"
    watcher = Consumer(
        {"bootstrap.servers": brokers, "group.id": "watch", "log_level": 0, "auto.offset.reset": "earliest"}
    )
    watcher.subscribe([RAW_TOPIC])
    deadline = time.monotonic() + 30
    while not [message for message in watcher.consume(1, timeout=0.5) if message.error() is None]:
        assert time.monotonic() < deadline, "nothing arrived"
    watcher.close()
    process.send_signal(signal.SIGTERM)
    stopped = _finish(process)[-1]
    assert stopped["event"] == "stopped"
    assert stopped["sent"] == stopped["ok"] == len(_ledger(tmp_path))


def test_generator_without_a_broker_waits_and_ends_when_asked_to(tmp_path: Path) -> None:
    process = _generator("127.0.0.1:1", tmp_path, "--rate", "50")
    assert process.stdout is not None
    events = [json.loads(process.stdout.readline())["event"] for _ in range(2)]
    assert events == ["started", "broker_away"]
    process.send_signal(signal.SIGINT)
    stopped = _finish(process)[-1]
    assert stopped["sent"] == stopped["unknown"] == len(_ledger(tmp_path))


def test_generator_wrong_configuration_exits_with_four_and_names_the_line(brokers: str, tmp_path: Path) -> None:
    config = tmp_path / "generator.yaml"
    config.write_text("accounts: many\n")
    process = _generator(brokers, tmp_path, "--config", str(config))
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 4
    assert f"{config}:1: accounts" in json.loads(out)["reason"]
