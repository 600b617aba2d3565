"""The line `lake offsets` of the status, over real tables; what Kafka would say is given."""

from pathlib import Path

import pytest

from contracts import names
from contracts.errors import NotRunning
from contracts.paths import StatePaths
from contracts.positions import Position
from lake.log_identity import LogIdentity, record_identity
from operations.health import Health
from operations.offsets import compare_offsets
from pipeline_assets.lib import offset_agreement
from pipeline_assets.lib.kafka_offsets import PartitionOffsets, TopicOffsets
from pipeline_assets.lib.skips import add_skip
from tests.lake_tables import Lake, alert, dead_letter, transaction

_IDS = {names.RAW_TOPIC: "raw-1", names.ALERT_TOPIC: "alerts-1"}


@pytest.fixture
def filled(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Tables with the records 0, 1 and 2 of partition 0, one of them refused, of the log that is there."""
    for topic, topic_id in _IDS.items():
        record_identity(lake.catalog, topic, LogIdentity(topic_id, {0: 0}))
    rows = [transaction(number, kafka_partition=0, kafka_offset=number) for number in (0, 2)]
    lake.append(names.TRANSACTIONS, rows)
    lake.append(names.DEAD_LETTERS, [dead_letter(0, offset=1)])
    log_is(monkeypatch)
    return lake


def log_is(
    monkeypatch: pytest.MonkeyPatch,
    *,
    start: int = 0,
    ids: dict[str, str] = _IDS,
    records: frozenset[int] | None = None,
) -> None:
    topic = TopicOffsets(names.RAW_TOPIC, (PartitionOffsets(0, start, 1000, 1000),))
    monkeypatch.setattr(offset_agreement, "topic_offsets", lambda *_, **__: (topic,))
    monkeypatch.setattr(offset_agreement, "topic_ids", lambda *_, **__: ids)
    monkeypatch.setattr(offset_agreement, "recorded_offsets", lambda *_, **__: records)


def line(lake: Lake) -> tuple[Health, str]:
    found = compare_offsets(lake.catalog, lake.addresses)
    return found.health, found.detail


def test_compare_offsets_every_record_once_is_healthy_and_kept(filled: Lake) -> None:
    assert line(filled) == (Health.HEALTHY, "every record once")
    assert "3" in StatePaths(filled.state).settled_offsets.read_text()


def test_compare_offsets_before_the_first_start_is_healthy(lake: Lake) -> None:
    assert line(lake) == (Health.HEALTHY, "every record once")


def test_compare_offsets_record_stored_twice_is_told_at_once_in_whatever_table(filled: Lake) -> None:
    assert line(filled)[0] is Health.HEALTHY
    filled.append(names.DEAD_LETTERS, [dead_letter(0, offset=1)])
    health, detail = line(filled)
    assert health is Health.UNHEALTHY
    assert "1 stored twice (from 0/0 on)" in detail


def test_compare_offsets_alert_stored_twice_is_told(filled: Lake) -> None:
    filled.append(names.ALERTS, [alert(1), alert(2, kafka_offset=1)])
    health, detail = line(filled)
    assert (health, detail.startswith("alerts stored twice: 1")) == (Health.UNHEALTHY, True)


def test_compare_offsets_records_that_were_deleted_unread_are_told_until_they_are_passed_over(
    filled: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_is(monkeypatch, start=10)
    assert line(filled)[1].startswith(
        "records of transactions.raw: 7 deleted from the log before they were stored (from 0/3 on)"
    )
    add_skip(StatePaths(filled.state).skips, Position(names.RAW_TOPIC, 0, 9), why="too late", operator="me")
    assert line(filled) == (Health.HEALTHY, "every record once")
    filled.append(names.TRANSACTIONS, [transaction(10, kafka_partition=0, kafka_offset=10)])
    assert line(filled) == (Health.HEALTHY, "every record once")


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ({**_IDS, names.RAW_TOPIC: "raw-2"}, "the topic transactions.raw was deleted and made again"),
        ({names.RAW_TOPIC: "raw-1"}, "the topic alerts is gone"),
    ],
)
def test_compare_offsets_topic_that_is_another_one_is_told(
    filled: Lake, monkeypatch: pytest.MonkeyPatch, ids: dict[str, str], words: str
) -> None:
    log_is(monkeypatch, ids=ids)
    health, detail = line(filled)
    assert (health, detail.startswith(words)) == (Health.UNHEALTHY, True)


def test_compare_offsets_while_kafka_is_away_nothing_is_compared(
    filled: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def silent(*_: object, **__: object) -> dict[str, str]:
        raise NotRunning("Kafka does not answer")

    monkeypatch.setattr(offset_agreement, "topic_ids", silent)
    assert line(filled) == (Health.HEALTHY, "not compared: Kafka does not answer")
