"""`pipeline trace`, `explain` and `sessions`: the command line over `operations/tracing.py` and its neighbours.

Options in, text out, nothing decided.
"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

# As in `operations/cli.py`: what takes long to import is imported by the command that needs it.
if TYPE_CHECKING:
    from rich.console import RenderableType

    from operations.explaining import Explanation
    from operations.tracing import Stored, Trace

_TOLD = ("transaction_id", "alert_id", "rule_id", "severity", "reason_code", "message", "event_time", "replayed_from")
_SHOWN = ("transaction_id", "event_time", "amount", "currency", "merchant_name", "channel", "country")

_LATENCIES = ("alert", "storage")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def trace(
    record: Annotated[str, typer.Argument(help="A transaction's id, or partition/offset, or topic/partition/offset.")],
    as_json: Json = False,
) -> None:
    """Tell where a record came from and what became of it: Kafka, Flink, commit, file, checks, alerts."""
    from contracts.addresses import Addresses
    from contracts.settings import load_settings
    from operations.terminal import console
    from operations.tracing import trace as find

    found = find(Addresses.read(load_settings().paths.root), record)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, default=str))
    else:
        console().print(_traced(found))


def _traced(found: "Trace") -> "RenderableType":
    from rich.console import Group

    return Group(*map(_stored, (*found.rows, *found.alerts)))


def _stored(stored: "Stored") -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    from operations.dead_letters.payloads import printable

    row, commit = stored.row, stored.commit
    sent, written = row.get("kafka_timestamp"), row.get("processed_at") or row.get("failed_at")
    facts = [("record", stored.position)]
    facts += [(name, str(row[name])) for name in _TOLD if row.get(name) is not None]
    facts += [("sent", f"{sent}")] if sent else []
    facts += [("written by Flink", f"{written}")] if written else []
    if commit:
        facts += [
            ("committed", f"{commit.committed_at}"),
            ("snapshot", commit.snapshot_id + ("" if commit.recorded else " (not in the ledger yet)")),
            ("Flink", f"job {commit.flink_job_id or '-'}, checkpoint {commit.flink_checkpoint_id or '-'}"),
            ("session", commit.session_id or "not known"),
        ]
    else:
        facts.append(("committed", "not known any more: the commit was forgotten before it was recorded"))
    facts.append(("file now", stored.file + (" (compacted)" if stored.compacted else "")))
    checks = ", ".join(f"{run.check} {'passed' if run.passed else 'FAILED'}" for run in stored.checks)
    facts.append(("checks since", checks or "none yet"))
    grid = Table.grid(padding=(0, 2))
    grid.add_row(Text(f"finance.{stored.table}", style="bold"), "")
    for name, value in facts:
        grid.add_row(Text(f"  {name}", style="dim"), Text(printable(value)))
    return grid


def sessions(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many of the newest.")] = 10,
    as_json: Json = False,
) -> None:
    """List the pipeline's lives: when each ran, what it read, refused and alerted on, and how fast."""
    from contracts.addresses import Addresses
    from contracts.settings import load_settings
    from operations.session_list import newest
    from operations.terminal import console

    found = newest(Addresses.read(load_settings().paths.root), limit)
    if as_json:
        typer.echo(json.dumps(found, indent=2, default=str))
    else:
        console().print(_sessions(found))


def _sessions(found: list[dict[str, Any]]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table("session", "state", "started", "ended")
    for heading in ("records", "rejected", "alerts", "alert ms p50/p95/p99", "storage ms p50/p95/p99", "restarts"):
        table.add_column(heading, justify="right")
    for row in found:
        times = (f"{row[name]:%Y-%m-%d %H:%M:%S}" if row[name] else "" for name in ("started_at", "ended_at"))
        counts = (f"{row[name]:,}" for name in ("records", "rejected", "alerts"))
        latencies = ("/".join(_known(row[f"{kind}_latency_p{p}_ms"]) for p in (50, 95, 99)) for kind in _LATENCIES)
        cells = (row["session_id"], row["state"], *times, *counts, *latencies, _known(row["restarts"]))
        table.add_row(*map(Text, cells))
    return table


def _known(value: int | None) -> str:
    return "-" if value is None else str(value)


def explain(
    alert_id: Annotated[str, typer.Argument(help="The alert's id, or six or more of its digits from the first.")],
    as_json: Json = False,
) -> None:
    """Tell why an alert was raised: rule, what was compared, and the transactions that bear on it."""
    from contracts.addresses import Addresses
    from contracts.settings import load_settings
    from operations.explaining import explain as find
    from operations.terminal import console
    from streaming.deployments import Deployments

    paths = load_settings().paths
    found = find(Addresses.read(paths.root), Deployments(paths.rules), alert_id)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, default=str))
    else:
        console().print(_shown(found))


def _shown(found: "Explanation") -> "RenderableType":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from operations.dead_letters.payloads import printable

    alert = found.alert
    lines = [
        ("alert", alert["alert_id"]),
        ("rule", f"{alert['rule_id']}, version {alert['rule_version']}, severity {alert['severity']}"),
        ("why", _why(found)),
        ("account", alert["account_id"]),
        ("raised", f"{alert['detected_at']:%Y-%m-%d %H:%M:%S.%f UTC}"),
        ("transaction", f"{alert['transaction_id']} at {alert['source_partition']}/{alert['source_offset']}"),
    ]
    if found.rule:
        lines.append(("rule as it was", f"deployment {found.deployment}: {json.dumps(found.rule)}"))
    facts = Table.grid(padding=(0, 2))
    for name, value in lines:
        facts.add_row(Text(name, style="dim"), Text(str(value)))
    evidence = Table("evidence", "value")
    for name, value in alert["evidence"].items():
        evidence.add_row(Text(printable(name)), Text(printable(value)))
    rows = [*found.contributing, *((found.transaction,) if found.transaction else ())]
    return Group(facts, evidence, _transactions(rows))


def _why(found: "Explanation") -> str:
    if found.words is None:
        return "this state folder never ran that version of the rule; its evidence is below"
    return found.words if found.holds else f"the evidence does not bear the verdict out: {found.words}"


def _transactions(rows: list[dict[str, Any]]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    from operations.dead_letters.payloads import printable

    table = Table(*_SHOWN, title="transactions, the judged one last", title_justify="left")
    for row in rows:
        table.add_row(*(Text("" if row[name] is None else printable(str(row[name]))) for name in _SHOWN))
    return table
