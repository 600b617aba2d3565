"""A stolen account: the thief buys online, from another country, and for more each time."""

from dataclasses import dataclass
from typing import ClassVar

from generator.config import AccountTakeoverConfig
from generator.fraud.scene import Scenario, Scene, Step
from generator.spending import ONLINE


@dataclass(frozen=True)
class AccountTakeover(Scenario):
    """Purchases of one account at online shops of one foreign country, with rising amounts."""

    label: ClassVar[str] = "account_takeover"
    config: AccountTakeoverConfig

    @property
    def size(self) -> int:
        """See Scenario."""
        return self.config.transactions

    def stage(self, scene: Scene) -> tuple[Step, ...]:
        """See Scenario."""
        account = scene.somebody_awake()
        if account is None:
            return ()
        shops = scene.population.merchants.online[scene.another_country(scene.home(account))]
        moments = scene.moments(self.size, self.config.minutes * 60)
        return tuple(
            Step(account, after=after, us_cents=us_cents, merchant=scene.one_of(shops), channel=ONLINE)
            for after, us_cents in zip(moments, self._amounts(), strict=True)
        )

    def _amounts(self) -> list[int]:
        amounts = [self.config.first_amount * 100]
        while len(amounts) < self.size:
            amounts.append(amounts[-1] * self.config.growth_percent // 100)
        return amounts
