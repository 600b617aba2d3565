"""Ledgers of a traffic generator, written by hand: one row a record sent, for every test that scores a run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from tests.lake_tables import NOW, alert, dead_letter

_TEXT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),
        ("transaction_id", pa.string()),
        ("account_id", _TEXT),
        ("scenario", _TEXT),
        ("incident", pa.int64()),
        ("run", _TEXT),
        ("disturbance", _TEXT),
        ("expected", _TEXT),
        ("expected_reason", _TEXT),
        ("outcome", _TEXT),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("event_time", pa.timestamp("ms", tz="UTC")),
        ("sent_at", pa.timestamp("ms", tz="UTC")),
    ]
)


def sent(number: int, **other: object) -> dict[str, Any]:
    """An ordinary record, valid and acknowledged at the position of `tests.lake_tables.transaction(number)`."""
    row = {
        "seq": number,
        "transaction_id": str(UUID(int=number)),
        "account_id": f"ACC{number % 500:09}",
        "scenario": "ordinary",
        "incident": None,
        "run": "20261125T120000",
        "disturbance": None,
        "expected": "valid",
        "expected_reason": None,
        "outcome": "ok",
        "partition": number % 2,
        "offset": number // 2,
        "event_time": NOW,
        "sent_at": NOW,
    }
    return row | other


def malformed(number: int, reason: str, **other: object) -> dict[str, Any]:
    """A record that must be refused for `reason`, acknowledged at the same position."""
    row = {"transaction_id": None, "expected": "malformed", "expected_reason": reason, "disturbance": "cut_off"}
    return sent(number, **row | other)


def write_ledger(folder: Path, rows: Iterable[Mapping[str, object]], *, name: str = "1") -> Path:
    """One finished file of `rows` in `folder`; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), folder / f"{name}.parquet")
    return folder


def refused(number: int, reason: str = "malformed_json", **other: object) -> dict[str, object]:
    """The dead letter of the record sent as `number`."""
    return dead_letter(number, partition=number % 2, offset=number // 2, reason_code=reason, **other)


def raised(number: int, rule: str = "high-value", **other: object) -> dict[str, object]:
    """An alert on the record sent as `number`."""
    place = {"source_partition": number % 2, "source_offset": number // 2, "rule_id": rule}
    return alert(number, **place | other)


def fraud(number: int, incident: int, scenario: str = "velocity_burst", **other: object) -> dict[str, Any]:
    """A record of an incident."""
    return sent(number, scenario=scenario, incident=incident, **other)
