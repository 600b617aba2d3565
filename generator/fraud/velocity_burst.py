"""Card testing: a stolen card is tried with small amounts in quick succession, then used for a large one."""

from dataclasses import dataclass
from typing import ClassVar

from generator.config import VelocityBurstConfig
from generator.fraud.scene import Scenario, Scene, Step
from generator.spending import ONLINE


@dataclass(frozen=True)
class VelocityBurst(Scenario):
    """Many small purchases of one account at online shops of its country, the last one large."""

    label: ClassVar[str] = "velocity_burst"
    config: VelocityBurstConfig

    @property
    def size(self) -> int:
        """See Scenario."""
        return self.config.transactions

    def stage(self, scene: Scene) -> tuple[Step, ...]:
        """See Scenario."""
        account = scene.somebody_awake()
        if account is None:
            return ()
        shops = scene.population.merchants.online[scene.home(account)]
        amounts = [scene.amount(1, self.config.test_amount) for _ in range(self.size - 1)]
        amounts.append(self.config.final_amount * 100)
        moments = scene.moments(self.size, self.config.seconds)
        return tuple(
            Step(account, after=after, us_cents=amount, merchant=scene.one_of(shops), channel=ONLINE)
            for after, amount in zip(moments, amounts, strict=True)
        )
