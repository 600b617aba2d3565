"""Where a job's checkpoints lie, and what it can go on from.

Under the checkpoints folder: `<job>/<fingerprint of its plan>/`, then Flink's own `<job id>/chk-<n>/` and
`savepoints/savepoint-<...>/`. The fingerprint is there because state fits only the plan that wrote it; beside them,
`contracts.json` has the contracts that the plan was made of, by which a changed contract is judged.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from contracts.schema import CONTRACTS, Contract, load_contract, parse_contract

_SAVEPOINTS = "savepoints"
_CODE, _SCHEMAS = "code", "schemas"
# The newest one, and the one before it for the case that the newest is damaged.
_SAVEPOINTS_KEPT = 2
_REMOVED = ".removed-"


@dataclass(frozen=True)
class RestorePoint:
    """A completed checkpoint or savepoint. `written_at` is its time in seconds since the epoch, UTC."""

    path: Path
    fingerprint: str
    written_at: float

    @property
    def is_savepoint(self) -> bool:
        """Tell a savepoint, whose folder holds all of it, from a checkpoint, which shares files with others."""
        return self.path.parent.name == _SAVEPOINTS


def claim_mode(place: str) -> Literal["CLAIM", "NO_CLAIM"]:
    """Return Flink's claim mode for a job that goes on from the checkpoint or savepoint at `place` (path or URI).

    A claimed checkpoint belongs to the new job, which deletes it in time. A savepoint must not be claimed: incremental
    checkpoints would re-use its files, but name them relative to folders of their own, where they are not, so that
    none of them could be restored (Flink 2.1, with savepoints in the native format). Left alone, the savepoint is
    followed by a full checkpoint.
    """
    return "NO_CLAIM" if Path(place).parent.name == _SAVEPOINTS else "CLAIM"


def link_missing_files(point: RestorePoint) -> tuple[Path, ...]:
    """Link files that the checkpoint `point` names and that only a savepoint's folder holds into its own; return them.

    Earlier versions claimed savepoints (see `claim_mode`), and left checkpoints that miss such files.
    """
    if point.is_savepoint:
        return ()
    metadata = (point.path / "_metadata").read_bytes()
    made = []
    for file in point.path.parents[1].glob(f"{_SAVEPOINTS}/savepoint-*/*"):
        link = point.path / file.name
        if file.name != "_metadata" and file.name.encode() in metadata and not link.exists():
            os.link(file, link)
            made.append(link)
    return tuple(made)


def remove_old_savepoints(checkpoints: Path, job: str, fingerprint: str) -> tuple[Path, ...]:
    """Remove all savepoints of `job` but the two newest; return those removed. Nothing else needs them: each is whole,
    and the job has gone on from a newer one.
    """
    folder = savepoint_folder(checkpoints, job, fingerprint)
    ordered = sorted(folder.glob("savepoint-*/_metadata"), key=lambda metadata: metadata.stat().st_mtime, reverse=True)
    old = tuple(metadata.parent for metadata in ordered[_SAVEPOINTS_KEPT:])
    for savepoint in old:
        remove_state(savepoint)
    return old


def remove_state(folder: Path) -> None:
    """Remove a folder of checkpoints or savepoints, and what an interruption left of others there.

    Half of a state is never there under its name, where a job would go on from it.
    """
    if folder.exists():
        folder.replace(folder.with_name(f"{_REMOVED}{folder.name}"))
    for removed in folder.parent.glob(f"{_REMOVED}*"):
        shutil.rmtree(removed, ignore_errors=True)  # what is left goes with the next


def flink_uri(folder: Path) -> str:
    """How Flink is told of a folder. Not `as_uri()`: Flink takes its "%20" literally and writes beside the folder."""
    return f"file://{folder}"


def checkpoint_folder(checkpoints: Path, job: str, fingerprint: str) -> Path:
    """Where Flink puts the checkpoints of `job` while its plan has that fingerprint."""
    return checkpoints / job / fingerprint


def savepoint_folder(checkpoints: Path, job: str, fingerprint: str) -> Path:
    """Where the savepoints of an orderly end go."""
    return checkpoint_folder(checkpoints, job, fingerprint) / _SAVEPOINTS


def newest_restore_point(checkpoints: Path, job: str, fingerprint: str = "*") -> RestorePoint | None:
    """Return the newest one of `job`, of the plan with that fingerprint or of any; None if it never completed one."""
    return next(iter(restore_points(checkpoints, job, fingerprint)), None)


def restore_points(checkpoints: Path, job: str, fingerprint: str = "*") -> tuple[RestorePoint, ...]:
    """Return all of `job`, of the plan with that fingerprint or of any, the newest first.

    Flink writes `_metadata` last, so a checkpoint that was cut short has none.
    """
    points = [
        RestorePoint(metadata.parent, plan.name, metadata.stat().st_mtime)
        for plan in (checkpoints / job).glob(f"{fingerprint}/")
        if not plan.name.startswith(_REMOVED)
        for pattern in ("*/chk-*/_metadata", f"{_SAVEPOINTS}/savepoint-*/_metadata")
        for metadata in plan.glob(pattern)
    ]
    return tuple(sorted(points, key=lambda point: point.written_at, reverse=True))


@dataclass(frozen=True)
class Recorded:
    """What a plan was made of: the contracts, and the code that makes plans (its hash; None: an earlier version's)."""

    contracts: tuple[Contract, ...]
    code: str | None


def record_contracts(checkpoints: Path, job: str, fingerprint: str) -> None:
    """Write down what the plan of that fingerprint is made of."""
    path = _contracts_file(checkpoints, job, fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    schemas = {name: load_contract(name).schema for name in CONTRACTS}
    partial.write_text(json.dumps({_CODE: code_hash(), _SCHEMAS: schemas}), encoding="utf-8")
    partial.replace(path)


def recorded_contracts(checkpoints: Path, job: str, fingerprint: str) -> Recorded | None:
    """Return what the plan of that fingerprint was made of; None if it was not written down."""
    path = _contracts_file(checkpoints, job, fingerprint)
    if not path.exists():
        return None
    kept = json.loads(path.read_bytes())
    schemas = kept.get(_SCHEMAS, kept)
    return Recorded(tuple(parse_contract(name, schema, path) for name, schema in schemas.items()), kept.get(_CODE))


@cache
def code_hash() -> str:
    """Return the hash of the code that makes plans: state fits what another code made only by chance."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _contracts_file(checkpoints: Path, job: str, fingerprint: str) -> Path:
    return checkpoint_folder(checkpoints, job, fingerprint) / "contracts.json"
