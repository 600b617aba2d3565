"""Large tables of valid transactions for benchmarks, made without a stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog

from contracts import names, tables
from contracts.addresses import Addresses
from contracts.paths import StatePaths
from lake.catalog import open_catalog
from lake.tables import create_tables, iceberg_schema

_GAP_MS = 10


@contextmanager
def filled(state: Path, *, files: int, rows_a_file: int) -> Iterator[tuple[Addresses, Catalog]]:
    """The tables of the state folder `state`; `transactions` has so many commits of one file each, as by Flink."""
    addresses = Addresses.local(state=StatePaths(state), kafka_port=1, flink_rest_port=1, dagster_port=1)
    addresses.write()
    begin = datetime.now(UTC) - timedelta(milliseconds=_GAP_MS * files * rows_a_file)
    with open_catalog(addresses) as catalog:
        create_tables(catalog)
        table = catalog.load_table(tables.transactions().identifier)
        for number in range(files):
            table.append(
                _rows(number * rows_a_file, rows_a_file, begin),
                snapshot_properties={names.FLINK_JOB_ID_PROPERTY: "f00d", names.FLINK_CHECKPOINT_PROPERTY: str(number)},
            )
        yield addresses, catalog


def transaction_id(number: int) -> str:
    """The id of the transaction of that number."""
    return f"{number:08x}-0000-4000-8000-{number * 7919 % 2**48:012x}"


def position(number: int) -> str:
    """Where its record stood: partition/offset."""
    return f"{number % 2}/{number // 2}"


def _rows(first: int, count: int, begin: datetime) -> pa.Table:
    """Valid transactions, numbered from `first`, the first of all sent at `begin`, one every 10 ms."""
    number = np.arange(first, first + count)
    draw = np.random.default_rng(first)
    sent = np.datetime64(begin.replace(tzinfo=None), "us") + number * np.timedelta64(_GAP_MS, "ms")

    def one_of(shares: dict[str, float]) -> pa.Array:
        return pa.array(draw.choice(list(shares), count, p=np.array(list(shares.values())) / sum(shares.values())))

    columns = {
        "transaction_id": pa.array([transaction_id(int(value)) for value in number]),
        "event_time": pa.array(sent - np.timedelta64(30, "ms")),
        "account_id": pa.array([f"ACC{value:09}" for value in draw.integers(0, 20_000, count)]),
        "amount": pa.array(draw.integers(1, 500_000, count)).cast(pa.decimal128(21, 2)),
        "currency": one_of({"USD": 0.43, "EUR": 0.16, "GBP": 0.12, "JPY": 0.09, "CAD": 0.2}),
        "merchant_id": pa.array([f"MER{value:06}" for value in draw.integers(0, 500, count)]),
        "merchant_name": pa.array([f"Shop {value}" for value in draw.integers(0, 500, count)]),
        "merchant_category": one_of({"5411": 0.5, "5812": 0.3, "5541": 0.2}),
        "transaction_type": one_of({"purchase": 0.905, "withdrawal": 0.05, "transfer": 0.035, "refund": 0.01}),
        "channel": one_of({"pos": 0.61, "online": 0.34, "atm": 0.05}),
        "country": one_of({"US": 0.5, "DE": 0.3, "GB": 0.2}),
        "kafka_topic": pa.array([names.RAW_TOPIC] * count),
        "kafka_partition": pa.array(number % 2),
        "kafka_offset": pa.array(number // 2),
        "kafka_timestamp": pa.array(sent),
        "processed_at": pa.array(sent + np.timedelta64(20, "ms")),
    }
    schema = iceberg_schema(tables.transactions()).as_arrow()
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
