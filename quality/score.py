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
from datetime import timedelta
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
from quality.score_result import (
    Delivery,
    Detection,
    LedgerSpan,
    OrdinaryScore,
    ReasonScore,
    RuleScore,
    ScenarioScore,
    Score,
)

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
