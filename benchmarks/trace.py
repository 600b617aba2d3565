"""How long `pipeline trace` takes on a large table: `uv run python -m benchmarks.trace`.

A table of ten million rows in eighty files, compacted, whose commits stand in the ledger. Each record is traced by a
process of its own, as the command is, and within one process, without its start. Results go to
`benchmarks/results/trace.json` and to the screen.
"""

import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.harness import write_result
from benchmarks.made_tables import filled, position, transaction_id
from contracts import tables
from contracts.addresses import Addresses
from contracts.paths import PROJECT
from lake.compaction import compact
from lake.ledger import record
from operations.tracing import trace

_FILES, _ROWS_A_FILE, _TRACES = 80, 125_000, 9


@dataclass(frozen=True)
class Measurement:
    """Seconds of one trace, each the median of several records: the whole command, and the question alone."""

    rows: int
    files: int
    command_by_id: float
    command_by_position: float
    by_id: float
    by_position: float


def main() -> None:
    """Makes the table, traces records, and writes what it took."""
    with tempfile.TemporaryDirectory(prefix="bench-trace-") as folder:
        state = Path(folder).resolve() / "state"
        with filled(state, files=_FILES, rows_a_file=_ROWS_A_FILE) as (addresses, catalog):
            record(catalog)
            compact(catalog.load_table(tables.transactions().identifier), tables.transactions())
            files = len(list(catalog.load_table(tables.transactions().identifier).scan().plan_files()))
        numbers = random.Random(1).sample(range(_FILES * _ROWS_A_FILE), _TRACES)
        ids, places = [*map(transaction_id, numbers)], [*map(position, numbers)]
        found = Measurement(
            rows=_FILES * _ROWS_A_FILE,
            files=files,
            command_by_id=median(_command(state, asked) for asked in ids),
            command_by_position=median(_command(state, asked) for asked in places),
            by_id=median(_question(addresses, asked) for asked in ids),
            by_position=median(_question(addresses, asked) for asked in places),
        )
    Console().print_json(data=write_result("trace", **asdict(found)))


def _command(state: Path, asked: str) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "operations.cli", "trace", asked], cwd=PROJECT, check=True, stdout=subprocess.DEVNULL,
        env={"PIPELINE_STATE": str(state), "PATH": ""},
    )  # fmt: skip
    return time.perf_counter() - started


def _question(addresses: Addresses, asked: str) -> float:
    started = time.perf_counter()
    (found,) = trace(addresses, asked).rows
    assert found.commit
    assert found.commit.recorded
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
