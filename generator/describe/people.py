"""Who there is and whose turn it is: the accounts' countries, incomes, days and activity, and how often each pays."""

import numpy as np
from numpy.typing import NDArray

from generator.config import GeneratorConfig
from generator.describe.drawing import Drawn
from generator.describe.judging import Comparison, Floats, chi_square, shares
from generator.disturbances import Delays
from generator.places import COUNTRIES, SHARES, local_hours
from generator.population import FAVOURITES, INCOMES, KINDS, Population, activity_shares
from generator.seasons import PROFILES, willingness
from generator.traffic import BATCH_HOLDS_MS, MOST_IN_A_MINUTE, busiest_of

_HALF_HOUR_MS, _MINUTE_MS = 1_800_000, 60_000
# Of the ordinary records, four standard errors apart. A fiftieth of what velocity bursts are by default. The deck keeps
# an account's cards apart, but its pace varies by chance: 4 to 30 of 820,000 a day at 10 records/s.
MOST_CROWDED = 1e-4
_CODES = tuple(country.code for country in COUNTRIES)
_DAYS = tuple(profile.name for profile in PROFILES)
_DECK = "errs towards holding: cards of a deck avoid each other"


def compare_people(population: Population, config: GeneratorConfig) -> list[Comparison]:
    """The accounts' properties. Each is drawn independently for every account, so Pearson's test is exact; only the
    first accounts, one a country, are given theirs and left out of the countries.
    """
    given = len(COUNTRIES)
    busiest = busiest_of(config)
    kinds = population.merchants.kind[population.favourites]
    return [
        shares("accounts by country", _CODES, _counts(population.country[given:], given), SHARES,
               note=f"without the first {given}, one a country"),
        shares("accounts by income", [income.name for income in INCOMES], _counts(population.income, len(INCOMES)),
               np.array([income.share for income in INCOMES])),
        shares("accounts by day profile", _DAYS, _counts(population.profile, len(PROFILES)),
               np.array([profile.share for profile in PROFILES])),
        shares("accounts by activity", [f"{n}x" for n in range(busiest + 1)],
               _counts(population.activity, busiest + 1), np.append(0.0, activity_shares(busiest)),
               note=f"truncated zeta; the busiest pays {busiest} times as often as the least busy"),
        shares("favourite merchants by kind", [kind.category for kind in KINDS], _counts(kinds.ravel(), len(KINDS)),
               np.array([float(kind.weight) for kind in KINDS]),
               note=f"{FAVOURITES} an account, each as likely as its share of the visits"),
    ]  # fmt: skip


def compare_turns(drawn: Drawn, config: GeneratorConfig) -> list[Comparison]:
    """How often accounts, countries and day profiles have their turn, given the accounts that there are.

    Accounts come from a shuffled deck and are taken by their willingness: in a moment's records an account's chance is
    its cards times its willingness, of all accounts'. The deck deals every card before any again, so counts vary less
    than independent ones, and Pearson's test errs towards "holds". It still finds a deck that deals otherwise.
    """
    expected = expected_turns(drawn, config)
    account = drawn.account[drawn.ordinary]
    each = np.bincount(account, minlength=len(drawn.population))
    by_account = chi_square(each, expected.by_account)
    spread = 0.5 * float(np.abs(each / each.sum() - expected.by_account / expected.by_account.sum()).sum())
    days = len(PROFILES)
    cells = drawn.population.profile[account].astype(np.int64) * 24 + drawn.local_hour[drawn.ordinary]
    burst = crowded(drawn)
    most = MOST_CROWDED + 4 * float(np.sqrt(MOST_CROWDED / len(account)))
    return [
        Comparison(
            "records by account",
            f"busiest {expected.by_account.max():,.0f}, mean {expected.by_account.mean():,.1f}",
            f"busiest {each.max():,}, mean {each.mean():,.1f}",
            "chi-square", by_account.statistic, by_account.p_value, len(account),
            note=f"{_DECK}; total variation distance {100 * spread:.2f} %",
        ),
        shares("records by country", _CODES, _by(drawn.population.country, each, len(COUNTRIES)).astype(np.int64),
               _by(drawn.population.country, expected.by_account, len(COUNTRIES)), note=_DECK),
        shares("records by day profile and hour (local)",
               [f"{name} {hour:02d} h" for name in _DAYS for hour in range(24)],
               np.bincount(cells, minlength=24 * days), expected.by_profile_and_hour.ravel(), note=_DECK),
        Comparison(
            f"records after {MOST_IN_A_MINUTE} others of the account in 60 s",
            f"at most {100 * most:.4f} %",
            f"{100 * burst / len(account):.4f} %",
            "bound",
            burst / len(account),
            None,
            len(account),
            tolerance=most,
            note="by event time; ordinary records that look like a burst",
        ),
    ]  # fmt: skip


