"""Compaction: the small files of a partition become a few of about 128 MB, beside a writer that goes on appending.

The files to replace are named one by one, under snapshot isolation (`lake.tables.PROPERTIES`): an append that lands
meanwhile touches none of them, so neither side refuses the other. Rows pass through in runs, so that memory holds a row
group and one small file whatever a partition has. Sound for tables that are only appended to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import (
    ArrowScan,
    DataFileStatistics,
    _get_parquet_writer_kwargs,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask, Table
from pyiceberg.types import PrimitiveType

from contracts import names, tables
from contracts.errors import PipelineError
from lake.replacement import replace_files

TARGET_BYTES = 128 * 2**20
# Larger files are left alone: one is read whole, and 32 MB of Parquet are some 300 MB of Arrow.
SMALL_BYTES = 32 * 2**20
# Files that are smaller still are merged whatever the others of their partition are.
_TINY_BYTES = 2**20
# Sorted and written at once: a row group. A lookup by key reads one of them in a file.
_RUN_ROWS = 131_072
_FALSE_POSITIVES = 0.01


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


def compact(table: Table, definition: tables.Table, *, target_bytes: int = TARGET_BYTES) -> Compaction:
    """Rewrites the small files of each partition of `table`, the oldest partition first.

    In a new file every row group is sorted by `definition.sort_by`, and has a Bloom filter of the key; row groups
    follow each other as their first rows do. Each group of files is a commit of its own, marked as maintenance: what
    was done stays done when another one fails, and none waits for another.

    Raises PipelineError for a table with delete files, and an ExceptionGroup of what failed after all groups were
    tried: CommitFailedException or ValidationException if another compaction has replaced the same files.
    """
    done = Compaction()
    failed: list[Exception] = []
    for group in planned(table, target_bytes=target_bytes):
        try:
            done += _rewrite(table, definition, group)
        except Exception as error:
            failed.append(error)
    if failed:
        raise ExceptionGroup(f"{definition.name}: {len(failed)} groups of files could not be compacted", failed)
    return done


def planned(table: Table, *, target_bytes: int = TARGET_BYTES) -> tuple[Sequence[FileScanTask], ...]:
    """Which files `compact` would rewrite together. Raises PipelineError for a table with delete files."""
    files = list(table.scan().plan_files())
    if any(task.delete_files for task in files):
        raise PipelineError("the table has delete files; only tables that are appended to can be compacted")
    small = min(SMALL_BYTES, target_bytes // 2)
    partitions = groupby(sorted(files, key=partition_of), key=partition_of)
    return tuple(
        group
        for _, tasks in partitions
        for group in _full(_worthwhile([task for task in tasks if _size(task) < small]), target_bytes)
        if len(group) > 1
    )


def partition_of(task: FileScanTask) -> tuple[int, ...]:
    """Return the partition of a file, as it sorts: the id of its partition spec, then days since 1970-01-01."""
    values = (task.file.partition[number] for number in range(len(task.file.partition)))
    return (task.file.spec_id or 0, *(-1 if value is None else int(value) for value in values))


def _size(task: FileScanTask) -> int:
    return task.file.file_size_in_bytes


def _worthwhile(tasks: Sequence[FileScanTask]) -> list[FileScanTask]:
    """The smaller ones of `tasks`: as many as there are with the largest no larger than the others together.

    So a row is rewritten only together with as many others: log2(files of a day) times in the end, not at each call.
    """
    ordered = sorted(tasks, key=_size)
    chosen = total = 0
    for count, task in enumerate(ordered, start=1):
        if _size(task) <= max(total, _TINY_BYTES):
            chosen = count
        total += _size(task)
    return ordered[:chosen]


def _full(tasks: Sequence[FileScanTask], target_bytes: int) -> Iterator[list[FileScanTask]]:
    """`tasks` in the order they were written, in groups of `target_bytes` at most."""
    group: list[FileScanTask] = []
    for task in sorted(tasks, key=lambda task: task.file.file_path):
        if group and sum(map(_size, group)) + _size(task) > target_bytes:
            yield group
            group = []
        group.append(task)
    if group:
        yield group


def _rewrite(table: Table, definition: tables.Table, group: Sequence[FileScanTask]) -> Compaction:
    table.refresh()
    written = _write(table, definition, group)
    properties = {names.MAINTENANCE_PROPERTY: "compaction"}
    try:
        replace_files(table, [task.file for task in group], written, properties)
    except (CommitFailedException, ValidationException):
        # Refused, so that no snapshot names the file. After any other error, an interruption included, the commit may
        # have been made: the file stays, and if nothing names it, it is an orphan (`lake/orphans.py`).
        table.io.delete(written.file_path)
        raise
    return Compaction(len(group), 1, sum(map(_size, group)), written.file_size_in_bytes)


def _write(table: Table, definition: tables.Table, group: Sequence[FileScanTask]) -> DataFile:
    """One file with the rows of `group`. Where that fails it is removed."""
    properties, schema = table.properties, table.schema()
    arrow_schema = schema_to_pyarrow(schema)
    first = group[0].file
    location = f"{first.file_path.rpartition('/')[0]}/compacted-{uuid4()}.parquet"
    output = table.io.new_output(location)
    blooms = {definition.key: {"ndv": _RUN_ROWS, "fpp": _FALSE_POSITIVES}} if definition.key else None
    try:
        with (
            output.create() as stream,
            pq.ParquetWriter(
                stream,
                arrow_schema,
                store_decimal_as_integer=True,
                bloom_filter_options=blooms,
                **_get_parquet_writer_kwargs(properties),
            ) as writer,
        ):
            for rows in _runs(table, definition.sort_by, group):
                writer.write_table(rows.cast(arrow_schema), row_group_size=_RUN_ROWS)
        statistics = data_file_statistics_from_parquet_metadata(
            parquet_metadata=writer.writer.metadata,
            stats_columns=compute_statistics_plan(schema, properties),
            parquet_column_mapping=parquet_path_to_id_mapping(schema),
        )
        _drop_unwritable_bounds(statistics)
    except BaseException:
        table.io.delete(location)
        raise
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=first.partition,
        file_size_in_bytes=len(output),
        sort_order_id=None,
        spec_id=first.spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _drop_unwritable_bounds(statistics: DataFileStatistics) -> None:
    """Leave out each upper bound that PyIceberg cuts into text that is none.

    It cuts a text to 16 characters and counts the last one up, after U+D7FF to a surrogate, which UTF-8 does not know.
    """
    for aggregate in statistics.column_aggregates.values():
        try:
            aggregate.max_as_bytes()
        except UnicodeEncodeError:
            aggregate.current_max = None


def _runs(table: Table, sort_by: str, group: Sequence[FileScanTask]) -> Iterator[pa.Table]:
    """The rows of `group`, a few files at a time, each time sorted."""
    field = table.schema().find_field(sort_by)

    def earliest(task: FileScanTask) -> object:
        bound = (task.file.lower_bounds or {}).get(field.field_id)
        return from_bytes(cast(PrimitiveType, field.field_type), bound) if bound is not None else 0

    run: list[FileScanTask] = []
    rows = 0
    for task in sorted(group, key=lambda task: (earliest(task), task.file.file_path)):
        run.append(task)
        rows += task.file.record_count
        if rows >= _RUN_ROWS:
            yield _read(table, run, sort_by)
            run, rows = [], 0
    if run:
        yield _read(table, run, sort_by)


def _read(table: Table, run: Sequence[FileScanTask], sort_by: str) -> pa.Table:
    return ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()).to_table(run).sort_by(sort_by)
