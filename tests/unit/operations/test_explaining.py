"""`pipeline explain` over real tables and real deployments: what it tells of an alert, and what it refuses."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from contracts import names, tables
from contracts.errors import NotRunning, QueryError
from contracts.paths import StatePaths
from lake.compaction import compact
from operations.cli import app
from operations.explaining import explain
from streaming.deployments import Deployments
from streaming.rules.book import load_rules, rules_text
from tests.lake_tables import NOW, Lake, alert, transaction

BOOK = load_rules()
RAPID = next(rule for rule in BOOK.rules if rule.kind == "rapid_activity")


@pytest.fixture
def deployments(lake: Lake) -> Deployments:
    """One: the project's own rules."""
    deployments = Deployments(StatePaths(lake.state).rules)
    deployments.want(BOOK, rules_text(), reason="a test", cold=True)
    return deployments


def ids(*numbers: int) -> list[str]:
    return [str(transaction(number)["transaction_id"]) for number in numbers]


def rapid(count: int, **evidence: str) -> dict[str, object]:
    """An alert on the transaction 4, whose predecessors 0 and 2 contribute."""
    given = {"count": str(count), "limit": "2", "window_seconds": "60", "lookback": "5"}
    given["transaction_ids"] = " ".join(ids(0, 2, 4))
    return alert(
        4,
        alert_id="abcdef" + "0" * 58,
        account_id="ACC000000001",
        rule_id=RAPID.id,
        rule_version=RAPID.rule_version,
        source_offset=2,
        evidence=list({**given, **evidence}.items()),
    )


@pytest.fixture
def stored(lake: Lake) -> Lake:
    """Transactions of one account, in two commits, and an alert."""
    for numbers in ((0, 6), (2, 4)):  # not in the order of their event times
        rows = [
            transaction(number, account_id="ACC000000001", event_time=NOW + timedelta(seconds=number))
            for number in numbers
        ]
        lake.append(names.TRANSACTIONS, rows)
    lake.append(names.ALERTS, [rapid(3)])
    return lake


def test_explain_velocity_alert_shows_rule_verdict_and_contributing_transactions(
    stored: Lake, deployments: Deployments
) -> None:
    found = explain(stored.addresses, deployments, "abcdef")
    assert (found.deployment, found.holds) == (1, True)
    assert found.words == "3 transactions within 60 s are more than 2"
    assert found.rule is not None
    assert (found.rule["id"], found.rule["kind"]) == (RAPID.id, "rapid_activity")
    assert found.transaction is not None
    assert found.transaction["transaction_id"] == ids(4)[0]
    assert [row["transaction_id"] for row in found.contributing] == ids(0, 2)


def test_explain_after_compaction_shows_the_same(stored: Lake, deployments: Deployments) -> None:
    before = explain(stored.addresses, deployments, "abcdef")
    for table in tables.all_tables():
        compact(stored.table(table.name), table)
    assert len(list(stored.table(names.TRANSACTIONS).scan().plan_files())) == 1
    assert explain(stored.addresses, deployments, "abcdef") == before


def test_explain_evidence_that_does_not_bear_the_verdict_out_says_so(lake: Lake, deployments: Deployments) -> None:
    lake.append(names.ALERTS, [rapid(2)])
    found = explain(lake.addresses, deployments, "abcdef")
    assert found.holds is False
    assert (found.transaction, found.contributing) == (None, ())


def test_explain_rule_that_never_ran_here_still_shows_the_evidence(lake: Lake) -> None:
    lake.append(names.ALERTS, [rapid(3)])
    found = explain(lake.addresses, Deployments(StatePaths(lake.state).rules), "abcdef")
    assert (found.rule, found.words, found.alert["evidence"]["limit"]) == (None, None, "2")


@pytest.mark.parametrize(
    ("alert_id", "complaint"),
    [
        ("fedcba", "no alert has an id that begins with fedcba"),
        ("abc", "no alert id"),
        ("2-abcd", "with or without 2- in front"),
        ("x" * 64, "no alert id"),
    ],
)
def test_explain_id_that_is_none_is_refused_with_what_to_do(lake: Lake, alert_id: str, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint):
        explain(lake.addresses, Deployments(StatePaths(lake.state).rules), alert_id)


@pytest.mark.parametrize("beginning", ["2-abcdef", f"2-abcdef{'0' * 58}", "abcdef"])
def test_explain_id_with_or_without_its_scheme_finds_the_alert(lake: Lake, beginning: str) -> None:
    lake.append(names.ALERTS, [{**rapid(3), "alert_id": f"2-abcdef{'0' * 58}"}])
    found = explain(lake.addresses, Deployments(StatePaths(lake.state).rules), beginning)
    assert found.alert["alert_id"] == f"2-abcdef{'0' * 58}"


def test_explain_beginning_of_several_ids_asks_for_more(lake: Lake) -> None:
    lake.append(names.ALERTS, [alert(1), alert(2)])
    with pytest.raises(QueryError, match="give more of it"):
        explain(lake.addresses, Deployments(StatePaths(lake.state).rules), "0000000")


def test_explain_before_the_first_tables_says_how_to_start(lake: Lake) -> None:
    lake.catalog.drop_table(f"{names.NAMESPACE}.{names.ALERTS}")
    with pytest.raises(NotRunning, match="pipeline up"):
        explain(lake.addresses, Deployments(StatePaths(lake.state).rules), "abcdef")


def test_explain_command_prints_the_verdict_and_json(
    stored: Lake, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_STATE", str(stored.state))
    shown = CliRunner().invoke(app, ["explain", "abcdef"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "3 transactions within 60 s are more than 2" in shown.output
    told = json.loads(CliRunner().invoke(app, ["explain", "abcdef", "--json"]).output)
    assert (told["alert"]["rule_id"], told["holds"], len(told["contributing"])) == (RAPID.id, True, 2)
    assert Decimal(told["transaction"]["amount"]) > 0


@pytest.mark.parametrize(
    ("kind", "evidence", "holds"),
    [
        ("high_value", {"amount": "5000.01", "threshold": "5000.00", "currency": "USD"}, True),
        ("high_value", {"amount": "5000.00", "threshold": "5000.00", "currency": "USD"}, False),
        ("unusual_hour", {"local_hour": "2", "start_hour": "1", "end_hour": "5"}, True),
        ("unusual_hour", {"local_hour": "5", "start_hour": "1", "end_hour": "5"}, False),
        ("unusual_hour", {"local_hour": "23", "start_hour": "22", "end_hour": "5"}, True),
        ("unusual_hour", {"local_hour": "2", "start_hour": "1", "end_hour": "5", "amount": "299.99"}, False),
        ("rapid_activity", {"count": "5", "limit": "4"}, True),
        ("rapid_activity", {"count": "4", "limit": "4"}, False),
        ("rapid_activity", {"count": "3", "total_amount": "900.10", "amount_limit": "900.00"}, True),
        ("rapid_activity", {"count": "5", "limit": "4", "total_amount": "9.00", "amount_limit": "9.00"}, False),
    ],
)
def test_judged_from_evidence_alone_is_what_the_rule_says(kind: str, evidence: dict[str, str], holds: bool) -> None:
    usual = {
        "amount": "300.00", "minimum_amount": "300.00", "currency": "USD", "time_zone": "Europe/Zurich",
        "window_seconds": "60", "lookback": "5",
    }  # fmt: skip
    rule = next(rule for rule in BOOK.rules if rule.kind == kind)
    judged = rule.judged({**usual, **evidence})
    assert judged.holds is holds
    assert judged.words
