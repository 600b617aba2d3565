"""An amount far above what its account ever pays."""

from dataclasses import dataclass
from typing import ClassVar

from generator.config import HighValueConfig
from generator.fraud.scene import Scenario, Scene, Step


@dataclass(frozen=True)
class HighValue(Scenario):
    """One large amount, where the account goes anyway."""

    label: ClassVar[str] = "high_value"
    config: HighValueConfig

    @property
    def size(self) -> int:
        """See Scenario."""
        return 1

    def stage(self, scene: Scene) -> tuple[Step, ...]:
        """See Scenario."""
        account = scene.somebody_awake()
        if account is None:
            return ()
        return (Step(account, us_cents=scene.amount(self.config.smallest, self.config.largest)),)
