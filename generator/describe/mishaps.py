"""What is out of the ordinary: fraud incidents, malformed, late and repeated records, and merchants' wrong clocks."""

import numpy as np
from numpy.typing import NDArray

from generator.config import GeneratorConfig, ScenariosConfig
from generator.describe.drawing import Drawn
from generator.describe.judging import (
    Comparison,
    Floats,
    log_normal_below,
    positions_of,
    share,
    shares,
    shares_text,
    uniform,
)
from generator.disturbances import Delays
from generator.fraud import build_scenarios
from generator.fraud.scene import Scenario
from generator.fraud.unusual_hour import UnusualHour
from generator.malformed import MALFORMATIONS
from generator.traffic import DISTURBANCES, DUPLICATE, LATE, SCENARIOS

_FEWEST_DELAYS = 50
# An incident's record waits for the next free one, and two incidents may want the same.
_PLACED_WITHIN_MS = 300_000
# Of the configured duplicates those are lost whose original cannot be had: refused, or before the batch.
_LOST_DUPLICATES = 0.2


def compare_mishaps(drawn: Drawn, config: GeneratorConfig) -> list[Comparison]:
    """Fraud and disturbances. What is configured as none must not occur at all."""
    return [*_compare_fraud(drawn, config), *_compare_malformed(drawn, config), *_compare_late(drawn, config),
            *_compare_clocks(drawn, config), *_compare_duplicates(drawn, config)]  # fmt: skip


def _compare_fraud(drawn: Drawn, config: GeneratorConfig) -> list[Comparison]:
    """Incidents: at each record one may begin, independently, so their number is binomial and their mix multinomial.

    Those of the opening are staged and not drawn: one a scenario, left out. Records are not tested as such: an
    incident has several, and those of the last incidents fall behind the end of the sample. Instead each incident
    must have as many as its scenario says, which with the number and the mix gives the share of records.
    """
    fraudulent = int(np.count_nonzero(drawn.scenario))
    if not config.fraud_percent:
        return [_none("fraudulent records", fraudulent, len(drawn))]
    scenarios = build_scenarios(config.scenarios)
    chances = incident_chances(scenarios, config.fraud_percent)
    begun = _begun(drawn, scenarios)
    labels = [scenario.label for scenario in scenarios]
    sizes = np.array([scenario.size for scenario in scenarios])
    mix = shares("fraud mix, by incidents", labels, begun, chances, note=_staging(drawn))
    weights = np.array([scenario.weight for scenario in scenarios], dtype=np.float64)
    return [
        share("incidents, of all records", int(begun.sum()), len(drawn), float(chances.sum()),
              note=f"{config.fraud_percent:g} % of the records are to be fraudulent, "
              f"{100 * fraudulent / len(drawn):.2f} % are; {len(scenarios)} staged incidents apart"),
        Comparison(
            "fraud mix, by records", shares_text(labels, weights, weights), shares_text(labels, begun * sizes, weights),
            mix.method, mix.statistic, mix.p_value, mix.size, note=mix.note,
        ),
        *_compare_sizes(drawn, config.scenarios, scenarios),
    ]  # fmt: skip


def incident_chances(scenarios: tuple[Scenario, ...], fraud_percent: float) -> Floats:
    """The chance that an incident of each scenario begins at a record: its share of the fraudulent records, a size-th
    as often.
    """
    weights = np.array([scenario.weight for scenario in scenarios], dtype=np.float64)
    sizes = np.array([scenario.size for scenario in scenarios])
    return np.asarray(fraud_percent / 100 * weights / weights.sum() / sizes)


def _begun(drawn: Drawn, scenarios: tuple[Scenario, ...]) -> NDArray[np.int64]:
    """The incidents that were drawn, as drawn: those of the opening apart, and the replaced ones put back."""
    _, first = np.unique(drawn.incident, return_index=True)
    codes = drawn.scenario[first]
    found = np.array([np.count_nonzero(codes == SCENARIOS.index(scenario.label)) - 1 for scenario in scenarios])
    labels = [scenario.label for scenario in scenarios]
    if drawn.not_staged and UnusualHour.label in labels and len(labels) > 1:
        unusual = labels.index(UnusualHour.label)
        found[unusual] += drawn.not_staged
        found[int(unusual == 0)] -= drawn.not_staged
    return np.asarray(np.maximum(found, 0))


def _staging(drawn: Drawn) -> str:
    return f"{drawn.not_staged} replaced for want of a country asleep, counted as drawn" if drawn.not_staged else ""


def _compare_sizes(drawn: Drawn, config: ScenariosConfig, scenarios: tuple[Scenario, ...]) -> list[Comparison]:
    """The records of each incident that had the time to end: as many as its scenario has, without exception."""
    size_of = np.zeros(len(SCENARIOS), dtype=np.int64)
    for scenario in scenarios:
        size_of[SCENARIOS.index(scenario.label)] = scenario.size
    fraudulent = drawn.scenario > 0
    _, first, records = np.unique(drawn.incident[fraudulent], return_index=True, return_counts=True)
    began = drawn.planned_ms[fraudulent][first]
    ended = began < drawn.end_ms - longest_incident_ms(config) - _PLACED_WITHIN_MS
    if not ended.any():
        return []
    wrong = int(np.count_nonzero((records != size_of[drawn.scenario[fraudulent][first]])[ended]))
    return [
        Comparison("incidents of another size than their scenario's", "0", f"{wrong}", "bound", float(wrong), None,
                   int(ended.sum()), tolerance=0.0, note="those that had the time to end")
    ]  # fmt: skip


