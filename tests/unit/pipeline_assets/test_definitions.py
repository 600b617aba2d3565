"""The code location as Dagster sees it: a golden of the asset graph, and what runs without being asked."""

import subprocess
import sys

import dagster as dg

from contracts import tables
from contracts.paths import PROJECT
from pipeline_assets.definitions import defs
from pipeline_assets.graph import table_key

GOLDEN = PROJECT / "tests" / "golden" / "asset_graph.txt"


def _graph() -> str:
    """One paragraph an asset: key, group, kinds, owners, what it comes from, its checks."""
    graph = defs.resolve_asset_graph()
    lines: list[str] = []
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        kinds = sorted(tag.removeprefix("dagster/kind/") for tag in node.tags if tag.startswith("dagster/kind/"))
        lines += [
            key.to_user_string(),
            f"  group {node.group_name}, kinds {', '.join(kinds)}, owners {', '.join(node.owners)}",
            f"  {'materializable' if node.is_materializable else 'external'}"
            + (", freshness policy" if node.freshness_policy_or_from_metadata else ""),
            *(f"  from {parent.to_user_string()}" for parent in sorted(node.parent_keys)),
            *(f"  check {check.name}" for check in sorted(node.check_keys)),
        ]
    return "\n".join(lines) + "\n"


def test_definitions_asset_graph_is_the_golden() -> None:
    """After a wanted change: write `_graph()` to the file, read the difference, commit it."""
    assert _graph() == GOLDEN.read_text(encoding="utf-8")


def test_definitions_every_asset_is_described_and_no_dependency_is_undeclared() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        assert graph.get(key).description, key
        assert graph.get(key).group_name != "default", key


def test_definitions_sensors_and_schedule_run_without_being_switched_on() -> None:
    repository = defs.get_repository_def()
    assert {sensor.name: sensor.default_status for sensor in repository.sensor_defs} == {
        "commit_ledger": dg.DefaultSensorStatus.RUNNING,
        "iceberg_snapshots": dg.DefaultSensorStatus.RUNNING,
        "stream_observations": dg.DefaultSensorStatus.RUNNING,
    }
    for schedule in repository.schedule_defs:
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING, schedule.name


def test_definitions_every_job_resolves_and_every_asset_of_ours_can_be_materialized() -> None:
    jobs = {job.name for job in defs.get_repository_def().get_all_jobs() if not job.name.startswith("__")}
    assert jobs == {"quality", "data_docs", "lake_maintenance", "dagster_history", "bookkeeping"}
    materializable = {key.to_user_string() for key in defs.resolve_asset_graph().materializable_asset_keys}
    assert materializable == {
        "lake/sessions",
        "maintenance/compaction", "maintenance/dagster_history", "maintenance/orphan_files",
        "maintenance/repeated_rows", "maintenance/snapshot_expiry", "quality/data_docs", "reports/column_lineage",
        "reports/generator_score", "reports/openlineage", "reports/stream_summary",
    }  # fmt: skip


def test_definitions_column_lineage_of_the_tables_leads_to_fields_of_topics_that_exist() -> None:
    graph = defs.resolve_asset_graph()
    for table in tables.stream_tables():
        metadata = graph.get(table_key(table.name)).metadata
        lineage = metadata["dagster/column_lineage"]
        assert isinstance(lineage, dg.TableColumnLineage)
        assert set(lineage.deps_by_column) <= {column.name for column in table.columns}
        for deps in lineage.deps_by_column.values():
            for dep in deps:
                schema = graph.get(dep.asset_key).metadata["dagster/column_schema"]
                fields = {column.name for column in schema.columns}
                assert dep.column_name in fields or dep.column_name.startswith("#")
        rows = metadata["columns come from"].value.records
        assert {row.data["column"] for row in rows} == {column.name for column in table.columns}


def test_definitions_loading_leaves_great_expectations_and_duckdb_out() -> None:
    """The code server holds for ever what it imports; these two cost it 300 MB."""
    code = "import pipeline_assets.definitions, sys; print({'great_expectations', 'duckdb'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "set()"
