"""Parts that hang or refuse instead of dying: a stopped broker, a locked catalog, a full disk, a commit cut in two.

One pipeline bears it all under traffic.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts import names
from lake.catalog import open_catalog
from tests.integration.recovery.conftest import Patient, SmallDisk

pytestmark = [pytest.mark.long, pytest.mark.in_order, pytest.mark.timeout(420)]


@contextmanager
def locked(catalog: Path) -> Iterator[int]:
    """Another program holds the catalog; its process id."""
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None);"
        "c.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(catalog)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        try:
            yield holder.pid
        finally:
            holder.kill()


def uncommitted(pipeline: Patient) -> set[str]:
    """Complete data files of `transactions` that are younger than its newest snapshot: no snapshot lists them."""
    with open_catalog(pipeline.addresses) as catalog:
        table = catalog.load_table(f"{names.NAMESPACE}.{names.TRANSACTIONS}")
    newest = table.current_snapshot()
    since = newest.timestamp_ms / 1000 if newest else 0.0
    folder = pipeline.paths.warehouse / names.NAMESPACE / names.TRANSACTIONS / "data"
    young = (path for path in folder.rglob("*.parquet") if path.stat().st_mtime > since)
    return {path.name for path in young if path.read_bytes()[-4:] == b"PAR1"}


def test_broker_stopped_for_60_s_loses_and_doubles_nothing(pipeline: Patient, moment: Callable[[], None]) -> None:
    moment()
    broker = pipeline.pid(names.BROKER)
    os.kill(broker, signal.SIGSTOP)
    try:
        time.sleep(60)
    finally:
        os.kill(broker, signal.SIGCONT)
    pipeline.assert_recovers("stopped broker", datetime.now(UTC))


def test_catalog_locked_for_30_s_is_told_by_status_and_loses_nothing(
    pipeline: Patient, moment: Callable[[], None]
) -> None:
    moment()
    began = time.monotonic()
    with locked(pipeline.paths.catalog) as holder:
        told = pipeline.await_word("is locked by", seconds=30)
        time.sleep(max(0.0, 30 - (time.monotonic() - began)))
        ended = datetime.now(UTC)
    assert f"the catalog {pipeline.paths.catalog} is locked by" in told
    assert f"(pid {holder}); end it" in told
    pipeline.assert_recovers("locked catalog", ended)


def test_full_disk_in_the_warehouse_is_told_by_status_and_loses_nothing(
    pipeline: Patient, small_disk: SmallDisk, moment: Callable[[], None]
) -> None:
    if small_disk.refusal:
        pytest.skip(f"needs a disk that may be filled: {small_disk.refusal}")
    moment()
    filler = pipeline.paths.warehouse / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):  # until no space is left
        while True:
            file.write(bytes(2**20))
    try:
        told = pipeline.await_word("make room", seconds=60)
        time.sleep(10)  # a few more restarts
    finally:
        filler.unlink()
        ended = datetime.now(UTC)
    assert str(pipeline.paths.warehouse) in told
    pipeline.assert_recovers("full disk", ended)


def test_kill_while_data_files_wait_for_a_locked_catalog_doubles_and_loses_nothing(
    pipeline: Patient, moment: Callable[[], None]
) -> None:
    moment()
    with locked(pipeline.paths.catalog):
        _await_uncommitted(pipeline)
        killed = pipeline.kill(names.TASKMANAGERS[names.LAKEHOUSE_JOB])
    pipeline.assert_recovers("kill before a late commit", killed)


def test_kill_between_data_files_and_commit_doubles_and_loses_nothing(pipeline: Patient) -> None:
    _await_uncommitted(pipeline)
    pipeline.kill(names.TASKMANAGERS[names.LAKEHOUSE_JOB])
    pipeline.await_commit()
    _await_uncommitted(pipeline)
    pipeline.assert_recovers("kills before a commit", pipeline.kill(names.TASKMANAGERS[names.LAKEHOUSE_JOB]))


def _await_uncommitted(pipeline: Patient) -> None:
    deadline = time.monotonic() + 30
    while not uncommitted(pipeline):
        assert time.monotonic() < deadline, (
            f"no data file waited for its commit:\n{pipeline.command('status', check=False).stdout}"
        )
