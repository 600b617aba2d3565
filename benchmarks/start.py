"""How long `pipeline up` and `down` take: `uv run python -m benchmarks.start`.

From an empty state folder, and again over what the first life left, so several times; the jars are there. Results go to
`benchmarks/results/start.json` and to the screen.
"""

from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.harness import seconds_of, unstarted_pipeline, write_result

_WHAT = ("up, empty folder", "down", "up again", "down again")


def main(rounds: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = 3) -> None:
    """Measure starts and ends, without traffic."""
    found: dict[str, list[float]] = {what: [] for what in _WHAT}
    for _ in range(rounds):
        with unstarted_pipeline() as bench:
            for what in _WHAT:
                command = ("up", "--detach", "--no-generator") if what.startswith("up") else ("down",)
                found[what].append(seconds_of(lambda command=command: bench.pipeline(*command)))  # type: ignore[misc]
    write_result("start", seconds=found)
    table = Table("what", "median s", "all")
    for what, seconds in found.items():
        table.add_row(what, f"{median(seconds):.1f}", ", ".join(f"{one:.1f}" for one in seconds))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
