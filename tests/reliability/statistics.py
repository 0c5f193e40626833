"""Whether the intervals cover what they say and the tests reject no more than they say, on drawn
differences without a difference: normal, uniform, and with heavy tails (Student, 5 degrees).

A case is a law and a number of seeds. It fails where an interval covers less than its level, or a
test rejects more than `ALPHA`, by more than four standard errors of the simulation; where the
level is reached with room (few values have few levels), that is no failure and is in the figures.
"""

import numpy as np
from tqdm import tqdm

from mtlstudy.study import statistics
from reliability import Outcome

LAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.uniform(-1, 1, shape),
    "student": lambda rng, shape: rng.standard_t(5, shape),
}
SEEDS = (3, 5, 6, 10, 20)


def run(count, seed):
    """count: intervals and tests of all cases together."""
    rng, draws = np.random.default_rng(seed), count // (len(LAWS) * len(SEEDS))
    failed, coverage, sizes = 0, {n: [] for n in SEEDS}, {n: [] for n in SEEDS}
    for law in tqdm(LAWS, disable=None, leave=False):
        for n in SEEDS:
            x = LAWS[law](rng, (draws, n))
            found = [statistics.interval(values) for values in x]
            covered = np.mean([ci.low <= 0 <= ci.high for ci in found])
            level = found[0].level
            family = [statistics.wilcoxon(values) for values in x]
            rejected = np.mean(np.asarray(family) < statistics.ALPHA)
            groups = [family[i : i + 3] for i in range(0, draws - 2, 3)]
            any_of_three = np.mean([np.min(statistics.holm(p)) < statistics.ALPHA for p in groups])
            failed += covered < level - 4 * error(level, draws)
            for rate, of in ((rejected, draws), (any_of_three, len(groups))):
                failed += rate > statistics.ALPHA + 4 * error(statistics.ALPHA, of)
            coverage[n].append(100 * covered)
            sizes[n].append((100 * rejected, 100 * any_of_three))
    details = {f"coverage_{n}": round(float(np.mean(coverage[n])), 2) for n in SEEDS}
    details |= {f"size_{n}": round(float(np.mean(sizes[n], 0).max()), 2) for n in SEEDS}
    return Outcome(draws * len(LAWS) * len(SEEDS), int(failed), details)


def error(rate, n):
    """The standard error of a rate in n draws."""
    return np.sqrt(rate * (1 - rate) / n)
