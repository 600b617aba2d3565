"""The rows that one commit added to a table, and nothing of the rest of it."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import ManifestContent, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

_BATCH_ROWS = 65_536


def added_rows(
    table: Table, snapshot_id: int, *, columns: Sequence[str] | None = None, limit: int | None = None
) -> pa.Table | None:
    """The rows that `snapshot_id` added, the first `limit` of them, with these columns or all that the table has.

    None where maintenance has removed the files it added, or the commit itself: then it can no longer be known.
    """
    snapshot = table.snapshot_by_id(snapshot_id)
    if snapshot is None:
        return None
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    wanted = pa.schema([schema.field(name) for name in columns or schema.names])
    batches: list[pa.RecordBatch] = []
    rows = 0
    try:
        for path in _added_files(table, snapshot):
            for batch in _batches(table, path, wanted):
                batches.append(batch)
                rows += batch.num_rows
                if limit is not None and rows >= limit:
                    return pa.Table.from_batches(batches, wanted).slice(0, limit)
    except FileNotFoundError:
        return None
    return pa.Table.from_batches(batches, wanted)


def _added_files(table: Table, snapshot: Snapshot) -> Iterator[str]:
    for manifest in snapshot.manifests(table.io):
        # Only to save reading: manifests of older commits hold nothing that this one added.
        if manifest.added_snapshot_id != snapshot.snapshot_id or manifest.content != ManifestContent.DATA:
            continue
        for entry in manifest.fetch_manifest_entry(table.io):
            # A merged manifest lists older files too.
            if entry.status == ManifestEntryStatus.ADDED and entry.snapshot_id == snapshot.snapshot_id:
                yield entry.data_file.file_path


def _batches(table: Table, path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """A file's rows. A column that is younger than the file has no values in it."""
    with table.io.new_input(path).open() as stream, pq.ParquetFile(stream) as file:
        there = [name for name in schema.names if name in file.schema_arrow.names]
        for batch in file.iter_batches(_BATCH_ROWS, columns=there):
            columns = [
                batch.column(field.name).cast(field.type)
                if field.name in there
                else pa.nulls(batch.num_rows, field.type)
                for field in schema
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
