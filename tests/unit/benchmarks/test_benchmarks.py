"""The benchmarks' results and what is made of them. That they can be measured shows itself where they are."""

import json
from datetime import date
from pathlib import Path

import pytest

from benchmarks import plots
from benchmarks.__main__ import ALL
from benchmarks.harness import RESULTS
from contracts.paths import PROJECT


def test_all_names_every_benchmark_that_has_a_result() -> None:
    assert {path.stem for path in RESULTS.glob("*.json")} == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_result_says_when_and_on_what_it_was_measured(name: str) -> None:
    result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert date.fromisoformat(result["measured"]) >= date(2026, 11, 1)
    assert result["machine"]["cpus"]


def test_main_draws_every_plot_that_the_page_shows(tmp_path: Path) -> None:
    plots.main(tmp_path)
    drawn = {path.name for path in tmp_path.iterdir() if path.stat().st_size > 5_000}
    page = (PROJECT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert drawn == {name for name in drawn if f"images/{name}" in page}
    assert len(drawn) == len(plots.PLOTS)
    assert drawn == {path.name for path in (PROJECT / "docs" / "images").glob("benchmark-*.png")}


def test_page_has_a_row_of_each_peer_with_its_newest_figures() -> None:
    page = (PROJECT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for one in json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))["results"]:
        figures = f"| {one['rate']:,} | {one['refused']:,} | {one['alerts']:,} | {one['guarantee']} |"
        (row,) = (line for line in page.splitlines() if line.endswith(figures))
        assert one["peer"] in row


def test_page_has_the_silences_and_the_score_of_the_newest_recovery() -> None:
    page = (PROJECT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    result = json.loads((RESULTS / "recovery.json").read_text(encoding="utf-8"))
    silences = {f"{one[name]:.1f}" for one in result["recoveries"] for name in ("alert_silence", "commit_silence")}
    assert {silence for silence in silences if silence not in page} == set()
    assert f"all {result['score'].pop('scored'):,} records" in page
    assert set(result["score"].values()) == {0}


def test_page_has_the_figures_of_the_newest_soak() -> None:
    page = (PROJECT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    result = json.loads((RESULTS / "soak.json").read_text(encoding="utf-8"))
    assert f"{result['score'].pop('scored'):,} records" in page
    assert set(result["score"].values()) == {0}
    assert f"{result['most_memory_mb']:,} MB" in page
