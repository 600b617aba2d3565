"""Decides what happens, record by record: ordinary spending, fraud incidents and disturbances, in one order.

Pure: the same configuration, seed and times give the same batches. Each concern draws from a random stream of its own,
so that changing one of them leaves the others' draws as they were. Nothing is encoded or sent here.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count as counter

import numpy as np
from numpy.typing import NDArray

from generator.config import GeneratorConfig
from generator.disturbances import Delays, draw_duplicates
from generator.fraud import LABELS, build_scenarios
from generator.fraud.scene import Scenario, Scene, Step
from generator.malformed import MALFORMATIONS, Malformation
from generator.places import asleep, local_money
from generator.population import BUSIEST, Shard, activity_shares, build_population
from generator.spending import ATM, POS, Deck, spend, usual_type
from generator.texts import account_ids, uuids

ORDINARY = "ordinary"
SCENARIOS = (ORDINARY, *LABELS)
"""What the ledger says of a record, by its code in Batch.scenario."""
LATE, CLOCK_SKEW, DUPLICATE = "late", "clock_skew", "duplicate"
DISTURBANCES = (None, LATE, CLOCK_SKEW, DUPLICATE, *MALFORMATIONS)
"""What the ledger says went wrong with a record, by its code in Batch.disturbance."""
NO_INCIDENT = -1

# A batch is drawn ahead of its sending, and who is asleep is decided then. Older than this it is to be thrown away.
BATCH_HOLDS_MS = 30_000
# Records between two incidents of the opening: every scenario is seen in a run's first seconds, not when luck has it.
_OPENING_DISTANCE = 5
# At 04:00 UTC most of the world sleeps, and the others' cards come round so much faster.
_CARDS_COME_FASTER = 3.7
MOST_IN_A_MINUTE = 5
_MINUTE_MS = 60_000


@dataclass(frozen=True)
class Batch:
    """Records in the order they are to be sent, as columns of equal length.

    `planned_ms` are the times they were drawn for and `shift_ms` is what a delay or a wrong clock adds to the time of
    sending; `event_ms` is filled by `stamp`. Money is in hundredths of the local currency. `scenario` and `disturbance`
    are positions in SCENARIOS and DISTURBANCES; `malformations` says by position which records are to be broken, and
    `repeats` which are the same record as an earlier one.
    """

    planned_ms: NDArray[np.int64]
    shift_ms: NDArray[np.int64]
    event_ms: NDArray[np.int64]
    transaction_id: NDArray[np.uint8]
    account: NDArray[np.int64]
    merchant: NDArray[np.int64]
    money: NDArray[np.int64]
    transaction_type: NDArray[np.uint8]
    channel: NDArray[np.uint8]
    scenario: NDArray[np.uint8]
    incident: NDArray[np.int64]
    disturbance: NDArray[np.uint8]
    malformations: Mapping[int, Malformation]
    repeats: Mapping[int, int]

    def __len__(self) -> int:
        return len(self.planned_ms)

    @cached_property
    def account_id(self) -> NDArray[np.uint8]:
        """The accounts' ids as text."""
        return account_ids(self.account)

    def stamp(self, start: int, stop: int, now_ms: int | None) -> None:
        """Gives the records `start` to before `stop` their event times: as sent at `now_ms` (UTC), or as planned.

        A repeated record keeps the time of the one it repeats.
        """
        sent = self.planned_ms[start:stop] if now_ms is None else now_ms
        self.event_ms[start:stop] = sent + self.shift_ms[start:stop]
        for i, original in self.repeats.items():
            if start <= i < stop:
                self.event_ms[i] = self.event_ms[original]


