"""What Dagster's own runs produce over real tables: the checks, and the reports."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from contracts import names, tables
from contracts.paths import PROJECT, StatePaths
from pipeline_assets.checks import CHECKS
from pipeline_assets.graph import table_key
from pipeline_assets.reports import column_lineage, data_docs, generator_score, stream_summary
from pipeline_assets.resources import LakeResource
from quality.score import ledger_folder
from tests.lake_tables import Lake, alert, dead_letter, transaction
from tests.sent_records import malformed, sent, write_ledger


def _checks(
    lake: Lake, table: str, *only: str, instance: dg.DagsterInstance | None = None
) -> dict[str, dg.AssetCheckEvaluation]:
    """The table's checks, or only those, by name."""
    (checks,) = [checks for checks in CHECKS if checks.node_def.name == f"{table}_quality"]
    keys = [key for key in checks.check_keys if not only or key.name in only]
    result = dg.materialize(
        [stream_summary, checks, dg.AssetSpec(table_key(table))],
        selection=dg.AssetSelection.checks(*keys),
        resources={"lake": LakeResource(state=str(lake.state))},
        instance=instance,
        raise_on_error=False,  # what is broken and critical blocks: the run fails
    )
    for event in result.all_events:
        if event.is_step_failure and "DagsterAssetCheckFailedError" not in str(event.step_failure_data.error):
            raise RuntimeError(str(event.step_failure_data.error))
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


_DIMENSIONS = {"uniqueness", "completeness", "validity", "accuracy", "consistency"}


@pytest.mark.parametrize(
    ("table", "names_of_checks"),
    [
        (names.TRANSACTIONS, _DIMENSIONS | {"timeliness", "new_rows", "pass_rate"}),
        (names.ALERTS, _DIMENSIONS | {"timeliness", "new_rows"}),
        (names.DEAD_LETTERS, _DIMENSIONS | {"new_rows"}),
    ],
)
def test_checks_empty_table_passes_each_of_its_checks(lake: Lake, table: str, names_of_checks: set[str]) -> None:
    found = _checks(lake, table)
    assert found.keys() == names_of_checks
    assert all(evaluation.passed for evaluation in found.values())


def test_checks_broken_row_fails_its_dimension_as_an_error_and_names_what_broke(lake: Lake) -> None:
    snapshot = lake.append(names.TRANSACTIONS, [transaction(0), transaction(2, channel="fax")])
    found = _checks(lake, names.TRANSACTIONS)
    assert {name for name, evaluation in found.items() if not evaluation.passed} == {
        "validity", "new_rows", "pass_rate",
    }  # fmt: skip
    validity = found["validity"]
    assert (validity.severity, validity.blocking) == (dg.AssetCheckSeverity.ERROR, True)
    assert "channel is one of" in (validity.description or "")
    assert validity.metadata["snapshot_id"].value == str(snapshot)
    table = validity.metadata["expectations"]
    assert isinstance(table, dg.TableMetadataValue)
    first = table.records[0].data
    assert (first["passed"], first["unexpected rows"], first["examples"]) == ("NO", 1, "fax")
    assert (found["pass_rate"].metadata["pass_rate"].value, found["pass_rate"].metadata["rows_broken"].value) == (
        0.5,
        1,
    )


