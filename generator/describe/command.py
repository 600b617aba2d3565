"""What the command `describe` does, once its options are read."""

import sys
from pathlib import Path

import typer
from rich.console import Console

from contracts.errors import MachineError
from contracts.settings import load_settings
from generator.config import load_config
from generator.describe.drawing import draw
from generator.describe.plots import write_plots
from generator.describe.report import compare
from generator.durations import utc_ms

# Not drawn: a report that can be repeated by default.
DEFAULT_SEED = 1
_NARROWEST = 160  # columns of a table that goes into a file or a pipe


def describe(
    *, seed: int | None, config: Path | None, days: float, records: int | None, start: str, output: Path | None,
    as_json: bool,
) -> bool:  # fmt: skip
    """Draws, compares, plots and prints; whether every comparison holds.

    Without a seed the configured one is taken, else DEFAULT_SEED. Plots go to `output`, by default to the state folder.
    Raises ConfigError, and MachineError where the plots cannot be written.
    """
    chosen = load_config(config, seed=seed)
    drawn = draw(
        chosen,
        seed=DEFAULT_SEED if chosen.seed is None else chosen.seed,
        start_ms=utc_ms(start),
        days=days,
        records=records,
    )
    report = compare(drawn, chosen)
    folder = output or load_settings().paths.generator / "describe"
    try:
        plots = write_plots(drawn, chosen, folder)
    except OSError as error:
        raise MachineError(
            f"the plots cannot be written to {folder}: {error}. Choose another folder: --output"
        ) from error
    if as_json:
        typer.echo(report.json().decode())
    else:
        report.show(Console(width=None if sys.stdout.isatty() else _NARROWEST), plots)
    return report.holds
