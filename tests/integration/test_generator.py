"""The generator against a Kafka protocol server: librdkafka's mock cluster inside the test's process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
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
    command = [sys.executable, "-m", "generator", "--ledger", str(ledger), "--health", str(ledger / "health.json")]
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": brokers, "PIPELINE_SESSION": "session-1"}
    return subprocess.Popen(
        [*command, *options], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
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
    assert events == ["started", "circuit_open"]
    said = json.loads((tmp_path / "health.json").read_text())
    assert said["state"] in ("open", "half_open")
    process.send_signal(signal.SIGINT)
    stopped = _finish(process)[-1]
    assert stopped["sent"] == 0


def test_generator_wrong_configuration_exits_with_four_and_names_the_line(brokers: str, tmp_path: Path) -> None:
    config = tmp_path / "generator.yaml"
    config.write_text("accounts: many\n")
    process = _generator(brokers, tmp_path, "--config", str(config))
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 4
    assert f"{config}:1: accounts" in json.loads(out)["reason"]


def test_generator_processes_share_limit_and_accounts_and_end_together(brokers: str, tmp_path: Path) -> None:
    log = _finish(_generator(brokers, tmp_path, "--rate", "0", "--limit", "5001", "--seed", "7", "--processes", "3"))
    rows = _ledger(tmp_path).to_pylist()
    assert sorted(line["ok"] for line in log if line["event"] == "stopped") == [1667, 1667, 1667]
    accounts: dict[str, set[int]] = {}
    for row in rows:
        accounts.setdefault(row["run"], set()).add(int(row["account_id"].removeprefix("ACC")) % 3)
    assert sorted(map(len, accounts.values())) == [1, 1, 1]
    assert len({row["transaction_id"] for row in rows if row["expected"] == "valid"}) > 4900
    assert len(_received(brokers, 5001)) == 5001


def test_generator_processes_one_killed_ends_the_others_and_exits_with_an_error(brokers: str, tmp_path: Path) -> None:
    process = _generator(brokers, tmp_path, "--rate", "20", "--processes", "2")
    assert process.stdout is not None
    for _ in range(2):
        assert json.loads(process.stdout.readline())["event"] == "started"
    children = psutil.Process(process.pid).children()
    children[0].kill()
    assert process.wait(timeout=60) == signal.SIGKILL
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    process.communicate()


def test_generator_backfill_writes_history_twice_the_same(brokers: str, tmp_path: Path) -> None:
    options = ("--start", "2026-11-01T00:00:00Z", "--backfill", "10m", "--seed", "7")
    logs = [_finish(_generator(brokers, tmp_path / str(number), *options)) for number in range(2)]
    first, second = (
        _ledger(tmp_path / str(number)).select(["transaction_id", "account_id", "event_time", "scenario", "partition"])
        for number in range(2)
    )
    assert first.equals(second)
    assert 2_500 < len(first) == logs[0][-1]["ok"] < 12_000
    times = first["event_time"].to_pylist()
    assert (times[0].isoformat()[:13], max(times).isoformat()[:15]) == ("2026-11-01T00", "2026-11-01T00:0")
    received = _received(brokers, 2 * len(first))
    values = [received[place][1] for place in sorted(received)]
    assert all(count == 2 for value, count in Counter(values).items() if value)


def test_generator_backfill_without_a_rate_says_why_not(brokers: str, tmp_path: Path) -> None:
    process = _generator(brokers, tmp_path, "--backfill", "1d", "--rate", "0")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 4
    assert "simulated time needs a rate above 0" in json.loads(out)["reason"]


def test_generator_edit_while_it_runs_takes_effect_and_a_broken_one_is_refused(brokers: str, tmp_path: Path) -> None:
    config = tmp_path / "generator.yaml"
    config.write_text("rate_per_second: 50\nfraud_percent: 0\n")
    with _generator(brokers, tmp_path / "ledger", "--config", str(config)) as process:
        assert process.stdout is not None
        lines = (json.loads(line) for line in process.stdout)
        assert next(lines)["event"] == "started"
        config.write_text("rate_per_second: 50\nfraud_percent: many\n")
        refused = next(line for line in lines if line["event"].startswith("config"))
        assert (refused["event"], f"{config}:2: fraud_percent" in refused["reason"]) == ("config_refused", True)
        config.write_text("rate_per_second: 50\nfraud_percent: 40\n")
        assert next(line for line in lines if line["event"].startswith("config"))["changed"] == ["fraud_percent"]
        next(line for line in lines if line["event"] == "status")
        process.send_signal(signal.SIGTERM)
        assert [line["event"] for line in lines][-1] == "stopped"
    assert process.returncode == 0
    assert len({row["scenario"] for row in _ledger(tmp_path / "ledger").to_pylist()}) > 3


def test_generator_score_without_a_pipeline_says_how_to_start_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "generator", "score"],
        cwd=PROJECT, env={**os.environ, "PIPELINE_STATE": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "pipeline up" in done.stderr
