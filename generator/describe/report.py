"""The report: all comparisons of one sample, for people and for machines."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from generator.config import GeneratorConfig
from generator.describe.drawing import Drawn
from generator.describe.hours import compare_hours
from generator.describe.judging import FAMILY_LEVEL, LEVEL, Comparison
from generator.describe.mishaps import compare_mishaps
from generator.describe.people import compare_people, compare_turns
from generator.describe.purchases import compare_purchases


@dataclass(frozen=True)
class Report:
    """The comparisons of the sample of `records` records drawn with `seed` for `start_ms` to `end_ms` (UTC)."""

    seed: int
    start_ms: int
    end_ms: int
    records: int
    comparisons: tuple[Comparison, ...]

    @property
    def holds(self) -> bool:
        """Whether every comparison holds."""
        return all(comparison.holds for comparison in self.comparisons)

    def json(self) -> bytes:
        """The report as one JSON object. A statistic that is infinite is null."""
        return orjson.dumps(
            {
                "seed": self.seed,
                "start": _text(self.start_ms),
                "end": _text(self.end_ms),
                "records": self.records,
                "holds": self.holds,
                "comparisons": [
                    {**asdict(comparison), "verdict": comparison.verdict} for comparison in self.comparisons
                ],
            },
            option=orjson.OPT_INDENT_2,
        )

    def show(self, console: Console, plots: tuple[Path, ...] = ()) -> None:
        """Prints the comparisons as a table, and where the plots are."""
        table = Table(
            "comparison", "configured", "drawn", "test", "statistic", "p", "draws", "verdict", box=None, pad_edge=False
        )
        for column in table.columns[4:7]:
            column.justify = "right"
        for each in self.comparisons:
            p = "" if each.p_value is None else f"{each.p_value:.2g}"
            colour = "green" if each.holds else "bold red"
            table.add_row(
                each.name, each.configured, each.drawn, each.method, f"{each.statistic:.4g}", p, f"{each.size:,}",
                f"[{colour}]{each.verdict}[/]",
            )  # fmt: skip
        console.print(f"{self.records:,} records from {_text(self.start_ms)} to {_text(self.end_ms)}, seed {self.seed}")
        console.print(table)
        for each in self.comparisons:
            if each.note:
                console.print(f"{each.name}: {each.note}", style="dim", highlight=False)
        console.print(
            f"A test holds at p >= {LEVEL:g}: a sound generator fails any of them in {FAMILY_LEVEL:.1%} of the runs."
        )
        for path in plots:
            console.print(str(path), soft_wrap=True)


def compare(drawn: Drawn, config: GeneratorConfig) -> Report:
    """Compares the sample with what `config` and the tables of the generator's modules say."""
    return Report(
        drawn.seed,
        drawn.start_ms,
        drawn.end_ms,
        len(drawn),
        (
            *compare_hours(drawn, config),
            *compare_people(drawn.population, config),
            *compare_turns(drawn, config),
            *compare_purchases(drawn),
            *compare_mishaps(drawn, config),
        ),
    )


def _text(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
