"""A contract that gains an optional field: the tables get its column, and the jobs go on from their old state.

The tests go in order, and leave the pipeline under another contract: they are the last of this folder. Traffic is a few
hundred records sent by hand, of accounts that nothing else uses, each accounted for.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from contracts import names
from contracts.record_sizes import RAW_TOPIC_BYTES
from contracts.rest import rest_client
from pipeline_assets.lib.kafka_offsets import topic_offsets
from tests.config_copies import changed_contract, copy_of_config, with_optional_fields
from tests.integration import accounting
from tests.integration.conftest import CommandLine, command_line
from tests.nasty_records import VALID, compact

pytestmark = [pytest.mark.long, pytest.mark.in_order, pytest.mark.timeout(600)]

BEFORE, AFTER = 300, 200
# The first number of this module's accounts and transactions.
_OWN = 700_000_000
_OF_OURS = "account_id BETWEEN 'ACC700000000' AND 'ACC700999999'"
# Of a length that no other record of this folder has.
_TWO_MEGABYTES = b"\x01" * 2_000_003


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose transactions have optional fields."""
    return with_optional_fields(copy_of_config(tmp_path_factory.mktemp("grown")))


def _record(number: int, **other: object) -> bytes:
    """The valid record of that number, each of an account of its own; every tenth has an amount that is an alert."""
    return compact(
        {
            **VALID,
            "transaction_id": str(UUID(int=_OWN + number)),
            "account_id": f"ACC{_OWN + number:09}",
            "amount": "9000.00" if number % 10 == 0 else "10.00",
            "timestamp": "2026-11-22T12:00:00.000Z",
            **other,
        }
    )


def _send(pipeline: CommandLine, values: Sequence[bytes | None]) -> None:
    producer = Producer(
        {
            "bootstrap.servers": pipeline.addresses().kafka_bootstrap_servers,
            "enable.idempotence": True,
            "message.max.bytes": RAW_TOPIC_BYTES,
        }
    )
    refused: list[str] = []
    for value in values:
        producer.produce(
            names.RAW_TOPIC,
            value,
            on_delivery=lambda error, _: refused.append(str(error)) if error else None,
        )
    assert producer.flush(60) == 0
    assert refused == []


def _await_rows(pipeline: CommandLine, sql: str, expected: int, *, seconds: float = 200) -> None:

    def rows() -> int:
        return int(accounting.ask(pipeline.addresses(), sql).num_rows)

    accounting.eventually(lambda: rows() >= expected, f"fewer than {expected} rows: {sql}", seconds=seconds)
    assert rows() == expected


def _restored_from(pipeline: CommandLine, job: str) -> str | None:
    """The checkpoint or savepoint that the running job went on from."""
    with rest_client(pipeline.addresses().flink_rest_url, timeout=10) as flink:
        (running,) = [
            found["jid"]
            for found in flink.get("/jobs/overview").raise_for_status().json()["jobs"]
            if found["name"] == job and found["state"] == "RUNNING"
        ]
        restored = flink.get(f"/jobs/{running}/checkpoints").raise_for_status().json()["latest"]["restored"]
    return restored["external_path"] if restored else None


