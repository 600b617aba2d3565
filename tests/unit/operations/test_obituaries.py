"""How often a process ended and what it said last, from logs as supervisord and the components write them."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from operations.embedded.obituaries import ALIVE, Obituary, last_words, obituary

NOW = datetime.now().astimezone().replace(microsecond=0)


def log(path: Path, *events: tuple[float, str]) -> Path:
    """A supervisor's log of these events, each so many seconds ago."""
    lines = (f"{NOW - timedelta(seconds=ago):%Y-%m-%d %H:%M:%S},123 INFO {event}" for ago, event in events)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_obituary_counts_the_unexpected_ends_of_ten_minutes_of_this_program(tmp_path: Path) -> None:
    found = log(
        tmp_path / "supervisor.log",
        (900, "exited: a (exit status 1; not expected)"),
        (880, "success: a entered RUNNING state, process has stayed up for > than 3 seconds (startsecs)"),
        (500, "exited: a (exit status 1; not expected)"),
        (400, "exited: ab (exit status 1; not expected)"),
        (300, "stopped: a (terminated by SIGTERM)"),
        (200, "exited: a (terminated by SIGKILL; not expected)"),
        (100, "success: a entered RUNNING state, process has stayed up for > than 3 seconds (startsecs)"),
    )
    assert obituary(found, "a", now=NOW) == Obituary(2, "terminated by SIGKILL")


def test_obituary_counts_every_end_since_it_last_ran_however_long_ago(tmp_path: Path) -> None:
    ends = [(ago, "exited: a (exit status 3; not expected)") for ago in range(1200, 0, -60)]
    running = (1300, "success: a entered RUNNING state, process has stayed up for > than 3 seconds (startsecs)")
    found = log(tmp_path / "supervisor.log", (1400, ends[0][1]), running, *ends)
    assert obituary(found, "a", now=NOW) == Obituary(20, "exit status 3")


def test_obituary_of_what_ran_well_for_long_or_left_no_log_is_none(tmp_path: Path) -> None:
    found = log(
        tmp_path / "supervisor.log",
        (900, "exited: a (exit status 1; not expected)"),
        (880, "success: a entered RUNNING state, process has stayed up for > than 3 seconds (startsecs)"),
    )
    assert obituary(found, "a", now=NOW) == ALIVE
    assert obituary(tmp_path / "none.log", "a", now=NOW) == ALIVE


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (('{"level": "error", "event": "failed", "reason": "no room"}', '{"level": "info"}'), "failed: no room"),
        (
            ('{"level":"ERROR","event":"Exiting","exception":"java.io.IOException: No space\\n\\tat x"}',),
            "Exiting: java.io.IOException: No space",
        ),
        (("Traceback (most recent call last):", "ValueError: x", ""), "ValueError: x"),
        (('{"level": "info", "event": "started"}',), '{"level": "info", "event": "started"}'),
        (("y" * 400,), "y" * 300 + "..."),
        ((), ""),
    ],
)
def test_last_words_are_the_last_error_or_the_last_line(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    (tmp_path / "a.log").write_text("".join(f"{line}\n" for line in lines))
    assert last_words(tmp_path / "a.log") == words


def test_last_words_without_a_log_are_none(tmp_path: Path) -> None:
    assert last_words(tmp_path / "a.log") == ""
