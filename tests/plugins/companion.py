"""Ends the processes of a test run that was itself killed: `python -m tests.plugins.companion RUN FOLDER`.

The run holds the other end of standard input. If that closes without a word, the run can no longer clean up.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

RUN_VARIABLE = "TEST_RUN"
_KILL_AFTER_SECONDS = 8


def processes_of(run: str) -> list[psutil.Process]:
    """List the processes that belong to the test run of this name, other than those above the one that asks."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(RUN_VARIABLE) == run and process.pid not in mine:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def end_processes(run: str) -> int:
    """End the processes of the run `run`, first politely, after 8 s by SIGKILL. Return how many there were."""
    first = processes_of(run)
    deadline = time.monotonic() + _KILL_AFTER_SECONDS
    asked: set[int] = set()
    while left := processes_of(run):
        for process in left:
            try:
                if time.monotonic() > deadline:
                    process.kill()
                elif process.pid not in asked:
                    process.terminate()
                    asked.add(process.pid)
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.05)
    return len(first)


def remove(folder: Path) -> None:
    """Remove the folder of a run, with every disk that is mounted below it."""
    for mount in [found.mountpoint for found in psutil.disk_partitions(all=True)]:
        if Path(mount).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Wait for the end of the run, and clean up unless it says that it has done so."""
    run, folder = sys.argv[1:]
    if sys.stdin.buffer.read():
        return
    count = end_processes(run)
    remove(Path(folder))
    if count:
        sys.stderr.write(f"The test run was killed; {count} processes of it have been ended.\n")


if __name__ == "__main__":
    main()