def longest_incident_ms(config: ScenariosConfig) -> int:
    """No incident's plan is longer, in ms of event time."""
    return round(1000 * max(
        config.velocity_burst.seconds, 60 * config.impossible_travel.longest_minutes,
        60 * config.merchant_ring.minutes, 60 * config.account_takeover.minutes,
    ))  # fmt: skip


def _compare_malformed(drawn: Drawn, config: GeneratorConfig) -> list[Comparison]:
    """Each ordinary record is broken independently, so often that the share of all records comes out, and each way is
    as likely.
    """
    percent = config.disturbances.malformed_percent
    ways = tuple(MALFORMATIONS)
    found = np.array([_noted(drawn, way) for way in ways])
    if not percent:
        return [_none("malformed records", int(found.sum()), len(drawn))]
    ordinary = int(np.count_nonzero(drawn.scenario == 0))
    chance = percent / (100 - config.fraud_percent)
    return [
        share("malformed records", int(found.sum()), ordinary, chance,
              note=f"of the ordinary records, for {percent:g} % of all; {100 * found.sum() / len(drawn):.3f} % are"),
        shares("malformed records by way", ways, found, np.ones(len(ways))),
    ]  # fmt: skip


def delays_ms(drawn: Drawn) -> NDArray[np.int64]:
    """How late each late record is, its merchant's clock apart."""
    late = drawn.disturbance == DISTURBANCES.index(LATE)
    return np.asarray(drawn.population.merchants.skew_ms[drawn.merchant[late]] - drawn.shift_ms[late])


def _compare_late(drawn: Drawn, config: GeneratorConfig) -> list[Comparison]:
    """Each good ordinary record is late independently, by a log-normal delay that is cut to whole ms and to a longest;
    the cut is undone as that of amounts is.
    """
    late = config.disturbances.late
    delays = delays_ms(drawn)
    if not late.percent:
        return [_none("late records", len(delays), len(drawn))]
    broken = np.isin(drawn.disturbance, [DISTURBANCES.index(way) for way in MALFORMATIONS])
    good = int(np.count_nonzero(drawn.ordinary & ~broken))
    found = [share("late records", len(delays), good, late.percent / 100, note="of the ordinary records, broken apart")]
    if len(delays) < _FEWEST_DELAYS:
        return found
    longest = Delays(late).longest_ms
    furthest = int(delays.max())
    found.append(
        Comparison("longest delay, ms", f"at most {longest}", f"{furthest}", "bound", float(furthest), None,
                   len(delays), tolerance=float(longest))
    )  # fmt: skip
    median = float(np.log(late.median_seconds * 1000))
    positions = positions_of(
        log_normal_below(np.where(delays <= 1, 0, delays).astype(np.float64), median, late.sigma),
        log_normal_below(np.where(delays >= longest, np.inf, delays + 1), median, late.sigma),
        np.random.default_rng(np.random.SeedSequence(drawn.seed, spawn_key=(0, 2))),
    )
    judged = uniform(positions)
    return [
        *found,
        Comparison(
            "delays, s", f"median {late.median_seconds:.2f}, sigma {late.sigma:.3f}, at most {late.longest_seconds:g}",
            f"median {np.median(delays) / 1000:.2f}, sigma {np.std(np.log(np.maximum(delays, 1))):.3f}, "
            f"at most {delays.max() / 1000:g}",
            "Kolmogorov-Smirnov", judged.statistic, judged.p_value, len(delays),
            note=f"{100 * np.mean(delays >= longest):.2f} % are cut to the longest",
        ),
    ]  # fmt: skip


def _compare_clocks(drawn: Drawn, config: GeneratorConfig) -> list[Comparison]:
    """Merchants' clocks: each is wrong independently, by whole ms, every value as likely; 0 then looks right."""
    skew = config.disturbances.clock_skew
    values = drawn.population.merchants.skew_ms
    wrong = values[values != 0]
    possible = 2 * skew.longest_ms
    chance = skew.merchant_percent / 100 * possible / (possible + 1)
    if not chance:
        return [_none("merchants with a wrong clock", len(wrong), len(values))]
    furthest = int(np.abs(values).max())
    return [
        share("merchants with a wrong clock", len(wrong), len(values), chance),
        Comparison("furthest clock, ms", f"at most {skew.longest_ms}", f"{furthest}", "bound", float(furthest), None,
                   len(values), tolerance=float(skew.longest_ms)),
    ]  # fmt: skip


def _compare_duplicates(drawn: Drawn, config: GeneratorConfig) -> list[Comparison]:
    """Duplicates. Not independent: none repeats a duplicate, a broken record or one of an earlier batch, and how many
    are lost so depends on the rest. So a tolerance: at most _LOST_DUPLICATES of the configured share is missing, four
    standard errors apart.
    """
    percent = config.disturbances.duplicate_percent
    found = _noted(drawn, DUPLICATE)
    if not percent:
        return [_none("duplicates", found, len(drawn))]
    ordinary = max(1, int(np.count_nonzero(drawn.scenario == 0)))
    expected = ordinary * percent / 100
    off = abs(found / expected - 1)
    return [
        Comparison("duplicates", f"{percent:.2f} %", f"{100 * found / ordinary:.2f} %", "relative deviation", off, None,
                   ordinary, tolerance=_LOST_DUPLICATES + 4 / float(np.sqrt(expected)), note="of the ordinary records")
    ]  # fmt: skip


def _noted(drawn: Drawn, disturbance: str) -> int:
    return int(np.count_nonzero(drawn.disturbance == DISTURBANCES.index(disturbance)))


def _none(name: str, found: int, size: int) -> Comparison:
    return Comparison(name, "0", f"{found:,}", "bound", float(found), None, size, tolerance=0.0)
