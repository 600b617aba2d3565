"""Durations and moments as one writes them on a command line."""

import re
from datetime import UTC, datetime

from contracts.errors import ConfigError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]+)([smhdw])")


def seconds_of(text: str) -> int:
    """The seconds of a duration like `30d`, `12h`, `45m` or `90s`. Raises ConfigError."""
    found = _DURATION.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise ConfigError("command line", f"a duration is a whole number and one of s, m, h, d, w (found {text!r})")
    return int(found[1]) * _SECONDS[found[2]]


def utc_ms(text: str) -> int:
    """The UTC milliseconds of an ISO 8601 time like `2026-11-01T00:00:00Z`; UTC where it names no zone.

    Raises ConfigError.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError("command line", f"a time is like 2026-11-01T00:00:00Z (found {text!r})") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