class Traffic:
    """The endless sequence of records of one run, or of one shard of it."""

    def __init__(self, config: GeneratorConfig, *, seed: int, shard: Shard = Shard()) -> None:  # noqa: B008  frozen
        def stream(number: int, of: int) -> np.random.Generator:
            return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(of, number))))

        # The people are the same in every shard; what they do is drawn by each shard for its own.
        turns, self._spending, self._ids, self._fraud, self._broken, self._way = (
            stream(number, 1 + shard.number) for number in range(6)
        )
        skew = config.disturbances.clock_skew
        self.population = build_population(
            stream(0, 0),
            accounts=config.pool_size,
            merchants_per_country=config.merchants_per_country,
            busiest=busiest_of(config),
            skewed_percent=skew.merchant_percent,
            longest_skew_ms=skew.longest_ms,
            shard=shard,
        )
        self._longest_skew_ms = skew.longest_ms
        self._deck = Deck(self.population, turns, shard)
        self._ways = list(MALFORMATIONS.values())
        self._due: list[tuple[int, int, int, int, Step]] = []
        self._order = counter()
        self._incidents = counter(shard.number, shard.count)
        self._opened = False
        self.not_staged = 0  # incidents replaced by another scenario's, for want of a country asleep
        self.change(config)

    def change(self, config: GeneratorConfig) -> None:
        """Goes on under another configuration, but with the same people: its shares, scenarios and disturbances."""
        self._config = config
        self._delays = Delays(config.disturbances.late)
        self._scenarios = build_scenarios(config.scenarios) if config.fraud_percent else ()
        self._chance = _chances(self._scenarios, config.fraud_percent)
        self._lit: tuple[int, Scene] | None = None

    def batch(self, times_ms: NDArray[np.int64]) -> Batch:
        """The records of `times_ms` (UTC, ascending), to be sent then or at most BATCH_HOLDS_MS later."""
        count = len(times_ms)
        self._begin_incidents(times_ms)
        before_ms, after_ms = self._margins()
        account = self._deck.deal(times_ms, before_ms=before_ms, after_ms=after_ms)
        steps = self._steps(times_ms)
        for i, (_, _, step) in steps.items():
            account[i] = step.account
        spending = spend(self.population, account, times_ms, self._spending)
        scenario = np.zeros(count, dtype=np.uint8)
        incident = np.full(count, NO_INCIDENT, dtype=np.int64)
        for i, (code, number, step) in steps.items():
            scenario[i], incident[i] = code, number
            if step.us_cents is not None:
                spending.us_cents[i] = step.us_cents
            if step.merchant is not None:
                spending.merchant[i] = step.merchant
                spending.transaction_type[i] = usual_type(int(self.population.merchants.kind[step.merchant]))
            if step.channel is not None:
                spending.channel[i] = step.channel
            elif spending.channel[i] == ATM and step.merchant is not None:
                spending.channel[i] = POS
        batch = Batch(
            planned_ms=times_ms,
            shift_ms=np.zeros(count, dtype=np.int64),
            event_ms=np.empty(count, dtype=np.int64),
            transaction_id=uuids(self._ids, count),
            account=account,
            merchant=spending.merchant,
            money=local_money(spending.us_cents, self.population.merchants.place(spending.merchant)),
            transaction_type=spending.transaction_type,
            channel=spending.channel,
            scenario=scenario,
            incident=incident,
            disturbance=np.zeros(count, dtype=np.uint8),
            malformations={},
            repeats={},
        )
        return self._disturbed(batch)

    def _margins(self) -> tuple[int, int]:
        """How much earlier and later than planned an event may lie."""
        # Of the clocks that there are, whatever an edit says: merchants keep theirs.
        skew_ms = self._longest_skew_ms
        return self._delays.longest_ms + skew_ms, BATCH_HOLDS_MS + skew_ms

    def _begin_incidents(self, times_ms: NDArray[np.int64]) -> None:
        """Lets incidents begin at these times; their later steps may lie beyond this batch."""
        if not self._opened and len(times_ms):
            self._opened = True
            for number, scenario in enumerate(self._scenarios, start=1):
                self._stage(scenario, int(times_ms[min(number * _OPENING_DISTANCE, len(times_ms) - 1)]))
        tosses = self._fraud.random(len(times_ms))
        for i in np.flatnonzero(tosses < self._chance[-1]) if len(self._chance) else ():
            chosen = int(self._chance.searchsorted(tosses[i], side="right"))
            self._stage(self._scenarios[chosen], int(times_ms[i]))

    def _stage(self, scenario: Scenario, start_ms: int) -> None:
        scene = self._scene(start_ms)
        steps = scenario.stage(scene)
        if not steps:
            self.not_staged += 1
            steps, scenario = next(
                ((found, other) for other in self._scenarios if (found := other.stage(scene))), ((), scenario)
            )
        number = next(self._incidents)
        code = SCENARIOS.index(scenario.label)
        for step in steps:
            due = (start_ms + round(step.after * 1000), next(self._order), code, number, step)
            heapq.heappush(self._due, due)

    def _scene(self, time_ms: int) -> Scene:
        """The scene of the minute of `time_ms`."""
        minute = time_ms // _MINUTE_MS
        if self._lit is None or self._lit[0] != minute:
            night = self._config.scenarios.unusual_hour
            before_ms, after_ms = self._margins()
            some, every = asleep(
                minute * _MINUTE_MS,
                start_hour=night.start_hour,
                end_hour=night.end_hour,
                before_ms=before_ms,
                after_ms=_MINUTE_MS + after_ms,
            )
            self._lit = minute, Scene(self.population, self._fraud, awake=~some, asleep=every)
        return self._lit[1]

    def _steps(self, times_ms: NDArray[np.int64]) -> dict[int, tuple[int, int, Step]]:
        """What is due in this batch, by position: the first free one at or after its time."""
        placed: dict[int, tuple[int, int, Step]] = {}
        # They come in the order of their times, so none fits into a gap before the one placed last.
        free = 0
        while self._due and free < len(times_ms):
            position = max(free, int(times_ms.searchsorted(self._due[0][0])))
            if position == len(times_ms):
                break
            placed[position] = heapq.heappop(self._due)[2:]
            free = position + 1
        return placed

    def _disturbed(self, batch: Batch) -> Batch:
        """Breaks, delays and repeats. Only ordinary records are broken, late or repeated: an incident keeps its own."""
        disturbances = self._config.disturbances
        ordinary = batch.scenario == 0
        broken = self._break(batch, ordinary)
        good = ordinary.copy()
        good[list(broken)] = False

        delays = self._delays.draw(len(batch), self._broken)
        late = good & (delays > 0)
        skew_ms = self.population.merchants.skew_ms[batch.merchant]
        batch.shift_ms[:] = skew_ms - np.where(late, delays, 0)
        _note(batch, skew_ms != 0, CLOCK_SKEW)
        _note(batch, late, LATE)

        originals, duplicates = draw_duplicates(disturbances, good, self._broken)
        for column in (batch.shift_ms, batch.transaction_id, batch.account, batch.merchant, batch.money,
                       batch.transaction_type, batch.channel):  # fmt: skip
            column[duplicates] = column[originals]
        batch.disturbance[duplicates] = DISTURBANCES.index(DUPLICATE)
        for i, way in broken.items():
            batch.disturbance[i] = DISTURBANCES.index(way.name)
        repeats = dict(zip(duplicates.tolist(), originals.tolist(), strict=True))
        return replace(batch, malformations=broken, repeats=repeats)

    def _break(self, batch: Batch, ordinary: NDArray[np.bool_]) -> dict[int, Malformation]:
        chance = self._config.disturbances.malformed_percent / (100 - self._config.fraud_percent)
        chosen = np.flatnonzero((self._broken.random(len(batch), dtype=np.float32) < chance) & ordinary)
        ways = self._way.integers(len(self._ways), size=len(chosen))
        return {i: self._ways[way] for i, way in zip(chosen.tolist(), ways.tolist(), strict=True)}


def _note(batch: Batch, which: NDArray[np.bool_], disturbance: str) -> None:
    batch.disturbance[which] = DISTURBANCES.index(disturbance)


def busiest_of(config: GeneratorConfig) -> int:
    """How often the busiest account may pay, relative to the least busy, so that it never looks like a burst.

    The whole deck lasts (accounts x mean activity / rate) seconds; two cards of one account lie at least half of their
    distance apart.
    """
    for busiest in range(BUSIEST, 1, -1):
        mean = float(activity_shares(busiest) @ np.arange(1, busiest + 1))
        deck_seconds = config.pool_size * mean / config.planned_rate / _CARDS_COME_FASTER
        if 60 / deck_seconds * busiest <= MOST_IN_A_MINUTE - 1:
            return busiest
    return 1


def _chances(scenarios: tuple[Scenario, ...], fraud_percent: float) -> NDArray[np.float64]:
    """Cumulated: the chance that an incident of each scenario begins at a record.

    A scenario's share is of the fraudulent records, so one with eight records an incident begins an eighth as often.
    """
    total = sum(scenario.weight for scenario in scenarios)
    return np.cumsum([fraud_percent / 100 * scenario.weight / total / scenario.size for scenario in scenarios])
