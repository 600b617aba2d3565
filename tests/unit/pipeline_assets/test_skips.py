"""Records that a person passes over, and what is kept of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from contracts import names
from contracts.errors import NotRunning, PipelineError
from contracts.kafka_access import KafkaAccess
from contracts.paths import StatePaths
from contracts.positions import Position
from contracts.settings import Settings
from operations.skipping import skip_to
from pipeline_assets.lib.kafka_offsets import PartitionOffsets, TopicOffsets
from pipeline_assets.lib.skips import add_skip, keep_skipped, passed, read_skips
from tests.lake_tables import Lake


@pytest.fixture
def kafka() -> Iterator[KafkaAccess]:
    """Start librdkafka's mock broker, with five records in partition 0 of the raw topic."""
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    for value in (b"{}", b"\xff", None, "é".encode(), b"last"):
        producer.produce(names.RAW_TOPIC, value, partition=0)
    assert producer.flush(10) == 0
    (found,) = producer.list_topics(timeout=10).brokers.values()
    yield KafkaAccess(f"{found.host}:{found.port}")
    producer.flush(0)


def test_read_skips_of_a_pipeline_in_which_nothing_was_passed_over_are_none(tmp_path: Path) -> None:
    assert read_skips(tmp_path / "skips.json") == ()


def test_passed_of_several_decisions_the_farthest_counts(tmp_path: Path) -> None:
    path = tmp_path / "lake" / "skips.json"
    for offset in (7, 9, 3):
        add_skip(path, Position(names.RAW_TOPIC, 0, offset), why=f"number {offset}", operator="me")
    add_skip(path, Position(names.ALERT_TOPIC, 1, 2), why="foreign", operator="me")
    found = passed(read_skips(path))
    assert {topic: {part: skip.why for part, skip in parts.items()} for topic, parts in found.items()} == {
        names.RAW_TOPIC: {0: "number 9"}, names.ALERT_TOPIC: {1: "foreign"},
    }  # fmt: skip


def test_keep_skipped_records_are_dead_letters_with_their_bytes(lake: Lake, kafka: KafkaAccess) -> None:
    skip = add_skip(lake.state / "skips.json", Position(names.RAW_TOPIC, 0, 3), why="it hurts", operator="me")
    assert keep_skipped(lake.catalog, kafka, skip, 1) == 3
    rows = lake.table(names.DEAD_LETTERS).scan().to_arrow().sort_by("offset").to_pylist()
    assert [(row["offset"], row["payload"], row["payload_encoding"]) for row in rows] == [
        (1, "/w==", "base64"), (2, None, "utf-8"), (3, "é", "utf-8"),
    ]  # fmt: skip
    assert {(row["reason_code"], row["message"]) for row in rows} == {("skipped", "passed over by me: it hurts")}


def test_keep_skipped_beyond_the_end_of_the_log_is_refused(lake: Lake, kafka: KafkaAccess) -> None:
    skip = add_skip(lake.state / "skips.json", Position(names.RAW_TOPIC, 0, 5), why="a mistake", operator="me")
    with pytest.raises(PipelineError, match=r"transactions\.raw/0 ends at offset 5, before 5"):
        keep_skipped(lake.catalog, kafka, skip, 1)
    assert lake.table(names.DEAD_LETTERS).scan().count() == 0


@pytest.mark.parametrize(
    ("position", "why", "words"),
    [
        ("4711", "because", "is no position"),
        ("transactions.dead-letter/0/1", "because", "is not stored; there are transactions.raw, alerts"),
        ("0/1", " ", "a reason is needed"),
    ],
)
def test_skip_to_what_is_no_decision_is_refused_and_not_kept(
    tmp_path: Path, position: str, why: str, words: str
) -> None:
    settings = Settings(state=tmp_path)
    with pytest.raises(PipelineError, match=words):
        skip_to(settings, position, why=why, operator="me")
    assert read_skips(StatePaths(tmp_path).skips) == ()


def test_skip_to_of_a_pipeline_that_is_down_is_refused(lake: Lake) -> None:
    settings = Settings(state=lake.state)
    with pytest.raises(NotRunning):
        skip_to(settings, "1/42", why="too old", operator="me")
    assert read_skips(settings.paths.skips) == ()


@pytest.mark.parametrize("offset", [42, 1000])
def test_skip_to_a_record_that_is_there_is_kept_and_one_that_is_not_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    topic = TopicOffsets(names.RAW_TOPIC, (PartitionOffsets(1, 0, 1200, 1000),))
    monkeypatch.setattr("operations.skipping.topic_offsets", lambda *_: (topic,))
    settings = Settings(state=lake.state)
    if offset == 1000:
        with pytest.raises(PipelineError, match=r"no record at transactions\.raw/1/1000 yet"):
            skip_to(settings, "1/1000", why="too old", operator="me")
        return
    assert skip_to(settings, "1/42", why="too old", operator="me") == ()
    (kept,) = read_skips(settings.paths.skips)
    assert (kept.topic, kept.partition, kept.offset, kept.why) == (names.RAW_TOPIC, 1, 42, "too old")
