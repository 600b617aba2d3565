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
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.harness import write_result
from benchmarks.made_tables import filled
from contracts import names, tables
from contracts.addresses import Addresses
from contracts.paths import PROJECT
from lake.catalog import open_catalog
from lake.pinning import pin

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
        with (
            console.status("making a million transactions"),
            filled(state, files=_FILES, rows_a_file=_ROWS_A_FILE),
        ):
            pass
        for number in range(_ROUNDS):
            with console.status(f"judging them, {number + 1} of {_ROUNDS}"):
                command = [sys.executable, "-m", "benchmarks.quality", str(state)]
                done = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
            found.append(json.loads(done.stdout))
            console.print(found[-1])
    summary = {
        "suite_seconds": median(one["suite_seconds"] for one in found),
        "import_seconds": median(one["import_seconds"] for one in found),
        "peak_mb": max(one["peak_mb"] for one in found),
        "runs": found,
    }
    write_result("quality", **summary)
    console.print(
        f"{found[0]['expectations']} expectations over {found[0]['rows']:,} rows: {summary['suite_seconds']} s, "
        f"imports {summary['import_seconds']} s, peak {summary['peak_mb']} MiB"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
