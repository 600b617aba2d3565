"""A sample of the traffic: the records of a simulated run, as whole columns. No broker, no encoding, no ledger.

The records are those that `python -m generator --start TIME --seed SEED` sends: the same streams, in the same batches.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigError
from generator.config import GeneratorConfig
from generator.places import local_hours
from generator.population import Population, Shard
from generator.run import batch_size
from generator.timeline import Simulated
from generator.traffic import DISTURBANCES, DUPLICATE, Batch, Traffic

DAY_MS = 86_400_000
_COLUMNS = ("planned_ms", "shift_ms", "account", "merchant", "money", "channel", "transaction_type", "scenario",
            "incident", "disturbance")  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """Columns of equal length, one entry a record, in the order of sending; see generator.traffic.Batch for them.

    `local_hour` is the hour (0 to 23) on the clocks of the account's country for which a record was drawn. The sample
    covers `start_ms` to before `end_ms` (UTC). `not_staged` incidents were replaced by another scenario's.
    """

    seed: int
    start_ms: int
    end_ms: int
    population: Population
    not_staged: int
    planned_ms: NDArray[np.int64]
    shift_ms: NDArray[np.int64]
    account: NDArray[np.int64]
    merchant: NDArray[np.int64]
    money: NDArray[np.int64]
    channel: NDArray[np.uint8]
    transaction_type: NDArray[np.uint8]
    scenario: NDArray[np.uint8]
    incident: NDArray[np.int64]
    disturbance: NDArray[np.uint8]
    local_hour: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.planned_ms)

    @property
    def ordinary(self) -> NDArray[np.bool_]:
        """Which records are drawn as ordinary spending: neither of a fraud incident nor the copy of another one."""
        return np.asarray((self.scenario == 0) & (self.disturbance != DISTURBANCES.index(DUPLICATE)))


def draw(config: GeneratorConfig, *, seed: int, start_ms: int, days: float = 1.0, records: int | None = None) -> Drawn:
    """The records of `days` simulated days from `start_ms` (UTC), or the first `records` of them.

    Raises ConfigError where the rate is unlimited, and where nothing is drawn.
    """
    end_ms = start_ms + round(days * DAY_MS)
    timeline = Simulated.of(config, seed=seed, shard=Shard(), start_ms=start_ms, end_ms=end_ms)
    traffic = Traffic(config, seed=seed)
    size = batch_size(config.rate_per_second, simulated=True)
    batches: list[Batch] = []
    hours: list[NDArray[np.int64]] = []
    left = records
    while left is None or left > 0:
        batch = traffic.batch(timeline.plan(size if left is None else min(size, left)))
        if not len(batch):
            break
        batches.append(batch)
        # Here and not over the whole column: whether it is summer time is asked once a batch.
        hours.append(local_hours(batch.planned_ms, traffic.population.country[batch.account]))
        left = None if left is None else left - len(batch)
    if not batches:
        raise ConfigError("command line", f"no record falls into {days} days at {config.rate_per_second} records/s")
    columns = {name: np.concatenate([getattr(batch, name) for batch in batches]) for name in _COLUMNS}
    return Drawn(
        seed=seed,
        start_ms=start_ms,
        # The last record bounds the time: given it, those before it lie as freely as those of a whole period.
        end_ms=int(columns["planned_ms"][-1]) if left == 0 else end_ms,
        population=traffic.population,
        not_staged=traffic.not_staged,
        local_hour=np.concatenate(hours),
        **columns,
    )
