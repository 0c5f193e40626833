import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mtlstudy.errors import InputError
from mtlstudy.study import statistics as s


@pytest.mark.parametrize("n", [6, 7, 12, 30])
def test_the_interval_is_what_the_signed_rank_test_does_not_reject(n: int) -> None:
    x = np.random.default_rng(3).normal(1.0, 2.0, n)
    ci = s.interval(x)
    assert (ci.n, ci.kind, ci.level, ci.mean) == (n, "signed_rank", 0.95, x.mean())
    for end, outward in ((ci.low, -1e-9), (ci.high, 1e-9)):
        inside, outside = (stats.wilcoxon(x - end + d).pvalue for d in (outward, -outward))
        assert inside > 0.05 >= outside  # just inside, and just beyond
    wide = s.interval(x, level=0.5)
    turned = s.interval(x[::-1])
    assert ci.low < wide.low < wide.high < ci.high
    assert (turned.low, turned.high) == (ci.low, ci.high)


def test_the_distribution_of_the_signed_rank_sum_is_exact() -> None:
    for n in (1, 4, 9):
        sums = [sum(r for r in range(1, n + 1) if m >> (r - 1) & 1) for m in range(2**n)]
        assert s.signed_rank(n) == pytest.approx(np.bincount(sums) / 2**n)
    assert s.signed_rank(60).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("values", "kind", "low"),
    [
        ([], "none", math.nan),
        ([2.0], "none", math.nan),
        ([1.0, 3.0], "range", 1.0),
        ([2.0] * 5, "equal", 2.0),
        ([4.0, 1.0, 2.0], "range", 1.0),
    ],
)
def test_degenerate_intervals_say_what_they_are(values: list[float], kind: str, low: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ci = s.interval(values)
    assert (ci.kind, ci.n) == (kind, len(values))
    assert ci.low == pytest.approx(low, nan_ok=True, abs=0.5)
    assert ci.level <= 0.95


def test_three_seeds_cannot_hold_95_percent() -> None:
    assert s.interval([1.0, 2.0, 4.0]).level == 0.75
    assert s.interval(range(5)).level == 0.9375
    assert (s.interval(range(6)).level, s.interval(range(6)).kind) == (0.95, "signed_rank")


def test_a_level_that_is_just_attained_is_held_by_the_range() -> None:
    ci = s.interval([1.0, 2.0, 4.0], level=0.75)
    assert (ci.low, ci.high, ci.kind) == (1.0, 4.0, "signed_rank")
    assert s.attainable_level(0) == s.interval([]).level == 0


def test_values_agree_up_to_rounding_of_the_largest_or_of_one() -> None:
    assert s.agree(np.array([0.0, 1e-12])) and not s.agree(np.array([0.0, 1.5e-12]))
    assert s.agree(np.array([1e6, 1e6 + 9e-7])) and not s.agree(np.array([1e6, 1e6 + 1.5e-6]))


def test_interval_leaves_out_diverged_seeds_and_counts_the_rest() -> None:
    assert s.interval([1.0, math.nan, 2.0, 4.0]) == s.interval([1.0, 2.0, 4.0])


@pytest.mark.parametrize("n", [3, 5, 6, 10])
def test_the_level_that_is_said_is_the_coverage(n: int) -> None:
    draws = np.random.default_rng(0).normal(size=(4000, n))
    found = [s.interval(x) for x in draws]
    covered = np.mean([ci.low <= 0 <= ci.high for ci in found])
    assert found[0].level - 0.02 < covered < found[0].level + 0.03  # 96.9 % of 6 values


def test_a_rounding_error_does_not_move_the_interval_of_few_seeds() -> None:
    x = np.array([0.4313, -0.1935, 2.5684])
    assert s.interval(x).low == pytest.approx(s.interval(x * (1 + 1e-9)).low, rel=1e-6)


def test_wilcoxon_cannot_go_below_its_floor() -> None:
    for n in (3, 5, 8):
        assert s.wilcoxon(np.arange(1.0, n + 1)) == pytest.approx(s.smallest_p(n))
    assert s.smallest_p(0) == s.smallest_p(1) == 1.0
    assert s.wilcoxon([0.0, 0.0]) == 1.0
    assert math.isnan(s.wilcoxon([]))


def test_holm_by_hand() -> None:
    assert s.holm([0.01, 0.02, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.04, 0.04, 0.02])
    with_gap = s.holm([0.01, math.nan, 0.9])
    assert with_gap[0] == pytest.approx(0.02)
    assert math.isnan(with_gap[1])
    assert s.holm([]).size == 0
    assert s.holm([0.9, 0.8]).tolist() == [1.0, 1.0]  # probabilities


def test_effect_size() -> None:
    d = [1.0, 2.0, 3.0, 4.0]
    assert s.effect_size(d) == pytest.approx(2.5 / np.std(d, ddof=1) * (1 - 3 / 11))
    assert math.isnan(s.effect_size([1.0, 1.0, 1.0]))
    assert math.isnan(s.effect_size([1.0, 2.0]))
    three = [1.0, 2.0, 6.0]
    assert s.effect_size(three) == pytest.approx(3 / np.std(three, ddof=1) * (1 - 3 / 7))


@pytest.mark.parametrize("n", [6, 8, 10, 20])
def test_the_detectable_difference_is_found_in_four_of_five_experiments(n: int) -> None:
    draw = np.random.default_rng(0)
    spread = draw.normal(size=n)
    spread = (spread - spread.mean()) / spread.std(ddof=1)
    shift = s.detectable(spread)
    assert s.detectable(7 * spread + 3) == pytest.approx(7 * shift)
    found = [s.wilcoxon(x + shift) <= s.ALPHA for x in draw.normal(size=(1500, n))]
    assert 0.72 < np.mean(found) < 0.85
    tails = s.signed_rank(n).cumsum()
    critical = stats.t.isf(tails[tails <= s.ALPHA / 2].max(), n - 1)
    chi2 = stats.chi2.ppf((np.arange(100_000) + 0.5) / 100_000, n - 1)  # t = (z + c) / √(χ² / df)
    centre = shift * np.sqrt(3 * n / np.pi)
    power = stats.norm.sf(critical * np.sqrt(chi2 / (n - 1)) - centre).mean()
    assert power == pytest.approx(s.POWER, abs=1e-4)


def test_few_pairs_detect_nothing_and_one_says_nothing() -> None:
    assert s.detectable([1.0, 2.0]) == s.detectable([1.0, 2.0, 4.0]) == math.inf
    assert math.isnan(s.detectable([1.0])) and math.isnan(s.detectable([]))


def test_compare_pairs_by_index_and_drops_unpaired_seeds() -> None:
    scores = pd.DataFrame({"a": [1.0, 2.0, 3.0, np.nan], "b": [0.5, 1.0, 1.5, 9.0]})
    row = s.compare(scores, {"ab": ("a", "b"), "ba": ("b", "a")}).set_index("comparison")
    assert row.loc["ab", "n"] == 3
    assert row.loc["ab", "difference"] == 1.0 == -row.loc["ba", "difference"]
    assert row["p_holm"].tolist() == pytest.approx([0.5, 0.5])
    with pytest.raises(InputError, match="no scores of 'c'"):
        s.compare(scores, {"x": ("a", "c")})


def test_friedman_ranks_and_says_when_data_sets_are_few() -> None:
    rng = np.random.default_rng(0)
    few = pd.DataFrame(rng.normal(size=(4, 3)) + np.arange(3), columns=list("abc"))
    assert "fewer than 8" in s.friedman(few).warning
    many = pd.DataFrame(rng.normal(size=(12, 4)) + 3 * np.arange(4), columns=list("abcd"))
    assert s.friedman(many.iloc[:7]).warning and not s.friedman(many.iloc[:8]).warning
    many["e"] = np.nan
    found = s.friedman(many)
    assert found.warning == "" and list(found.mean_ranks.index) == list("abcd")
    assert found.mean_ranks["d"] == 1.0
    own = stats.friedmanchisquare(*many[list("abcd")].to_numpy().T)
    assert found.p == pytest.approx(own.pvalue)
    # Demsar 2006, table 5: q(.05) = 2.569 for four methods
    assert found.critical_difference == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 12)), rel=1e-3)
    rank, least = found.mean_ranks, found.critical_difference
    assert rank["a"] - rank["d"] > least > rank["a"] - rank["b"]
    assert s.friedman(few.iloc[:2]).data_sets == 2
    for less in (few.iloc[:1], few[["a", "b"]]):
        with pytest.raises(InputError, match="needed: at least 2 and 3"):
            s.friedman(less)


def test_bad_level_is_refused() -> None:
    for level in (95, 1.5, 1, 0, -0.5):
        with pytest.raises(InputError, match=f"level = {level}"):
            s.interval([1.0, 2.0, 3.0], level=level)
