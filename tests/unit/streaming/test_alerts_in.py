"""Records of the topic `alerts`, ours or a stranger's: alerts, or dead letters with a reason."""

import json
from typing import Any

import pytest

from contracts.schema import load_contract
from streaming.alerts_in import read_alert
from streaming.explain import Explanation

_FIELDS = [field.name for field in load_contract("alert").fields]
ALERT: dict[str, Any] = {
    "alert_id": "a" * 64,
    "transaction_id": "00000000-0000-0000-0000-000000000001",
    "account_id": "ACC000000001",
    "rule_id": "high-value",
    "rule_version": "1",
    "severity": "high",
    "event_time": "2026-11-30T12:00:00.120Z",
    "detected_at": "2026-11-30T12:00:01Z",
    "evidence": {"amount": "9000.00", "threshold": "5000.00"},
    "source_partition": 0,
    "source_offset": 4711,
}


def read(record: object) -> tuple[dict[str, Any], Explanation]:
    """The alert's columns, and why it is none."""
    payload = record if record is None or isinstance(record, bytes) else json.dumps(record).encode()
    values = read_alert(payload)
    return dict(zip(_FIELDS, values, strict=False)), Explanation(*values[len(_FIELDS) :])


def test_read_alert_of_our_own_is_its_values_with_times_in_milliseconds() -> None:
    values, explanation = read(ALERT)
    texts = {"detected_at": "2026-11-30T12:00:01.000Z", "source_partition": "0", "source_offset": "4711"}
    assert values == ALERT | texts
    assert set(explanation) == {None}


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2026-11-30T12:00:00Z", "2026-11-30T12:00:00.000Z"),
        ("2026-11-30T12:00:00.123456789Z", "2026-11-30T12:00:00.123Z"),
        ("2026-11-30T01:30:00.5+02:00", "2026-11-29T23:30:00.500Z"),
    ],
)
def test_read_alert_time_in_any_form_of_rfc_3339_is_utc(written: str, stored: str) -> None:
    assert read(ALERT | {"event_time": written})[0]["event_time"] == stored


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "no_payload"),
        (b"hello", "malformed_json"),
        (b"\xff\xfe", "not_utf8"),
        ([1], "not_an_object"),
        ({}, "missing_field"),
        ({"alert_id": None}, "missing_field"),
        (ALERT | {"alert_id": None}, "wrong_type"),
        (ALERT | {"more": 1}, "bad_format"),
        (ALERT | {"severity": "grave"}, "not_in_enum"),
        (ALERT | {"evidence": {"amount": 9000}}, "wrong_type"),
        (ALERT | {"source_offset": -1}, "out_of_range"),
        (ALERT | {"source_offset": 2**63}, "bad_format"),
        (ALERT | {"source_partition": 2**31}, "bad_format"),
        (ALERT | {"source_offset": 1e400}, "malformed_json"),
        (ALERT | {"event_time": "2026-11-30"}, "bad_format"),
        (ALERT | {"event_time": "0001-01-01T00:00:00+14:00"}, "bad_format"),
        (ALERT | {"event_time": "2026-11-30T23:59:60Z"}, "bad_format"),
        (json.dumps(ALERT).replace("high-value", "\\ud800").encode(), "malformed_json"),
        (ALERT | {"evidence": {"amount": "x" * 40_000}}, "too_large"),
    ],
)
def test_read_alert_of_a_stranger_is_a_reason_and_its_bytes(record: object, reason: str) -> None:
    values, explanation = read(record)
    assert {name for name, value in values.items() if value is not None} == {"evidence"}
    assert values["evidence"] == {}
    assert explanation.reason_code == reason
    assert explanation.message
    assert (explanation.payload is None) == (record is None)


def test_read_alert_whole_number_written_as_a_fraction_is_a_number() -> None:
    assert read(json.dumps(ALERT).replace("4711", "4711.0").encode())[0]["source_offset"] == "4711"
