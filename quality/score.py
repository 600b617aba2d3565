"""Scores a run of the traffic generator by what the pipeline made of it: the ledger, held against the three tables.

Records are looked up by their Kafka position. Only those are scored that the tables must have by now:

* Flink commits each table by itself, but reads every partition in order. A table is therefore complete up to the
  highest offset that stands in it. Beyond that it is taken for complete up to the highest offset that any of
  `transactions` and `dead_letters` shows as processed `commit_lag` before the newest row, in Flink's clock: no healthy
  commit takes longer. An ok record after this cut is `pending`, neither found nor lost.
* Which table is asked depends on the record: a valid one is due in `transactions`, a malformed one in `dead_letters`.
  A common cut would call records lost while the commit of the other table is a moment away.
* Alerts take another way (their own job, a topic, then the table) and may come later than the transactions. So a
  record counts for recall where it stands in `transactions` and an alert on it or on a later record of its partition
  is stored, or it was processed `commit_lag` before the newest row. The others are `awaiting`. An alerting job that is
  further behind than `commit_lag` costs recall until it has caught up.

The lake is pinned to its snapshots before the ledger is read, so what is sent meanwhile is pending at most. A ledger
may be deleted from its old end while it grows: rows of the tables that it does not know are `foreign` and no defect.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyiceberg.exceptions import NoSuchTableError

from contracts.addresses import Addresses
from contracts.errors import CheckError, NoLedger, NotRunning
from contracts.paths import StatePaths
from lake.catalog import open_catalog
from lake.duck import connect
from quality import score_queries as sql

# The label of a record that is part of no fraud.
ORDINARY = "ordinary"
# A locked catalog holds a commit back by 60 s at most; a checkpoint comes before it.
COMMIT_LAG = timedelta(seconds=90)

_LEDGER = "score_ledger"
# What is read of a ledger, in types that hold what its files may have: dictionaries become plain texts.
_SCHEMA = pa.schema(
    [
        ("transaction_id", pa.string()),
        ("scenario", pa.string()),
        ("incident", pa.int64()),
        ("run", pa.string()),
        ("expected", pa.string()),
        ("expected_reason", pa.string()),
        ("outcome", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("sent_at", pa.timestamp("us", tz="UTC")),
    ]
)
# How often the ledger is listed anew where a file was deleted while it was read.
_ATTEMPTS = 3
_T = TypeVar("_T")


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


def ledger_folder(addresses: Addresses) -> Path:
    """Where the generator of the pipeline at `addresses` keeps its ledger."""
    return StatePaths(Path(addresses.pipeline_state)).generator / "ledger"


def score_lake(addresses: Addresses, ledger: Path | None = None) -> Score:
    """Scores the ledger in the folder `ledger` (default: the pipeline's own) by the tables of that pipeline.

    Raises NoLedger, NotRunning before the first tables, ConfigError for a warehouse elsewhere, and CheckError.
    """
    folder = ledger or ledger_folder(addresses)
    _files(folder)  # before the lake is opened, which takes longer
    try:
        with (
            open_catalog(addresses) as catalog,
            connect(catalog, addresses.iceberg_warehouse) as connection,
        ):
            return score(connection, folder)
    except NoSuchTableError:
        raise NotRunning("there are no tables yet. Start the pipeline once: pipeline up") from None


def score(connection: duckdb.DuckDBPyConnection, ledger: Path, *, commit_lag: timedelta = COMMIT_LAG) -> Score:
    """Scores the ledger in the folder `ledger` by the views of `connection` (see `lake.duck.connect`).

    Raises NoLedger where the folder has no finished file, CheckError where a file cannot be read or a query fails.
    """
    try:
        connection.execute(sql.MAKE_STORED)
        connection.execute(sql.MAKE_CUTS.format(lag=commit_lag // timedelta(milliseconds=1)))
        return _with_ledger(connection, ledger, lambda: _score(connection))
    except (duckdb.Error, OSError) as error:
        raise CheckError(f"the run cannot be scored: {error}") from error
    finally:
        for name in sql.TEMPORARY:
            connection.execute(f"DROP TABLE IF EXISTS temp.{name}")


def _score(connection: duckdb.DuckDBPyConnection) -> Score:
    connection.execute(sql.MAKE_FATES.format(ledger=_LEDGER))
    records, runs, scored, pending, *more, first_sent_at, last_sent_at = _row(connection, sql.TOTALS)
    lost, mismatched, refused, accepted, unknown, failed, awaiting = more
    unknown_arrived, failed_arrived, repeated_ids, unplaced = _row(connection, sql.UNPLACED.format(ledger=_LEDGER))
    (repeated_positions,) = _row(connection, sql.COPIES)
    return Score(
        LedgerSpan(
            records=records,
            runs=runs,
            scored=scored,
            pending=pending,
            unknown=unknown,
            unknown_arrived=unknown_arrived,
            failed=failed,
            failed_arrived=failed_arrived,
            first_sent_at=first_sent_at,
            last_sent_at=last_sent_at,
        ),
        Delivery(
            lost=lost,
            mismatched=mismatched,
            refused=refused,
            accepted=accepted,
            repeated_positions=repeated_positions,
            repeated_ids=repeated_ids,
            foreign=unplaced - unknown_arrived - failed_arrived - repeated_ids,
        ),
        tuple(ReasonScore(*row) for row in connection.execute(sql.REASONS).fetchall()),
        _detection(connection, awaiting),
    )


def _detection(connection: duckdb.DuckDBPyConnection, awaiting: int) -> Detection:
    rules = tuple(RuleScore(*row) for row in connection.execute(sql.RULES.format(ordinary=ORDINARY)).fetchall())
    scenarios = {
        name: ScenarioScore(name, records, alerted, incidents, incidents_alerted, tuple(raised))
        for name, records, alerted, incidents, incidents_alerted, raised in connection.execute(sql.SCENARIOS).fetchall()
    }
    ordinary = scenarios.pop(ORDINARY, None)
    (alerts,) = _row(connection, sql.ALERTS)
    return Detection(
        rules=rules,
        scenarios=tuple(scenarios.values()),
        ordinary=OrdinaryScore(ordinary.records, ordinary.records_alerted) if ordinary else OrdinaryScore(0, 0),
        awaiting=awaiting,
        foreign_alerts=alerts - sum(rule.alerts for rule in rules),
    )


def _with_ledger(connection: duckdb.DuckDBPyConnection, folder: Path, read: Callable[[], _T]) -> _T:
    """What `read` makes of the ledger, once more where the generator deleted a file under it."""
    for attempt in range(1, _ATTEMPTS + 1):
        files = _files(folder)
        try:
            with _registered(connection, files):
                return read()
        except (duckdb.Error, OSError):
            if attempt == _ATTEMPTS or all(path.exists() for path in files):
                raise
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, files: list[Path]) -> Iterator[None]:
    # By way of Arrow: the lake's connection opens no file outside the warehouse.
    dataset = ds.dataset([str(path) for path in files], schema=_SCHEMA, format="parquet")
    connection.register(_LEDGER, dataset)
    try:
        yield
    finally:
        connection.unregister(_LEDGER)


def _files(folder: Path) -> list[Path]:
    """The finished files. Raises NoLedger where there is none."""
    found = sorted(folder.glob("*.parquet"))
    if not found:
        raise NoLedger(
            f"there is no ledger in {folder}, so there is nothing to score. The traffic generator writes one: start it "
            "(pipeline up) and give it a minute, or name the folder of another one"
        )
    return found


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The one row of `query`."""
    (row,) = connection.execute(query).fetchall()
    return tuple(row)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
