"""Tables set aside keep their rows and files, and others take their place."""

from datetime import UTC, datetime, timedelta

from contracts import names, tables
from lake.orphans import remove_orphans
from lake.set_aside import set_aside
from lake.tables import create_tables
from tests.lake_tables import Lake, transaction


def test_set_aside_tables_keep_their_rows_and_new_ones_have_folders_of_their_own(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(number) for number in range(3)])
    namespace = set_aside(lake.catalog, "20261130t120000z")
    create_tables(lake.catalog)
    lake.append(names.TRANSACTIONS, [transaction(9)])
    assert lake.table(names.TRANSACTIONS).scan().count() == 1
    remove_orphans(lake.table(names.TRANSACTIONS), guard=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    assert lake.catalog.load_table(f"{namespace}.{names.TRANSACTIONS}").scan().to_arrow().num_rows == 3


def test_set_aside_twice_keeps_both_and_each_apart(lake: Lake) -> None:
    kept = []
    for number in range(2):
        lake.append(names.TRANSACTIONS, [transaction(number)] * (number + 1))
        kept.append(set_aside(lake.catalog, f"2026113{number}t120000z"))
        create_tables(lake.catalog)
    assert lake.table(names.TRANSACTIONS).scan().count() == 0
    opened = [lake.catalog.load_table(f"{namespace}.{names.TRANSACTIONS}") for namespace in kept]
    assert [table.scan().to_arrow().num_rows for table in opened] == [1, 2]
    assert len({table.location() for table in (*opened, lake.table(names.TRANSACTIONS))}) == 3


def test_set_aside_that_was_interrupted_is_finished_by_the_next(lake: Lake) -> None:
    namespace = set_aside(lake.catalog, "20261130t120000z")
    # As if it had been interrupted before the last table.
    lake.catalog.rename_table(f"{namespace}.{names.SESSIONS}", tables.sessions().identifier)
    assert set_aside(lake.catalog, "20261130t120000z") == namespace
    assert len(lake.catalog.list_tables(namespace)) == len(tables.all_tables())
    assert lake.catalog.list_tables(names.NAMESPACE) == []
