"""A commit that replaces data files by others with the same rows: Iceberg's operation `replace`.

Streaming readers (Flink, Spark) pass over such a commit; at an `overwrite` they stop, or read the rows again. PyIceberg
0.12 knows the operation and makes no summary for it, so this one makes its own. `test_replacement.py` fails once
PyIceberg can do it: then this module goes.
"""

from collections.abc import Sequence

from pyiceberg.manifest import DataFile, ManifestWriter
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.typedef import EMPTY_DICT


def replace_files(table: Table, old: Sequence[DataFile], new: DataFile, properties: dict[str, str]) -> None:
    """Commit that `new` holds the rows of `old`; all of them are of one partition spec.

    Raises CommitFailedException or ValidationException if the commit was refused; after any other error it may have
    been made.
    """
    with table.transaction() as transaction, _Replacement(transaction, old[0].spec_id, properties) as snapshot:
        for file in old:
            snapshot.delete_data_file(file)
        snapshot.append_data_file(new)


class _Replacement(_OverwriteFiles):
    """An overwrite that calls itself `replace`, and that writes files of an earlier partition spec."""

    def __init__(self, transaction: Transaction, spec_id: int, properties: dict[str, str]) -> None:
        super().__init__(Operation.OVERWRITE, transaction, transaction._table.io, snapshot_properties=properties)
        self._spec_id = spec_id

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        summary = super()._summary(snapshot_properties)
        return Summary(Operation.REPLACE, **summary.additional_properties)

    def new_manifest_writer(self, spec: PartitionSpec) -> ManifestWriter:
        """Return a writer of the files' own spec: PyIceberg asks for the table's newest one."""
        return super().new_manifest_writer(self.spec(self._spec_id))
