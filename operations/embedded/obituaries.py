"""How often a supervised process ended against everybody's will, how, and what it said last.

Read from the logs that are there anyway: supervisord counts for itself and does not tell. Pure but for reading files.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

_WINDOW = timedelta(minutes=10)
# The 51 failed starts of eight programs, and the words of a Java exception.
_SUPERVISOR_TAIL, _COMPONENT_TAIL = 256 * 1024, 64 * 1024
_LONGEST = 300
# 2026-11-22 21:00:00,123 INFO exited: generator (exit status 1; not expected)
_LINE = re.compile(
    r"^(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ \w+ (?P<event>exited|success): (?P<name>\S+) (?P<rest>.*)$"
)
_GRAVE = frozenset({"ERROR", "FATAL", "CRITICAL"})


@dataclass(frozen=True)
class Obituary:
    """`deaths` are the unexpected ends of ten minutes, or those in a row if they are more; `how` is of the last one."""

    deaths: int = 0
    how: str = ""


ALIVE = Obituary()


def obituary(supervisor_log: Path, name: str, *, now: datetime) -> Obituary:
    """Of the program `name`, at `now` (aware)."""
    ends: list[tuple[datetime, str]] = []
    in_a_row = 0
    for line in _tail(supervisor_log, _SUPERVISOR_TAIL):
        found = _LINE.match(line)
        if not found or found["name"] != name:
            continue
        if found["event"] == "success":
            in_a_row = 0
            continue
        in_a_row += 1
        at = datetime.strptime(found["at"], "%Y-%m-%d %H:%M:%S").astimezone()
        ends.append((at, found["rest"].strip("()").removesuffix("; not expected")))
    recent = sum(now - at <= _WINDOW for at, _ in ends)
    return Obituary(max(recent, in_a_row), ends[-1][1]) if ends and (recent or in_a_row) else ALIVE


def last_words(log: Path) -> str:
    """The last error in a component's log, at most 300 characters; its last line where none is marked as an error."""
    lines = [line.strip() for line in _tail(log, _COMPONENT_TAIL) if line.strip()]
    words = next((words for line in reversed(lines) if (words := _grave(line))), lines[-1] if lines else "")
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."


def _grave(line: str) -> str:
    """What an error line says; "" for other lines. Words that are no JSON were not meant for the log: a crash."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict):
        return line
    level = str(entry.get("level") or entry.get("levelname") or "").upper()
    if level not in _GRAVE:
        return ""
    parts = (entry.get("event") or entry.get("msg"), entry.get("reason"), _first_line(entry.get("exception")))
    return ": ".join(str(part) for part in parts if part)


def _first_line(exception: object) -> str:
    return exception.splitlines()[0] if isinstance(exception, str) and exception else ""


def _tail(path: Path, size: int) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            yield from file.read().decode("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