class Turns:
    """The records that are expected of each account, and of each profile in each of its hours of the day."""

    def __init__(self, by_account: Floats, by_profile_and_hour: Floats) -> None:
        self.by_account, self.by_profile_and_hour = by_account, by_profile_and_hour


def expected_turns(drawn: Drawn, config: GeneratorConfig) -> Turns:
    """What the ordinary records' times make expected: in each stretch of constant willingness the records are shared
    among the accounts by cards times willingness.
    """
    people = drawn.population
    margins = _margins(config)
    starts, records = _stretches(drawn, margins)
    place, profile = (grid.ravel() for grid in np.mgrid[0 : len(COUNTRIES), 0 : len(PROFILES)])
    group = people.country.astype(np.int64) * len(PROFILES) + people.profile
    cards = np.bincount(group, weights=people.activity, minlength=len(place))
    a_card = np.zeros(len(place))
    by_hour = np.zeros((len(PROFILES), 24))
    for start_ms, number in zip(starts.tolist(), records.tolist(), strict=True):
        if not number:
            continue
        moments = [np.full(len(place), start_ms + margin, dtype=np.int64) for margin in margins]
        willing = np.minimum.reduce([willingness(moment, place, profile) for moment in moments])
        chance = willing / (cards @ willing)
        a_card += number * chance
        np.add.at(by_hour, (profile, local_hours(moments[0], place)), number * chance * cards)
    return Turns(people.activity * a_card[group], by_hour)


def crowded(drawn: Drawn) -> int:
    """The ordinary records that are at least the sixth of their account within 60 s of event time (MOST_IN_A_MINUTE is
    five): they look like a burst that nobody staged.
    """
    account = drawn.account[drawn.ordinary]
    event_ms = (drawn.planned_ms + drawn.shift_ms)[drawn.ordinary]
    order = np.lexsort((event_ms, account))
    account, event_ms = account[order], event_ms[order]
    many = MOST_IN_A_MINUTE
    near = event_ms[many:] - event_ms[:-many] <= _MINUTE_MS
    return int(np.count_nonzero((account[many:] == account[:-many]) & near))


def _margins(config: GeneratorConfig) -> tuple[int, int, int]:
    """The moments at which an account must be willing, relative to the planned one, in ms; that one first."""
    skew = config.disturbances.clock_skew.longest_ms
    return 0, -(Delays(config.disturbances.late).longest_ms + skew), BATCH_HOLDS_MS + skew


def _stretches(drawn: Drawn, margins: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stretches in which no account's willingness changes: their starts, UTC ms, and their ordinary records.

    Clocks differ from UTC by whole half hours.
    """
    first = drawn.start_ms // _HALF_HOUR_MS * _HALF_HOUR_MS
    halves = np.arange(first - _HALF_HOUR_MS, drawn.end_ms + 2 * _HALF_HOUR_MS, _HALF_HOUR_MS, dtype=np.int64)
    edges = np.unique(np.concatenate([halves - margin for margin in margins]))
    times = drawn.planned_ms[drawn.ordinary]
    return edges, np.bincount(np.searchsorted(edges, times, side="right") - 1, minlength=len(edges))


def _counts(values: NDArray[np.integer], kinds: int) -> NDArray[np.int64]:
    return np.bincount(values, minlength=kinds)


def _by(groups: NDArray[np.uint8], weights: NDArray[np.integer] | Floats, number: int) -> Floats:
    return np.bincount(groups, weights=weights, minlength=number).astype(np.float64)
