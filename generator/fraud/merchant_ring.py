"""Collusion: a dishonest merchant and its accomplices, who pay it nearly the same amount within minutes."""

from dataclasses import dataclass
from typing import ClassVar

from generator.config import MerchantRingConfig
from generator.fraud.scene import Scenario, Scene, Step
from generator.spending import ONLINE


@dataclass(frozen=True)
class MerchantRing(Scenario):
    """Several accounts of one country, each paying once. The dishonest merchants of a country stay the same."""

    label: ClassVar[str] = "merchant_ring"
    config: MerchantRingConfig

    @property
    def size(self) -> int:
        """See Scenario."""
        return self.config.accounts

    def stage(self, scene: Scene) -> tuple[Step, ...]:
        """See Scenario."""
        first = scene.somebody_awake()
        if first is None:
            return ()
        home = scene.home(first)
        # The last of a country's merchants: the least visited, so honest customers are few.
        dishonest = scene.population.merchants.online[home][-self.config.merchants_per_country :]
        merchant = scene.one_of(dishonest)
        agreed = scene.amount(self.config.smallest, self.config.largest)
        residents = scene.population.residents[home]
        size = min(self.size, len(residents))
        accomplices = residents[scene.rng.choice(len(residents), size=size, replace=False)].tolist()
        return tuple(
            Step(
                accomplice,
                after=after,
                us_cents=agreed + scene.amount(0, 10) - 500,
                merchant=merchant,
                channel=ONLINE,
            )
            for accomplice, after in zip(accomplices, scene.moments(size, self.config.minutes * 60), strict=True)
        )
