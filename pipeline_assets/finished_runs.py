"""Dagster's finished runs, as the lineage export tells of them: what each read, wrote and found.

Imported by a run alone: OpenLineage's classes are 30 MB.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
from openlineage.client.event_v2 import RunState

from contracts import tables
from pipeline_assets.lib.lineage_events import Checked, Ran

_RUNS = 500
_TABLES = {table.name for table in tables.all_tables()}
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def finished_runs(instance: dg.DagsterInstance, *, since: float, without: str) -> Iterator[tuple[Ran, float]]:
    """At most 500 runs that were finished after `since` (seconds since the epoch), the oldest first, each with when.

    None of the job `without`.
    """
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_FINISHED, updated_after=datetime.fromtimestamp(since, UTC)),
        limit=_RUNS, order_by="update_timestamp", ascending=True,
    )  # fmt: skip
    for record in records:
        updated = record.update_timestamp.replace(tzinfo=UTC).timestamp()
        if record.dagster_run.job_name != without and record.start_time and record.end_time and updated > since:
            yield _ran(instance, record), updated


def _ran(instance: dg.DagsterInstance, record: dg.RunRecord) -> Ran:
    ends = {dg.DagsterRunStatus.SUCCESS: RunState.COMPLETE, dg.DagsterRunStatus.FAILURE: RunState.FAIL}
    run, wrote, checks = record.dagster_run, [], []
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    for entry in instance.all_logs(run.run_id, of_type=kinds):
        event = entry.get_dagster_event()
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found = event.asset_check_evaluation_data
            checks.append(
                Checked(found.asset_key.path[-1], found.check_name, found.passed, found.severity.value.lower())
            )
        elif event.asset_key:
            wrote.append(event.asset_key)
    return Ran(
        run_id=run.run_id,
        job=run.job_name,
        state=ends.get(run.status, RunState.ABORT),
        started_at=datetime.fromtimestamp(record.start_time or 0, UTC),
        ended_at=datetime.fromtimestamp(record.end_time or 0, UTC),
        read=tuple(sorted(_sources(wrote) | {check.table for check in checks})),
        wrote=tuple(tuple(key.path) for key in wrote),
        checks=tuple(checks),
    )


def _sources(assets: list[dg.AssetKey]) -> set[str]:
    """The tables that these assets come from."""
    from pipeline_assets.definitions import defs  # not above: it imports this module

    graph = defs.resolve_asset_graph()
    parents = [parent for key in assets if graph.has(key) for parent in graph.get(key).parent_keys]
    return {parent.path[-1] for parent in parents if parent.path[0] == "lake"} & _TABLES
