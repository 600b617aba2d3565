"""A small state folder that an earlier version of this project wrote, packed in `tests/fixtures`.

What a later version changes in a state folder is tested against it, so that an upgrade loses and doubles nothing. It
holds some hundred transactions, dead letters (one of them replayed), alerts, two sessions and two rule deployments;
`scripts/make_kept_state.py` made it. Iceberg's manifests hold absolute paths: the folder is unpacked where it was made,
one test at a time.
"""

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from contracts.paths import PROJECT
from operations.jars import default_cache

PLACE = Path("/tmp/fraud-lakehouse-kept-state")
STATE = PLACE / "state"
# What a later start writes again, or nobody reads: the largest part of a folder.
LEFT_OUT = ("logs", "flink/tmp", "flink/conf", "dagster/logs", "run/supervisord.conf")
ARCHIVE = PROJECT / "tests" / "fixtures" / "state-0.1.0.tar.xz"


@contextmanager
def place() -> Iterator[Path]:
    """Hold the place of the state folder for this process; it is empty before the block, and gone after it."""
    # The lock lies where the jars do, which stays: a lock that is removed can be held by two.
    with FileLock(default_cache() / "kept-state.lock"):
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir(mode=0o700)
        try:
            yield STATE
        finally:
            shutil.rmtree(PLACE)


@contextmanager
def kept_state() -> Iterator[Path]:
    """Unpack the state folder inside the block; its path."""
    with place() as state:
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(PLACE, filter="data")
        yield state


def pack(archive: Path) -> None:
    """Write the state folder as it lies in its place to `archive`, sorted and without owners."""

    def of_no_one(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        inside = entry.name.partition("/")[2]
        if any(inside == name or inside.startswith(f"{name}/") for name in LEFT_OUT):
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:xz", preset=9) as file:
        file.add(STATE, arcname=STATE.name, filter=of_no_one)
