"""Decides what happens, record by record: ordinary spending, fraud incidents and malformed records, in one order.

Pure: the same configuration, seed and clock give the same batches. Each concern draws from a random stream of its own,
so that changing one of them leaves the others' draws as they were. Nothing is encoded or sent here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from generator.config import GeneratorConfig
from generator.malformed import MALFORMATIONS, Malformation
from generator.places import COUNTRIES, PRICE_LEVEL_PERCENT, WHOLE_CURRENCIES, asleep
from generator.population import KINDS, build_population
from generator.scenarios import Scenario, Scene, Step, build_scenarios
from generator.spending import Deck, Spending, spend

ORDINARY = "ordinary"
# A batch is drawn ahead of its sending, and who is asleep is decided then. Older than this it is to be thrown away.
BATCH_HOLDS = timedelta(seconds=30)
# Records between two incidents of the opening: every scenario is seen in a run's first seconds, not when luck has it.
_OPENING_DISTANCE = 5
# A burst is spread over records, not over time. Where the rate is unlimited, or higher than machines reach, its length
# is planned for a rate that is reached in any case: a burst may come out shorter, but never too slow to be one.
_PLANNED_UNLIMITED, _PLANNED_AT_MOST = 100.0, 20_000.0

_CURRENCY = np.array([country.currency for country in COUNTRIES], dtype=object)
_CODE = np.array([country.code for country in COUNTRIES], dtype=object)
_LEVEL = np.array([PRICE_LEVEL_PERCENT[country.currency] for country in COUNTRIES], dtype=np.int64)
_UNIT = np.array([100 if country.currency in WHOLE_CURRENCIES else 1 for country in COUNTRIES], dtype=np.int64)
_CATEGORY = np.array([kind.category for kind in KINDS], dtype=object)


@dataclass(frozen=True)
class Batch:
    """Records in the order they are to be sent. `columns` has every field but the timestamp, which sending decides.

    `labels` are scenario labels (ORDINARY for none); `malformations` says by position which records are to be broken.
    """

    drawn_at: datetime
    columns: Mapping[str, list[str]]
    labels: list[str]
    malformations: Mapping[int, Malformation]

    def __len__(self) -> int:
        return len(self.labels)


class Traffic:
    """The endless sequence of records of one run."""

    def __init__(self, config: GeneratorConfig, *, seed: int) -> None:
        streams = np.random.SeedSequence(seed).spawn(6)
        people, turns, spending, ids, fraud, malformed = (np.random.Generator(np.random.PCG64(s)) for s in streams)
        self._config = config
        self.population = build_population(
            people, accounts=config.pool_size, merchants_per_country=config.merchants_per_country
        )
        self._deck = Deck(self.population, turns)
        self._spending, self._ids, self._fraud, self._malformed = spending, ids, fraud, malformed
        self._ways = list(MALFORMATIONS.values())
        self._scenarios = build_scenarios(config.scenarios) if config.fraud_percent else ()
        self._chance = _chances(self._scenarios, config.fraud_percent)
        self._planned_rate = min(config.rate_per_second or _PLANNED_UNLIMITED, _PLANNED_AT_MOST)
        self._planned: dict[int, tuple[str, Step]] = {}
        self._position = 0
        self.not_staged = 0  # incidents replaced by another scenario's, for want of a country asleep

    def batch(self, count: int, now: datetime) -> Batch:
        """The next `count` records, to be sent from `now` (aware) on and within BATCH_HOLDS."""
        first, self._position = self._position, self._position + count
        night = self._config.scenarios.unusual_hour
        soon, later = (
            asleep(moment, start_hour=night.start_hour, end_hour=night.end_hour) for moment in (now, now + BATCH_HOLDS)
        )
        scene = Scene(self.population, self._fraud, awake=~(soon | later), asleep=soon & later)

        self._plan_incidents(first, count, scene)
        steps = {i: self._planned.pop(first + i) for i in range(count) if first + i in self._planned}
        accounts = self._deck.deal(count, awake=scene.awake)
        for i, (_, step) in steps.items():
            accounts[i] = step.account
        spending = spend(self.population, accounts, self._spending)
        labels = [ORDINARY] * count
        for i, (label, step) in steps.items():
            labels[i] = label
            if step.cents is not None:
                spending.cents[i] = step.cents
        return Batch(now, self._columns(accounts, spending), labels, self._malformations(count, steps))

    def _plan_incidents(self, first: int, count: int, scene: Scene) -> None:
        """Lets incidents begin at the records from `first` on; their later steps may lie beyond this batch."""
        if first == 0:
            for number, scenario in enumerate(self._scenarios, start=1):
                self._stage(scenario, number * _OPENING_DISTANCE, scene)
        tosses = self._fraud.random(count)
        for i in np.flatnonzero(tosses < self._chance[-1]) if len(self._chance) else ():
            chosen = int(np.searchsorted(self._chance, tosses[i], side="right"))
            self._stage(self._scenarios[chosen], first + int(i), scene)

    def _stage(self, scenario: Scenario, start: int, scene: Scene) -> None:
        steps = scenario.stage(scene)
        if not steps:
            self.not_staged += 1
            steps, scenario = next(
                ((found, other) for other in self._scenarios if (found := other.stage(scene))), ((), scenario)
            )
        position = start
        for step in steps:
            position = max(position, start + round(step.after * self._planned_rate))
            while position in self._planned:
                position += 1
            self._planned[position] = (scenario.label, step)

    def _malformations(self, count: int, steps: Mapping[int, object]) -> dict[int, Malformation]:
        """Only ordinary records are broken: an incident keeps all of its records."""
        chance = self._config.malformed_percent / (100 - self._config.fraud_percent)
        ways = self._malformed.integers(len(self._ways), size=count)
        chosen = np.flatnonzero(self._malformed.random(count) < chance).tolist()
        return {i: self._ways[ways[i]] for i in chosen if i not in steps}

    def _columns(self, accounts: NDArray[np.int64], spending: Spending) -> dict[str, list[str]]:
        country = self.population.country[accounts]
        merchants, kind = self.population.merchants, self.population.merchants.kind[spending.merchant]
        cents = np.maximum(spending.cents * _LEVEL[country] // 100, _UNIT[country])
        cents -= cents % _UNIT[country]
        return {
            "transaction_id": list(_uuids(self._ids, len(accounts))),
            "account_id": [f"ACC{number:09d}" for number in (accounts + 1).tolist()],
            "amount": [f"{amount // 100}.{amount % 100:02d}" for amount in cents.tolist()],
            "currency": _CURRENCY[country].tolist(),
            "merchant_id": merchants.ids[spending.merchant].tolist(),
            "merchant_name": merchants.names[spending.merchant].tolist(),
            "merchant_category": _CATEGORY[kind].tolist(),
            "transaction_type": spending.transaction_type.tolist(),
            "channel": spending.channel.tolist(),
            "country": _CODE[country].tolist(),
        }


def _chances(scenarios: tuple[Scenario, ...], fraud_percent: float) -> NDArray[np.float64]:
    """Cumulated: the chance that an incident of each scenario begins at a record.

    A scenario's share is of the fraudulent records, so one with eight records an incident begins an eighth as often.
    """
    total = sum(scenario.weight for scenario in scenarios)
    return np.cumsum([fraud_percent / 100 * scenario.weight / total / scenario.size for scenario in scenarios])


def _uuids(rng: np.random.Generator, count: int) -> Iterator[str]:
    """Random UUIDs (version 4, lower case) from `rng`: the uuid module draws from the system and cannot be seeded."""
    octets = np.frombuffer(rng.bytes(16 * count), dtype=np.uint8).reshape(count, 16).copy()
    octets[:, 6] = octets[:, 6] & 0x0F | 0x40
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    text = octets.tobytes().hex()
    for at in range(0, 32 * count, 32):
        digits = text[at : at + 32]
        yield f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
