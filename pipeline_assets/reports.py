"""Reports over the tables: the assets that Dagster itself materializes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import dagster as dg

from contracts import tables
from contracts.errors import NoLedger
from contracts.lineage import column_origins
from contracts.paths import StatePaths
from lake.pinning import pin
from pipeline_assets.graph import GENERATOR, OWNERS, table_key
from pipeline_assets.resources import LakeResource
from quality.settings import load_quality
from quality.suites.catalogue import SUITES

_Columns = Mapping[str, Literal["string", "int"]]
_SCENARIO: _Columns = {
    "scenario": "string",
    "records": "int",
    "records alerted": "int",
    "record recall": "string",
    "incidents": "int",
    "incidents alerted": "int",
    "incident recall": "string",
    "rules": "string",
}
_RULE: _Columns = {
    "rule": "string",
    "alerts": "int",
    "on frauds": "int",
    "on ordinary records": "int",
    "precision": "string",
}
_REASON: _Columns = {
    "reason": "string",
    "expected": "int",
    "found": "int",
    "with another reason": "int",
    "rows in all": "int",
}


@dg.asset(
    key=["reports", "stream_summary"],
    deps=[table_key(table.name) for table in tables.stream_tables()],
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
            "alerts_by_severity": _counts("severity", summary.alerts_by_severity),
        }
    )


@dg.asset(
    key=["quality", "data_docs"],
    deps=[table_key(table.name) for table in tables.stream_tables()],
    group_name="quality",
    kinds={"html", "duckdb"},
    owners=OWNERS,
)
def data_docs(lake: LakeResource) -> dg.MaterializeResult[None]:
    """The suites and their newest results as static pages of Great Expectations, to be opened in a browser."""
    from quality.data_docs import build

    settings = load_quality()
    suites = [suite(settings) for suite in SUITES.values()]
    with lake.catalog() as catalog:
        pinned = pin(catalog, tables.stream_tables())
    index = build(StatePaths(Path(lake.addresses().pipeline_state)).data_docs, suites, pinned)
    return dg.MaterializeResult(
        metadata={
            "index": dg.MetadataValue.path(index),
            "expectations": sum(len(suite.expectations) for suite in suites),
            **{f"snapshot_of_{table}": str(pin.snapshot_id) for table, pin in pinned.items()},
        }
    )


@dg.asset(
    key=["reports", "column_lineage"],
    deps=[table_key(table.name) for table in tables.stream_tables()],
    group_name="reports",
    kinds={"html"},
    owners=OWNERS,
)
def column_lineage(lake: LakeResource) -> dg.MaterializeResult[None]:
    """Where every column comes from and which checks hold it, as a page to be opened in a browser, and as tables."""
    from pipeline_assets.lib.lineage_page import page

    settings = load_quality()
    checks: dict[tuple[str, str], list[str]] = {}
    for table in tables.stream_tables():
        for expected in SUITES[table.name](settings).expectations:
            for column in expected.about:
                checks.setdefault((table.identifier, column), []).append(expected.name)
    path = StatePaths(Path(lake.addresses().pipeline_state)).lineage_page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(checks), encoding="utf-8")
    return dg.MaterializeResult(
        metadata={
            "page": dg.MetadataValue.path(path),
            **{table.name: _lineage_of(table, checks) for table in tables.stream_tables()},
        }
    )


def _lineage_of(table: tables.Table, checks: Mapping[tuple[str, str], list[str]]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "column": column,
                    "comes from": ", ".join(f"{one.dataset} {one.field or ''}".strip() for one in origins),
                    "how": ", ".join(dict.fromkeys(one.how for one in origins)),
                    "checks": "; ".join(checks.get((table.identifier, column), ())),
                }
            )
            for column, origins in column_origins(table).items()
        ]
    )


@dg.asset(
    key=["reports", "generator_score"],
    deps=[GENERATOR, *(table_key(table.name) for table in tables.stream_tables())],
    group_name="reports",
    kinds={"duckdb"},
    owners=OWNERS,
)
def generator_score(lake: LakeResource) -> dg.MaterializeResult[None]:
    """How the pipeline did on the generated traffic, whose answers are known: losses, duplicates, verdicts, alerts."""
    from quality.score import score_lake

    try:
        score = score_lake(lake.addresses())
    except NoLedger as error:
        # As for a table without rows: no traffic was generated, which is no failure.
        return dg.MaterializeResult(metadata={"note": f"Nothing to score: {error}."})
    detection = score.detection
    rates = {"precision": detection.precision, "incident_recall": detection.incident_recall}
    return dg.MaterializeResult(
        metadata={
            "clean": score.clean,
            "scored": score.ledger.scored,
            "pending": score.ledger.pending,
            "lost": score.delivery.lost,
            "unexplained_duplicates": score.delivery.unexplained_duplicates,
            "wrong_fates": score.delivery.wrong_fates,
            "wrong_reasons": score.wrong_reasons,
            "foreign_rows": score.delivery.foreign,
            # A rate of nothing is left out, so that Dagster's plot has a gap there and no zero.
            **{name: rate for name, rate in rates.items() if rate is not None},
            "scenarios": _table(
                _SCENARIO,
                [
                    (
                        found.scenario,
                        found.records,
                        found.records_alerted,
                        _percent(found.record_recall),
                        found.incidents,
                        found.incidents_alerted,
                        _percent(found.incident_recall),
                        ", ".join(found.rules),
                    )
                    for found in detection.scenarios
                ],
            ),
            "ordinary_records": detection.ordinary.records,
            "ordinary_records_alerted": detection.ordinary.records_alerted,
            "rules": _table(
                _RULE,
                [
                    (rule.rule, rule.alerts, rule.true_positives, rule.false_positives, _percent(rule.precision))
                    for rule in detection.rules
                ],
            ),
            "dead_letters_by_reason": _table(
                _REASON,
                [
                    (reason.reason, reason.expected, reason.found, reason.other, reason.stored)
                    for reason in score.reasons
                ],
            ),
        }
    )


def _age(milliseconds: int | None) -> str:
    return "none yet" if milliseconds is None else f"{milliseconds / 1000:.1f} s ago"


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.1%}"


def _counts(label: str, counts: Iterable[tuple[str, int]]) -> dg.TableMetadataValue:
    return _table({label: "string", "rows": "int"}, counts)


def _table(columns: _Columns, rows: Iterable[tuple[str | int, ...]]) -> dg.TableMetadataValue:
    # Dagster takes the columns from the first row, so an empty table needs them said.
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])
    return dg.MetadataValue.table([dg.TableRecord(dict(zip(columns, row, strict=True))) for row in rows], schema=schema)
