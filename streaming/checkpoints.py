"""Where a job's checkpoints lie, and what it can go on from.

Under the checkpoints folder: `<job>/<fingerprint of its plan>/`, then Flink's own `<job id>/chk-<n>/` and
`savepoints/savepoint-<...>/`. The fingerprint is there because state fits only the plan that wrote it; beside them,
`contracts.json` has the contracts that the plan was made of, by which a changed contract is judged.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from contracts.schema import CONTRACTS, Contract, load_contract, parse_contract


@dataclass(frozen=True)
class RestorePoint:
    """A completed checkpoint or savepoint. `written_at` is its time in seconds since the epoch, UTC."""

    path: Path
    fingerprint: str
    written_at: float


def flink_uri(folder: Path) -> str:
    """How Flink is told of a folder. Not `as_uri()`: Flink takes its "%20" literally and writes beside the folder."""
    return f"file://{folder}"


def checkpoint_folder(checkpoints: Path, job: str, fingerprint: str) -> Path:
    """Where Flink puts the checkpoints of `job` while its plan has that fingerprint."""
    return checkpoints / job / fingerprint


def savepoint_folder(checkpoints: Path, job: str, fingerprint: str) -> Path:
    """Where the savepoints of an orderly end go."""
    return checkpoint_folder(checkpoints, job, fingerprint) / "savepoints"


def newest_restore_point(checkpoints: Path, job: str, fingerprint: str = "*") -> RestorePoint | None:
    """The newest one of `job`, of the plan with that fingerprint or of any; None where it never completed one.

    Flink writes `_metadata` last, so a checkpoint that was cut short has none.
    """
    points = [
        RestorePoint(metadata.parent, plan.name, metadata.stat().st_mtime)
        for plan in (checkpoints / job).glob(f"{fingerprint}/")
        for pattern in ("*/chk-*/_metadata", "savepoints/savepoint-*/_metadata")
        for metadata in plan.glob(pattern)
    ]
    return max(points, key=lambda point: point.written_at, default=None)


def record_contracts(checkpoints: Path, job: str, fingerprint: str) -> None:
    """Writes down the contracts that the plan of that fingerprint is made of."""
    path = _contracts_file(checkpoints, job, fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({name: load_contract(name).schema for name in CONTRACTS}), encoding="utf-8")
    partial.replace(path)


def recorded_contracts(checkpoints: Path, job: str, fingerprint: str) -> tuple[Contract, ...] | None:
    """The contracts that the plan of that fingerprint was made of; None where they were not written down."""
    path = _contracts_file(checkpoints, job, fingerprint)
    if not path.exists():
        return None
    return tuple(parse_contract(name, schema, path) for name, schema in json.loads(path.read_bytes()).items())


def _contracts_file(checkpoints: Path, job: str, fingerprint: str) -> Path:
    return checkpoint_folder(checkpoints, job, fingerprint) / "contracts.json"
