"""The score as it is printed: tables for a person, JSON for a program, and what is said where nothing can be scored."""

import json
from pathlib import Path

import pytest

from contracts import names
from contracts.errors import NoLedger, NotRunning
from quality.score import ledger_folder
from quality.score_table import run_score
from tests.lake_tables import Lake, alert, dead_letter, transaction
from tests.sent_records import malformed, sent, write_ledger


@pytest.fixture
def scored(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The configured pipeline, with a fraud that was alerted on and a malformed record."""
    monkeypatch.setenv("PIPELINE_STATE", str(lake.state))
    lake.append(names.TRANSACTIONS, [transaction(0), transaction(4)])
    lake.append(names.DEAD_LETTERS, [dead_letter(1, offset=1)])
    lake.append(names.ALERTS, [alert(0), alert(4, source_offset=2)])
    fraud = sent(0, scenario="impossible_travel", incident=1)
    write_ledger(ledger_folder(lake.addresses), [fraud, malformed(2, "malformed_json"), sent(4)])
    return lake


def test_run_score_json_is_the_whole_score_on_one_line(scored: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_score(None, True)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == found.as_json()
    assert found.clean


def test_run_score_tables_tell_scenario_rule_reason_and_verdict(
    scored: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    run_score(None, False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["impossible_travel", "1", "1", "100.0%", "1", "1", "100.0%", "high-value"] in lines
    assert ["high-value", "2", "1", "1", "50.0%"] in lines
    assert ["malformed_json", "1", "1", "0", "1"] in lines
    assert lines[-1][0] == "clean:"


def test_run_score_loss_is_shown_and_not_clean(scored: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_ledger(scored.state / "other", [sent(0, transaction_id="x"), sent(4)])
    assert not run_score(other, False).clean
    text = capsys.readouterr().out
    assert "1 with another transaction in their place" in text
    assert "not clean" in text


def test_run_score_nothing_due_says_so_instead_of_praising(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_STATE", str(lake.state))
    assert run_score(write_ledger(lake.state / "ledger", [sent(0)]), False).clean
    assert "nothing to score yet" in capsys.readouterr().out


def test_run_score_folder_without_a_ledger_is_named(scored: Lake) -> None:
    with pytest.raises(NoLedger, match="nowhere"):
        run_score(scored.state / "nowhere", False)


def test_run_score_without_a_started_pipeline_says_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_STATE", str(tmp_path))
    with pytest.raises(NotRunning, match="pipeline up"):
        run_score(None, False)
