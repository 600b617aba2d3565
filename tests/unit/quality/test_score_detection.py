"""How the score sets alerts against frauds: precision by rule, recall by record and incident, and what may yet come."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from quality.score_result import ScenarioScore, Score
from tests.lake_tables import NOW, transaction
from tests.sent_records import fraud, raised, sent

Judge = Callable[..., Score]
LONG_AGO = NOW - timedelta(minutes=10)


def scenario_of(found: Score, name: str = "velocity_burst") -> ScenarioScore:
    """The score of one scenario."""
    (scenario,) = [scenario for scenario in found.detection.scenarios if scenario.scenario == name]
    return scenario


def test_score_alerts_are_true_on_frauds_and_false_on_ordinary_records(judge: Judge) -> None:
    found = judge(
        [sent(0), fraud(2, incident=1), sent(4)],
        [transaction(number) for number in (0, 2, 4)],
        alerts=[raised(2), raised(4), raised(2, "rapid-activity", alert_id="a" * 64)],
    )
    rules = [(rule.rule, rule.alerts, rule.true_positives, rule.precision) for rule in found.detection.rules]
    assert rules == [("high-value", 2, 1, 0.5), ("rapid-activity", 1, 1, 1.0)]
    assert found.detection.precision == pytest.approx(2 / 3)
    assert (found.detection.ordinary.records, found.detection.ordinary.records_alerted) == (2, 1)
    assert found.detection.ordinary.false_positive_rate == 0.5
    assert found.clean


def test_score_incident_is_found_by_one_alert_of_any_rule(judge: Judge) -> None:
    found = judge(
        [fraud(0, incident=1), fraud(2, incident=1), fraud(4, incident=2), fraud(6, incident=2), sent(8)],
        [transaction(number) for number in (0, 2, 4, 6, 8)],
        alerts=[raised(2), raised(8)],
    )
    assert scenario_of(found) == ScenarioScore("velocity_burst", 4, 1, 2, 1, ("high-value",))
    assert (scenario_of(found).record_recall, scenario_of(found).incident_recall) == (0.25, 0.5)
    assert found.detection.incident_recall == 0.5


def test_score_incidents_of_two_runs_with_one_number_are_two(judge: Judge) -> None:
    found = judge(
        [fraud(0, incident=1), fraud(2, incident=1, run="20261126T120000")],
        [transaction(0), transaction(2)],
        alerts=[raised(2)],
    )
    assert (found.ledger.runs, scenario_of(found).incidents, scenario_of(found).incidents_alerted) == (2, 2, 1)


def test_score_record_after_the_last_alert_of_its_partition_awaits_alerts(judge: Judge) -> None:
    found = judge(
        [fraud(0, incident=1), fraud(2, incident=2), fraud(4, incident=2)],
        [transaction(number) for number in (0, 2, 4)],
        alerts=[raised(0), raised(2)],
    )
    assert found.detection.awaiting == 1
    # The second incident has an alert, and is not over: counting it would flatter.
    assert (scenario_of(found).records, scenario_of(found).incidents) == (2, 1)


def test_score_records_of_long_ago_without_any_alert_are_missed(judge: Judge) -> None:
    found = judge([fraud(0, incident=1), sent(2)], [transaction(0, processed_at=LONG_AGO), transaction(2)])
    assert (scenario_of(found).incident_recall, found.detection.awaiting) == (0.0, 1)
    assert found.detection.precision is None


def test_score_alert_on_an_unknown_record_is_foreign(judge: Judge) -> None:
    found = judge(
        [sent(0), sent(2)], [transaction(0), transaction(2)], alerts=[raised(4), raised(2, transaction_id="x")]
    )
    assert (found.detection.foreign_alerts, found.detection.alerts) == (2, 0)
