"""A copied card: used at a counter of another country within an hour of a purchase at home."""

from dataclasses import dataclass
from typing import ClassVar

from generator.config import ImpossibleTravelConfig
from generator.fraud.scene import Scenario, Scene, Step
from generator.spending import POS


@dataclass(frozen=True)
class ImpossibleTravel(Scenario):
    """Two purchases in person, in two countries, minutes apart."""

    label: ClassVar[str] = "impossible_travel"
    config: ImpossibleTravelConfig

    @property
    def size(self) -> int:
        """See Scenario."""
        return 2

    def stage(self, scene: Scene) -> tuple[Step, ...]:
        """See Scenario."""
        account = scene.somebody_awake()
        if account is None:
            return ()
        home = scene.home(account)
        minutes = scene.rng.uniform(self.config.shortest_minutes, self.config.longest_minutes)
        return tuple(
            Step(
                account,
                after=after,
                us_cents=scene.amount(self.config.smallest, self.config.largest),
                merchant=scene.one_of(scene.population.merchants.counters[place]),
                channel=POS,
            )
            for after, place in ((0.0, home), (float(minutes) * 60, scene.another_country(home)))
        )
