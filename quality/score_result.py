"""What a score says, as values: counts of records, the rates that follow from them, and all of it as JSON.

How they are counted is in `score.py`; how they are shown in `score_table.py`.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class LedgerSpan:
    """What of the ledger was scored. All but `runs` and the times are records.

    `records` is all of them; `scored` those acknowledged that the tables must have by now, sent from `first_sent_at`
    to `last_sent_at` (aware, UTC; None where there is none); `pending` those acknowledged after the cut. Of those
    whose end the producer does not know, and of those it took for failures, `..._arrived` stand in `transactions`;
    dead letters keep no id, so there they cannot be looked for.
    """

    records: int
    runs: int
    scored: int
    pending: int
    unknown: int
    unknown_arrived: int
    failed: int
    failed_arrived: int
    first_sent_at: datetime | None
    last_sent_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """From the first to the last scored record."""
        if self.first_sent_at is None or self.last_sent_at is None:
            return None
        return (self.last_sent_at - self.first_sent_at).total_seconds()

    def as_json(self) -> dict[str, Any]:
        """The fields and the span, times as ISO 8601."""
        first, last = self.first_sent_at, self.last_sent_at
        return asdict(self) | {
            "first_sent_at": first.isoformat() if first else None,
            "last_sent_at": last.isoformat() if last else None,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Delivery:
    """What became of the scored records, in records or rows.

    `lost` stand in neither table; of them, `mismatched` have another transaction at their position, so that a ledger of
    another log shows itself. `refused` are valid ones in `dead_letters`, `accepted` malformed ones in `transactions`.
    `repeated_positions` are rows beyond the first of their Kafka position, over both tables and whoever sent them;
    `repeated_ids` rows of `transactions` by which a transaction stands there more often than it was sent. `foreign` are
    rows of `transactions` that the ledger does not know: replays, other producers, files deleted or not yet written.
    """

    lost: int
    mismatched: int
    refused: int
    accepted: int
    repeated_positions: int
    repeated_ids: int
    foreign: int

    @property
    def wrong_fates(self) -> int:
        """Records that the other table has, or both."""
        return self.refused + self.accepted

    @property
    def unexplained_duplicates(self) -> int:
        """Rows too many; what the generator itself sent twice is not among them."""
        return self.repeated_positions + self.repeated_ids

    def as_json(self) -> dict[str, Any]:
        """The fields and the sums."""
        return asdict(self) | {
            "wrong_fates": self.wrong_fates,
            "unexplained_duplicates": self.unexplained_duplicates,
        }


@dataclass(frozen=True)
class ReasonScore:
    """Dead letters of one reason code: scored malformed records that should have it, those `found` with it and those
    found with an `other` one. `stored` are all rows of the table that have it, whoever sent them.
    """

    reason: str
    expected: int
    found: int
    other: int
    stored: int

    def as_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


@dataclass(frozen=True)
class RuleScore:
    """Alerts of one rule on records of the ledger; a true positive is one on a record that is not ordinary."""

    rule: str
    alerts: int
    true_positives: int

    @property
    def false_positives(self) -> int:
        """Alerts on ordinary records."""
        return self.alerts - self.true_positives

    @property
    def precision(self) -> float | None:
        """True positives of all alerts, 0 to 1; None without alerts."""
        return _ratio(self.true_positives, self.alerts)

    def as_json(self) -> dict[str, Any]:
        """The fields and the rates."""
        return asdict(self) | {"false_positives": self.false_positives, "precision": self.precision}


@dataclass(frozen=True)
class ScenarioScore:
    """One kind of fraud: its stored records and incidents, those with at least one alert, and the `rules` that raised
    them. Incidents of which a record is pending or awaits its alerts are left out.
    """

    scenario: str
    records: int
    records_alerted: int
    incidents: int
    incidents_alerted: int
    rules: tuple[str, ...]

    @property
    def record_recall(self) -> float | None:
        """Records alerted on, 0 to 1; None without records."""
        return _ratio(self.records_alerted, self.records)

    @property
    def incident_recall(self) -> float | None:
        """Incidents with an alert, 0 to 1; None without incidents."""
        return _ratio(self.incidents_alerted, self.incidents)

    def as_json(self) -> dict[str, Any]:
        """The fields and the rates."""
        return asdict(self) | {
            "rules": list(self.rules),
            "record_recall": self.record_recall,
            "incident_recall": self.incident_recall,
        }


@dataclass(frozen=True)
class OrdinaryScore:
    """Stored records that are part of no fraud, and those of them with an alert."""

    records: int
    records_alerted: int

    @property
    def false_positive_rate(self) -> float | None:
        """Records alerted on, 0 to 1; None without records."""
        return _ratio(self.records_alerted, self.records)

    def as_json(self) -> dict[str, Any]:
        """The fields and the rate."""
        return asdict(self) | {"false_positive_rate": self.false_positive_rate}


@dataclass(frozen=True)
class Detection:
    """How the alerts meet the frauds. `awaiting` are stored records that may yet be alerted on, `foreign_alerts` alerts
    on records that the ledger does not know. Rules and scenarios are sorted by name.
    """

    rules: tuple[RuleScore, ...]
    scenarios: tuple[ScenarioScore, ...]
    ordinary: OrdinaryScore
    awaiting: int
    foreign_alerts: int

    @property
    def alerts(self) -> int:
        """Alerts on records of the ledger."""
        return sum(rule.alerts for rule in self.rules)

    @property
    def precision(self) -> float | None:
        """Alerts on frauds of all alerts, 0 to 1; None without alerts."""
        return _ratio(sum(rule.true_positives for rule in self.rules), self.alerts)

    @property
    def incidents(self) -> int:
        """Incidents of all scenarios."""
        return sum(scenario.incidents for scenario in self.scenarios)

    @property
    def incidents_alerted(self) -> int:
        """Incidents with at least one alert."""
        return sum(scenario.incidents_alerted for scenario in self.scenarios)

    @property
    def incident_recall(self) -> float | None:
        """Incidents with an alert, 0 to 1; None without incidents."""
        return _ratio(self.incidents_alerted, self.incidents)

    def as_json(self) -> dict[str, Any]:
        """The rates over all, then one object a rule and one a scenario."""
        return {
            "alerts": self.alerts,
            "precision": self.precision,
            "incidents": self.incidents,
            "incidents_alerted": self.incidents_alerted,
            "incident_recall": self.incident_recall,
            "awaiting": self.awaiting,
            "foreign_alerts": self.foreign_alerts,
            "ordinary": self.ordinary.as_json(),
            "rules": [rule.as_json() for rule in self.rules],
            "scenarios": [scenario.as_json() for scenario in self.scenarios],
        }


@dataclass(frozen=True)
class Score:
    """The whole. `reasons` are sorted by reason code and include those that only the table has."""

    ledger: LedgerSpan
    delivery: Delivery
    reasons: tuple[ReasonScore, ...]
    detection: Detection

    @property
    def wrong_reasons(self) -> int:
        """Dead letters found with another reason than the expected one."""
        return sum(reason.other for reason in self.reasons)

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing doubled, and each record judged as it should be. Detection has no part in it."""
        delivery = self.delivery
        return not (delivery.lost or delivery.unexplained_duplicates or delivery.wrong_fates or self.wrong_reasons)

    def as_json(self) -> dict[str, Any]:
        """As plain JSON values; keys are stable. Rates are 0 to 1, null where nothing can be divided."""
        return {
            "clean": self.clean,
            "ledger": self.ledger.as_json(),
            "delivery": self.delivery.as_json(),
            "wrong_reasons": self.wrong_reasons,
            "reasons": [reason.as_json() for reason in self.reasons],
            "detection": self.detection.as_json(),
        }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
