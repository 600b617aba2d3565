"""The fraud scenarios, one a module: who acts, when and where, and for how much. A new one joins SCENARIOS."""

from generator.config import ScenariosConfig
from generator.fraud.account_takeover import AccountTakeover
from generator.fraud.high_value import HighValue
from generator.fraud.impossible_travel import ImpossibleTravel
from generator.fraud.merchant_ring import MerchantRing
from generator.fraud.scene import Scenario
from generator.fraud.unusual_hour import UnusualHour
from generator.fraud.velocity_burst import VelocityBurst

LABELS = (
    HighValue.label,
    VelocityBurst.label,
    UnusualHour.label,
    ImpossibleTravel.label,
    MerchantRing.label,
    AccountTakeover.label,
)


def build_scenarios(config: ScenariosConfig) -> tuple[Scenario, ...]:
    """The scenarios that have a weight."""
    every: tuple[Scenario, ...] = (
        HighValue(config.high_value),
        VelocityBurst(config.velocity_burst),
        UnusualHour(config.unusual_hour),
        ImpossibleTravel(config.impossible_travel),
        MerchantRing(config.merchant_ring),
        AccountTakeover(config.account_takeover),
    )
    return tuple(scenario for scenario in every if scenario.weight > 0)
