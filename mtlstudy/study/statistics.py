"""Statistics over paired seeds, with what few seeds can and cannot show given as a value.

- A bootstrap interval of n values never leaves their range, so it cannot hold more than the level
  ``attainable_level(n)`` = 1 - 2^(1-n) (the coverage of the median by the range): 75 % for 3 seeds,
  93.75 % for 5; 95 % needs 6. Below that the range itself is given, with its level: a BCa interval
  of 3 values has only 10 distinct resamples to choose its ends from, and a rounding error in the
  last digit moves them.
- A two-sided Wilcoxon test of n pairs cannot give less than ``smallest_p(n)`` = 2^(1-n): .25 for 3.

Sources: Efron, JASA 1987 (BCa); Wilcoxon, Biometrics Bulletin 1945; Holm, Scand. J. Statistics
1979; Demsar, JMLR 2006 (Friedman and Nemenyi over data sets); Hedges, J. Educational Statistics
1981.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from mtlstudy.errors import InputError

ALPHA = 0.05
"""Below this a p-value, corrected by Holm's method, is called significant."""
ENOUGH_DATA_SETS = 8
COMPARED = (
    *("comparison", "a", "b", "n", "difference", "low", "high", "level", "kind"),
    *("effect", "p", "smallest_p"),
)


@dataclass(frozen=True)
class Interval:
    """A mean with its interval. ``kind`` says what the interval is:

    "bca": bias-corrected and accelerated bootstrap; "range": so few values that no bootstrap
    interval can hold the nominal level, the smallest and the largest value; "equal": all values
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
    """Friedman test over data sets, with Nemenyi's critical difference of mean ranks (1 = best).

    ``warning`` is not empty when there are fewer than 8 data sets; ``left_out`` names methods
    without a value on some.
    """

    statistic: float
    p: float
    data_sets: int
    mean_ranks: pd.Series
    critical_difference: float
    warning: str
    left_out: tuple[str, ...]


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


def interval(
    values: Iterable[float], *, level: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval:
    """BCa bootstrap interval of the mean of the finite values, for pairs of their differences.

    The range of the values where they are too few for the level (fewer than 6 for 95 %); see
    `Interval`.

    Raises:
        InputError: level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"level = {level}: allowed: between 0 and 1")
    x = np.asarray(list(values), dtype=np.float64)
    x = x[np.isfinite(x)]
    n = len(x)
    if n < 2:
        only = float(x[0]) if n else np.nan
        return Interval(only, np.nan, np.nan, n, attainable_level(n), "none")
    mean, most = float(x.mean()), min(level, attainable_level(n))
    if np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())):
        return Interval(mean, mean, mean, n, most, "equal")
    if most < level:
        return Interval(mean, float(x.min()), float(x.max()), n, most, "range")
    rng = np.random.default_rng(seed)
    drawn = stats.bootstrap(
        (x,), np.mean, confidence_level=level, n_resamples=resamples, method="BCa", rng=rng
    )
    low, high = drawn.confidence_interval
    return Interval(mean, float(low), float(high), n, most, "bca")


def bounds(values: np.ndarray) -> tuple[float, float]:
    """(low, high) of `interval`, as `metrics.negative_transfer` asks for."""
    found = interval(values)
    return found.low, found.high


def wilcoxon(differences: Iterable[float]) -> float:
    """Two-sided p of the signed-rank test on the finite paired differences (exact for small n).

    1.0 where every difference is 0 (nothing speaks against equality); NaN without any pair.
    """
    d = np.asarray(list(differences), dtype=np.float64)
    d = d[np.isfinite(d)]
    if len(d) == 0:
        return float("nan")
    return 1.0 if not np.any(d) else float(stats.wilcoxon(d).pvalue)


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p-values over one family, in the given order.

    NaN (no test) stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p, dtype=np.float64)
    adjusted = np.full(given.shape, np.nan)
    order = [i for i in np.argsort(given) if np.isfinite(given[i])]
    steps = [min(1.0, (len(order) - k) * given[i]) for k, i in enumerate(order)]
    adjusted[order] = np.maximum.accumulate(steps) if steps else []
    return adjusted


def effect_size(differences: Iterable[float]) -> float:
    """Hedges' g of paired differences: mean / SD, corrected for small n.

    NaN for n < 3 or when the differences do not vary.
    """
    d = np.asarray(list(differences), dtype=np.float64)
    d = d[np.isfinite(d)]
    if len(d) < 3:
        return float("nan")
    spread = float(d.std(ddof=1))
    if spread <= 1e-12 * max(1.0, float(np.abs(d).max())):
        return float("nan")
    return float(d.mean() / spread * (1.0 - 3.0 / (4.0 * (len(d) - 1) - 1.0)))


def compare(scores: pd.DataFrame, pairs: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """The comparisons declared in advance, one row each: a - b, interval, effect size, p, Holm's p.

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
        d = (scores[a] - scores[b]).dropna().to_numpy(dtype=np.float64)
        ci = interval(d)
        measures = (effect_size(d), wilcoxon(d), smallest_p(ci.n))
        found.append((name, a, b, ci.n, ci.mean, ci.low, ci.high, ci.level, ci.kind, *measures))
    frame = pd.DataFrame(found, columns=COMPARED)
    return frame.assign(p_holm=holm(frame["p"].tolist()))


def friedman(scores: pd.DataFrame, *, alpha: float = 0.05) -> Friedman:
    """Friedman test, with the difference of mean ranks from which Nemenyi's test is significant.

    Args:
        scores: index = data sets, columns = methods, higher is better; a method with a missing
            value is left out by name.
    Raises:
        InputError: fewer than 2 data sets or 3 methods are left.
    """
    full = scores.dropna(axis=1)
    n, k = full.shape
    if n < 2 or k < 3:
        raise InputError(
            f"Friedman test of {n} data sets and {k} methods: needed: at least 2 and 3"
        )
    ranks = full.rank(axis=1, ascending=False).mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all ranks tied: statistic and p are NaN
        statistic, p = stats.friedmanchisquare(*(full[c].to_numpy() for c in full))
    q = stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2)
    few = f"{n} data sets, fewer than {ENOUGH_DATA_SETS}: the test has little power"
    return Friedman(
        statistic=float(statistic),
        p=float(p),
        data_sets=n,
        mean_ranks=ranks,
        critical_difference=float(q * np.sqrt(k * (k + 1) / (6 * n))),
        warning=few if n < ENOUGH_DATA_SETS else "",
        left_out=tuple(str(c) for c in scores if c not in full),
    )
