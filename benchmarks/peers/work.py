"""The work that every peer does, record by record in plain Python: the verdict, the rules, and rows for the tables.

A peer is a framework around it. What is here is written as its author would write it for speed: no more is checked than
the contract says, and an account's past is a short queue.
"""

import hashlib
from base64 import b64encode
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
from jsonschema_rs import Draft202012Validator
from pyiceberg.table import Table

from contracts import names
from contracts.schema import load_contract
from streaming.rules.base import Rule
from streaming.rules.book import load_rules
from streaming.rules.high_value import HighValue
from streaming.rules.rapid_activity import RapidActivity
from streaming.rules.unusual_hour import UnusualHour

Record = dict[str, str]


class Judge:
    """The contract's verdict."""

    def __init__(self) -> None:
        contract = load_contract("transaction")
        self._largest = contract.record_limits.bytes
        self._validator = Draft202012Validator(contract.schema, validate_formats=True)

    def __call__(self, payload: bytes | None) -> Record | None:
        """The record; None for one that is refused."""
        if payload is None or len(payload) > self._largest:
            return None
        try:
            record = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return None
        return record if self._validator.is_valid(record) else None


@dataclass
class Rules:
    """The rules of the configuration, with what they remember of each account; lost with the process."""

    book: tuple[Rule, ...] = field(default_factory=lambda: load_rules().in_force)
    _past: dict[str, deque[datetime]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=30)))
    _zones: dict[str, ZoneInfo] = field(default_factory=dict)

    def alerts(self, record: Record) -> Iterator[dict[str, str]]:
        """The alerts that a valid record raises."""
        moment, amount = datetime.fromisoformat(record["timestamp"]), Decimal(record["amount"])
        past = self._past[record["account_id"]]
        for rule in self.book:
            if self._hits(rule, record, moment, amount, past):
                identity = f"{rule.id}\n{rule.rule_version}\n{record['transaction_id']}"
                yield {
                    "alert_id": hashlib.sha256(identity.encode()).hexdigest(),
                    "transaction_id": record["transaction_id"],
                    "account_id": record["account_id"],
                    "rule_id": rule.id,
                }
        past.append(moment)

    def _hits(self, rule: Rule, record: Record, moment: datetime, amount: Decimal, past: deque[datetime]) -> bool:
        match rule:
            case HighValue(thresholds=thresholds):
                threshold = thresholds.get(record["currency"])
                return threshold is not None and amount > threshold
            case RapidActivity(count=count, window_seconds=window, lookback=lookback):
                start = moment - timedelta(seconds=window)
                near = sum(start <= other <= moment for other in list(past)[-lookback:])
                return count is not None and near + 1 > count
            case UnusualHour(start_hour=start_hour, end_hour=end_hour, minimum_amounts=minima, zones=zones):
                minimum = minima.get(record["currency"])
                if minimum is None or amount < minimum:
                    return False
                zone = zones.get(record["country"], "UTC")
                known = self._zones.get(zone) or self._zones.setdefault(zone, ZoneInfo(zone))
                return start_hour <= moment.astimezone(known).hour < end_hour
            case _:
                raise NotImplementedError(f"no peer has a rule like {rule.id}: write its kind here")


@dataclass
class Rows:
    """Valid records and refused ones that wait for a commit, as columns of the tables."""

    valid: list[Record] = field(default_factory=list)
    places: list[tuple[int, int, int]] = field(default_factory=list)
    refused: list[tuple[int, int, bytes | None]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.valid) + len(self.refused)

    def of_transactions(self, table: Table) -> pa.Table:
        """The valid ones as rows of `finance.transactions`; `places` are partition, offset and time in ms."""
        contract = load_contract("transaction")
        values: dict[str, Any] = {
            of.column: pa.array([record.get(of.name) for record in self.valid]) for of in contract.fields
        }
        partitions, offsets, times = zip(*self.places, strict=True)
        values |= {
            "kafka_topic": pa.array([names.RAW_TOPIC] * len(self.valid)),
            "kafka_partition": pa.array(partitions),
            "kafka_offset": pa.array(offsets),
            "kafka_timestamp": pa.array(times, pa.timestamp("ms", "UTC")),
            "processed_at": pa.array([datetime.now(UTC)] * len(self.valid)),
        }
        return _as_in(table, values, len(self.valid))

    def of_dead_letters(self, table: Table) -> pa.Table:
        """The refused ones, with less of an explanation than the pipeline's."""
        now = datetime.now(UTC)
        count = len(self.refused)
        values: dict[str, Any] = {
            "topic": pa.array([names.RAW_TOPIC] * count),
            "partition": pa.array([partition for partition, _, _ in self.refused]),
            "offset": pa.array([offset for _, offset, _ in self.refused]),
            "reason_code": pa.array(["refused"] * count),
            "message": pa.array(["it breaks the contract"] * count),
            "payload": pa.array([payload and b64encode(payload).decode() for _, _, payload in self.refused]),
            "payload_encoding": pa.array(["base64"] * count),
            "failed_at": pa.array([now] * count),
        }
        return _as_in(table, values, count)


def _as_in(table: Table, values: dict[str, Any], count: int) -> pa.Table:
    schema = table.schema().as_arrow()
    columns = [values[one.name].cast(one.type) if one.name in values else pa.nulls(count, one.type) for one in schema]
    return pa.Table.from_arrays(columns, schema=schema)
