"""What goes wrong with good records on their way: they come late, from a wrong clock, or twice.

Each with a known answer; records that break the contract are in `malformed`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generator.config import DisturbancesConfig, LateConfig

# A duplicate follows its original by 1 to this many records, as far as its batch reaches.
FARTHEST_DUPLICATE = 200


@dataclass(frozen=True)
class Delays:
    """How much older than its sending each record is, in ms; 0 for most. Log-normal, up to a longest."""

    config: LateConfig

    @property
    def longest_ms(self) -> int:
        """No delay is longer."""
        return round(self.config.longest_seconds * 1000) if self.config.percent else 0

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """The delays of `count` records."""
        delays = np.zeros(count, dtype=np.int64)
        late = np.flatnonzero(rng.random(count, dtype=np.float32) < self.config.percent / 100)
        median = np.log(self.config.median_seconds * 1000)
        drawn = np.exp(median + self.config.sigma * rng.standard_normal(len(late)))
        delays[late] = np.clip(drawn, 1, self.longest_ms).astype(np.int64)
        return delays


def draw_duplicates(
    config: DisturbancesConfig, eligible: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which records of a batch are sent once more, and in place of which others: originals, and duplicates ascending.

    Only records that are `eligible` are repeated or give their place; none is repeated twice in a batch.
    """
    count = len(eligible)
    nothing = np.empty(0, dtype=np.int64)
    if not config.duplicate_percent or not count:
        return nothing, nothing
    later = np.flatnonzero((rng.random(count, dtype=np.float32) < config.duplicate_percent / 100) & eligible)
    later = later[later > 0]
    earlier = later - rng.integers(1, np.minimum(later, FARTHEST_DUPLICATE), endpoint=True)
    # A record that is itself replaced, or broken, has nothing to repeat.
    fits = eligible[earlier] & ~np.isin(earlier, later)
    later, earlier = later[fits], earlier[fits]
    _, first = np.unique(earlier, return_index=True)
    first.sort()
    return earlier[first], later[first]
