"""Finds what a job can go on from: its newest retained checkpoint or savepoint in the state folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RestorePoint:
    """A completed checkpoint or savepoint. `written_at` is its time in seconds since the epoch, UTC."""

    path: Path
    written_at: float


def newest_restore_point(checkpoints: Path, job: str) -> RestorePoint | None:
    """The newest one of `job` under the folder `checkpoints`; None where it never completed one.

    Flink writes `_metadata` last, so a checkpoint that was cut short has none.
    """
    folder = checkpoints / job
    found = [*folder.glob("*/chk-*/_metadata"), *folder.glob("savepoints/savepoint-*/_metadata")]
    points = (RestorePoint(path.parent, path.stat().st_mtime) for path in found)
    return max(points, key=lambda point: point.written_at, default=None)
