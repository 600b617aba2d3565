"""A damaged table is named with its file before DuckDB, which ends the whole process at a manifest, meets it."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from contracts import names, tables
from contracts.errors import NotRunning, TableDamaged
from contracts.paths import StatePaths
from lake.catalog import open_catalog
from lake.catalog_file import local_path
from lake.duck import connect
from lake.examination import lost_files
from lake.locations import metadata_locations
from lake.repair import damaged_tables, register_again, set_catalog_aside
from lake.set_aside import set_aside
from lake.tables import create_tables
from tests.lake_tables import Lake, lake_in, transaction

_STAMP = "20261130t120000z"


@pytest.fixture
def filled(lake: Lake) -> Lake:
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    return lake


def metadata(lake: Lake) -> Path:
    return local_path(lake.table(names.TRANSACTIONS).metadata_location)


def manifest_list(lake: Lake) -> Path:
    snapshot = lake.table(names.TRANSACTIONS).current_snapshot()
    assert snapshot is not None
    return local_path(snapshot.manifest_list)


def manifest(lake: Lake) -> Path:
    table = lake.table(names.TRANSACTIONS)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return local_path(snapshot.manifests(table.io)[1].manifest_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def lose_catalog(lake: Lake, content: bytes | None) -> None:
    """Leave a catalog with this content in place of the one there was; None: no file."""
    path = StatePaths(lake.state).catalog
    path.unlink()
    if content is not None:
        path.write_bytes(content)


def rows(lake: Lake, table: str = f"{names.NAMESPACE}.{names.TRANSACTIONS}") -> int:
    with open_catalog(lake.addresses) as catalog:
        return len(catalog.load_table(table).scan().to_arrow())


def mended(lake: Lake) -> list[str]:
    paths = StatePaths(lake.state)
    set_catalog_aside(paths.catalog, _STAMP)
    with open_catalog(lake.addresses) as catalog:
        return list(register_again(catalog, paths.catalog, paths.warehouse))


@pytest.mark.parametrize("damage", [cut, Path.unlink])
@pytest.mark.parametrize("which", [metadata, manifest_list, manifest])
def test_connect_file_of_a_table_that_is_cut_or_missing_is_named(
    filled: Lake, which: Callable[[Lake], Path], damage: Callable[[Path], None]
) -> None:
    path = which(filled)
    damage(path)
    with (
        pytest.raises(TableDamaged, match=path.name) as raised,
        connect(filled.catalog, filled.addresses.iceberg_warehouse),
    ):
        pass
    assert "pipeline" in str(raised.value), "no way on"


def test_lost_files_data_file_that_is_missing_is_named_with_its_table(filled: Lake) -> None:
    found = lost_files(metadata_locations(filled.addresses), filled.addresses.iceberg_warehouse)
    assert found == {}
    path = next(StatePaths(filled.state).warehouse.rglob("transactions/data/**/*.parquet"))
    path.unlink()
    found = lost_files(metadata_locations(filled.addresses), filled.addresses.iceberg_warehouse)
    assert {table: [local_path(each) for each in lost] for table, lost in found.items()} == {names.TRANSACTIONS: [path]}


def test_lost_files_folder_whose_name_looks_like_a_pattern_lacks_none(tmp_path: Path) -> None:
    with lake_in(tmp_path / "all [of] * it") as lake:
        lake.append(names.TRANSACTIONS, [transaction(1)])
        assert lost_files(metadata_locations(lake.addresses), lake.addresses.iceberg_warehouse) == {}
        with connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection:
            assert connection.execute("SELECT count(*) FROM transactions").fetchall() == [(1,)]


def test_lost_files_data_file_that_maintenance_replaced_is_not_missed(filled: Lake) -> None:
    table = filled.table(names.TRANSACTIONS)
    table.overwrite(table.scan().to_arrow())
    current = {local_path(task.file.file_path) for task in table.scan().plan_files()}
    replaced = set(StatePaths(filled.state).warehouse.rglob("transactions/data/**/*.parquet")) - current
    assert replaced
    for path in replaced:
        path.unlink()
    assert lost_files(metadata_locations(filled.addresses), filled.addresses.iceberg_warehouse) == {}


@pytest.mark.parametrize("content", [b"", b"no database at all", None])
def test_metadata_locations_catalog_that_lost_its_tables_is_named(filled: Lake, content: bytes | None) -> None:
    lose_catalog(filled, content)
    with pytest.raises(TableDamaged, match=r"catalog\.db .* pipeline repair"):
        metadata_locations(filled.addresses)


def test_metadata_locations_one_table_that_the_catalog_lost_is_named(filled: Lake) -> None:
    """A start would make it again, empty."""
    filled.catalog.drop_table(f"{names.NAMESPACE}.{names.TRANSACTIONS}")
    with pytest.raises(TableDamaged, match=names.TRANSACTIONS):
        metadata_locations(filled.addresses)


def test_metadata_locations_first_start_that_was_interrupted_is_no_damage(lake: Lake) -> None:
    """Metadata files without a row: no table was registered yet, and none has a snapshot."""
    StatePaths(lake.state).catalog.unlink()
    with pytest.raises(NotRunning):
        metadata_locations(lake.addresses)


def test_metadata_locations_tables_that_were_set_aside_are_no_damage(filled: Lake) -> None:
    set_aside(filled.catalog, _STAMP)
    with pytest.raises(NotRunning):
        metadata_locations(filled.addresses)


def _locks(path: Path) -> list[str]:
    """Return the locks that this process holds on the file at `path`, as the kernel lists them."""
    inode = path.stat().st_ino
    # 7: POSIX  ADVISORY  READ 4711 fd:00:131091 1073741826 1073742335
    lines = (line.split()[3:] for line in Path("/proc/locks").read_text(encoding="ascii").splitlines())
    return sorted(" ".join(line) for line in lines if line[1] == str(os.getpid()) and line[2].endswith(f":{inode}"))


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux lists locks")
def test_metadata_locations_beside_an_open_connection_leaves_it_its_locks(filled: Lake) -> None:
    """Else the next process that closes the catalog removes the write-ahead log that this one still uses."""
    path = StatePaths(filled.state).catalog
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT count(*) FROM iceberg_tables").fetchall()
        before = _locks(path)
        assert before
        metadata_locations(filled.addresses)
        assert _locks(path) == before


@pytest.mark.parametrize("content", [b"", b"no database at all", None])
def test_register_again_catalog_that_is_lost_knows_every_table_again(filled: Lake, content: bytes | None) -> None:
    lose_catalog(filled, content)
    assert len(mended(filled)) == 1, "only tables with rows are told of; the others are made again"
    create_tables(open_catalog(filled.addresses))
    assert metadata_locations(filled.addresses).keys() == {table.name for table in tables.all_tables()}
    assert rows(filled) == 3
    kept = list(StatePaths(filled.state).catalog.parent.glob("catalog.db.damaged-*z"))
    assert [path.read_bytes() for path in kept] == ([content] if content else [])


def test_register_again_tables_that_were_set_aside_get_their_namespaces_back(filled: Lake) -> None:
    stamps = ("20261128t120000z", "20261129t120000z")
    namespaces = []
    for number, stamp in enumerate(stamps):
        namespaces.append(set_aside(filled.catalog, stamp))
        create_tables(filled.catalog)
        filled.append(names.TRANSACTIONS, [transaction(9)] * (number + 1))
    StatePaths(filled.state).catalog.unlink()
    assert len(mended(filled)) == 3
    assert [rows(filled, f"{namespace}.{names.TRANSACTIONS}") for namespace in namespaces] == [3, 1]
    assert rows(filled) == 2


def test_register_again_newest_metadata_that_is_cut_gives_way_to_the_one_before(filled: Lake) -> None:
    path = local_path(filled.table(names.TRANSACTIONS).metadata_location)
    cut(path)
    paths = StatePaths(filled.state)
    assert len(damaged_tables(filled.catalog, paths.catalog, paths.warehouse)) == 1
    assert len(mended(filled)) == 1
    assert rows(filled) == 2
    assert path.exists(), "what was damaged is kept"
    assert mended(filled) == []


def test_register_again_interrupted_between_its_two_steps_is_finished_by_the_next(filled: Lake) -> None:
    cut(local_path(filled.table(names.TRANSACTIONS).metadata_location))
    filled.catalog.drop_table(f"{names.NAMESPACE}.{names.TRANSACTIONS}")
    assert len(mended(filled)) == 1
    assert rows(filled) == 2


def test_register_again_table_without_readable_metadata_is_refused(filled: Lake) -> None:
    for path in metadata(filled).parent.glob("*.metadata.json"):
        cut(path)
    with pytest.raises(TableDamaged, match="none of 4 metadata files"):
        mended(filled)
