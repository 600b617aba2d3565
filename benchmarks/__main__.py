"""Every benchmark after the other, some two hours by their single times, and the plots: `uv run python -m benchmarks`.

One that fails does not keep the others from being measured; the exit code is then 1.
"""

import subprocess
import sys
from typing import Annotated

import typer
from rich.console import Console

from contracts.paths import PROJECT
from operations.signals import raise_interrupted

# The short ones first.
ALL = (
    "quality", "compaction", "query", "trace", "generator", "start", "peers", "throughput", "recovery", "latency",
    "soak",
)  # fmt: skip


def main(
    without: Annotated[list[str], typer.Option(help="Leave this one out; may be given several times.")] = [],  # noqa: B006
) -> None:
    """Measure everything anew and draw it."""
    raise_interrupted()
    console, failed = Console(stderr=True), []
    for name in (*(name for name in ALL if name not in without), "plots"):
        console.rule(name)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=PROJECT, check=False).returncode:
            failed.append(name)
    if failed:
        console.print(f"failed: {', '.join(failed)}")
    raise typer.Exit(bool(failed))


if __name__ == "__main__":
    typer.run(main)