def test_dead_letter_of_two_megabytes_of_control_characters_reaches_table_and_topic(pipeline: CommandLine) -> None:
    """As JSON text they would be 12 MB, which Kafka refuses, and the job would send them again for ever."""
    (topic,) = topic_offsets(pipeline.addresses().kafka, (names.DEAD_LETTER_TOPIC,))
    _send(pipeline, [*(_record(number) for number in range(BEFORE)), _TWO_MEGABYTES])
    large = f"message LIKE '{len(_TWO_MEGABYTES)} bytes, more than 32768%'"
    _await_rows(pipeline, f"FROM dead_letters WHERE reason_code = 'too_large' AND {large}", 1)
    (row,) = pipeline.query(
        f"SELECT octet_length(from_base64(payload)) AS size, payload_encoding FROM dead_letters WHERE {large}"
    )
    assert row == {"size": len(_TWO_MEGABYTES), "payload_encoding": "base64"}

    consumer = Consumer(
        {
            "bootstrap.servers": pipeline.addresses().kafka_bootstrap_servers,
            "group.id": "test",
            "fetch.message.max.bytes": RAW_TOPIC_BYTES,
        }
    )
    consumer.assign([TopicPartition(topic.topic, part, end) for part, end in topic.ends.items()])
    deadline, found = time.monotonic() + 60, False
    while not found:
        assert time.monotonic() < deadline, "no such dead letter in the topic"
        messages = [message for message in consumer.consume(1000, timeout=1) if message.error() is None]
        found = any(len(json.loads(each.value() or b"")["payload"] or "") > len(_TWO_MEGABYTES) for each in messages)
    consumer.close()
    _await_rows(pipeline, f"FROM transactions WHERE {_OF_OURS}", BEFORE)
    _await_rows(pipeline, f"FROM alerts WHERE {_OF_OURS}", BEFORE // 10)
    pipeline("down")


def test_up_after_optional_fields_were_added_goes_on_from_the_old_state(pipeline: CommandLine, grown: Path) -> None:
    changed = command_line(pipeline.state, PIPELINE_CONFIG=str(grown))
    changed("up", "--detach", "--no-generator")
    assert "savepoint" in str(_restored_from(changed, names.LAKEHOUSE_JOB))

    half = BEFORE + AFTER // 2
    _send(
        changed,
        [
            *(_record(number, note=f"note {number}", risk=None, device="DEV001") for number in range(BEFORE, half)),
            *(_record(number) for number in range(half, BEFORE + AFTER)),
            _record(9999, note=5),
        ],
    )
    refused = "FROM dead_letters WHERE reason_code = 'wrong_type' AND message LIKE 'note: found 5%'"
    _await_rows(changed, f"FROM transactions WHERE {_OF_OURS}", BEFORE + AFTER)
    _await_rows(changed, refused, 1)
    _await_rows(changed, f"FROM alerts WHERE {_OF_OURS}", (BEFORE + AFTER) // 10)
    rows = changed.query(
        f"SELECT transaction_id, kafka_offset, note, device, risk, settled_at FROM transactions WHERE {_OF_OURS}"
    )
    notes = {UUID(row["transaction_id"]).int - _OWN: (row["note"], row["device"]) for row in rows}
    assert notes == {
        number: (f"note {number}", "DEV001") if BEFORE <= number < half else (None, None)
        for number in range(BEFORE + AFTER)
    }
    columns = [row["column_name"] for row in changed.query("DESCRIBE transactions")]
    assert columns.index("note") == columns.index("country") + 1
    (row,) = changed.query("SELECT count(*) AS rows, count(DISTINCT alert_id) AS ids FROM alerts")
    assert row["rows"] == row["ids"]
    changed("down")


def _without_channel(schema: dict[str, Any]) -> None:
    del schema["properties"]["channel"]
    schema["required"].remove("channel")


def _longer_category(schema: dict[str, Any]) -> None:
    schema["properties"]["merchant_category"]["pattern"] = "^[0-9]{5}$"


def _required_note(schema: dict[str, Any]) -> None:
    schema["required"].append("note")
    schema["properties"]["note"]["type"] = "string"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        (_without_channel, "channel", "required {'type': 'string', 'enum': ['pos', 'online', 'atm']}; now: none"),
        (_longer_category, "merchant_category", "'pattern': '^[0-9]{4}$'}; now: required"),
        (_required_note, "note", "now: required {'type': 'string', 'maxLength': 20}"),
    ],
)
def test_up_after_another_change_of_the_contract_is_refused_with_both_rules(
    pipeline: CommandLine, tmp_path: Path, change: Callable[[dict[str, Any]], None], field: str, words: str
) -> None:
    config = with_optional_fields(copy_of_config(tmp_path))
    changed_contract(config, "transaction", change)
    changed = command_line(pipeline.state, PIPELINE_CONFIG=str(config))
    refused = changed("up", "--detach", "--no-generator", check=False)
    assert refused.returncode == 4
    printed = " ".join(refused.stderr.split())
    assert f"properties.{field}: this field" in printed
    assert words in printed
    assert changed.survivors() == []
