"""The comparison of what was configured with what was drawn, and the statistical tests that judge it.

Every test holds at one level, chosen beforehand: FAMILY_LEVEL shared among MOST_TESTS (Bonferroni). A sound generator
fails one of them in at most one run of a thousand, whatever depends on what. Where draws are not independent and
alike, each comparison says why its test is right or errs only towards "holds".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FAMILY_LEVEL = 0.001
MOST_TESTS = 50
LEVEL = FAMILY_LEVEL / MOST_TESTS
_LEAST_EXPECTED = 5.0  # in each cell, for the chi-square distribution to fit (Cochran's rule)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """What was configured beside what was drawn, of `size` draws.

    With a p-value the comparison holds where that is at least `tolerance`, the level of the test; without one, where
    `statistic` is at most `tolerance`. `note` says what was left out, and why the test fits.
    """

    name: str
    configured: str
    drawn: str
    method: str
    statistic: float
    p_value: float | None
    size: int
    tolerance: float = LEVEL
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether what was drawn is within the tolerance."""
        return self.statistic <= self.tolerance if self.p_value is None else self.p_value >= self.tolerance

    @property
    def verdict(self) -> str:
        """`holds` or `deviates`."""
        return "holds" if self.holds else "deviates"


@dataclass(frozen=True)
class Judged:
    """The outcome of a test: its statistic and p-value."""

    statistic: float
    p_value: float


def chi_square(observed: NDArray[np.integer], expected: Floats) -> Judged:
    """Pearson's test of counts; exact (for large counts) where each draw is independent with the same chances.

    It errs towards "holds" where draws avoid each other, as cards of a deck do: the counts vary less. `expected` need
    only be in proportion. Small cells are pooled. A count where none can be has the p-value 0.
    """
    if np.any(observed[expected <= 0]):
        return Judged(float("inf"), 0.0)
    scaled = expected * (observed.sum() / expected.sum())
    pooled, wanted = _pooled(observed[expected > 0].astype(np.float64), scaled[expected > 0])
    if len(pooled) < 2:
        return Judged(0.0, 1.0)
    found = stats.chisquare(pooled, wanted)
    return Judged(float(found.statistic), float(found.pvalue))


def _pooled(observed: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """The cells with the smallest expectations as one, so that none has less than _LEAST_EXPECTED."""
    order = np.argsort(expected, kind="stable")
    total = np.cumsum(expected[order])
    small = int(np.count_nonzero(expected < _LEAST_EXPECTED))
    if not small:
        return observed, expected
    last = max(small, int(np.searchsorted(total, _LEAST_EXPECTED)) + 1)
    first, rest = order[:last], order[last:]
    return (
        np.append(observed[rest], observed[first].sum()),
        np.append(expected[rest], expected[first].sum()),
    )


def mixed_chi_square(observed: NDArray[np.integer], chances: Floats, draws: NDArray[np.integer]) -> Judged:
    """A test of counts over independent draws whose chances differ: `draws` of each row of `chances`.

    The quadratic form of the deviations with their true covariance. Pearson's would assume too much variance.
    """
    expected = draws @ chances
    if np.any(observed[expected <= 0]):
        return Judged(float("inf"), 0.0)
    some = expected > 0
    chances, expected, observed = chances[:, some], expected[some], observed[some]
    root = np.sqrt(expected)
    covariance = np.eye(len(root)) - (chances * draws[:, None]).T @ chances / np.outer(root, root)
    variances, directions = np.linalg.eigh(covariance)
    real = variances > 1e-6  # the counts' sum is fixed: one direction has no variance
    along = ((observed - expected) / root) @ directions[:, real]
    statistic = float(np.sum(along**2 / variances[real]))
    return Judged(statistic, float(stats.chi2.sf(statistic, int(real.sum()))))


def uniform(positions: Floats) -> Judged:
    """Kolmogorov-Smirnov's test of `positions` (see `positions_of`), independent and even over 0 to 1."""
    found = stats.kstest(positions, "uniform")
    return Judged(float(found.statistic), float(found.pvalue))


def positions_of(below: Floats, up_to: Floats, rng: np.random.Generator) -> Floats:
    """Where rounded and clipped draws lie in their configured distribution: even over 0 to 1 where it is right.

    `below` and `up_to` are the configured chances of less than each draw, and of no more than it. A position between
    the two is drawn, so that rounding, and the heap that clipping makes, are respected exactly: a plain
    Kolmogorov-Smirnov test of 100,000 rounded amounts finds the rounding.
    """
    return below + (up_to - below) * rng.random(len(below))


def normal_scores(positions: Floats) -> Floats:
    """Standard normal values in place of even positions."""
    scores: Floats = stats.norm.ppf(np.clip(positions, 1e-12, 1 - 1e-12))
    return scores


def log_normal_below(values: Floats, log_median: Floats | float, sigma: Floats | float) -> Floats:
    """The chance of a log-normal draw below each of `values` (0: none is). A sigma of 0 has all at the median."""
    with np.errstate(divide="ignore", invalid="ignore"):
        chances: Floats = stats.norm.cdf((np.log(values) - log_median) / sigma)
    return np.nan_to_num(chances, nan=1.0)


def scores(squares: Sequence[float]) -> Judged:
    """A test of the sum of squares of independent standard normal values."""
    return Judged(float(np.sum(squares)), float(stats.chi2.sf(np.sum(squares), len(squares))))


def binomial(found: int, size: int, chance: float) -> Judged:
    """The exact test of a share, the statistic: `found` of `size` independent draws with the same chance."""
    result = stats.binomtest(found, size, min(chance, 1.0))
    return Judged(found / size, float(result.pvalue))


def poisson(found: int, expected: float) -> Judged:
    """The two-sided test of a Poisson count. The statistic is its ratio to what was expected."""
    smaller = min(stats.poisson.cdf(found, expected), stats.poisson.sf(found - 1, expected))
    return Judged(found / expected, min(1.0, 2 * float(smaller)))


def shares_text(labels: Sequence[str], counts: NDArray[np.integer] | Floats, like: Floats) -> str:
    """The shares of the three labels that are the largest in `like`, in per cent."""
    total = float(np.sum(counts)) or 1.0
    largest = np.argsort(-like, kind="stable")[:3]
    return ", ".join(f"{labels[i]} {100 * float(counts[i]) / total:.1f} %" for i in largest)


def shares(
    name: str, labels: Sequence[str], observed: NDArray[np.integer], expected: Floats, *, note: str = ""
) -> Comparison:
    """The comparison of counts with their expected proportions by `chi_square`."""
    judged = chi_square(observed, expected)
    return Comparison(
        name,
        shares_text(labels, expected, expected),
        shares_text(labels, observed, expected),
        "chi-square",
        judged.statistic,
        judged.p_value,
        int(observed.sum()),
        note=note,
    )


def share(name: str, found: int, size: int, chance: float, *, note: str = "") -> Comparison:
    """The comparison of one share with its configured chance by `binomial`."""
    judged = binomial(found, size, chance)
    return Comparison(
        name,
        f"{100 * chance:.3f} %",
        f"{100 * found / size:.3f} %",
        "binomial",
        judged.statistic,
        judged.p_value,
        size,
        note=note,
    )
