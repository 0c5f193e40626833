"""Statistics over paired seeds, with what few seeds can and cannot show given as a value.

- The interval is that of the signed-rank test: the centres c for which x − c is not rejected. It
  holds its level exactly wherever differences are symmetric about their mean, as paired ones are
  where nothing differs; a BCa bootstrap of 6 to 20 normal values covers 86 to 91 % where it says
  95 %. It never leaves the values' range, so it cannot hold more than the level
  ``attainable_level(n)`` = 1 - 2^(1-n): 75 % for 3 seeds, 93.75 % for 5; 95 % needs 6. Below that
  the range itself is given, with its level.
- A two-sided Wilcoxon test of n pairs cannot give less than ``smallest_p(n)`` = 2^(1-n): .25 for 3.
- ``detectable`` says which difference such an experiment would have found, so that "unclear" can be
  read: no difference, or too few seeds.

Sources: Wilcoxon, Biometrics Bulletin 1945; Hodges & Lehmann, Annals of Mathematical Statistics
34(2), 1963, doi 10.1214/aoms/1177704172 (the interval); Holm, Scand. J. Statistics 1979; Demsar,
JMLR 2006 (Friedman and Nemenyi over data sets); Hedges, J. Educational Statistics 1981; Hodges &
Lehmann, Annals of Mathematical Statistics 27(2), 1956 (the efficiency 3/π of signed ranks).
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from mtlstudy.errors import InputError

ALPHA = 0.05
"""Below this a p-value, corrected by Holm's method, is called significant."""
ENOUGH_DATA_SETS = 8
COMPARED = (
    *("comparison", "a", "b", "n", "difference", "low", "high", "level", "kind"),
    *("effect", "p", "smallest_p", "detectable"),
)
POWER = 0.8
"""Of the experiments with a true difference of `detectable` that would call it significant."""


@dataclass(frozen=True)
class Interval:
    """A mean with its interval. ``kind`` says what the interval is:

    "signed_rank": of the signed-rank test; "range": so few values that it cannot hold the nominal
    level, the smallest and the largest value; "equal": all values
    agree, the interval is that point and says nothing of the spread; "none": fewer than two values,
    low and high are NaN. ``level`` is the level it can hold: the nominal one, or for a range what n
    values give.
    """

    mean: float
    low: float
    high: float
    n: int
    level: float
    kind: str


@dataclass(frozen=True)
class Friedman:
    """Friedman test over data sets, with Nemenyi's critical difference of mean ranks (1 = best);
    ``warning`` is not empty when there are fewer than 8 data sets."""

    p: float
    data_sets: int
    mean_ranks: pd.Series
    critical_difference: float
    warning: str


def attainable_level(n: int) -> float:
    """The most coverage the range of n values gives.

    >>> attainable_level(3), attainable_level(5)
    (0.75, 0.9375)
    """
    return 1.0 - 2.0 ** (1 - n) if n > 0 else 0.0


def smallest_p(n: int) -> float:
    """The smallest two-sided p a Wilcoxon signed-rank test of n pairs can give.

    >>> smallest_p(3)
    0.25
    """
    return min(1.0, 2.0 ** (1 - n))


def finite(values: Iterable[float]) -> np.ndarray:
    """The finite values, of dtype float64."""
    x = np.asarray(list(values), dtype=np.float64)
    return x[np.isfinite(x)]


def agree(x: np.ndarray) -> bool:
    """Whether all values are the same but for rounding."""
    return bool(np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())))


def interval(values: Iterable[float], *, level: float = 0.95) -> Interval:
    """Signed-rank interval of the finite values, for pairs of their differences: from the k-th
    smallest to the k-th largest of the means (x_i + x_j) / 2, i ≤ j, with the greatest k for which
    it holds the level.

    The range of the values where they are too few for the level (fewer than 6 for 95 %); see
    `Interval`.

    Raises:
        InputError: level is not between 0 and 1.

    >>> interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).low
    2.0
    """
    if not 0 < level < 1:
        raise InputError(f"level = {level}: allowed: between 0 and 1")
    x = finite(values)
    n, most = len(x), min(level, attainable_level(len(x)))
    mean = float(x.mean()) if n else np.nan
    if n < 2:
        return Interval(mean, np.nan, np.nan, n, most, "none")
    if agree(x):
        return Interval(mean, mean, mean, n, most, "equal")
    if most < level:
        return Interval(mean, float(x.min()), float(x.max()), n, most, "range")
    below = signed_rank(n).cumsum() <= (1 - level) / 2
    k = int(below.sum())
    means = np.sort(((x[:, None] + x) / 2)[np.triu_indices(n)])
    return Interval(mean, float(means[k - 1]), float(means[-k]), n, most, "signed_rank")


