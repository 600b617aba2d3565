"""Compacts every table again and again until it is asked to end: `python -m benchmarks.compacting`.

Harder on the stream than any schedule would be. Prints how many commits replaced files.
"""

import os
import signal
import threading
from pathlib import Path

from contracts.addresses import Addresses
from contracts.tables import all_tables
from lake.catalog import open_catalog
from lake.compaction import compact

_PAUSE_SECONDS = 2.0
_NICE = 10


def _yield_to_the_stream() -> None:
    """As Dagster's processes do. Where Linux groups by session, a process is only nice within its own."""
    os.nice(_NICE)
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text(str(_NICE), encoding="ascii")


def main() -> None:
    """Compacts the tables of the pipeline that the environment names."""
    _yield_to_the_stream()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    catalog, commits = open_catalog(Addresses.from_environment()), 0
    while not ended.wait(_PAUSE_SECONDS):
        for table in all_tables():
            done = compact(catalog.load_table(table.identifier), table)
            commits += bool(done.files_before)
    print(commits)  # noqa: T201


if __name__ == "__main__":
    main()
