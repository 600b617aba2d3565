"""Wall-clock and simulated time."""

import numpy as np

from generator.config import DisturbancesConfig
from generator.seasons import Surges
from generator.timeline import Simulated, WallClock


def _simulated(end_ms: int | None = None) -> Simulated:
    return Simulated(0, 10, Surges(DisturbancesConfig()), np.random.default_rng(1), end_ms=end_ms)


def test_wall_clock_plans_from_now_on_at_the_rate() -> None:
    wall = WallClock(10, clock=lambda: 1_000.5)
    assert wall.plan(3).tolist() == [1_000_500, 1_000_600, 1_000_700]
    assert wall.now_ms() == 1_000_500
    assert wall.overdue_ms(999_500) == 1000
    wall.change(100)
    assert wall.plan(2).tolist() == [1_000_500, 1_000_510]


def test_simulated_ends_before_its_end() -> None:
    simulated = _simulated(end_ms=60_000)
    times = np.concatenate([simulated.plan(100) for _ in range(20)])
    assert 0 < len(times) < 1000
    assert times.max() < 60_000
    assert len(simulated.plan(100)) == 0


def test_simulated_does_not_depend_on_the_clock() -> None:
    simulated = _simulated()
    assert simulated.overdue_ms(-1_000_000) == 0
    simulated.change(500)
    assert (simulated.plan(50) == _simulated().plan(50)).all()
