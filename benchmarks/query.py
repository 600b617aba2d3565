"""How long `pipeline query` takes on a million and on ten million rows: `uv run python -m benchmarks.query`.

A compacted table of transactions, so many rows to a file as compaction leaves. Each question is asked by a process of
its own, as a person asks it (the first of several is left out: later ones find the files in the page cache), and within
one process, without its start. Results go to `benchmarks/results/query.json` and to the screen.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.harness import write_result
from benchmarks.made_tables import filled, transaction_id
from contracts import tables
from contracts.addresses import Addresses
from contracts.paths import PROJECT
from lake.compaction import compact
from lake.duck import connect_to, select
from lake.locations import metadata_locations

_ROWS_A_FILE, _TIMES = 125_000, 5
_QUESTIONS = {
    "count": "SELECT count(*) FROM transactions",
    "sums by country": "SELECT country, count(*), sum(amount) FROM transactions GROUP BY 1 ORDER BY 2 DESC",
    "sums by currency and hour": (
        "SELECT date_trunc('hour', event_time), currency, sum(amount) FROM transactions GROUP BY ALL ORDER BY ALL"
    ),
    "ten largest accounts": (
        "SELECT account_id, sum(amount) AS total FROM transactions GROUP BY 1 ORDER BY total DESC LIMIT 10"
    ),
    "one transaction": f"SELECT * FROM transactions WHERE transaction_id = '{transaction_id(77_777)}'",
}


@dataclass(frozen=True)
class Measurement:
    """Seconds of one question, each the median of several: the whole command, and the question alone."""

    rows: int
    question: str
    command: float
    alone: float


def main() -> None:
    """Makes the tables, asks, and writes what it took."""
    found = [entry for rows in (1_000_000, 10_000_000) for entry in _measure(rows)]
    Console().print_json(data=write_result("query", results=[asdict(entry) for entry in found]))


def _measure(rows: int) -> list[Measurement]:
    with tempfile.TemporaryDirectory(prefix="bench-query-") as folder:
        state = Path(folder).resolve() / "state"
        with filled(state, files=rows // _ROWS_A_FILE, rows_a_file=_ROWS_A_FILE) as (addresses, catalog):
            compact(catalog.load_table(tables.transactions().identifier), tables.transactions())
        return [
            Measurement(
                rows,
                question,
                command=_median(partial(_command, state, sql)),
                alone=_median(partial(_question, addresses, sql)),
            )
            for question, sql in _QUESTIONS.items()
        ]


def _median(ask: Callable[[], None]) -> float:
    ask()
    return round(median(_timed(ask) for _ in range(_TIMES)), 4)


def _timed(ask: Callable[[], None]) -> float:
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started


def _command(state: Path, sql: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "operations.cli", "query", "--output", "csv", sql], cwd=PROJECT, check=True,
        stdout=subprocess.DEVNULL, env={"PIPELINE_STATE": str(state), "PATH": ""},
    )  # fmt: skip


def _question(addresses: Addresses, sql: str) -> None:
    with connect_to(metadata_locations(addresses), addresses.iceberg_warehouse) as connection:
        select(connection, sql).fetchall()


if __name__ == "__main__":
    main()