def signed_rank(n: int) -> np.ndarray:
    """Probabilities (n (n + 1) / 2 + 1,) of the sum of those of the ranks 1 … n whose sign is +,
    each with a half.

    >>> signed_rank(2).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    p = np.ones(1)
    for rank in range(1, n + 1):
        p = (np.pad(p, (0, rank)) + np.pad(p, (rank, 0))) / 2
    return p


def wilcoxon(differences: Iterable[float]) -> float:
    """Two-sided p of the signed-rank test on the finite paired differences (exact for small n).

    1.0 where every difference is 0 (nothing speaks against equality); NaN without any pair.
    """
    d = finite(differences)
    if len(d) == 0:
        return float("nan")
    return float(stats.wilcoxon(d).pvalue) if np.any(d) else 1.0


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p-values over one family, in the given order.

    NaN (no test) stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p, dtype=np.float64)
    n = int(np.isfinite(given).sum())
    order = np.argsort(given)[:n]  # NaN comes last
    steps = np.minimum(1.0, (n - np.arange(n)) * given[order])
    adjusted = np.full(given.shape, np.nan)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


def effect_size(differences: Iterable[float]) -> float:
    """Hedges' g of paired differences: mean / SD, corrected for small n.

    NaN for n < 3 or when the differences do not vary.
    """
    d = finite(differences)
    if len(d) < 3 or agree(d):
        return float("nan")
    return float(d.mean() / d.std(ddof=1) * (1.0 - 3.0 / (4.0 * (len(d) - 1) - 1.0)))


def detectable(differences: Iterable[float]) -> float:
    """The true mean difference that a signed-rank test at `ALPHA` of as many pairs with this spread
    finds with probability `POWER`: that of a t-test of the same size and 3/π as many normal pairs.
    In the units of the differences; inf for so few pairs that no p lies below `ALPHA`, NaN for
    fewer than 2.

    >>> round(detectable([-1.0, 1.0] * 5), 2), detectable([1.0, 2.0, 3.0])
    (1.08, inf)
    """
    d = finite(differences)
    if len(d) < 2:
        return float("nan")
    if smallest_p(len(d)) > ALPHA:
        return float("inf")
    tails = signed_rank(len(d)).cumsum()
    size = tails[tails <= ALPHA / 2].max()  # what few pairs allow is less
    critical, scale = stats.t.ppf(1 - size, len(d) - 1), np.sqrt(len(d) * 3 / np.pi)

    def excess(effect: float) -> float:
        power: float = stats.nct.sf(critical, len(d) - 1, effect * scale)
        return power - POWER

    return float(d.std(ddof=1) * optimize.brentq(excess, 0.0, 100.0))


def compare(scores: pd.DataFrame, pairs: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """The comparisons declared in advance, one row each: a - b, interval, effect size, p, the
    difference that was `detectable`, Holm's p.

    Args:
        scores: index = the pairing unit (a seed, or data set and seed), columns = methods.
        pairs: name of the comparison -> (a, b). They are one family for Holm.
    Raises:
        InputError: a method has no column.
    """
    found = []
    for name, (a, b) in pairs.items():
        for side in (a, b):
            if side not in scores:
                there = ", ".join(map(str, scores))
                raise InputError(f"comparison {name!r}: no scores of {side!r}; there are: {there}")
        d = (scores[a] - scores[b]).dropna()
        ci = interval(d)
        measures = (effect_size(d), wilcoxon(d), smallest_p(ci.n), detectable(d))
        found.append((name, a, b, ci.n, ci.mean, ci.low, ci.high, ci.level, ci.kind, *measures))
    frame = pd.DataFrame(found, columns=COMPARED)
    return frame.assign(p_holm=holm(frame["p"].tolist()))


def friedman(scores: pd.DataFrame) -> Friedman:
    """Friedman test, with the difference of mean ranks from which Nemenyi's test is significant at
    `ALPHA`.

    Args:
        scores: index = data sets, columns = methods, higher is better; a method with a missing
            value is left out.
    Raises:
        InputError: fewer than 2 data sets or 3 methods are left.
    """
    full = scores.dropna(axis=1)
    n, k = full.shape
    if n < 2 or k < 3:
        found = f"Friedman test of {n} data sets and {k} methods"
        raise InputError(f"{found}: needed: at least 2 and 3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all ranks tied: p is NaN
        p = float(stats.friedmanchisquare(*full.to_numpy().T).pvalue)
    q = stats.studentized_range.ppf(1 - ALPHA, k, np.inf) / np.sqrt(2)
    least = float(q * np.sqrt(k * (k + 1) / (6 * n)))
    few = f"{n} data sets, fewer than {ENOUGH_DATA_SETS}: the test has little power"
    ranks = full.rank(axis=1, ascending=False).mean()
    return Friedman(p, n, ranks, least, few if n < ENOUGH_DATA_SETS else "")