def test_checks_log_and_tables_that_disagree_fail_consistency_as_the_status_does(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    said = "records of transactions.raw: 1 stored twice (from 0/0 on)"
    monkeypatch.setattr("pipeline_assets.lib.offset_agreement.disagreements", lambda catalog, addresses: (said,))
    consistency = _checks(lake, names.TRANSACTIONS, "consistency")["consistency"]
    assert (consistency.passed, consistency.severity) == (False, dg.AssetCheckSeverity.ERROR)
    table = consistency.metadata["expectations"]
    assert isinstance(table, dg.TableMetadataValue)
    assert table.records[0].data["examples"] == said


def test_definitions_loaded_by_the_code_server_bring_no_duckdb_along() -> None:
    """It would hold the memory for ever."""
    code = "import sys, pipeline_assets.definitions; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=PROJECT, check=False).returncode == 0


def test_checks_breach_that_is_not_critical_is_a_warning(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0), transaction(2, transaction_id=transaction(0)["transaction_id"])])
    uniqueness = _checks(lake, names.TRANSACTIONS, "uniqueness")["uniqueness"]
    assert (uniqueness.passed, uniqueness.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_checks_results_stay_valid_for_the_web_page_when_the_stream_commits_again(lake: Lake) -> None:
    lake.append(names.ALERTS, [alert(1)])
    with dg.DagsterInstance.ephemeral() as instance:
        _checks(lake, names.ALERTS, "validity", instance=instance)
        instance.report_runless_asset_event(dg.AssetMaterialization(table_key(names.ALERTS)))
        key = dg.AssetCheckKey(table_key(names.ALERTS), "validity")
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert record.run_id == "", "Dagster shows the result of a run only until the next commit"
        assert record.evaluation is not None
        assert record.evaluation.passed


def test_checks_one_of_them_alone_can_be_run(lake: Lake) -> None:
    lake.append(names.ALERTS, [alert(1)])
    assert _checks(lake, names.ALERTS, "new_rows").keys() == {"new_rows"}
    assert _checks(lake, names.ALERTS, "consistency").keys() == {"consistency"}


def test_checks_table_that_cannot_be_read_is_an_error_of_the_check_and_no_failure_of_the_data(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1)])
    for path in Path(lake.addresses.iceberg_warehouse.removeprefix("file://")).rglob("*.parquet"):
        path.unlink()
    with pytest.raises(RuntimeError, match="CheckError"):
        _checks(lake, names.TRANSACTIONS, "validity")


def test_checks_data_file_that_is_missing_breaks_consistency_and_no_suite_is_evaluated(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1)])
    (path,) = StatePaths(lake.state).warehouse.rglob("*.parquet")
    path.unlink()
    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.raises(RuntimeError, match=path.name):
            _checks(lake, names.TRANSACTIONS, instance=instance)
        key = dg.AssetCheckKey(table_key(names.TRANSACTIONS), "consistency")
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    evaluations = [record.event and record.event.asset_check_evaluation for record in records]
    assert [each.passed for each in evaluations if each] == [False, False], "one of the run, one without a run"


def test_data_docs_tells_where_the_pages_are(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    resource = LakeResource(state=str(lake.state))
    result = dg.materialize([data_docs], resources={"lake": resource})
    (event,) = result.get_asset_materialization_events()
    index = event.materialization.metadata["index"].value
    assert "transactions" in Path(str(index)).read_text(encoding="utf-8")


def test_column_lineage_page_has_every_column_its_origin_and_its_checks(lake: Lake) -> None:
    result = dg.materialize([column_lineage], resources={"lake": LakeResource(state=str(lake.state))})
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    html = Path(str(metadata["page"].value)).read_text(encoding="utf-8")
    for table in tables.stream_tables():
        for column in table.columns:
            assert f'id="{table.identifier}/{column.name}"' in html
    assert 'data-from="transactions.raw/amount" data-to="finance.transactions/amount"' in html
    assert 'data-from="alerts/severity" data-to="finance.alerts/severity"' in html
    assert "http" not in html, "it must need nothing else"
    rows = {row["column"]: row for row in _records(metadata, "transactions")}
    assert rows["amount"]["comes from"] == "transactions.raw amount"
    assert "amount is above zero" in str(rows["amount"]["checks"])
    assert rows["processed_at"]["how"] == "clock"


def test_stream_summary_counts_rows_reasons_and_rules(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(number) for number in range(4)])
    lake.append(names.DEAD_LETTERS, [dead_letter(1), dead_letter(2), dead_letter(3, reason_code="no_payload")])
    lake.append(names.ALERTS, [alert(1)])
    metadata = _summary(lake)
    assert metadata["transactions_rows"].value == 4
    assert _records(metadata, "dead_letters_by_reason") == [
        {"reason": "malformed_json", "rows": 2},
        {"reason": "no_payload", "rows": 1},
    ]
    assert _records(metadata, "alerts_by_rule") == [{"rule": "high-value", "rows": 1}]
    assert _records(metadata, "alerts_by_severity") == [{"severity": "high", "rows": 1}]
    assert all("s ago" in str(record["newest commit"]) for record in _records(metadata, "tables"))


