"""What the command line shows a person, as rich renderables. Pure: values in, tables out."""

import time
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from contracts.addresses import Addresses
from operations.health import Component, Health
from operations.status import LakeStatus, Latency, Status, TopicStatus

_MARKS = {Health.HEALTHY: "[green]●[/]", Health.STARTING: "[yellow]○[/]", Health.UNHEALTHY: "[red]✖[/]"}


def starting(components: tuple[Component, ...], *, since: float) -> RenderableType:
    """Progress while the pipeline starts; `since` is a time.monotonic()."""
    healthy = sum(component.health is Health.HEALTHY for component in components)
    title = f"starting: {healthy} of {len(components)} healthy, {time.monotonic() - since:.0f} s"
    return _components(components, title, memory=False)


def addresses(found: Addresses) -> RenderableType:
    """Where a person looks next."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("Dagster", Text(found.dagster_url))
    table.add_row("Flink", Text(found.flink_rest_url))
    table.add_row("Kafka", Text(found.kafka_bootstrap_servers))
    table.add_row("State", Text(found.pipeline_state))
    table.add_row("Next", 'pipeline status · pipeline query "select count(*) from transactions" · pipeline down')
    return table


def status(found: Status) -> RenderableType:
    """The whole of `pipeline status`."""
    memory = sum(component.memory_mb or 0 for component in found.components)
    # Of processes that something else runs, as in containers, nothing is known but how they answer.
    title = f"components, {memory} MB in all" if memory else "components"
    if found.disk:
        title += f"; disk {found.disk.used_bytes / 1e6:,.0f} MB, {found.disk.free_bytes / 1e9:,.1f} GB free"
    parts: list[RenderableType] = [_components(found.components, title, memory=bool(memory))]
    parts += [Text(f"\nwarning: {sentence}.", style="yellow") for sentence in found.warnings]
    if found.topics:
        parts.append(_topics(found.topics))
    if found.lake:
        parts.append(_lake(found.lake))
    return Group(*parts)


def _components(components: tuple[Component, ...], title: str, *, memory: bool) -> Table:
    table = Table("", "component", "detail", title=title, title_justify="left", box=None, pad_edge=False)
    if memory:
        for heading in ("pid", "up", "MB"):
            table.add_column(heading, justify="right")
    for component in components:
        cells = [_MARKS[component.health], component.name, escape(component.detail)]
        if memory:
            cells += [
                str(component.pid or ""),
                str(timedelta(seconds=component.up_seconds)) if component.up_seconds else "",
                str(component.memory_mb or ""),
            ]
        table.add_row(*cells)
    return table


def _topics(topics: tuple[TopicStatus, ...]) -> Table:
    table = Table("topic", title="\ntopics", title_justify="left", box=None, pad_edge=False)
    table.add_column("records", justify="right")
    table.add_column("not yet checkpointed")
    for topic in topics:
        lag = ", ".join(f"{job} {count:,}" for job, count in topic.lag.items())
        table.add_row(topic.topic, f"{topic.written:,}", lag)
    return table


def _lake(lake: LakeStatus) -> Group:
    table = Table("table", title="\ntables", title_justify="left", box=None, pad_edge=False)
    for heading in ("rows", "files", "MB", "last commit"):
        table.add_column(heading, justify="right")
    for entry in lake.tables:
        age = f"{entry.commit_age_seconds:.0f} s ago" if entry.commit_age_seconds is not None else "none yet"
        table.add_row(entry.table, f"{entry.rows:,}", f"{entry.files:,}", f"{entry.bytes / 1e6:.1f}", age)
    facts = Table("", "", title="\nlast minutes", title_justify="left", box=None, pad_edge=False, show_header=False)
    facts.add_row("transactions", f"{lake.rate:.1f} a second")
    facts.add_row("alert latency", _latency(lake.alert_latency))
    facts.add_row("storage latency", _latency(lake.storage_latency))
    facts.add_row("alerts", _tally(lake.alerts_by_rule))
    facts.add_row("dead letters", _tally(lake.dead_letters_by_reason))
    return Group(table, facts)


def _latency(latency: Latency) -> Text:
    percentiles = {"p50": latency.p50_ms, "p95": latency.p95_ms, "p99": latency.p99_ms}
    known = [f"{name} {value:,.0f} ms" for name, value in percentiles.items() if value is not None]
    return Text(f"{', '.join(known)} over {latency.count:,} rows" if known else "no rows yet")


def _tally(counts: dict[str, int]) -> Text:
    return Text(", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none yet")
