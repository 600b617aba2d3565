"""When the missing of commits is called a stall, and what is found to be its cause."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts import names
from contracts.paths import StatePaths
from contracts.settings import Settings
from lake.snapshots import newest_stream_commit
from operations.commits import Patience, find_cause, judge_commits
from operations.health import Component, Health
from tests.lake_tables import Lake

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PATIENCE = Patience(busy=60, idle=120)


def judge(
    *ages: float | None, job_seconds: int = 10_000, overdue: Callable[[datetime], int] = lambda before: 0
) -> Component:
    """The verdict where the tables' newest commits are so many seconds old."""
    newest = {
        name: None if age is None else NOW - timedelta(seconds=age)
        for name, age in zip((names.TRANSACTIONS, names.DEAD_LETTERS, names.ALERTS), ages, strict=False)
    }
    return judge_commits(
        newest, now=NOW, job_seconds=job_seconds, patience=PATIENCE, overdue=overdue, why=lambda: "the disk is full"
    )


def test_judge_commits_records_wait_and_no_table_is_committed_to_is_a_stall_with_cause_and_remedy() -> None:
    def overdue(before: datetime) -> int:
        assert before == NOW - timedelta(seconds=60)
        return 3_201

    found = judge(75, 80, None, overdue=overdue)
    assert found.health is Health.UNHEALTHY
    assert found.detail == (
        "no commit for 75 s, while 3,201 records wait for more than 60 s: the disk is full. "
        "Nothing is lost while Kafka keeps the records"
    )


@pytest.mark.parametrize("ages", [(75, 80, 90), (75, None, None)])
def test_judge_commits_idle_pipeline_is_no_stall(ages: tuple[float | None, ...]) -> None:
    assert judge(*ages, job_seconds=100).health is Health.HEALTHY


def test_judge_commits_of_one_table_while_records_wait_is_no_stall() -> None:
    assert judge(5, 80, 80, overdue=lambda before: 10).health is Health.HEALTHY


def test_judge_commits_one_table_without_even_the_empty_commits_of_an_idle_one_is_a_stall() -> None:
    found = judge(5, 5, 121)
    assert found.health is Health.UNHEALTHY
    assert found.detail.startswith("no commit to alerts for 121 s")


def test_judge_commits_counts_from_the_start_of_the_job_not_from_the_night_before() -> None:
    assert judge(40_000, 40_000, 40_000, job_seconds=59, overdue=lambda before: 10).health is Health.HEALTHY


def test_judge_commits_without_a_job_leaves_the_word_to_the_line_of_the_job() -> None:
    assert judge(40_000, job_seconds=0, overdue=lambda before: 10).health is Health.HEALTHY


def test_patience_is_as_configured_but_at_least_six_checkpoints() -> None:
    settings = Settings()
    assert Patience.of(settings) == Patience(busy=60, idle=120)
    slow = settings.flink.model_copy(update={"lakehouse_checkpoint_ms": 60_000})
    assert Patience.of(settings.model_copy(update={"flink": slow})).busy == 360


def test_find_cause_locked_catalog_names_who_holds_it(lake: Lake) -> None:
    paths = StatePaths(lake.state)
    assert "pipeline logs taskmanager-lakehouse" in find_cause(paths)
    with closing(sqlite3.connect(paths.catalog, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert f"the catalog {paths.catalog} is locked by " in find_cause(paths)
    assert "pipeline logs taskmanager-lakehouse" in find_cause(paths)


def test_find_cause_before_anything_was_made_points_to_the_logs(tmp_path: Path) -> None:
    assert "pipeline logs taskmanager-lakehouse" in find_cause(StatePaths(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_newest_stream_commit_is_flinks_not_that_of_maintenance(lake: Lake) -> None:
    table = names.TRANSACTIONS
    assert newest_stream_commit(lake.table(table)) is None
    lake.append(table, [], **{names.FLINK_JOB_ID_PROPERTY: "j1", names.FLINK_CHECKPOINT_PROPERTY: "1"})
    stream = newest_stream_commit(lake.table(table))
    lake.append(table, [], **{names.MAINTENANCE_PROPERTY: "compaction"})
    assert newest_stream_commit(lake.table(table)) == stream
