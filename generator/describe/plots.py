"""Plots of one sample: what is configured as a line over what was drawn as bars, one PNG a theme.

Figures are made without pyplot: no window, no global state. matplotlib takes half a second to load, so this module is
imported only where plots are wanted.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from generator.config import GeneratorConfig
from generator.describe.drawing import Drawn
from generator.describe.hours import HOUR_MS, drawn_by_hour, expected_by_hour
from generator.describe.judging import Floats
from generator.describe.mishaps import delays_ms
from generator.describe.people import expected_turns
from generator.describe.purchases import Amounts
from generator.fraud import build_scenarios
from generator.population import KINDS
from generator.traffic import SCENARIOS

# Two colours of Okabe and Ito's palette, that every kind of colour blindness tells apart, and in print their lightness.
_DRAWN, _CONFIGURED = "#9bcdee", "#b34700"
_DPI = 120


def write_plots(drawn: Drawn, config: GeneratorConfig, folder: Path) -> tuple[Path, ...]:
    """Writes all plots to `folder`, which is made where it is missing; their paths. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    themes: dict[str, Callable[[Drawn, GeneratorConfig], Figure]] = {
        "traffic": plot_traffic,
        "amounts": plot_amounts,
        "activity": plot_activity,
        "fraud-and-delays": plot_fraud_and_delays,
    }
    paths = []
    with mpl.rc_context(style()):
        for name, plot in themes.items():
            path = folder / f"{name}.png"
            figure = plot(drawn, config)
            FigureCanvasAgg(figure)
            figure.savefig(path, format="png", dpi=_DPI)
            paths.append(path)
    return tuple(paths)


def style() -> dict[Any, Any]:
    """How every plot looks: little ink, no frame above and right, a light grid behind."""
    return {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": "#e6e6e6",
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.6,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
    }


def plot_traffic(drawn: Drawn, config: GeneratorConfig) -> Figure:
    """Records by hour, over the whole sample."""
    figure = Figure(figsize=(9, 3.6))
    axes = figure.subplots()
    found, expected = drawn_by_hour(drawn), expected_by_hour(config, drawn.start_ms, drawn.end_ms)
    hours = drawn.start_ms // HOUR_MS % 24 + np.arange(len(found))
    axes.bar(hours + 0.5, found, width=0.9, color=_DRAWN, label="drawn")
    axes.stairs(expected, np.append(hours, hours[-1] + 1), color=_CONFIGURED, linewidth=1.6, label="configured")
    _named(axes, "Traffic over the day", "hour, UTC", "records an hour")
    axes.legend(loc="upper left", ncols=2)
    axes.set_ylim(0, 1.2 * float(max(found.max(), expected.max())))
    return figure


def plot_amounts(drawn: Drawn, config: GeneratorConfig) -> Figure:
    """The log-normal draw behind each kind's amounts, prices and incomes undone."""
    amounts = Amounts.of(drawn)
    cut = np.isfinite(amounts.most) & (amounts.least > 0)
    figure = Figure(figsize=(11, 8))
    panels = figure.subplots(4, 4, sharex=True).ravel()
    for number, (axes, kind) in enumerate(zip(panels, KINDS, strict=False)):
        own = cut & (amounts.kind == number)
        dollars = np.log10((amounts.least[own] + amounts.most[own]) / 2 / 100)
        middle, sigma = np.log10(kind.median_cents / 100), max(kind.sigma / np.log(10), 1e-9)
        reach = np.linspace(middle - 4 * sigma, middle + 4 * sigma, 61)
        if len(dollars):
            axes.hist(dollars, bins=reach.tolist(), density=True, color=_DRAWN, label="drawn")
        axes.plot(reach, stats.norm.pdf(reach, middle, sigma), color=_CONFIGURED, label="configured")
        _named(axes, f"{kind.category} {kind.nouns[0]}", "", "")
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.set_xticks(range(5), ["1", "10", "100", "1,000", "10,000"])
    for axes in panels[len(KINDS) :]:
        axes.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    panels[-1].legend(handles, labels, loc="center")
    figure.suptitle("Amounts by kind of merchant, before price level and income", x=0.01, ha="left")
    figure.supxlabel("US dollars")
    return figure


def plot_activity(drawn: Drawn, config: GeneratorConfig) -> Figure:
    """The long tail: the share of the accounts with at least so many ordinary records."""
    figure = Figure(figsize=(7, 4.5))
    axes = figure.subplots()
    found = np.bincount(drawn.account[drawn.ordinary], minlength=len(drawn.population)).astype(np.float64)
    axes.step(*_tail(found), where="post", color=_DRAWN, linewidth=5, label="drawn")
    axes.plot(*_tail(expected_turns(drawn, config).by_account), color=_CONFIGURED, label="expected of these accounts")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _named(axes, "Records of an account", "ordinary records", "share of the accounts with as many or more")
    axes.legend(loc="lower left")
    return figure


def plot_fraud_and_delays(drawn: Drawn, config: GeneratorConfig) -> Figure:
    """Fraudulent records by scenario, and how late the late ones are."""
    figure = Figure(figsize=(11, 4))
    left, right = figure.subplots(1, 2)
    _fraud(left, drawn, config)
    _delays(right, drawn, config)
    return figure


def _fraud(axes: Axes, drawn: Drawn, config: GeneratorConfig) -> None:
    scenarios = build_scenarios(config.scenarios) if config.fraud_percent else ()
    weights = np.array([scenario.weight for scenario in scenarios], dtype=np.float64)
    labels = [scenario.label.replace("_", " ") for scenario in scenarios]
    found = [100 * np.mean(drawn.scenario == SCENARIOS.index(scenario.label)) for scenario in scenarios]
    axes.barh(labels, found, color=_DRAWN, label="drawn")
    wanted = config.fraud_percent * weights / max(weights.sum(), 1e-9)
    axes.plot(wanted, labels, "D", color=_CONFIGURED, label="configured")
    axes.invert_yaxis()
    _named(axes, "Fraud", "per cent of all records", "")
    axes.legend(loc="lower right")


def _delays(axes: Axes, drawn: Drawn, config: GeneratorConfig) -> None:
    late, delays = config.disturbances.late, delays_ms(drawn) / 1000
    median, sigma = np.log10(late.median_seconds), max(late.sigma / np.log(10), 1e-9)
    reach = np.linspace(median - 4 * sigma, median + 4 * sigma, 61)
    if len(delays):
        axes.hist(np.log10(np.maximum(delays, 0.001)), bins=reach.tolist(), density=True, color=_DRAWN, label="drawn")
    axes.plot(reach, stats.norm.pdf(reach, median, sigma), color=_CONFIGURED, label="configured")
    axes.axvline(np.log10(late.longest_seconds), color=_CONFIGURED, linestyle=":", label="cut to")
    ticks = np.arange(np.ceil(reach[0]), np.floor(reach[-1]) + 1)
    axes.set_xticks(ticks, [f"{10.0**tick:g}" for tick in ticks])
    axes.set_yticks([])
    _named(axes, "Delays of late records", "seconds", "")
    axes.legend(loc="upper left")


def _tail(values: Floats) -> tuple[NDArray[np.float64], Floats]:
    """The positive values, ascending, and of each the share of all that are as great or greater."""
    ascending = np.sort(values)
    some = ascending > 0
    return ascending[some], (1 - np.arange(len(ascending)) / len(ascending))[some]


def _named(axes: Axes, title: str, horizontal: str, vertical: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
