"""Reports over the tables: the assets that Dagster itself materializes."""

from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg

from contracts import tables
from pipeline_assets.graph import OWNERS, table_key
from pipeline_assets.resources import LakeResource


@dg.asset(
    key=["reports", "stream_summary"],
    deps=[table_key(table.name) for table in tables.all_tables()],
    group_name="reports",
    kinds={"duckdb"},
    owners=OWNERS,
)
def stream_summary(lake: LakeResource) -> dg.MaterializeResult[None]:
    """What the stream has written so far: rows of each table, dead letters by reason, alerts by rule, commit ages."""
    # With the run, not with the module: DuckDB would stay in the code server's memory.
    from pipeline_assets.lib.stream_summary import summarize

    with lake.catalog() as catalog:
        summary = summarize(catalog, lake.warehouse, now=datetime.now(UTC))
    return dg.MaterializeResult(
        metadata={
            **{f"{state.table}_rows": state.rows for state in summary.tables},
            "tables": dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {"table": state.table, "rows": state.rows, "newest commit": _age(state.commit_age_ms)}
                    )
                    for state in summary.tables
                ]
            ),
            "dead_letters_by_reason": _counts("reason", summary.dead_letters_by_reason),
            "alerts_by_rule": _counts("rule", summary.alerts_by_rule),
        }
    )


def _age(milliseconds: int | None) -> str:
    return "none yet" if milliseconds is None else f"{milliseconds / 1000:.1f} s ago"


def _counts(label: str, counts: Iterable[tuple[str, int]]) -> dg.TableMetadataValue:
    # Dagster takes the columns from the first row, so an empty table needs them said.
    schema = dg.TableSchema([dg.TableColumn(label, "string"), dg.TableColumn("rows", "int")])
    return dg.MetadataValue.table(
        [dg.TableRecord({label: name, "rows": count}) for name, count in counts], schema=schema
    )
