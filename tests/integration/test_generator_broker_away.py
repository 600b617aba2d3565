"""The generator while its broker is away: a real broker of the test's own, killed under traffic and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, TopicPartition

from contracts.names import RAW_TOPIC
from contracts.paths import PROJECT
from tests.integration.own_broker import RunningBroker, own_broker

# Enough for several probes; 600 holds as well, for a run by hand: GENERATOR_AWAY_SECONDS=600.
AWAY_SECONDS = float(os.environ.get("GENERATOR_AWAY_SECONDS", "12"))
RATE = 2_000
# The interpreter with numpy and pyarrow, and a full queue of 100,000 records here and in librdkafka: 250 MB at most.
MEMORY_MB = 500

Place = tuple[int, int]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    with own_broker(tmp_path) as running:
        yield running


@dataclass
class Generator:
    """`python -m generator` and what it says."""

    folder: Path
    servers: str
    options: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes]" = field(init=False)

    def __post_init__(self) -> None:
        command = [
            sys.executable, "-m", "generator", "--ledger", str(self.folder / "ledger"),
            "--health", str(self.folder / "health.json"), *self.options,
        ]  # fmt: skip
        environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": self.servers}
        with (self.folder / "generator.log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=subprocess.STDOUT)

    def health(self) -> dict[str, Any]:
        path = self.folder / "health.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"state": "none", "ok": 0}
        return found

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "generator.log").read_text().splitlines()]

    def memory_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0, self.log()[-3:]

    def ledger(self) -> pa.Table:
        return pa.concat_tables(pq.read_table(path) for path in sorted((self.folder / "ledger").glob("*.parquet")))


@pytest.fixture
def generate(broker: RunningBroker, tmp_path: Path) -> Iterator[Callable[..., Generator]]:
    started: list[Generator] = []

    def start(*options: str) -> Generator:
        started.append(Generator(tmp_path, broker.servers, options))
        return started[-1]

    yield start
    for generator in started:
        if generator.process.poll() is None:
            generator.process.kill()
            generator.process.wait(timeout=10)


def _await(seconds: float, what: str, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.1)


def _received(servers: str) -> dict[Place, tuple[bytes | None, bytes | None]]:
    """The whole raw topic."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "log_level": 0})
    found: dict[Place, tuple[bytes | None, bytes | None]] = {}
    for partition in consumer.list_topics(RAW_TOPIC, timeout=10).topics[RAW_TOPIC].partitions:
        place = TopicPartition(RAW_TOPIC, partition, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=10)
        consumer.assign([place])
        reached = 0
        while reached < end:
            messages = consumer.consume(10_000, timeout=5)
            assert messages, f"partition {partition} could not be read beyond {reached}"
            for message in messages:
                assert message.error() is None
                reached = (message.offset() or 0) + 1
                found[(partition, reached - 1)] = (message.key(), message.value())
    consumer.close()
    return found


def _assert_each_is_there_once(
    rows: list[dict[str, Any]], received: dict[Place, tuple[bytes | None, bytes | None]]
) -> None:
    for row in rows:
        key, value = received[(row["partition"], row["offset"])]
        assert key == row["account_id"].encode()
        assert row["transaction_id"] is None or row["transaction_id"].encode() in (value or b"")
    assert len({(row["partition"], row["offset"]) for row in rows}) == len(rows) == len(received)
    of_account: dict[str, list[int]] = {}
    for row in rows:
        of_account.setdefault(row["account_id"], []).append(row["offset"])
    assert all(offsets == sorted(offsets) for offsets in of_account.values()), "an account's records changed places"


@pytest.mark.long
@pytest.mark.timeout(AWAY_SECONDS + 240)
@pytest.mark.parametrize("rate", [RATE, 0], ids=["paced", "unlimited"])
def test_generator_broker_killed_and_restarted_loses_nothing_and_goes_on_by_itself(
    broker: RunningBroker, generate: Callable[..., Generator], rate: int
) -> None:
    # Without a pace the circuit is found open by a queue that is full as well.
    generator = generate("--rate", str(rate), "--seed", "7")
    _await(60, "traffic", lambda: generator.health()["ok"] > RATE)

    broker.kill()
    memory = []
    _await(10, "an open circuit", lambda: generator.health()["state"] == "open")
    ends = time.monotonic() + AWAY_SECONDS
    while time.monotonic() < ends:
        said = generator.health()
        assert said["state"] in ("open", "half_open")
        memory.append(generator.memory_mb())
        time.sleep(0.5)
    waiting = generator.health()
    broker.start()

    _await(60, "a closed circuit", lambda: generator.health()["state"] == "closed")
    _await(60, "traffic again", lambda: generator.health()["ok"] > waiting["sent"] + RATE)
    generator.stop()

    rows = generator.ledger().to_pylist()
    assert Counter(row["outcome"] for row in rows) == {"ok": len(rows)}, "not one is lost or in doubt"
    assert [row["seq"] for row in rows] == list(range(len(rows)))
    _assert_each_is_there_once(rows, _received(broker.servers))

    log = generator.log()
    assert {line["event"] for line in log} <= {
        "started", "status", "stopped", "circuit_open", "circuit_half_open", "circuit_closed",
    }  # fmt: skip
    circuit = [line["event"] for line in log if line["event"].startswith("circuit_")]
    assert circuit[0] == "circuit_open"
    assert circuit[-2:] == ["circuit_half_open", "circuit_closed"]
    assert circuit[1:-1] == ["circuit_half_open", "circuit_open"] * ((len(circuit) - 3) // 2) + ["circuit_half_open"]
    assert log[-1]["sent"] == log[-1]["ok"] == len(rows)
    assert max(memory) < MEMORY_MB
    assert waiting["under_way"] <= 100_000
