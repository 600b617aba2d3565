"""The generator's word on itself: what it says, and when."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from contracts.kafka_access import KafkaAccess
from generator.health import HealthFile, Reading
from generator.producer import producer_settings
from generator.publisher import Publisher
from tests.fake_producer import FakeProducer


class Time:
    """Seconds, and the time of day that goes with them."""

    seconds = 100.0

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 25, 12, tzinfo=UTC) + timedelta(seconds=self.seconds - 100)


@pytest.fixture
def publisher(producer: FakeProducer) -> Publisher:
    return Publisher(
        producer_settings(KafkaAccess("localhost:1"), rate=10),
        "topic",
        settle=lambda *told: None,
        stopping=lambda: False,
        connect=producer.connect,
    )


def _file(path: Path, publisher: Publisher, time: Time) -> HealthFile:
    return HealthFile(path, publisher, wanted_rate=10.0, clock=time.clock, now=time.now)


def _send(publisher: Publisher, count: int) -> None:
    publisher.send(0, [b"k"] * count, [b"v"] * count, np.zeros(count, dtype=np.int32))


def _read(path: Path) -> Reading:
    found = Reading.read(path)
    assert found is not None
    return found


def test_health_file_is_written_at_once_and_says_everything(tmp_path: Path, publisher: Publisher) -> None:
    _file(tmp_path / "new" / "health.json", publisher, Time())
    assert json.loads((tmp_path / "new" / "health.json").read_text()) == {
        "at": "2026-11-25T12:00:00.000+00:00",
        "state": "closed",
        "since": publisher.circuit.since.isoformat(timespec="milliseconds"),
        "sent": 0,
        "ok": 0,
        "failed": 0,
        "unknown": 0,
        "under_way": 0,
        "rate_per_second": 0.0,
        "wanted_rate_per_second": 10.0,
        "reason": "",
        "refused_edit": "",
    }
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["health.json"]


def test_tick_writes_once_a_second_and_close_in_any_case(tmp_path: Path, publisher: Publisher) -> None:
    path, time = tmp_path / "health.json", Time()
    health = _file(path, publisher, time)
    _send(publisher, 3)
    time.seconds += 0.9
    health.tick()
    assert _read(path).sent == 0
    time.seconds += 0.1
    health.tick()
    assert (_read(path).sent, _read(path).ok, _read(path).at) == (3, 3, "2026-11-25T12:00:01.000+00:00")
    _send(publisher, 1)
    health.close()
    assert _read(path).sent == 4


def test_tick_rate_is_of_the_last_ten_seconds(tmp_path: Path, publisher: Publisher) -> None:
    path, time = tmp_path / "health.json", Time()
    health = _file(path, publisher, time)
    rates = []
    for second in range(1, 31):
        _send(publisher, 10 if second <= 15 else 20)
        time.seconds += 1
        health.tick()
        rates.append(_read(path).rate_per_second)
    assert rates[:15] == [10.0] * 15
    assert rates[15:25] == [11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0, 20.0]
    assert rates[25:] == [20.0] * 5


def test_health_file_each_transition_is_written(tmp_path: Path, publisher: Publisher, producer: FakeProducer) -> None:
    path = tmp_path / "health.json"
    _file(path, publisher, Time())
    producer.away = True
    _send(publisher, 2)
    producer.settings["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    publisher.poll()
    said = _read(path)
    assert (said.state, said.reason, said.under_way) == ("open", "1/1 brokers are down", 2)
    producer.away = False
    publisher.poll()
    assert publisher.circuit.allows()
    assert (_read(path).state, _read(path).under_way) == ("closed", 0)


def test_health_file_disk_refuses_is_said_once_and_nothing_ends(tmp_path: Path, publisher: Publisher) -> None:
    (tmp_path / "taken").touch()
    with capture_logs() as logs:
        health = _file(tmp_path / "taken" / "health.json", publisher, Time())
        health.close()
    assert [line["event"] for line in logs] == ["health_not_written"]


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"at": 1}'])
def test_read_what_is_no_reading_is_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "health.json"
    if text is not None:
        path.write_text(text)
    assert Reading.read(path) is None
