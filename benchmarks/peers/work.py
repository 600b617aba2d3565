"""The work that every peer does, record by record in plain Python: the verdict, the rules, and rows for the tables.

A peer is a framework around it. What is here is written as its author would write it for speed: no more is checked than
the contract says, and an account's past is a short queue.
"""

import hashlib
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
from jsonschema_rs import Draft202012Validator
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from contracts import names, tables
from contracts.addresses import Addresses
from contracts.schema import load_contract
from lake.catalog import open_catalog
from lake.tables import create_tables
from streaming.rules.base import Rule
from streaming.rules.book import load_rules
from streaming.rules.high_value import HighValue
from streaming.rules.rapid_activity import RapidActivity
from streaming.rules.unusual_hour import UnusualHour

Record = dict[str, str]
Alert = dict[str, str]
# When an account's last records happened, in microseconds since 1970: whole numbers, which every framework can keep.
Past = deque[int]
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


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


def no_past() -> Past:
    """Of an account that was never seen."""
    return deque(maxlen=30)


@dataclass
class Rules:
    """The rules of the configuration. What they know of an account is the caller's to keep, as his framework can."""

    book: tuple[Rule, ...] = field(default_factory=lambda: load_rules().in_force)
    _zones: dict[str, ZoneInfo] = field(default_factory=dict)

    def alerts(self, record: Record, past: Past) -> list[Alert]:
        """The alerts that a valid record raises, after those of its account in `past`, to which it is added."""
        moment, amount = datetime.fromisoformat(record["timestamp"]), Decimal(record["amount"])
        found = [
            {
                "alert_id": self._identity(rule, record),
                "transaction_id": record["transaction_id"],
                "account_id": record["account_id"],
                "rule_id": rule.id,
            }
            for rule in self.book
            if self._hits(rule, record, moment, amount, past)
        ]
        past.append(_microseconds(moment))
        return found

    @staticmethod
    def _identity(rule: Rule, record: Record) -> str:
        content = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(f"{rule.id}\n{rule.rule_version}\n".encode() + content).hexdigest()

    def _hits(self, rule: Rule, record: Record, moment: datetime, amount: Decimal, past: Past) -> bool:
        match rule:
            case HighValue(thresholds=thresholds):
                threshold = thresholds.get(record["currency"])
                return threshold is not None and amount > threshold
            case RapidActivity(count=count, window_seconds=window, lookback=lookback):
                end = _microseconds(moment)
                near = sum(end - window * 1_000_000 <= other <= end for other in list(past)[-lookback:])
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


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


class Place(NamedTuple):
    """Where a record stood in the raw topic, and its time there in ms."""

    partition: int
    offset: int
    timestamp_ms: int


@dataclass
class Lake:
    """The tables, with the valid records and the refused ones that wait for a commit. Counts what it has committed."""

    catalog: Catalog
    valid: int = 0
    refused: int = 0
    _valid: list[Record] = field(default_factory=list)
    _places: list[Place] = field(default_factory=list)
    _refused: list[tuple[Place, bytes | None]] = field(default_factory=list)

    @classmethod
    def make(cls, addresses: Addresses) -> Self:
        """Makes the tables."""
        catalog = open_catalog(addresses)
        create_tables(catalog)
        return cls(catalog)

    def add(self, place: Place, record: Record) -> None:
        """A valid one."""
        self._valid.append(record)
        self._places.append(place)

    def refuse(self, place: Place, payload: bytes | None) -> None:
        """One that breaks the contract."""
        self._refused.append((place, payload))

    def commit(self) -> None:
        """Appends what waits, in one commit to each table."""
        if self._valid:
            table = self.catalog.load_table(tables.transactions().identifier)
            table.append(self._of_transactions(table))
        if self._refused:
            table = self.catalog.load_table(tables.dead_letters().identifier)
            table.append(self._of_dead_letters(table))
        self.valid += len(self._valid)
        self.refused += len(self._refused)
        self._valid, self._places, self._refused = [], [], []

    def _of_transactions(self, table: Table) -> pa.Table:
        contract = load_contract("transaction")
        values: dict[str, Any] = {
            of.column: pa.array([record.get(of.name) for record in self._valid]) for of in contract.fields
        }
        partitions, offsets, times = zip(*self._places, strict=True)
        values |= {
            "kafka_topic": pa.array([names.RAW_TOPIC] * len(self._valid)),
            "kafka_partition": pa.array(partitions),
            "kafka_offset": pa.array(offsets),
            "kafka_timestamp": pa.array(times, pa.timestamp("ms", "UTC")),
            "processed_at": pa.array([datetime.now(UTC)] * len(self._valid)),
        }
        return _as_in(table, values, len(self._valid))

    def _of_dead_letters(self, table: Table) -> pa.Table:
        """With less of an explanation than the pipeline's."""
        now = datetime.now(UTC)
        count = len(self._refused)
        values: dict[str, Any] = {
            "topic": pa.array([names.RAW_TOPIC] * count),
            "partition": pa.array([place.partition for place, _ in self._refused]),
            "offset": pa.array([place.offset for place, _ in self._refused]),
            "reason_code": pa.array(["refused"] * count),
            "message": pa.array(["it breaks the contract"] * count),
            "payload": pa.array([payload and b64encode(payload).decode() for _, payload in self._refused]),
            "payload_encoding": pa.array(["base64"] * count),
            "failed_at": pa.array([now] * count),
        }
        return _as_in(table, values, count)


def _as_in(table: Table, values: dict[str, Any], count: int) -> pa.Table:
    schema = table.schema().as_arrow()
    columns = [values[one.name].cast(one.type) if one.name in values else pa.nulls(count, one.type) for one in schema]
    return pa.Table.from_arrays(columns, schema=schema)