def test_stream_summary_empty_tables_give_an_honest_report(lake: Lake) -> None:
    metadata = _summary(lake)
    assert _records(metadata, "alerts_by_rule") == []
    assert {record["newest commit"] for record in _records(metadata, "tables")} == {"none yet"}


def test_generator_score_numbers_can_be_plotted_and_tables_tell_the_rest(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0), transaction(4), transaction(4)])
    lake.append(names.DEAD_LETTERS, [dead_letter(1, offset=3)])
    lake.append(names.ALERTS, [alert(0), alert(4, source_offset=2)])
    fraud = sent(0, scenario="merchant_ring", incident=1)
    write_ledger(ledger_folder(lake.addresses), [fraud, sent(2), sent(4), malformed(6, "malformed_json")])
    metadata = _score(lake)
    numbers = ("scored", "lost", "unexplained_duplicates", "precision", "incident_recall")
    assert [metadata[name].value for name in numbers] == [4, 1, 1, 0.5, 1.0]
    assert metadata["clean"].value is False
    (scenario,) = _records(metadata, "scenarios")
    assert (scenario["scenario"], scenario["incident recall"], scenario["rules"]) == (
        "merchant_ring",
        "100.0%",
        "high-value",
    )
    (rule,) = _records(metadata, "rules")
    assert (rule["rule"], rule["alerts"], rule["precision"]) == ("high-value", 2, "50.0%")
    (reason,) = _records(metadata, "dead_letters_by_reason")
    assert (reason["reason"], reason["expected"], reason["found"]) == ("malformed_json", 1, 1)


def test_generator_score_without_a_ledger_says_that_there_is_nothing_to_score(lake: Lake) -> None:
    metadata = _score(lake)
    assert list(metadata) == ["note"]
    assert "Nothing to score" in str(metadata["note"].value)


def test_generator_score_without_any_alert_leaves_its_rates_out(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    write_ledger(ledger_folder(lake.addresses), [sent(0)])
    metadata = _score(lake)
    assert "precision" not in metadata
    assert _records(metadata, "rules") == []


def test_lake_resource_without_a_state_uses_the_environment(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in lake.addresses.to_environment().items():
        monkeypatch.setenv(name, value)
    assert LakeResource().addresses() == lake.addresses


def test_lake_resource_without_state_and_environment_uses_the_configured_folder(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in lake.addresses.to_environment():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIPELINE_STATE", str(lake.state))
    assert LakeResource().addresses() == lake.addresses


def _summary(lake: Lake) -> Mapping[str, dg.MetadataValue[Any]]:
    result = dg.materialize([stream_summary], resources={"lake": LakeResource(state=str(lake.state))})
    (event,) = result.asset_materializations_for_node("reports__stream_summary")
    return event.metadata


def _score(lake: Lake) -> Mapping[str, dg.MetadataValue[Any]]:
    result = dg.materialize([generator_score], resources={"lake": LakeResource(state=str(lake.state))})
    (event,) = result.asset_materializations_for_node("reports__generator_score")
    return event.metadata


def _records(metadata: Mapping[str, dg.MetadataValue[Any]], name: str) -> list[dict[str, object]]:
    table = metadata[name]
    assert isinstance(table, dg.TableMetadataValue)
    return [{**record.data} for record in table.records]
