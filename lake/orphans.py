"""Removal of orphan files: what lies in a table's folder and no retained snapshot lists.

They come from expired snapshots, replaced data files and writers that died. What a writer is about to commit is listed
by nothing either; only its age tells it from an orphan.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from pyarrow import fs
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

from lake.snapshots import newest_stream_commit

_EXAMPLES = 5


@dataclass(frozen=True)
class Orphans:
    """What one call removed, or would remove: files, their bytes, and the paths of a few. `files_before` and
    `bytes_before` are of everything in the table's folder."""

    files_before: int = 0
    bytes_before: int = 0
    files: int = 0
    bytes: int = 0
    examples: tuple[str, ...] = ()


def remove_orphans(table: Table, *, guard: timedelta, now: datetime, dry_run: bool = False) -> Orphans:
    """Removes what no retained snapshot lists and is older than `guard`, counted from `now` (aware).

    Counted from Flink's last commit where that is longer ago: while commits stall, data files and the manifests of
    their checkpoints wait, for however long. Raises OSError where the folder cannot be listed or a file not removed.
    """
    io = cast(PyArrowFileIO, table.io)
    committed = newest_stream_commit(table)
    limit = min(now, committed or now) - guard
    scheme, host, folder = PyArrowFileIO.parse_location(table.location())
    files = io.fs_by_scheme(scheme, host)
    # Listed before the table is read: what a commit adds in between is then not in the list.
    found = [info for info in files.get_file_info(fs.FileSelector(folder, recursive=True)) if info.is_file]
    table.refresh()
    reachable = {PyArrowFileIO.parse_location(path)[2] for path in _reachable(table)}
    orphans = [info for info in found if info.path not in reachable and _modified(info) < limit]
    if not dry_run:
        for info in orphans:
            # A writer removes old metadata files of its own meanwhile.
            with suppress(FileNotFoundError):
                files.delete_file(info.path)
    return Orphans(
        len(found),
        sum(info.size for info in found),
        len(orphans),
        sum(info.size for info in orphans),
        tuple(info.path for info in orphans[:_EXAMPLES]),
    )


def _modified(info: fs.FileInfo) -> datetime:
    return datetime.fromtimestamp(info.mtime_ns / 1e9, UTC)


def _reachable(table: Table) -> Iterator[str]:
    """The location of every file that the table needs, some more than once."""
    metadata = table.metadata
    yield table.metadata_location
    yield from (entry.metadata_file for entry in metadata.metadata_log)
    yield from (file.statistics_path for file in metadata.statistics)
    yield from (file.statistics_path for file in metadata.partition_statistics)
    read: set[str] = set()
    for snapshot in metadata.snapshots:
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in read:
                continue
            read.add(manifest.manifest_path)
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield entry.data_file.file_path
