"""What the full suite of a million transactions costs: `uv run python -m benchmarks.quality`.

A table of a million rows in ten files, judged three times, each time by a process of its own, as a run of Dagster is.
Seconds without the imports, and the process's peak resident memory. Results go to `benchmarks/results/quality.json` and
to the screen.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from rich.console import Console

from benchmarks.harness import RESULTS, machine
from contracts import names, tables
from contracts.addresses import Addresses
from contracts.paths import PROJECT, StatePaths
from lake.catalog import open_catalog
from lake.pinning import pin
from lake.tables import create_tables, iceberg_schema

_RESULTS = RESULTS / "quality.json"
_FILES, _ROWS_A_FILE, _ROUNDS = 10, 100_000, 3


@dataclass(frozen=True)
class Measurement:
    """One process: seconds of the imports and of the suite, peak resident memory in MiB, and what it found."""

    import_seconds: float
    suite_seconds: float
    peak_mb: int
    rows: int
    expectations: int
    broken: tuple[str, ...]


def _rows(first: int, count: int) -> pa.Table:
    """Valid transactions, numbered from `first`, one every 10 ms until now."""
    number = np.arange(first, first + count)
    draw = np.random.default_rng(first)
    end = datetime.now(UTC) - timedelta(seconds=10 * _FILES * _ROWS_A_FILE / 1000)
    sent = np.datetime64(end.replace(tzinfo=None), "us") + number * np.timedelta64(10, "ms")

    def one_of(shares: dict[str, float]) -> pa.Array:
        return pa.array(draw.choice(list(shares), count, p=np.array(list(shares.values())) / sum(shares.values())))

    columns = {
        "transaction_id": pa.array([f"{value:08x}-0000-4000-8000-{value * 7919 % 2**48:012x}" for value in number]),
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


def _fill(state: Path) -> None:
    addresses = Addresses.local(state=StatePaths(state), kafka_port=1, flink_rest_port=1, dagster_port=1)
    addresses.write()
    with open_catalog(addresses) as catalog:
        create_tables(catalog)
        table = catalog.load_table(tables.transactions().identifier)
        for number in range(_FILES):
            table.append(_rows(number * _ROWS_A_FILE, _ROWS_A_FILE))


def _measure(state: Path) -> Measurement:
    started = time.perf_counter()
    from quality.runner import run
    from quality.settings import load_quality
    from quality.suites.catalogue import SUITES

    imported = time.perf_counter()
    with open_catalog(Addresses.read(state)) as catalog:
        pinned = pin(catalog, tables.stream_tables())
    verdict = run(SUITES[names.TRANSACTIONS](load_quality()), pinned)
    return Measurement(
        import_seconds=round(imported - started, 2),
        suite_seconds=round(time.perf_counter() - imported, 2),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        rows=verdict.rows,
        expectations=len(verdict.outcomes),
        broken=tuple(outcome.name for outcome in verdict.outcomes if not outcome.passed),
    )


def main(arguments: list[str]) -> None:
    """Measures, prints, writes the results; with a state folder as argument it is the process that is measured."""
    if arguments:
        sys.stdout.write(json.dumps(asdict(_measure(Path(arguments[0])))))
        return
    console, found = Console(), []
    with tempfile.TemporaryDirectory(prefix="quality-benchmark-") as folder:
        state = Path(folder).resolve()
        with console.status("making a million transactions"):
            _fill(state)
        for number in range(_ROUNDS):
            with console.status(f"judging them, {number + 1} of {_ROUNDS}"):
                command = [sys.executable, "-m", "benchmarks.quality", str(state)]
                done = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
            found.append(json.loads(done.stdout))
            console.print(found[-1])
    summary = {
        "machine": machine(),
        "suite_seconds": median(one["suite_seconds"] for one in found),
        "import_seconds": median(one["import_seconds"] for one in found),
        "peak_mb": max(one["peak_mb"] for one in found),
        "runs": found,
    }
    _RESULTS.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    console.print(
        f"{found[0]['expectations']} expectations over {found[0]['rows']:,} rows: {summary['suite_seconds']} s, "
        f"imports {summary['import_seconds']} s, peak {summary['peak_mb']} MiB"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
