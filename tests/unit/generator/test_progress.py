"""What a run says of itself."""

import io

from rich.console import Console
from structlog.testing import capture_logs

from generator.progress import Status
from generator.publisher import Counts


def test_tick_every_ten_seconds_logs_the_rate_since_the_last_line() -> None:
    counts = Counts()
    moments = iter((0.0, 5.0, 10.0, 15.0, 20.0))
    status = Status(counts, clock=lambda: next(moments))
    with capture_logs() as logs:
        for counts.sent in (50, 100, 200, 400):
            status.tick(under_way=1)
    assert [(line["sent"], line["rate_per_second"]) for line in logs] == [(100, 10.0), (400, 30.0)]


def test_tick_on_a_terminal_shows_how_far_it_is() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    counts = Counts(sent=2500, ok=2400, failed=3)
    moments = iter((0.0, 10.0, 10.0, 10.0))
    status = Status(counts, expected=10_000, clock=lambda: next(moments), console=console)
    with capture_logs():
        status.tick(under_way=97, circuit="open")
        status.end()
    shown = screen.getvalue()
    for part in ("2500/10000", "250.0/s", "97 under way", "3 failed", "circuit open"):
        assert part in shown


def test_tick_without_a_terminal_shows_nothing() -> None:
    screen = io.StringIO()
    moments = iter((0.0, 5.0, 5.0))
    status = Status(Counts(sent=5), clock=lambda: next(moments), console=Console(file=screen))
    with capture_logs():
        status.tick(under_way=0)
        status.end()
    assert screen.getvalue() == ""
