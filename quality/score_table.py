"""The score on the command line: as rich tables for a person, or as JSON for a program."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from contracts.addresses import Addresses
from contracts.settings import load_settings
from quality.score import score_lake
from quality.score_result import Delivery, Detection, LedgerSpan, ReasonScore, Score

_WIDE = 4096


def run_score(ledger: Path | None, as_json: bool) -> Score:
    """Scores the ledger in the folder `ledger` (default: that of the configured state folder) by the tables of the
    pipeline that was last started there, running or not, and prints the score.

    Raises NotRunning where none was started or it has no tables yet, NoLedger, CheckError and ConfigError.
    """
    found = score_lake(Addresses.read(load_settings().paths.root), ledger)
    print_score(found, as_json=as_json)
    return found


def print_score(score: Score, *, as_json: bool, console: Console | None = None) -> None:
    """Prints `score` to standard output, or its tables to `console`. JSON is one object on one line."""
    if as_json:
        sys.stdout.write(json.dumps(score.as_json()) + "\n")
        return
    (console or _standard_output()).print(as_tables(score))


def as_tables(score: Score) -> RenderableType:
    """The whole score for a person, the verdict last."""
    return Group(
        _ledger(score.ledger),
        _delivery(score),
        _reasons(score.reasons),
        _rules(score.detection),
        _scenarios(score.detection),
        _verdict(score),
    )


def _standard_output() -> Console:
    """Where it is no terminal nothing is cut or folded to the width of one."""
    found = Console()
    return found if found.is_terminal else Console(width=_WIDE)


def _ledger(span: LedgerSpan) -> Table:
    table = _facts("ledger")
    seconds = f" over {span.seconds:,.1f} s" if span.seconds is not None else ""
    table.add_row("sent", f"{span.records:,}", _runs(span.runs))
    table.add_row("scored", f"{span.scored:,}", f"acknowledged, and due in the tables{seconds}")
    table.add_row("pending", f"{span.pending:,}", "acknowledged, not yet due")
    table.add_row("unknown", f"{span.unknown:,}", f"{span.unknown_arrived:,} of them arrived")
    table.add_row("failed", f"{span.failed:,}", f"{span.failed_arrived:,} of them arrived")
    return table


def _runs(runs: int) -> str:
    return "in one run" if runs == 1 else f"in {runs:,} runs"


def _delivery(score: Score) -> Table:
    delivery: Delivery = score.delivery
    table = _facts("delivery")
    other = f"{delivery.mismatched:,} with another transaction in their place: is this the ledger of this pipeline?"
    table.add_row("lost", _defects(delivery.lost), other if delivery.mismatched else "")
    table.add_row(
        "unexplained duplicates",
        _defects(delivery.unexplained_duplicates),
        f"{delivery.repeated_positions:,} of a Kafka record, {delivery.repeated_ids:,} of a transaction id",
    )
    table.add_row(
        "wrong fate",
        _defects(delivery.wrong_fates),
        f"{delivery.refused:,} valid ones refused, {delivery.accepted:,} malformed ones accepted",
    )
    table.add_row("wrong reason", _defects(score.wrong_reasons), "")
    table.add_row("foreign rows", f"{delivery.foreign:,}", "of transactions, not in the ledger, or not yet")
    return table


def _reasons(reasons: Iterable[ReasonScore]) -> Table:
    table = _table("dead letters", "reason", "expected", "found", "with another", "rows in all")
    for reason in reasons:
        table.add_row(
            reason.reason, f"{reason.expected:,}", f"{reason.found:,}", _defects(reason.other), f"{reason.stored:,}"
        )
    return table


def _rules(detection: Detection) -> Table:
    table = _table("rules", "rule", "alerts", "on frauds", "on ordinary records", "precision")
    for rule in detection.rules:
        table.add_row(
            rule.rule,
            f"{rule.alerts:,}",
            f"{rule.true_positives:,}",
            f"{rule.false_positives:,}",
            _percent(rule.precision),
        )
    frauds = sum(rule.true_positives for rule in detection.rules)
    table.add_row(
        "all",
        f"{detection.alerts:,}",
        f"{frauds:,}",
        f"{detection.alerts - frauds:,}",
        _percent(detection.precision),
        style="bold",
    )
    return table


def _scenarios(detection: Detection) -> Table:
    table = _table("scenarios", "scenario", "records", "alerted", "recall", "incidents", "alerted", "recall")
    table.add_column("rules")
    for found in detection.scenarios:
        table.add_row(
            found.scenario,
            f"{found.records:,}",
            f"{found.records_alerted:,}",
            _percent(found.record_recall),
            f"{found.incidents:,}",
            f"{found.incidents_alerted:,}",
            _percent(found.incident_recall),
            ", ".join(found.rules),
        )
    table.add_row(
        "all frauds",
        f"{sum(found.records for found in detection.scenarios):,}",
        f"{sum(found.records_alerted for found in detection.scenarios):,}",
        "",
        f"{detection.incidents:,}",
        f"{detection.incidents_alerted:,}",
        _percent(detection.incident_recall),
        style="bold",
    )
    ordinary = detection.ordinary
    rate = f"false positive rate {_percent(ordinary.false_positive_rate)}"
    table.add_row("ordinary", f"{ordinary.records:,}", f"{ordinary.records_alerted:,}", "", "", "", "", rate)
    return table


def _verdict(score: Score) -> Text:
    if not score.ledger.scored:
        return Text("\nnothing to score yet: no record of the ledger is due in the tables", style="yellow")
    if score.clean:
        return Text("\nclean: nothing lost, nothing doubled, every record judged as it should be", style="green")
    return Text("\nnot clean: see delivery", style="bold red")


def _facts(title: str) -> Table:
    table = Table("", title=f"\n{title}", title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    return table


def _table(title: str, label: str, *numbers: str) -> Table:
    table = Table(label, title=f"\n{title}", title_justify="left", box=None, pad_edge=False)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _defects(count: int) -> Text:
    return Text(f"{count:,}", style="bold red" if count else "green")


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.1%}"
