"""Whether the stream still commits to its tables: the line `lake commits` of the status, and what to do where not.

A commit that is late is no failure yet that anybody reports: the job runs, its checkpoints wait. So the tables are
asked when they were committed to, and the log how long its records have waited.
"""

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from contracts import names
from contracts.paths import StatePaths
from contracts.settings import Settings
from operations.health import Component, Health

NAME = "lake commits"
# The least of what a few commits need.
_FULL_BYTES = 32 * 2**20
# While nothing arrives Flink commits every tenth checkpoint, to each table; two more are patience.
_IDLE_CHECKPOINTS = 12
# The byte of the file `-shm` that whoever writes to a SQLite file with a write-ahead log holds locked.
_WRITE_LOCK_BYTE = 120


@dataclass(frozen=True)
class Patience:
    """After how many seconds without a commit something is wrong: while records wait, and while none does."""

    busy: float
    idle: float

    @classmethod
    def of(cls, settings: Settings) -> "Patience":
        """As configured, but at least six checkpoints."""
        interval = settings.flink.lakehouse_checkpoint_ms / 1000
        busy = max(float(settings.flink.commit_stall_seconds), 6 * interval)
        return cls(busy, busy + _IDLE_CHECKPOINTS * interval)


def judge_commits(
    newest: Mapping[str, datetime | None],
    *,
    now: datetime,
    job_seconds: int,
    patience: Patience,
    overdue: Callable[[datetime], int],
    why: Callable[[], str],
) -> Component:
    """The line of the status.

    `newest` is the time of the stream's last commit by table, `job_seconds` the age of the job that commits (0: there
    is none, which its own line tells). `overdue` counts the records sent before a time that no checkpoint covers;
    `why` finds the cause. Both are asked only where a commit is late.
    """
    ages = {
        table: min(float(job_seconds), (now - moment).total_seconds() if moment else float(job_seconds))
        for table, moment in newest.items()
    }
    if not ages or not job_seconds:
        return Component(NAME, Health.HEALTHY, "none due")
    youngest, (quiet, oldest) = min(ages.values()), max(ages.items(), key=lambda entry: entry[1])
    if youngest > patience.busy and (count := overdue(now - timedelta(seconds=patience.busy))):
        late = f"no commit for {youngest:.0f} s, while {count:,} records wait for more than {patience.busy:.0f} s"
    elif oldest > patience.idle:
        late = f"no commit to {quiet} for {oldest:.0f} s, though even without records there is one every minute"
    else:
        return Component(NAME, Health.HEALTHY, f"the newest {max(0.0, youngest):.0f} s ago")
    return Component(NAME, Health.UNHEALTHY, f"{late}: {why()}. Nothing is lost while Kafka keeps the records")


def find_cause(paths: StatePaths) -> str:
    """Why there may be no commit, and what to do, as the middle of a sentence."""
    with suppress(FileNotFoundError):
        free = shutil.disk_usage(paths.warehouse).free
        if free < _FULL_BYTES:
            return f"the disk of {paths.warehouse} has {free // 2**20} MB left; make room there"
    if _is_locked(paths.catalog):
        holder = _lock_holder(paths.catalog)
        return f"the catalog {paths.catalog} is locked by {holder or 'another process'}; end it, or what it does there"
    component = names.TASKMANAGERS[names.LAKEHOUSE_JOB]
    return f"look for the cause in: pipeline logs {component}; then `pipeline down` and `pipeline up`"


def _is_locked(catalog: Path) -> bool:
    """Whether somebody holds it for longer than a commit takes, which is milliseconds."""
    if not catalog.exists():
        return False
    with closing(sqlite3.connect(catalog, timeout=1.0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
    return False


def _lock_holder(catalog: Path) -> str | None:
    """Name and pid of the process that writes to the catalog, where the kernel tells."""
    try:
        inode = catalog.with_name(f"{catalog.name}-shm").stat().st_ino
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            # 7: POSIX  ADVISORY  WRITE 4711 fd:00:131091 120 120
            fields = line.split()
            if fields[3:4] == ["WRITE"] and fields[5].endswith(f":{inode}") and int(fields[6]) <= _WRITE_LOCK_BYTE:
                return f"{psutil.Process(int(fields[4])).name()} (pid {fields[4]})"
    except (OSError, ValueError, psutil.Error):
        return None  # no Linux, or it ended meanwhile
    return None
