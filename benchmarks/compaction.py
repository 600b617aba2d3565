"""What compaction costs and brings: `uv run python -m benchmarks.compaction`.

A table of half an hour at 1,000 transactions a second, a small file every 5 s as Flink commits them, compacted in a
process of its own with nothing beside it; a second call finds nothing to do. Questions are asked before and after.
Results go to `benchmarks/results/compaction.json` and to the screen.
"""

import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.harness import seconds_of, write_result
from benchmarks.made_tables import filled, transaction_id
from contracts import tables
from contracts.addresses import Addresses
from contracts.paths import PROJECT
from lake.catalog import open_catalog
from lake.compaction import Compaction, compact
from lake.duck import connect_to, select
from lake.locations import metadata_locations

_FILES, _ROWS_A_FILE, _ROUNDS, _TIMES = 360, 5_000, 3, 5
_SUMS = "SELECT country, count(*), sum(amount) FROM transactions GROUP BY 1"
_ONE = f"SELECT * FROM transactions WHERE transaction_id = '{transaction_id(77_777)}'"


@dataclass(frozen=True)
class Measurement:
    """One compaction of `rows`: files, bytes, seconds, the process's peak memory; questions in seconds."""

    rows: int
    done: Compaction
    seconds: float
    again_seconds: float
    peak_mb: int
    sums_before: float
    sums_after: float
    one_before: float
    one_after: float

    @property
    def rows_a_second(self) -> int:
        return round(self.rows / self.seconds)


def main(arguments: list[str]) -> None:
    """Measures, prints, writes the results; with a state folder as argument it is the process that is measured."""
    if arguments:
        sys.stdout.write(json.dumps(_compact(Path(arguments[0]))))
        return
    console, found = Console(), []
    for number in range(_ROUNDS):
        with console.status(f"{number + 1} of {_ROUNDS}"):
            found.append(_measure())
        console.print(found[-1])
    write_result("compaction", runs=[{**asdict(one), "rows_a_second": one.rows_a_second} for one in found])


def _measure() -> Measurement:
    with tempfile.TemporaryDirectory(prefix="bench-compaction-") as folder:
        state = Path(folder).resolve() / "state"
        with filled(state, files=_FILES, rows_a_file=_ROWS_A_FILE) as (addresses, _):
            before = (_question(addresses, _SUMS), _question(addresses, _ONE))
            command = [sys.executable, "-m", "benchmarks.compaction", str(state)]
            done = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
            compacted = json.loads(done.stdout)
            after = (_question(addresses, _SUMS), _question(addresses, _ONE))
    return Measurement(
        rows=_FILES * _ROWS_A_FILE,
        done=Compaction(**compacted.pop("done")),
        **compacted,
        sums_before=before[0],
        sums_after=after[0],
        one_before=before[1],
        one_after=after[1],
    )


def _compact(state: Path) -> dict[str, object]:
    """In this process: what it did and took, and its peak memory in MB."""
    transactions, done = tables.transactions(), Compaction()
    with open_catalog(Addresses.read(state)) as catalog:

        def once() -> None:
            nonlocal done
            done += compact(catalog.load_table(transactions.identifier), transactions)

        seconds, again = seconds_of(once), seconds_of(once)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"done": asdict(done), "seconds": round(seconds, 2), "again_seconds": round(again, 2), "peak_mb": peak}


def _question(addresses: Addresses, sql: str) -> float:
    def ask() -> None:
        with connect_to(metadata_locations(addresses), addresses.iceberg_warehouse) as connection:
            select(connection, sql).fetchall()

    ask()
    return round(median(seconds_of(ask) for _ in range(_TIMES)), 3)


if __name__ == "__main__":
    main(sys.argv[1:])
