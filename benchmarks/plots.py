"""Draws the newest results: `uv run python -m benchmarks.plots` writes `docs/images/benchmark-*.png`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import numpy as np
import typer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.harness import RESULTS
from contracts.paths import PROJECT
from generator.describe.plots import style

Result = dict[str, Any]

# Okabe and Ito's palette: told apart by every kind of colour blindness, and in print by their lightness.
_OURS, _OTHERS, _THIRD = "#b34700", "#9bcdee", "#333333"
_DPI = 120


def main(folder: Annotated[Path, typer.Argument()] = PROJECT / "docs" / "images") -> None:
    """Draw every result there is."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PLOTS.items():
        result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        with mpl.rc_context(style()):
            figure = draw(result)
            FigureCanvasAgg(figure)
            # Without its maker's version, the same figures give the same file.
            figure.savefig(folder / f"benchmark-{name}.png", format="png", dpi=_DPI, metadata={"Software": None})


def draw_latency(result: Result) -> Figure:
    """Percentiles of both latencies by rate, alone and beside compaction."""
    figure = Figure(figsize=(9, 3.6))
    alert, storage = figure.subplots(1, 2)
    for axes, what, title in ((alert, "alert", "record to alert"), (storage, "storage", "record to row")):
        for colour, is_compacted, words in ((_OURS, False, "alone"), (_OTHERS, True, "tables compacted meanwhile")):
            runs = [run for run in result["rates"] if (run["compactions"] is not None) == is_compacted]
            rates = [run["rate"] for run in runs]
            for percentile, line in (("p50", "-"), ("p99", ":")):
                values = [run[what][percentile] for run in runs]
                axes.plot(rates, values, line, color=colour, marker="o", label=f"{percentile}, {words}")
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_title(title)
        axes.set_xlabel("records a second")
        axes.set_ylabel("ms")
    alert.legend(loc="upper left", fontsize=7)
    return figure


def draw_peers(result: Result) -> Figure:
    """Records a second of each, the fastest first."""
    ordered = sorted(result["results"], key=lambda one: int(one["rate"]))
    figure = Figure(figsize=(8, 2.8))
    axes = figure.subplots()
    colours = [_OURS if one["peer"] == "this pipeline" else _OTHERS for one in ordered]
    bars = axes.barh([one["peer"] for one in ordered], [one["rate"] for one in ordered], color=colours)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.set_title("Records a second, each with the guarantees of the table")
    axes.grid(axis="y", visible=False)
    return figure


def draw_soak(result: Result) -> Figure:
    """Memory by process over the time, and beneath it alert latency and data files."""
    samples = result["samples"]
    minutes = [sample["seconds"] / 60 for sample in samples]
    figure = Figure(figsize=(9, 6.5))
    memory, latency, files = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 1))
    parts = sorted({part for sample in samples for part in sample["memory_mb"]})
    colours = mpl.colormaps["cividis"](np.linspace(0, 1, len(parts)))
    series = [[sample["memory_mb"].get(part, 0) for sample in samples] for part in parts]
    memory.stackplot(minutes, series, labels=parts, colors=colours)
    memory.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, reverse=True)
    memory.set_title(f"Memory at {result['rate']:,} records a second, MB")
    for percentile, colour in (("p50", _OTHERS), ("p99", _OURS)):
        latency.plot(minutes, [sample[f"alert_{percentile}_ms"] for sample in samples], color=colour, label=percentile)
    latency.set_yscale("log")
    latency.legend(loc="upper right", fontsize=7, ncols=2)
    latency.set_title("Alert latency of the five minutes before, ms")
    files.plot(minutes, [sample["data_files"] for sample in samples], color=_THIRD)
    files.set_ylim(bottom=0)
    files.set_title("Data files in the tables")
    files.set_xlabel("minutes")
    return figure


def draw_recovery(result: Result) -> Figure:
    """Each kill: how long alerts stayed away, and how long commits."""
    figure = Figure(figsize=(8, 2.6))
    axes = figure.subplots()
    for what, colour, marker in (("alert", _OURS, "o"), ("commit", _OTHERS, "s")):
        seconds = [one[f"{what}_silence"] for one in result["recoveries"]]
        killed = [one["killed"] for one in result["recoveries"]]
        axes.plot(seconds, killed, marker, color=colour, label=f"without {what}s")
    axes.set_xlim(left=0)
    axes.invert_yaxis()
    axes.set_title("Killed under load: the longest silence, seconds")
    axes.legend(loc="lower right", fontsize=7)
    return figure


PLOTS: dict[str, Callable[[Result], Figure]] = {
    "latency": draw_latency,
    "peers": draw_peers,
    "soak": draw_soak,
    "recovery": draw_recovery,
}


if __name__ == "__main__":
    typer.run(main)
