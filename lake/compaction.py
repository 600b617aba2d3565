"""Compaction: the small files of a partition become one, beside a writer that goes on appending.

The files to replace are named one by one, under snapshot isolation (`lake.tables.PROPERTIES`): an append that lands
meanwhile touches none of them, so neither side refuses the other. What only one partition's group of files holds is in
memory at a time. Sound for tables that are only appended to.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, _dataframe_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table

from contracts import names
from contracts.errors import PipelineError

# Compressed bytes that one rewrite reads; as Arrow they take some ten times as much.
GROUP_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Compaction:
    """What one call did: files and their bytes before and after, the others not counted."""

    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    def __add__(self, other: "Compaction") -> "Compaction":
        return Compaction(
            self.files_before + other.files_before,
            self.files_after + other.files_after,
            self.bytes_before + other.bytes_before,
            self.bytes_after + other.bytes_after,
        )


def compact(table: Table, *, sort_by: str, group_bytes: int = GROUP_BYTES) -> Compaction:
    """Rewrites the small files of each partition of `table`, the oldest partition first, sorted by column `sort_by`.

    Each group of files is a commit of its own, marked as maintenance: what was done stays done where a later one fails.
    Raises PipelineError for a table with delete files, CommitFailedException or ValidationException where another
    compaction has replaced the same files.
    """
    done = Compaction()
    for group in groups(list(table.scan().plan_files()), group_bytes):
        done += _rewrite(table, group, sort_by)
    return done


def groups(files: list[FileScanTask], group_bytes: int) -> Iterator[list[FileScanTask]]:
    """Which files are rewritten together: those of one partition that are smaller than half of `group_bytes`.

    At least two, of `group_bytes` at most, partitions in order. Raises PipelineError for files with deletes.
    """
    if any(task.delete_files for task in files):
        raise PipelineError("the table has delete files; only tables that are appended to can be compacted")
    small = [task for task in files if task.file.file_size_in_bytes < group_bytes // 2]
    group: list[FileScanTask] = []
    for task in sorted(small, key=lambda task: (_partition(task), task.file.file_path)):
        full = sum(other.file.file_size_in_bytes for other in group) + task.file.file_size_in_bytes > group_bytes
        if group and (full or _partition(group[0]) != _partition(task)):
            if len(group) > 1:
                yield group
            group = []
        group.append(task)
    if len(group) > 1:
        yield group


def _partition(task: FileScanTask) -> tuple[int, ...]:
    values = (task.file.partition[number] for number in range(len(task.file.partition)))
    return tuple(-1 if value is None else int(value) for value in values)


def _rewrite(table: Table, group: list[FileScanTask], sort_by: str) -> Compaction:
    table.refresh()
    rows = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()).to_table(group).sort_by(sort_by)
    written: list[DataFile] = []
    properties = {names.MAINTENANCE_PROPERTY: "compaction"}
    with (
        table.transaction() as transaction,
        transaction.update_snapshot(snapshot_properties=properties).overwrite() as snapshot,
    ):
        for task in group:
            snapshot.delete_data_file(task.file)
        for file in _dataframe_to_data_files(
            table_metadata=transaction.table_metadata, df=rows, io=table.io, write_uuid=snapshot.commit_uuid
        ):
            written.append(file)
            snapshot.append_data_file(file)
    return Compaction(
        len(group),
        len(written),
        sum(task.file.file_size_in_bytes for task in group),
        sum(file.file_size_in_bytes for file in written),
    )
