"""The code location as Dagster sees it: a golden of the asset graph, and what runs without being asked."""

import subprocess
import sys

import dagster as dg

from contracts.paths import PROJECT
from pipeline_assets.definitions import defs

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
        "iceberg_snapshots": dg.DefaultSensorStatus.RUNNING,
        "stream_observations": dg.DefaultSensorStatus.RUNNING,
    }
    assert [schedule.default_status for schedule in repository.schedule_defs] == [dg.DefaultScheduleStatus.RUNNING]


def test_definitions_loading_leaves_great_expectations_and_duckdb_out() -> None:
    """The code server holds for ever what it imports; these two cost it 300 MB."""
    code = "import pipeline_assets.definitions, sys; print({'great_expectations', 'duckdb'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "set()"
