"""The fraud scenarios: each a small class that stages one incident, its parameters from the configuration.

A scenario says who acts when and, where it matters, for how much; everything else of the record is the account's
ordinary habit. Its label goes to the ledger and never into a record.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from generator.config import HighValueConfig, RapidActivityConfig, ScenariosConfig, UnusualHourConfig
from generator.population import Population


@dataclass(frozen=True)
class Step:
    """One record of an incident: `after` seconds from its start, for `cents` (US; None: an ordinary amount)."""

    account: int
    after: float = 0.0
    cents: int | None = None


@dataclass(frozen=True)
class Scene:
    """What an incident can be staged in: the population, and which countries are awake and which surely asleep.

    Close to the start or end of its night a country is neither.
    """

    population: Population
    rng: np.random.Generator
    awake: NDArray[np.bool_]
    asleep: NDArray[np.bool_]


class Scenario(Protocol):
    """One kind of fraud."""

    label: ClassVar[str]

    @property
    def weight(self) -> float:
        """Its share of the fraudulent records, relative to the others'."""

    @property
    def size(self) -> int:
        """Records an incident."""

    def stage(self, scene: Scene) -> tuple[Step, ...]:
        """One incident; empty where the scene has no place for it."""


@dataclass(frozen=True)
class HighValue:
    """One amount far above what its account ever pays."""

    label: ClassVar[str] = "high_value"
    config: HighValueConfig
    size: int = 1

    @property
    def weight(self) -> float:
        return self.config.weight

    def stage(self, scene: Scene) -> tuple[Step, ...]:
        account = scene.population.someone(scene.rng, scene.awake)
        if account is None:
            return ()
        return (Step(account, cents=_amount(scene.rng, self.config.smallest, self.config.largest)),)


@dataclass(frozen=True)
class RapidActivity:
    """Many transactions of one account, at nearly even distances, each of them ordinary by itself."""

    label: ClassVar[str] = "rapid_activity"
    config: RapidActivityConfig

    @property
    def weight(self) -> float:
        return self.config.weight

    @property
    def size(self) -> int:
        return self.config.transactions

    def stage(self, scene: Scene) -> tuple[Step, ...]:
        account = scene.population.someone(scene.rng, scene.awake)
        if account is None:
            return ()
        between = scene.rng.dirichlet(np.full(self.size - 1, 5.0)) * self.config.seconds
        return tuple(Step(account, after=float(after)) for after in (0.0, *np.cumsum(between)))


@dataclass(frozen=True)
class UnusualHour:
    """A sizeable amount in the small hours of its account's country. Empty where no country sleeps."""

    label: ClassVar[str] = "unusual_hour"
    config: UnusualHourConfig
    size: int = 1

    @property
    def weight(self) -> float:
        return self.config.weight

    def stage(self, scene: Scene) -> tuple[Step, ...]:
        account = scene.population.someone(scene.rng, scene.asleep)
        if account is None:
            return ()
        return (Step(account, cents=_amount(scene.rng, self.config.smallest, self.config.largest)),)


def build_scenarios(config: ScenariosConfig) -> tuple[Scenario, ...]:
    """The scenarios that have a weight."""
    every: tuple[Scenario, ...] = (
        HighValue(config.high_value),
        RapidActivity(config.rapid_activity),
        UnusualHour(config.unusual_hour),
    )
    return tuple(scenario for scenario in every if scenario.weight > 0)


def _amount(rng: np.random.Generator, smallest: int, largest: int) -> int:
    return int(rng.integers(smallest * 100, largest * 100, endpoint=True))
