"""What ordinary records buy: at which kind of merchant, through which channel and for how much.

Everything is compared given who has the turn and at what hour: whether a shop is open then is known, so what happens
at closed ones (the account buys online, or at the place that never closes) is part of what is expected.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generator.describe.drawing import Drawn
from generator.describe.judging import (
    Comparison,
    Floats,
    log_normal_below,
    mixed_chi_square,
    normal_scores,
    positions_of,
    scores,
    share,
    shares,
    shares_text,
    uniform,
)
from generator.places import COUNTRIES, PRICE_LEVEL_PERCENT, WHOLE_CURRENCIES
from generator.population import ALWAYS_OPEN, FAVOURITES, INCOMES, KINDS, Population, favourite_ranks
from generator.spending import LARGEST_CENTS, ONLINE, REFUND, REFUND_SHARE, SMALLEST_CENTS

_CATEGORIES = tuple(kind.category for kind in KINDS)
_OPENS, _CLOSES = (np.array(hours) for hours in zip(*(kind.hours for kind in KINDS), strict=True))
_SELLS_ONLINE = np.array([kind.sells_online for kind in KINDS])
_IS_PURCHASE = np.array([kind.transaction_type == "purchase" for kind in KINDS])
_LEVEL = np.array([PRICE_LEVEL_PERCENT[country.currency] for country in COUNTRIES], dtype=np.int64)
_UNIT = np.array([100 if country.currency in WHOLE_CURRENCIES else 1 for country in COUNTRIES], dtype=np.int64)
_FEWEST = 50  # amounts of a kind, for its comparison to say anything
_ONLINE_STEP = 5  # per cent: accounts of like habit are counted together


def compare_purchases(drawn: Drawn) -> list[Comparison]:
    """Favourites, kinds, channels, refunds and amounts of the ordinary records."""
    return [*_compare_visits(drawn), *_compare_channels(drawn), *_compare_amounts(drawn)]


def _compare_visits(drawn: Drawn) -> list[Comparison]:
    """Where accounts go, given their favourites. A visit's rank is drawn independently, by a table of 256 entries whose
    shares are taken as they are. The kinds' chances differ between accounts and hours: hence the true covariance.
    """
    turns = _Turns.of(drawn)
    ranks = np.bincount(favourite_ranks(), minlength=FAVOURITES) / len(favourite_ranks())
    chances = np.zeros((len(turns.account), len(KINDS)))
    for rank in range(FAVOURITES):
        chances[np.arange(len(chances)), turns.visited[:, rank]] += ranks[rank]
    found = np.bincount(_kind(drawn)[drawn.ordinary], minlength=len(KINDS))
    judged = mixed_chi_square(found, chances, turns.records)
    expected = turns.records @ chances
    return [
        _compare_ranks(drawn, ranks),
        Comparison(
            "visits by kind, given the favourites",
            shares_text(_CATEGORIES, expected, expected), shares_text(_CATEGORIES, found, expected),
            "quadratic form", judged.statistic, judged.p_value, int(found.sum()),
            note=f"closed shops included: {100 * turns.sent_away @ ranks / turns.records.sum():.1f} % of the visits go "
            f"to {KINDS[ALWAYS_OPEN].category} instead, {100 * turns.sent_online @ ranks / turns.records.sum():.1f} % "
            "online",
        ),
    ]  # fmt: skip


@dataclass(frozen=True)
class _Turns:
    """The ordinary records by account and local hour: how many, and for each favourite which kind is visited then.

    `sent_away` and `sent_online` are the records that would find each favourite closed, if it was always chosen.
    """

    account: NDArray[np.int64]
    records: NDArray[np.int64]
    visited: NDArray[np.int64]
    sent_away: NDArray[np.int64]
    sent_online: NDArray[np.int64]

    @classmethod
    def of(cls, drawn: Drawn) -> "_Turns":
        ordinary = drawn.ordinary
        keys, records = np.unique(drawn.account[ordinary] * 24 + drawn.local_hour[ordinary], return_counts=True)
        account, hour = keys // 24, keys % 24
        kind = _favourite_kinds(drawn.population, account)
        closed = _closed(kind, hour[:, None])
        away = closed & ~_SELLS_ONLINE[kind]
        return cls(account, records, np.where(away, ALWAYS_OPEN, kind), records @ away, records @ (closed & ~away))


def _compare_ranks(drawn: Drawn, ranks: Floats) -> Comparison:
    """How often accounts go to their first, second, ... favourite: only of accounts with five different ones, at hours
    at which none sends them away. Which these are does not depend on the rank, so Pearson's test is exact.
    """
    ordinary = drawn.ordinary
    account, hour = drawn.account[ordinary], drawn.local_hour[ordinary]
    favourites = drawn.population.favourites
    different = np.all(np.diff(np.sort(favourites, axis=1).astype(np.int64), axis=1), axis=1)
    kind = _favourite_kinds(drawn.population, account)
    reachable = ~np.any(_closed(kind, hour[:, None]) & ~_SELLS_ONLINE[kind], axis=1)
    known = different[account] & reachable
    rank = np.argmax(favourites[account[known]] == drawn.merchant[ordinary][known, None], axis=1)
    return shares(
        "visits by rank of the favourite",
        [f"{number}." for number in range(1, FAVOURITES + 1)],
        np.bincount(rank, minlength=FAVOURITES),
        ranks,
        note="accounts with five different favourites, at hours at which none sends them away",
    )


def _compare_channels(drawn: Drawn) -> list[Comparison]:
    """Purchases online where the account had the choice, and refunds. Each account has a share of its own: purchases
    of accounts with like shares are counted together, and each count has the variance of its independent draws. Nobody
    is in a shop that is closed.
    """
    kind = _kind(drawn)
    choice = drawn.ordinary & _SELLS_ONLINE[kind] & _IS_PURCHASE[kind] & ~_closed(kind, drawn.local_hour)
    percent = drawn.population.online_percent[drawn.account[choice]].astype(np.int64)
    online = drawn.channel[choice] == ONLINE
    habit = percent // _ONLINE_STEP
    expected = np.bincount(habit, weights=percent / 100)
    variance = np.bincount(habit, weights=percent / 100 * (1 - percent / 100))
    found = np.bincount(habit, weights=online)
    judged = scores([float((found[i] - expected[i]) ** 2 / variance[i]) for i in np.flatnonzero(variance)])
    purchases = drawn.ordinary & _IS_PURCHASE[kind]
    refunds = int(np.count_nonzero(drawn.transaction_type[purchases] == REFUND))
    at_closed = int(np.count_nonzero(purchases & _closed(kind, drawn.local_hour) & (drawn.channel != ONLINE)))
    return [
        Comparison(
            "purchases online", f"{100 * expected.sum() / max(len(percent), 1):.2f} %",
            f"{100 * found.sum() / max(len(percent), 1):.2f} %", "sum of squares",
            judged.statistic, judged.p_value, len(percent),
            note="at open shops that sell online; at closed ones every purchase is online",
        ),
        Comparison(
            "purchases in person at closed shops",
            "0",
            f"{at_closed:,}",
            "bound",
            float(at_closed),
            None,
            int(purchases.sum()),
            tolerance=0.0,
        ),
        share("refunds", refunds, int(purchases.sum()), REFUND_SHARE, note="of ordinary purchases and refunds"),
    ]  # fmt: skip


@dataclass(frozen=True)
class Amounts:
    """Of each ordinary record the kind of its merchant, and between which amounts (US cents, `least` to before
    `most`, which is infinite where amounts are cut) the log-normal draw lay: prices and income undone.
    """

    kind: NDArray[np.int64]
    least: Floats
    most: Floats

    @classmethod
    def of(cls, drawn: Drawn) -> "Amounts":
        """The draws behind the ordinary records' money, by undoing each step of generator.spending and places."""
        ordinary = drawn.ordinary
        money, merchant, account = drawn.money[ordinary], drawn.merchant[ordinary], drawn.account[ordinary]
        merchants, people = drawn.population.merchants, drawn.population
        place = merchants.place(merchant)
        level, unit = _LEVEL[place], _UNIT[place]
        lowest = np.where(money <= unit, 0, -(-100 * money // level))
        above = -(-100 * (money + unit) // level)  # the first US cents that give more money
        income = np.array([income.spending_percent for income in INCOMES])[people.income[account]]
        percent = merchants.price_percent[merchant] * income // 100
        least = np.where(lowest <= SMALLEST_CENTS, 0, -(-100 * lowest // percent)).astype(np.float64)
        most = np.where(above > LARGEST_CENTS, np.inf, -(-100 * above // percent))
        return cls(merchants.kind[merchant], least, most)

    def positions(self, rng: np.random.Generator) -> Floats:
        """Where each draw lies in its kind's configured distribution, see judging.positions_of."""
        log_median = np.log([kind.median_cents for kind in KINDS])[self.kind]
        sigma = np.array([kind.sigma for kind in KINDS])[self.kind]
        return positions_of(
            log_normal_below(self.least, log_median, sigma), log_normal_below(self.most, log_median, sigma), rng
        )


def _compare_amounts(drawn: Drawn) -> list[Comparison]:
    """The amounts of each kind, and all kinds' medians and sigmas at once.

    An amount is drawn for the kind that is visited, so those at the place that never closes count as its own. Each is
    an independent draw, scaled, rounded down up to four times and clipped; all that is undone to an interval, in which
    a position is drawn (judging.positions_of): independent and even, exactly, if kind and scaling are as configured.
    """
    amounts = Amounts.of(drawn)
    positions = amounts.positions(np.random.default_rng(np.random.SeedSequence(drawn.seed, spawn_key=(0, 1))))
    found, means, spreads = [], [], []
    for number, kind in enumerate(KINDS):
        own = positions[amounts.kind == number]
        if len(own) < _FEWEST:
            continue
        normal = normal_scores(own)
        judged = uniform(own)
        median = kind.median_cents * np.exp(kind.sigma * float(np.mean(normal)))
        found.append(
            Comparison(
                f"amounts of {kind.category} ({kind.nouns[0]}), USD",
                f"median {kind.median_cents / 100:.2f}, sigma {kind.sigma:.3f}",
                f"median {median / 100:.2f}, sigma {kind.sigma * float(np.std(normal)):.3f}",
                "Kolmogorov-Smirnov",
                judged.statistic,
                judged.p_value,
                len(own),
            )
        )
        means.append(float(np.mean(normal)) * np.sqrt(len(own)))
        spreads.append((float(np.sum(normal**2)) - len(own)) / np.sqrt(2 * len(own)))
    if not found:
        return []
    return [*found, _together("medians", means, amounts), _together("sigmas", spreads, amounts)]


def _together(what: str, deviations: list[float], amounts: Amounts) -> Comparison:
    """All kinds' deviations, each in its standard errors, as one: finds what is small in each but has a direction."""
    judged = scores([value**2 for value in deviations])
    worst = max(map(abs, deviations))
    return Comparison(
        f"amounts: {what} of all kinds", "within chance", f"worst off by {worst:.1f} standard errors",
        "sum of squares", judged.statistic, judged.p_value, len(amounts.kind),
    )  # fmt: skip


def _kind(drawn: Drawn) -> NDArray[np.int64]:
    return np.asarray(drawn.population.merchants.kind[drawn.merchant])


def _favourite_kinds(population: Population, account: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(population.merchants.kind[population.favourites[account]])


def _closed(kind: NDArray[np.int64], hour: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray((hour < _OPENS[kind]) | (hour >= _CLOSES[kind]))
