"""Generated traffic for tests: batches at a moment of the test's choice, stamped and encoded."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from generator.config import GeneratorConfig
from generator.encoding import Encoder
from generator.texts import octets
from generator.traffic import Batch, Traffic

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at_ms(moment: datetime) -> int:
    """`moment` (aware) as UTC milliseconds."""
    return round(moment.timestamp() * 1000)


@dataclass(frozen=True)
class Sample:
    """A batch, and its records as they would be sent."""

    batch: Batch
    keys: list[bytes]
    values: list[bytes | None]


def sample(traffic: Traffic, count: int, *, start: datetime = NOON, rate: float = 10) -> Sample:
    """The next `count` records of `traffic`, `rate` a second from `start` on."""
    batch = traffic.batch((at_ms(start) + np.arange(count) * 1000 / rate).astype(np.int64))
    batch.stamp(0, count, None)
    return Sample(
        batch,
        octets(batch.account_id),
        Encoder(traffic.population.merchants).encode(batch, 0, count),
    )


def quiet(**changes: object) -> GeneratorConfig:
    """A configuration without fraud and disturbances, but for the `changes`."""
    undisturbed = {"malformed_percent": 0, "late": {"percent": 0}, "clock_skew": {"merchant_percent": 0}}
    given = changes.pop("disturbances", {})
    assert isinstance(given, dict)
    return GeneratorConfig.model_validate(
        {"fraud_percent": 0, "disturbances": {**undisturbed, **given}, **changes},
    )


def only(scenario: str, **parameters: object) -> GeneratorConfig:
    """A configuration whose fraud is all of one scenario, a tenth of the records, and nothing is disturbed."""
    others = {name: {"weight": 0} for name in GeneratorConfig().scenarios.model_dump() if name != scenario}
    return quiet(fraud_percent=10, scenarios={**others, scenario: {"weight": 1, **parameters}})
