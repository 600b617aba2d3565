"""What a fraud scenario is, and what it can be staged in.

A scenario says who acts when and, where it matters, where and for how much; everything else of the record is the
account's ordinary habit. Its label goes to the ledger and never into a record.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from generator.config import ScenarioConfig
from generator.places import COUNTRIES
from generator.population import Crowd, Population


@dataclass(frozen=True)
class Step:
    """One record of an incident: of `account`, `after` seconds from the incident's start.

    `us_cents` (None: an ordinary amount), `merchant` and `channel` (a position in CHANNELS) take the place of what the
    account would have done.
    """

    account: int
    after: float = 0.0
    us_cents: int | None = None
    merchant: int | None = None
    channel: int | None = None


@dataclass(frozen=True)
class Scene:
    """What an incident can be staged in: the population, and which countries are awake and which surely asleep.

    Close to the start or end of its night a country is neither.
    """

    population: Population
    rng: np.random.Generator
    awake: NDArray[np.bool_]
    asleep: NDArray[np.bool_]

    def somebody_awake(self) -> int | None:
        """An account whose country is awake."""
        return self._waking.someone(self.rng)

    def somebody_asleep(self) -> int | None:
        """An account whose country sleeps."""
        return self._sleeping.someone(self.rng)

    def another_country(self, home: int) -> int:
        """A country other than `home`, of those that are awake where there is one: a position in COUNTRIES."""
        others = [place for place in np.flatnonzero(self.awake).tolist() if place != home]
        others = others or [place for place in range(len(COUNTRIES)) if place != home]
        chosen: int = others[self._below(len(others))]
        return chosen

    def home(self, account: int) -> int:
        """The country of `account`, a position in COUNTRIES."""
        return int(self.population.country[account])

    def one_of(self, some: NDArray[np.integer]) -> int:
        """One of these accounts or merchants, at random."""
        return int(some[self._below(len(some))])

    def amount(self, smallest: int, largest: int) -> int:
        """US cents between two amounts in US dollars, inclusive."""
        return smallest * 100 + self._below((largest - smallest) * 100 + 1)

    def moments(self, count: int, seconds: float) -> tuple[float, ...]:
        """`count` moments from 0 to `seconds`, at nearly even distances."""
        between = np.cumsum(self.rng.standard_gamma(5.0, count - 1))
        return (0.0, *(between / between[-1] * seconds).tolist()) if count > 1 else (0.0,)

    def _below(self, bound: int) -> int:
        # A float: for a single number four times as fast as integers().
        return int(self.rng.random() * bound)

    @cached_property
    def _waking(self) -> Crowd:
        return self.population.crowd(self.awake)

    @cached_property
    def _sleeping(self) -> Crowd:
        return self.population.crowd(self.asleep)


@dataclass(frozen=True)
class Scenario(ABC):
    """One kind of fraud."""

    label: ClassVar[str]
    config: ScenarioConfig

    @property
    def weight(self) -> float:
        """Its share of the fraudulent records, relative to the others'."""
        return self.config.weight

    @property
    @abstractmethod
    def size(self) -> int:
        """Records an incident."""

    @abstractmethod
    def stage(self, scene: Scene) -> tuple[Step, ...]:
        """One incident; empty where the scene has no place for it."""
