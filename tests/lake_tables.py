"""Real Iceberg tables in a temporary folder, and rows to put into them, for every test that reads the lake."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from uuid import UUID

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from contracts import names, tables
from contracts.addresses import Addresses
from contracts.paths import StatePaths
from lake.catalog import open_catalog
from lake.tables import create_tables

# Commits happen at the real time, so the rows are dated shortly before it.
NOW = datetime.now(UTC).replace(microsecond=0)
Row = Mapping[str, object]


@dataclass(frozen=True)
class Lake:
    """An open catalog with the pipeline's empty tables, and the addresses that the state folder `state` holds."""

    state: Path
    addresses: Addresses
    catalog: Catalog

    def table(self, name: str) -> Table:
        """The table called `name`, as it is now."""
        return self.catalog.load_table(f"{names.NAMESPACE}.{name}")

    def append(self, name: str, rows: Sequence[Row], **properties: str) -> int:
        """Commits `rows` with these snapshot properties; the snapshot's id. No rows: an empty commit."""
        table = self.table(name)
        table.append(pa.Table.from_pylist(list(rows), schema=table.schema().as_arrow()), snapshot_properties=properties)
        snapshot = table.current_snapshot()
        assert snapshot is not None
        return snapshot.snapshot_id


@contextmanager
def lake_in(state: Path) -> Iterator[Lake]:
    """A lake in the state folder `state`. Its broker and Flink have addresses at which nobody answers."""
    paths = StatePaths(state)
    addresses = Addresses.local(state=paths, kafka_port=1, flink_rest_port=1, dagster_port=1)
    addresses.write()
    fresh = not paths.catalog.exists()
    if fresh:
        _copy_empty_tables(_empty_lake(repr(tables.all_tables())), paths)
    with open_catalog(addresses) as catalog:
        if not fresh:
            create_tables(catalog)
        yield Lake(state, addresses, catalog)


@cache
def _empty_lake(definitions: str) -> StatePaths:
    """Return a state folder with the empty tables of `definitions`, made once per process; making them takes 0.1 s."""
    del definitions  # the key of the cache
    paths = StatePaths(Path(tempfile.mkdtemp(prefix="empty-lake-")).resolve())
    with open_catalog(Addresses.local(state=paths, kafka_port=1, flink_rest_port=1, dagster_port=1)) as catalog:
        create_tables(catalog)
    return paths


def _copy_empty_tables(source: StatePaths, target: StatePaths) -> None:
    """Copy the tables of `source`, with every path in them changed to the one in `target`."""
    was, now = f"file://{source.warehouse}", f"file://{target.warehouse}"
    for path in source.warehouse.rglob("*.metadata.json"):
        copy = target.warehouse / path.relative_to(source.warehouse)
        copy.parent.mkdir(parents=True)
        copy.write_text(path.read_text(encoding="utf-8").replace(was, now), encoding="utf-8")
    target.catalog.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.catalog, target.catalog)
    with closing(sqlite3.connect(target.catalog)) as database, database:
        database.execute("UPDATE iceberg_tables SET metadata_location = replace(metadata_location, ?, ?)", (was, now))


def transaction(number: int, **other: object) -> dict[str, object]:
    """The valid row number `number` of `finance.transactions`; `other` values replace its own."""
    sent = NOW - timedelta(seconds=2)
    row = {
        "transaction_id": str(UUID(int=number)),
        "event_time": sent - timedelta(milliseconds=20),
        "account_id": f"ACC{number % 500:09}",
        "amount": Decimal(number % 90_000 + 1).scaleb(-2),
        "currency": ("USD", "EUR", "JPY")[number % 3],
        "merchant_id": f"MER{number % 70:06}",
        "merchant_name": "Café Zürich" if number % 2 else "Grocery & Sons",
        "merchant_category": "5411",
        "transaction_type": "purchase",
        "channel": "pos",
        "country": "CH",
        "kafka_topic": names.RAW_TOPIC,
        "kafka_partition": number % 2,
        "kafka_offset": number // 2,
        "kafka_timestamp": sent,
        "processed_at": sent + timedelta(milliseconds=10),
        "replayed_from": None,
    }
    columns = tables.transactions().columns
    assert [column.name for column in columns if column.name in row or not column.nullable] == list(row)
    return {column.name: row.get(column.name) for column in columns} | other


def dead_letter(number: int, **other: object) -> dict[str, object]:
    """Row number `number` of `finance.dead_letters`."""
    row = {
        "topic": names.RAW_TOPIC,
        "partition": 0,
        "offset": 1_000_000 + number,
        "reason_code": "malformed_json",
        "message": "not JSON",
        "payload": '{"transaction_id"',
        "payload_encoding": "utf-8",
        "failed_at": NOW - timedelta(seconds=1),
        "replayed_from": None,
    }
    return row | other


def alert(number: int, **other: object) -> dict[str, object]:
    """Row number `number` of `finance.alerts`."""
    row = {
        "alert_id": f"{number:064x}",
        "transaction_id": str(UUID(int=number)),
        "account_id": f"ACC{number % 500:09}",
        "rule_id": "high-value",
        "rule_version": "1",
        "severity": "high",
        "event_time": NOW - timedelta(seconds=3),
        "detected_at": NOW - timedelta(seconds=2),
        "evidence": [("threshold", "5000.00"), ("amount", "7000.00")],
        "source_partition": 0,
        "source_offset": number,
        "kafka_topic": names.ALERT_TOPIC,
        "kafka_partition": 0,
        "kafka_offset": number,
        "kafka_timestamp": NOW - timedelta(seconds=2),
        "processed_at": NOW - timedelta(seconds=2),
    }
    return row | other
