"""Every record that one topic takes has room in the next: a refused dead letter would restart the job for ever."""

from pathlib import Path

from contracts import names
from contracts.record_sizes import DEAD_LETTER_PAYLOAD_CHARACTERS, DEAD_LETTER_TOPIC_BYTES, RAW_TOPIC_BYTES
from contracts.schema import load_contract
from contracts.settings import Kafka
from operations.embedded.broker import Broker
from operations.topics import topic_config


def test_topic_config_raw_topic_takes_two_megabytes_and_more_than_a_valid_transaction() -> None:
    assert topic_config(names.RAW_TOPIC, Kafka())["max.message.bytes"] == str(RAW_TOPIC_BYTES)
    assert RAW_TOPIC_BYTES > 2_500_000
    assert load_contract("transaction").record_limits.bytes < RAW_TOPIC_BYTES


def test_topic_config_dead_letters_have_room_for_every_raw_record_as_base64() -> None:
    assert topic_config(names.DEAD_LETTER_TOPIC, Kafka())["max.message.bytes"] == str(DEAD_LETTER_TOPIC_BYTES)
    assert DEAD_LETTER_PAYLOAD_CHARACTERS == (RAW_TOPIC_BYTES + 2) // 3 * 4
    assert DEAD_LETTER_PAYLOAD_CHARACTERS + 64 * 1024 < DEAD_LETTER_TOPIC_BYTES


def test_topic_config_retention_is_the_settings_and_counted_by_the_brokers_clock() -> None:
    config = topic_config(names.ALERT_TOPIC, Kafka(retention_hours=2, retention_mb=16))
    assert config == {
        "message.timestamp.type": "LogAppendTime", "retention.ms": "7200000", "retention.bytes": "16777216",
    }  # fmt: skip


def test_broker_takes_what_its_largest_topic_takes(tmp_path: Path) -> None:
    broker = Broker(tmp_path, Path("java"), (), Kafka(), 1, 2)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "meta.properties").touch()  # formatted already
    broker.prepare()
    properties = (tmp_path / "server.properties").read_text().splitlines()
    assert f"message.max.bytes={DEAD_LETTER_TOPIC_BYTES}" in properties
