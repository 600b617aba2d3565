"""Operations that bound histories: Dagster's runs and events, and the generator's ledger."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage
from dagster._core.test_utils import create_run_for_test

from generator.config import LedgerConfig
from generator.ledger import Ledger
from generator.traffic import Traffic
from pipeline_assets.lib.dagster_history import prune
from tests.generated import quiet, sample
from tests.interruptions.operation import Operation, Seen

_TABLE = dg.AssetKey(["lake", "transactions"])
# By the file that they are in.
_TABLES = (
    ("index", "event_logs"),
    ("index", "asset_event_tags"),
    ("index", "asset_check_executions"),
    ("", "event_logs"),
)
_RUN = "0123abcd-0000-0000-0000-000000000000"

# --- Dagster's history


@cache
def _dagster(folder: Path) -> dg.DagsterInstance:
    """Return the instance in `folder`, made once: it holds no connection, and takes 0.2 s."""
    return dg.DagsterInstance.local_temp(str(folder))


def _events_and_a_run(folder: Path) -> None:
    instance = _dagster(folder)
    for number in range(3):
        tags = {"dagster/data_version": str(number)}
        instance.report_runless_asset_event(dg.AssetMaterialization(_TABLE, tags=tags))
        check = dg.AssetCheckEvaluation(asset_key=_TABLE, check_name="validity", passed=True, metadata={})
        instance.report_runless_asset_event(check)
    run = create_run_for_test(instance, run_id=_RUN, status=DagsterRunStatus.SUCCESS)
    instance.report_engine_event("it ran", run)


def _prune(folder: Path) -> None:
    instance = _dagster(folder)
    assert isinstance(instance.event_log_storage, SqliteEventLogStorage)
    instance.event_log_storage._initialized_dbs.discard(_RUN)  # a process that prunes has just been started
    prune(instance, before=datetime.now(UTC) + timedelta(minutes=1), keep=2)


def _page(folder: Path) -> Seen:
    instance = _dagster(folder)
    records = instance.fetch_materializations(_TABLE, limit=100).records
    return {
        "commits": [record.event_log_entry.timestamp for record in records],
        "newest": instance.get_latest_materialization_event(_TABLE) is not None,
        "run": instance.get_run_by_id(_RUN) is not None,
    }


def _rows(folder: Path) -> object:
    """Return the rows of each of Dagster's tables of events, and whether the run's file is there."""
    counted = {}
    for name, table in _TABLES:
        with closing(sqlite3.connect(folder / "history" / "runs" / f"{name}.db")) as database:
            counted[name, table] = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return counted, (folder / "history" / "runs" / f"{_RUN}.db").exists()


# --- the generator's ledger


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _next_run(folder: Path) -> None:
    """Write a file of six records, and keep two files."""
    number = int(_files(folder)[-1].name.removeprefix("run-")[:1]) + 1 if _files(folder) else 1
    ledger = Ledger(folder, LedgerConfig(keep_files=2), run=f"run-{number}")
    for seed in (1, 2):
        ledger.add(sample(Traffic(quiet(), seed=seed), 3).batch, 0, 3, sent_at_ms=0)
    ledger.close()


def _two_runs(folder: Path) -> None:
    for _ in range(2):
        _next_run(folder)


def _records(folder: Path) -> Seen:
    return {"records of each file": {pq.read_table(path).num_rows for path in _files(folder)}}


def _number_of_files(folder: Path) -> int:
    return len(_files(folder))


OPERATIONS = (
    Operation("prune Dagster's history", _events_and_a_run, _prune, _page, _rows),
    Operation("write the ledger", _two_runs, _next_run, _records, _number_of_files),
)
