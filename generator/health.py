"""The generator's word on itself: one small JSON file, for whoever asks how the traffic is.

A report, not a record: a disk that refuses it does not end the traffic.
"""

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import structlog

from generator.circuit import State
from generator.publisher import Publisher

_log = structlog.get_logger()

_INTERVAL_SECONDS, _RATE_SECONDS = 1.0, 10.0


@dataclass(frozen=True)
class Reading:
    """What the file says, each field a key: times in UTC (ISO 8601), rates in records a second.

    `state` is the circuit's (closed, open, half_open), `since` from when on it is closed or is not, `reason` why it
    opened last (empty: never). `sent`, `ok`, `failed` and `unknown` count this run's records, `under_way` those without
    an outcome yet. `rate_per_second` is of the records sent in the last 10 s, `wanted_rate_per_second` the configured
    one (0: as fast as possible). `refused_edit` is why the newest edit of the configuration is not in force; empty
    where it is.
    """

    at: str
    state: str
    since: str
    sent: int
    ok: int
    failed: int
    unknown: int
    under_way: int
    rate_per_second: float
    wanted_rate_per_second: float
    reason: str
    refused_edit: str

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What the file at `path` says; None where there is none, or none that this version writes."""
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
            return found if found.moment and found.changed_at and State(found.state) else None
        except (OSError, ValueError, TypeError):
            return None

    @property
    def moment(self) -> datetime:
        """When it was written, aware."""
        return datetime.fromisoformat(self.at)

    @property
    def changed_at(self) -> datetime:
        """From when on the circuit is closed or is not, aware."""
        return datetime.fromisoformat(self.since)


class HealthFile:
    """Writes `path` for one publisher: at once, at `tick` once a second, at each transition of the circuit, at `close`.

    `refused_edit` tells why the newest edit of the configuration is not in force, if it is not. `clock` counts seconds;
    `now` is the time of day, aware UTC.
    """

    def __init__(
        self,
        path: Path,
        publisher: Publisher,
        *,
        wanted_rate: float,
        refused_edit: Callable[[], str] = lambda: "",
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path, self._publisher, self._wanted_rate = path, publisher, wanted_rate
        self._refused_edit, self._clock, self._now = refused_edit, clock, now
        self._refused = False
        self._written_at = 0.0
        # When, and how many records were sent by then; the oldest is just beyond the span of the rate.
        self._marks: deque[tuple[float, int]] = deque()
        publisher.circuit.watch(self._write)
        self._write()

    def tick(self) -> None:
        """Writes where a second has passed."""
        if self._clock() - self._written_at >= _INTERVAL_SECONDS:
            self._write()

    def want(self, rate: float) -> None:
        """From now on `rate` records a second are wanted (0: as fast as possible)."""
        self._wanted_rate = rate

    def close(self) -> None:
        """Writes how the run ended."""
        self._write()

    def _write(self) -> None:
        self._written_at = self._clock()
        partial = self._path.with_suffix(".partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(asdict(self._reading())), encoding="utf-8")
            partial.replace(self._path)
            self._refused = False
        except OSError as error:
            if not self._refused:
                _log.warning("health_not_written", path=str(self._path), reason=str(error))
            self._refused = True

    def _reading(self) -> Reading:
        counts, circuit = self._publisher.counts, self._publisher.circuit
        return Reading(
            at=self._now().isoformat(timespec="milliseconds"),
            state=circuit.state.value,
            since=circuit.since.isoformat(timespec="milliseconds"),
            **asdict(counts),
            under_way=len(self._publisher),
            rate_per_second=round(self._rate(counts.sent), 2),
            wanted_rate_per_second=self._wanted_rate,
            reason=circuit.reason,
            refused_edit=self._refused_edit(),
        )

    def _rate(self, sent: int) -> float:
        now = self._clock()
        while len(self._marks) > 1 and now - self._marks[1][0] >= _RATE_SECONDS:
            self._marks.popleft()
        # Transitions come in quick succession: a mark for each would only make the list longer.
        if not self._marks or now - self._marks[-1][0] >= _INTERVAL_SECONDS:
            self._marks.append((now, sent))
        since, before = self._marks[0]
        return (sent - before) / (now - since) if now > since else 0.0
