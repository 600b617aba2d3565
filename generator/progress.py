"""How a run goes, for who looks on: a line in the log every 10 s, and on a terminal one that is always current."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from generator.publisher import Counts

_log = structlog.get_logger()

_STATUS_SECONDS = 10.0
_SCREEN_SECONDS = 0.2


class Status:
    """Logs how a run goes, every 10 s, and shows it on standard error where that is a terminal.

    `expected` is how many records there will be, None where that is open.
    """

    def __init__(
        self,
        counts: Counts,
        *,
        expected: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        console: Console | None = None,
    ) -> None:
        self._counts, self._clock = counts, clock
        self._started = self._at = self._shown = clock()
        self._processor = time.process_time()
        self._sent = 0
        console = console or Console(file=sys.stderr)
        self._screen = Progress(
            TextColumn("{task.description}"),
            *((BarColumn(), MofNCompleteColumn()) if expected else (TextColumn("{task.completed:,.0f} sent"),)),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._screen.add_task("generator", total=expected, detail="")
        self._screen.start()

    def tick(self, *, under_way: int, circuit: str = "closed") -> None:
        """Logs a line and renews the screen, each where it is time to."""
        now = self._clock()
        if now - self._at >= _STATUS_SECONDS:
            rate = (self._counts.sent - self._sent) / (now - self._at)
            _log.info("status", **asdict(self._counts), under_way=under_way, rate_per_second=round(rate, 2))
            self._at, self._sent = now, self._counts.sent
        if now - self._shown >= _SCREEN_SECONDS:
            mean = self._counts.sent / (now - self._started)
            detail = f"{mean:,.1f}/s, {under_way:,} under way, {self._counts.failed:,} failed, circuit {circuit}"
            self._screen.update(self._task, completed=self._counts.sent, detail=detail)
            self._shown = now

    def end(self, **more: object) -> None:
        """Logs the summary of the whole run; `cpu_seconds` are those of all of this process's threads."""
        self._screen.stop()
        seconds = self._clock() - self._started
        rate = self._counts.sent / seconds if seconds else 0.0
        _log.info(
            "stopped",
            **asdict(self._counts),
            seconds=round(seconds, 2),
            cpu_seconds=round(time.process_time() - self._processor, 2),
            rate_per_second=round(rate, 2),
            **more,
        )
