"""What strangers write to the topics: no alert is made of it, nothing stops at it, and every check stays right.

From here on offsets of the raw topic have gaps: what counts them comes before it, in this folder's order.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import Producer

from contracts import names
from tests.integration import accounting
from tests.integration.conftest import CommandLine
from tests.nasty_records import VALID, compact
from tests.unit.streaming.test_alerts_in import ALERT

pytestmark = [pytest.mark.long, pytest.mark.in_order, pytest.mark.timeout(300)]

_OWN = 800_000_000


def _producer(pipeline: CommandLine, **settings: Any) -> Producer:
    return Producer({"bootstrap.servers": pipeline.addresses().kafka_bootstrap_servers, **settings})


def _rows(pipeline: CommandLine, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = accounting.ask(pipeline.addresses(), sql).to_pylist()
    return found


def test_what_is_no_alert_in_the_alerts_topic_is_a_dead_letter_and_an_alert_is_stored(pipeline: CommandLine) -> None:
    before = accounting.restarts(pipeline.addresses())
    foreign: Sequence[bytes | None] = [
        b"hello", b"{}", b"[1]", b'{"alert_id": null}', None, b"\xff",
        json.dumps(ALERT | {"source_offset": 10**30}).encode(),
        json.dumps(ALERT | {"event_time": "0001-01-01T00:00:00+14:00"}).encode(),
    ]  # fmt: skip
    ours: Mapping[str, Any] = ALERT | {"alert_id": "f0" * 32, "account_id": f"ACC{_OWN + 900}"}
    producer = _producer(pipeline)
    for value in (*foreign, json.dumps(ours).encode(), json.dumps(ours).encode()):
        producer.produce(names.ALERT_TOPIC, value, partition=1)
    assert producer.flush(30) == 0
    sql = f"SELECT reason_code, payload FROM dead_letters WHERE topic = '{names.ALERT_TOPIC}' ORDER BY \"offset\""
    accounting.eventually(lambda: len(_rows(pipeline, sql)) >= len(foreign), "no dead letters", seconds=90)
    assert [row["reason_code"] for row in _rows(pipeline, sql)] == [
        "malformed_json", "missing_field", "not_an_object", "missing_field", "no_payload", "not_utf8", "bad_format",
        "bad_format",
    ]  # fmt: skip
    stored = f"SELECT * FROM alerts WHERE account_id = 'ACC{_OWN + 900}'"
    accounting.eventually(lambda: _rows(pipeline, stored), "the alert is not stored", seconds=60)
    (row,) = _rows(pipeline, stored)
    assert dict(row["evidence"]) == ALERT["evidence"]
    assert (row["event_time"].isoformat(), row["source_offset"]) == ("2026-11-30T12:00:00.120000+00:00", 4711)
    assert accounting.restarts(pipeline.addresses()) == before


def _transaction(number: int, amount: str, *, day: date = date(2026, 11, 30)) -> bytes:
    own = {"transaction_id": str(UUID(int=_OWN + number)), "account_id": f"ACC{_OWN + number}"}
    return compact({**VALID, **own, "amount": amount, "timestamp": f"{day}T12:00:00.000Z"})


def test_records_of_four_thousand_event_days_at_once_are_stored(pipeline: CommandLine) -> None:
    """A writer for each day of a checkpoint would take more memory than the job has."""
    before, days = accounting.restarts(pipeline.addresses()), 4_000
    producer = _producer(pipeline)
    for number in range(days):
        day = date(2026, 11, 30) - timedelta(days=number)
        producer.produce(names.RAW_TOPIC, _transaction(1_000 + number, "10.00", day=day))
    assert producer.flush(60) == 0
    own = f"account_id BETWEEN 'ACC{_OWN + 1_000}' AND 'ACC{_OWN + 1_000 + days}'"
    sql = f"SELECT count(DISTINCT event_time::DATE) AS days, count(*) AS rows FROM transactions WHERE {own}"
    accounting.eventually(lambda: _rows(pipeline, sql)[0]["rows"] >= days, "not stored", seconds=120)
    assert _rows(pipeline, sql) == [{"days": days, "rows": days}]
    assert accounting.restarts(pipeline.addresses()) == before


def test_records_of_a_transaction_that_was_given_up_are_nowhere_and_no_check_misses_them(pipeline: CommandLine) -> None:
    producer = _producer(pipeline, **{"transactional.id": "a stranger"})
    producer.init_transactions(30)
    for amount, first, ends in (("10.00", 0, True), ("99999.00", 100, False)):
        producer.begin_transaction()
        for number in range(first, first + 100):
            producer.produce(names.RAW_TOPIC, _transaction(number, amount), partition=0)
        assert producer.flush(30) == 0
        (producer.commit_transaction if ends else producer.abort_transaction)(30)
    own = f"account_id BETWEEN 'ACC{_OWN}' AND 'ACC{_OWN + 199}'"
    accounting.eventually(
        lambda: len(_rows(pipeline, f"SELECT 1 FROM transactions WHERE {own}")) >= 100, "not stored", seconds=60
    )
    # Behind them, so that what was given up would have been read.
    behind = _producer(pipeline)
    behind.produce(names.RAW_TOPIC, _transaction(200, "10.00"), partition=0)
    assert behind.flush(30) == 0
    last = f"SELECT 1 FROM transactions WHERE account_id = 'ACC{_OWN + 200}'"
    accounting.eventually(lambda: _rows(pipeline, last), "not stored", seconds=60)
    accounting.await_healthy(pipeline)
    assert _rows(pipeline, f"SELECT DISTINCT amount::VARCHAR AS amount FROM transactions WHERE {own}") == [
        {"amount": "10.00"}
    ]
    assert _rows(pipeline, f"SELECT 1 FROM alerts WHERE {own} AND rule_id = 'high-value'") == []
    (line,) = [part for part in pipeline.status().components if part.name == "lake offsets"]
    assert line.detail == "every record once"


def test_rules_deploy_behind_a_transactions_marker_takes_over(pipeline: CommandLine) -> None:
    """No job ever reads the marker, which stands at the end of the log."""
    producer = _producer(pipeline, **{"transactional.id": "another stranger"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition in (0, 1):
        producer.produce(names.RAW_TOPIC, _transaction(300 + partition, "10.00"), partition=partition)
    producer.commit_transaction(30)
    assert "is in force" in pipeline("rules", "deploy").stdout
    accounting.await_healthy(pipeline)
