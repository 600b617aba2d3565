"""One run: draws a batch, waits for its turn, encodes, notes in the ledger, sends; until a limit or a signal.

The loop and its reports only; every decision lies in the modules that it calls.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import FrameType

import structlog

from generator.encoding import encode
from generator.ledger import Ledger
from generator.pace import Pace
from generator.publisher import Counts, Publisher
from generator.traffic import BATCH_HOLDS, Batch, Traffic

_log = structlog.get_logger()

_LARGEST_BATCH = 4096
# Records that share one reading of the clock: 5 ms of traffic at the fastest.
_LARGEST_CHUNK = 512
_STATUS_SECONDS = 10.0


class Stop:
    """A wish to end, made by a signal. Calling it tells whether there is one."""

    def __init__(self) -> None:
        self._wanted = False

    def __call__(self) -> bool:
        return self._wanted

    def request(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Fits as a signal handler; a second request changes nothing."""
        self._wanted = True

    def on_signals(self) -> "Stop":
        """Lets SIGTERM and SIGINT make the wish."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.request)
        return self


class Status:
    """Logs how a run goes, every 10 s."""

    def __init__(self, counts: Counts, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._counts, self._clock = counts, clock
        self._started = self._at = clock()
        self._sent = 0

    def tick(self, *, under_way: int) -> None:
        """Logs a line where it is time to."""
        now = self._clock()
        if now - self._at >= _STATUS_SECONDS:
            rate = (self._counts.sent - self._sent) / (now - self._at)
            _log.info("status", **asdict(self._counts), under_way=under_way, rate_per_second=round(rate, 2))
            self._at, self._sent = now, self._counts.sent

    def end(self, **more: object) -> None:
        """Logs the summary of the whole run."""
        seconds = self._clock() - self._started
        rate = self._counts.sent / seconds if seconds else 0.0
        _log.info("stopped", **asdict(self._counts), seconds=round(seconds, 1), rate_per_second=round(rate, 2), **more)


@dataclass(frozen=True)
class Run:
    """The connected parts. `clock` gives the event time, aware UTC."""

    traffic: Traffic
    publisher: Publisher
    ledger: Ledger
    pace: Pace
    stop: Stop
    batch_size: int
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def until(self, limit: int | None = None) -> Counts:
        """Sends traffic until `limit` records are sent or a stop is wished for; then settles what is under way.

        Raises ComponentFailed where the producer cannot go on; what was sent is in the ledger then too.
        """
        status = Status(self.publisher.counts)
        left = limit
        try:
            while not self.stop() and left != 0:
                sent = self._send_batch(self.batch_size if left is None else min(self.batch_size, left), status)
                left = None if left is None else left - sent
        finally:
            self.publisher.close()
            self.ledger.close()
            status.end(not_staged=self.traffic.not_staged)
        return self.publisher.counts

    def _send_batch(self, size: int, status: Status) -> int:
        """Draws a batch and sends it. Returns how many of its records went: fewer after a stop or a long wait."""
        batch = self.traffic.batch(size, self.clock())
        position = 0
        while position < len(batch) and not self.stop():
            self.publisher.poll()
            self.ledger.rotate()
            status.tick(under_way=len(self.publisher))
            end = position + self.pace.take(min(len(batch) - position, _LARGEST_CHUNK))
            now = self.clock()
            if now - batch.drawn_at > BATCH_HOLDS:
                break
            if end > position:
                self._send(batch, position, end, now)
                position = end
        return position

    def _send(self, batch: Batch, start: int, end: int, now: datetime) -> None:
        values = encode(batch, start, end, now=now)
        accounts = batch.columns["account_id"][start:end]
        first = self.ledger.add(
            transaction_ids=batch.columns["transaction_id"][start:end],
            account_ids=accounts,
            labels=batch.labels[start:end],
            malformations={i - start: way for i, way in batch.malformations.items() if start <= i < end},
            sent_at_ms=int(now.timestamp() * 1000),
        )
        self.publisher.send(first, [account.encode() for account in accounts], values)


def batch_size(rate: float) -> int:
    """Records to draw at once for `rate` records a second (0: unlimited): about a second of traffic.

    Larger batches draw faster, smaller ones know better who is asleep.
    """
    return round(min(max(rate or _LARGEST_BATCH, 1), _LARGEST_BATCH))
