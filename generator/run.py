"""One run: plans a batch, waits for its turn, encodes, notes in the ledger, sends; until a limit or a signal.

The loop only; every decision lies in the modules that it calls.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from generator.config import GeneratorConfig
from generator.encoding import Encoder
from generator.health import HealthFile
from generator.ledger import Ledger
from generator.pace import SLICE_SECONDS, Pace, pace_of
from generator.partitions import partitions_of
from generator.progress import Status
from generator.publisher import Counts, Publisher
from generator.seasons import Surges
from generator.texts import octets
from generator.timeline import Timeline
from generator.traffic import BATCH_HOLDS_MS, Batch, Traffic

_LARGEST_BATCH = 8192
# Records that share one reading of the clock: at 100,000 a second, 40 ms of traffic.
_LARGEST_CHUNK = 4096


class Stop:
    """A wish to end, made by a signal, or by the death of the process `parent`. Calling it tells whether there is one.

    A shard has a parent: one that is killed can pass no signal on, and its shards would send for ever.
    """

    def __init__(self, parent: int | None = None) -> None:
        self._wanted, self._parent = False, parent

    def __call__(self) -> bool:
        return self._wanted or (self._parent is not None and os.getppid() != self._parent)

    def request(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Fits as a signal handler; a second request changes nothing."""
        self._wanted = True

    def on_signals(self) -> "Stop":
        """Lets SIGTERM and SIGINT make the wish."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.request)
        return self


@dataclass
class Run:
    """The connected parts of one run, or of one shard of it.

    A run that is not `paced` goes as fast as it can. `edits` gives a new configuration, once, where there is one.
    """

    traffic: Traffic
    timeline: Timeline
    publisher: Publisher
    ledger: Ledger
    status: Status
    stop: Stop
    config: GeneratorConfig
    shards: int = 1
    paced: bool = True
    edits: Callable[[], GeneratorConfig | None] = lambda: None
    health: HealthFile | None = None
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self._encoder = Encoder(self.traffic.population.merchants)
        self._began = self.clock()
        self._adopt(self.config)

    def until(self, limit: int | None = None) -> Counts:
        """Sends traffic until `limit` records are sent, the timeline ends or a stop is wished for; then settles what
        is under way.

        Raises ComponentFailed where the producer cannot go on; what was sent is in the ledger then too.
        """
        left = limit
        try:
            partitions = self._await_broker()
            while not self.stop() and left != 0:
                if (edited := self.edits()) is not None:
                    self._change(edited)
                # Before drawing: what is drawn and not sent takes the steps of its incidents with it.
                if self._is_held_back():
                    continue
                size = self._batch_size if left is None else min(self._batch_size, left)
                batch = self.traffic.batch(self.timeline.plan(size))
                if not len(batch):
                    break
                sent = self._send_batch(batch, partitions)
                left = None if left is None else left - sent
        finally:
            try:
                self.publisher.close()
            finally:
                self.ledger.close()
                if self.health is not None:
                    self.health.close()
                self.status.end(not_staged=self.traffic.not_staged)
        return self.publisher.counts

    def _await_broker(self) -> int:
        """How many partitions there are, once the broker tells; 0 after a stop."""
        while not self.stop():
            self._look()
            if self.publisher.circuit.allows():
                if (partitions := self.publisher.partitions()) is not None:
                    return partitions
            else:
                self.sleep(SLICE_SECONDS)
        return 0

    def _send_batch(self, batch: Batch, partitions: int) -> int:
        """Returns how many of the batch's records went: fewer after a stop or a long wait."""
        position = 0
        while position < len(batch) and not self.stop():
            end = position
            if not self._is_held_back():
                end += self.pace.take(min(len(batch) - position, _LARGEST_CHUNK))
            if self.timeline.overdue_ms(int(batch.planned_ms[0])) > BATCH_HOLDS_MS:
                break
            if end > position:
                self._send(batch, position, end, partitions)
                position = end
        return position

    def _is_held_back(self) -> bool:
        """Whether nothing may be sent now: the circuit is open, or the traffic pauses. Waits a moment then."""
        self._look()
        factor = self._surges.factor(self.clock() - self._began) if self.timeline.surges_are_paced else 1.0
        self.pace.change(factor)
        if self.publisher.circuit.allows() and factor:
            return False
        self.sleep(SLICE_SECONDS)
        return True

    def _send(self, batch: Batch, start: int, end: int, partitions: int) -> None:
        batch.stamp(start, end, self.timeline.now_ms())
        values = self._encoder.encode(batch, start, end)
        keys = batch.account_id[start:end]
        first = self.ledger.add(batch, start, end, sent_at_ms=int(self.clock() * 1000))
        self.publisher.send(first, octets(keys), values, partitions_of(keys, partitions))

    def _look(self) -> None:
        self.publisher.poll()
        self.ledger.rotate()
        self.status.tick(under_way=len(self.publisher), circuit=self.publisher.circuit.state)
        if self.health is not None:
            self.health.tick()

    def _adopt(self, config: GeneratorConfig) -> None:
        rate = config.rate_per_second / self.shards
        self.pace = pace_of(rate if self.paced else 0)
        self._surges = Surges(config.disturbances)
        self._batch_size = batch_size(rate, simulated=not self.timeline.surges_are_paced)

    def _change(self, config: GeneratorConfig) -> None:
        self.traffic.change(config)
        rate = config.rate_per_second / self.shards
        self.timeline.change(rate)
        if self.health is not None:
            self.health.want(rate)
        self._adopt(config)


def batch_size(rate: float, *, simulated: bool = False) -> int:
    """Records to draw at once for `rate` records a second (0: unlimited): about a second of traffic, or five
    simulated minutes.

    Larger batches draw faster, smaller ones know better who is asleep.
    """
    return round(min(max(rate * (300 if simulated else 1) or _LARGEST_BATCH, 1), _LARGEST_BATCH))
