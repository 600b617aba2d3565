"""Whether anything grows: `uv run python -m benchmarks.soak`.

A pipeline of its own with everything on, schedules included, gets the volume of a simulated day at once and then an
hour of steady traffic. Its status is noted every half minute. In the end each record is looked for, by the ledger of
what was sent. Results go to `benchmarks/results/soak.json` and to the screen.
"""

import subprocess
import time
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

import psutil
import typer
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks.harness import PATIENCE_SECONDS, Bench, running_pipeline, write_result

_EVERY_SECONDS = 30
# Before, the JVMs reach the heap they keep: what grows after it grows for ever.
_SETTLED_SHARE = 0.25
_MB = 2**20


@dataclass(frozen=True)
class Sample:
    """The status `seconds` after the start: process ids, memory in MB, latencies in ms over the five minutes before."""

    seconds: int
    healthy: bool
    written: int
    lag: int
    pids: dict[str, int]
    memory_mb: dict[str, int]
    alert_p50_ms: float | None
    alert_p99_ms: float | None
    storage_p95_ms: float | None
    data_files: int
    lake_mb: int
    disk_mb: int

    @classmethod
    def of(cls, status: dict[str, Any], *, seconds: float, generator_mb: int) -> Self:
        """What of `pipeline status --json` is noted."""
        lake = status["lake"]
        raw = status["topics"][0]
        memory = {part["name"]: part["memory_mb"] for part in status["components"] if part["memory_mb"]}
        return cls(
            seconds=round(seconds),
            healthy=status["healthy"],
            written=raw["written"],
            lag=max(raw["lag"].values()),
            pids={part["name"]: part["pid"] for part in status["components"] if part["pid"]},
            memory_mb={**memory, "generator": generator_mb},
            alert_p50_ms=lake["alert_latency"]["p50_ms"],
            alert_p99_ms=lake["alert_latency"]["p99_ms"],
            storage_p95_ms=lake["storage_latency"]["p95_ms"],
            data_files=sum(table["files"] for table in lake["tables"]),
            lake_mb=sum(table["bytes"] for table in lake["tables"]) // _MB,
            disk_mb=status["disk"]["used_bytes"] // _MB,
        )


def main(
    minutes: Annotated[float, typer.Option(min=5, help="How long the steady traffic lasts.")] = 60,
    rate: Annotated[int, typer.Option(min=1, help="Its records a second.")] = 1_000,
    day: Annotated[str, typer.Option(help="The history that is sent before, at the configured rate.")] = "24h",
) -> None:
    """Load a pipeline for an hour, after a day's volume, and tell what grew."""
    console = Console(stderr=True)
    with running_pipeline() as bench:
        before = sum(bench.ends().values())
        started = time.monotonic()
        with bench.sending("--backfill", day):
            pass
        backfilled = sum(bench.ends().values()) - before
        _await_read(bench)
        caught_up = time.monotonic() - started
        console.print(f"{backfilled:,} records of {day} sent and read after {caught_up:.0f} s")
        samples = _observe(bench, rate=rate, records=round(rate * minutes * 60), console=console)
        _await_read(bench)
        score = bench.score()
    growth = _growth(samples)
    write_result(
        "soak",
        rate=rate,
        minutes=minutes,
        backfill={"span": day, "records": backfilled, "sent_and_read_seconds": round(caught_up, 1)},
        score=score,
        restarts=_restarts(samples),
        most_memory_mb=max(sum(sample.memory_mb.values()) for sample in samples),
        growth_mb_per_hour=growth,
        samples=[asdict(sample) for sample in samples],
    )
    Console().print(_table(samples, growth, score))


def _observe(bench: Bench, *, rate: int, records: int, console: Console) -> list[Sample]:
    started, samples = time.monotonic(), []
    with bench.sending("--rate", str(rate), "--limit", str(records)) as generator:
        while generator.poll() is None:
            status = bench.status()
            if status["lake"] is None:  # maintenance removed a file while it was read
                continue
            if generator.poll() is not None:
                break
            generator_mb = psutil.Process(generator.pid).memory_info().rss // _MB
            sample = Sample.of(status, seconds=time.monotonic() - started, generator_mb=generator_mb)
            samples.append(sample)
            total = sum(sample.memory_mb.values())
            console.print(f"{sample.seconds:5} s: {sample.written:,} records, {total} MB, lag {sample.lag:,}")
            try:
                generator.wait(timeout=_EVERY_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    return samples


def _await_read(bench: Bench) -> None:
    """Until checkpoints of both jobs cover every record."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(lag := bench.status()["topics"][0]["lag"].values()):
        if time.monotonic() > deadline:
            raise SystemExit(f"{max(lag):,} records are unread after {PATIENCE_SECONDS} s; see: pipeline status")
        time.sleep(2)


def _restarts(samples: list[Sample]) -> int:
    """Processes that another has replaced."""
    lives = {(name, pid) for sample in samples for name, pid in sample.pids.items()}
    return len(lives) - len({name for name, _ in lives})


def _growth(samples: list[Sample]) -> dict[str, float]:
    """MB an hour of each process once it has settled: the median slope of all pairs of samples (Theil and Sen)."""
    settled = [sample for sample in samples if sample.seconds >= _SETTLED_SHARE * samples[-1].seconds]
    hours = [sample.seconds / 3600 for sample in settled]
    series = {name: [sample.memory_mb.get(name, 0) for sample in settled] for name in settled[0].memory_mb}
    series["all"] = [sum(sample.memory_mb.values()) for sample in settled]
    return {name: round(float(stats.theilslopes(values, hours).slope), 1) for name, values in series.items()}


def _table(samples: list[Sample], growth: dict[str, float], score: dict[str, int]) -> Table:
    first, last = samples[0], samples[-1]
    title = ", ".join(f"{key} {value:,}" for key, value in score.items())
    table = Table("what", "first", "last", "MB an hour", title=title)
    for name, slope in growth.items():
        begin, end = (
            sum(one.memory_mb.values()) if name == "all" else one.memory_mb.get(name, 0) for one in (first, last)
        )
        table.add_row(f"memory of {name}, MB", f"{begin:,}", f"{end:,}", f"{slope:,}")
    for name in ("alert_p50_ms", "alert_p99_ms", "storage_p95_ms", "data_files", "lake_mb", "disk_mb", "lag"):
        table.add_row(name, *(f"{round(getattr(one, name) or 0):,}" for one in (first, last)), "")
    return table


if __name__ == "__main__":
    typer.run(main)
