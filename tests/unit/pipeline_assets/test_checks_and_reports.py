"""What Dagster's own runs produce over real tables: the check of the contract, and the report."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from contracts import names
from pipeline_assets.checks import transactions_contract
from pipeline_assets.graph import table_key
from pipeline_assets.reports import stream_summary
from pipeline_assets.resources import LakeResource
from tests.lake_tables import Lake, alert, dead_letter, transaction


def _check(lake: Lake) -> dg.AssetCheckEvaluation:
    result = dg.materialize(
        [stream_summary, transactions_contract, dg.AssetSpec(table_key(names.TRANSACTIONS))],
        selection=dg.AssetSelection.checks(transactions_contract),
        resources={"lake": LakeResource(state=str(lake.state))},
    )
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_transactions_contract_empty_table_passes_with_a_note(lake: Lake) -> None:
    evaluation = _check(lake)
    assert evaluation.passed
    assert "no rows yet" in (evaluation.description or "")


def test_transactions_contract_broken_row_fails_as_an_error_and_names_what_broke(lake: Lake) -> None:
    snapshot = lake.append(names.TRANSACTIONS, [transaction(1), transaction(2, channel="fax")])
    evaluation = _check(lake)
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    assert "channel is one of" in (evaluation.description or "")
    assert evaluation.metadata["snapshot_id"].value == str(snapshot)
    table = evaluation.metadata["expectations"]
    assert isinstance(table, dg.TableMetadataValue)
    first = table.records[0].data
    assert (first["passed"], first["unexpected rows"], first["examples"]) == ("NO", 1, "fax")
    assert len(table.records) == 29


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
    assert all("s ago" in str(record["newest commit"]) for record in _records(metadata, "tables"))


def test_stream_summary_empty_tables_give_an_honest_report(lake: Lake) -> None:
    metadata = _summary(lake)
    assert _records(metadata, "alerts_by_rule") == []
    assert {record["newest commit"] for record in _records(metadata, "tables")} == {"none yet"}


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


def _records(metadata: Mapping[str, dg.MetadataValue[Any]], name: str) -> list[dict[str, object]]:
    table = metadata[name]
    assert isinstance(table, dg.TableMetadataValue)
    return [{**record.data} for record in table.records]
