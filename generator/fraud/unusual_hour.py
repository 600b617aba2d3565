"""A sizeable amount in the small hours of its account's country."""

from dataclasses import dataclass
from typing import ClassVar

from generator.config import UnusualHourConfig
from generator.fraud.scene import Scenario, Scene, Step
from generator.spending import ONLINE


@dataclass(frozen=True)
class UnusualHour(Scenario):
    """One purchase at home, online, at night. Empty where no country sleeps."""

    label: ClassVar[str] = "unusual_hour"
    config: UnusualHourConfig

    @property
    def size(self) -> int:
        """See Scenario."""
        return 1

    def stage(self, scene: Scene) -> tuple[Step, ...]:
        """See Scenario."""
        account = scene.somebody_asleep()
        if account is None:
            return ()
        shop = scene.one_of(scene.population.merchants.online[scene.home(account)])
        amount = scene.amount(self.config.smallest, self.config.largest)
        return (Step(account, us_cents=amount, merchant=shop, channel=ONLINE),)
