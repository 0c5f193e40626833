"""The comparisons: numbers by hand, declared tests, tables with all cells, outcomes, citations."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from synthetic_frames import TASKS, by_method, drift, results

from mtlstudy.study import claims, comparison, frames, plan, words
from mtlstudy.study.format import number
from mtlstudy.study.words import family, name, word

LOST = [("yeast", "hard+nash", 1)]
HAND = {"single_task": [0.5], "hard": [0.4, 0.4, 0.7], "sparse": [0.6]}
REFUSED = [
    ("multi_mnist", "hierarchical"),
    ("yeast", "hierarchical"),
    ("synthetic", "hierarchical"),
]


def made(levels, data=("synthetic",), **more):  # type: ignore[no-untyped-def]
    """Families on the synthetic data with the mean absolute error of each by seed."""
    methods = [f"{one}+equal" for one in levels]
    return results("sharings", by_method(levels), data=data, methods=methods, **more)


def table(found, label):  # type: ignore[no-untyped-def]
    """A table of the results by method."""
    (shown,) = (one.frame for one in comparison.tables(found).tables if one.name == label)
    return shown.set_index(shown.columns[0])


def outcomes(found, kind):  # type: ignore[no-untyped-def]
    return [claim.outcome for claim in found if claim.kind == kind]


def test_every_number_by_hand() -> None:
    table = comparison.aggregate(made(HAND)).set_index("method")
    assert list(table.index) == ["single_task+equal", "hard+equal", "sparse+equal"]
    hard, sparse = table.loc["hard+equal"], table.loc["sparse+equal"]
    assert hard["delta_m"] == pytest.approx((20 + 20 - 40) / 3)
    assert sparse["delta_m"] == pytest.approx(-20)
    assert (hard["reduction"], sparse["reduction"]) == (pytest.approx(75), pytest.approx(80))
    assert hard["negative_transfer"] == pytest.approx(100 / 3)
    assert sparse["negative_transfer"] == sparse["negative_certain"] == 100
    assert hard["gap"] == pytest.approx(0.09) and hard["scores"] == {"mae": pytest.approx(0.5)}
    assert (hard["flops"], hard["search"], sparse["search"]) == (10e3, 0, 40)
    assert (hard["seeds"], hard["left"], hard["diverged"], hard["lr"]) == (3, 3, 0, "0.003")


def test_a_diverged_run_is_counted_and_leaves_the_mean() -> None:
    found = results(diverged=LOST)
    row = comparison.aggregate(found).set_index(["data", "method"]).loc["yeast", "hard+nash"]
    assert (row["seeds"], row["left"], row["diverged"]) == (3, 2, 1)
    declared = comparison.declared(found).set_index(["data", "comparison"])
    assert declared.loc["all", "nash_equal"]["n"] == 5  # six pairs, one diverged
    own = table(found, "tab-weightings-result-yeast").loc[name("weighting", "nash")]
    assert "(2/3)" in own[word("column.delta_m_ci")] and own[word("column.diverged")] == "1"


@pytest.mark.parametrize("kind", ["weightings", "sharings"])
def test_tables_show_every_method_and_every_cell(kind: str) -> None:
    found = results(kind, diverged=LOST, refused=REFUSED if kind == "sharings" else [])
    tables = comparison.tables(found).tables
    assert len(tables) == len({table.name for table in tables})
    assert len(tables) == 2 * len(plan.COMPARISONS[kind].data)
    for table in tables:
        assert len(table.frame) == len(plan.COMPARISONS[kind].methods)
        assert not (table.frame == "").any(axis=None)
        assert not table.frame.map(lambda text: "nan" in text.lower()).any(axis=None)


def test_refused_families_are_shown_in_their_place_and_with_the_reason() -> None:
    found = results("sharings", refused=REFUSED)
    shown = table(found, "tab-sharings-result-yeast")
    assert list(shown.index) == [family(method) for method in plan.COMPARISONS["sharings"].methods]
    assert word("text.undefined") in list(shown.loc[name("sharing", "hierarchical")])
    (claim,) = comparison.undefined(found)
    assert claim.outcome == "refused" and claim.figures["data"].count(",") == 2
    assert "<b>" in claim.sentence()
    assert [c.outcome for c in comparison.undefined(results())] == ["nothing"]


def test_what_is_not_computed_yet_is_named_by_data_set() -> None:
    rows = [{"data": "yeast", "method": method} for method in ("mmoe+equal", "ple+equal")]
    (claim,) = comparison.undefined(results(left=rows))
    assert claim.outcome == "left" and claim.figures["data"] == name("data_short", "yeast")
    assert claim.figures["left"] == ", ".join(words.label(row["method"]) for row in rows)


def test_a_method_without_a_selected_candidate_and_an_undefined_metric_are_named() -> None:
    found = results()
    runs, metrics = found.runs.copy(), found.metrics.copy()
    runs.loc[(runs["data"] == "yeast") & (runs["weighting"] == "static"), "role"] = "tune"
    at = (metrics["data"] == "yeast") & (metrics["seed"] == 0) & (metrics["task"] == "class14")
    metrics.loc[at, "value"] = np.nan
    lost = comparison.undefined(found._replace(runs=runs, metrics=metrics))
    assert outcomes(lost, "undefined") == ["failed", "metric"]
    assert name("weighting", "static") in lost[0].sentence() and "class14" in lost[1].sentence()
    shown = comparison.aggregate(found._replace(metrics=metrics)).set_index(["data", "method"])
    row = shown.loc["yeast", "hard+nash"]
    assert (row["seeds"], row["left"]) == (3, 2)
    seeds = metrics[(metrics["data"] == "yeast") & (metrics["split"] == "test")]
    nash = seeds[(seeds["weighting"] == "nash") & (seeds["role"] == "final") & (seeds["seed"] > 0)]
    assert row["scores"]["auc"] == pytest.approx(nash["value"].mean())


def test_missing_data_sets_are_named() -> None:
    lost = {"data": "korean_tagging", "source": "s", "split": "train", "megabytes": "7", "said": ""}
    found = comparison.undefined(results(missing=[lost, {**lost, "split": "test"}]))
    assert outcomes(found, "missing") == ["left_out"]


def test_only_declared_comparisons_and_each_once() -> None:
    levels = {"single_task": [0.5, 0.51], "hard": [0.4, 0.42], "ple": [0.3, 0.33]}
    declared = comparison.declared(made(levels))
    assert declared["comparison"].tolist() == ["hard_single", "best_single", "best_hard"]
    assert set(declared["a"]) == {"hard+equal", "ple+equal"}
    assert set(declared["data"]) == {"synthetic"}
    best = made(levels | {"hard": [0.2, 0.22]})
    assert comparison.declared(best)["comparison"].tolist() == ["hard_single"]
    assert outcomes(comparison.claims(best), "hard_best") == ["hard"]
    assert not outcomes(comparison.claims(made(levels)), "hard_best")


def test_the_best_has_runs_everywhere_and_never_is_the_baseline() -> None:
    levels = {"single_task": [0.2], "hard": [0.4], "mmoe": [0.5], "hierarchical": [0.21]}
    refused = [("synthetic", "hierarchical"), ("yeast", "mmoe")]
    found = made(levels, data=("synthetic", "yeast"), refused=refused)
    frame = found.metrics.assign(higher_is_better=False)
    assert comparison.best(frame, "*+equal", "yeast") == "hierarchical+equal"
    assert comparison.best(frame, "*+equal") == comparison.best(frame, "hard+*") == "hard+equal"
    assert comparison.best(frame, "nothing*") == ""


def test_best_is_chosen_on_validation_not_on_test() -> None:
    frame = results().metrics
    before = comparison.best(frame, "hard+*", "multi_mnist")
    static = frame["weighting"] == "static"
    frame.loc[static & (frame["split"] == "test"), "value"] = 0.99
    assert comparison.best(frame, "hard+*", "multi_mnist") == before != "hard+static"
    frame.loc[static & (frame["split"] == "validation"), "value"] = 0.99
    assert comparison.best(frame, "hard+*", "multi_mnist") == "hard+static"


def test_outcomes_follow_the_numbers() -> None:
    test = {"n": 8, "difference": 2.0, "low": 1.0, "high": 3.0, "p_holm": 0.02}
    lower = {"difference": -2.0, "low": -3.0, "high": -1.0}
    assert comparison.outcome(test) == "up" and comparison.outcome(test | lower) == "down"
    assert comparison.outcome(test | {"p_holm": 0.5}) == "above"
    assert comparison.outcome(test | lower | {"p_holm": 0.5}) == "below"
    assert comparison.outcome(test | {"p_holm": 0.5, "low": -1.0}) == "unclear"
    assert comparison.outcome(test | {"n": 0, "p_holm": math.nan}) == "untested"


@pytest.mark.parametrize(("better", "outcome"), [(0.1, "up"), (-0.1, "down"), (0.0, "unclear")])
def test_the_control_decides_what_is_said_of_bargaining(better: float, outcome: str) -> None:
    def value(data: str, method: str, task: str, seed: int) -> float:
        return drift(data, "hard+equal", task, seed) + better * (method == "hard+nash")

    found = comparison.claims(results(value=value, seeds=9))
    assert outcomes(found, "control") == [outcome]


def test_edges_of_the_candidates_are_counted() -> None:
    found = results()
    final = found.runs
    tuning = final[final["seed"] == 0].assign(role="tune", lr=0.003)
    both = [tuning.assign(lr=lr) for lr in (0.001, 0.01)]
    assert comparison.at_edge(final) == 0  # nothing was tuned
    assert comparison.at_edge(pd.concat([final, *both])) == 0
    assert comparison.at_edge(pd.concat([final, both[0], tuning])) == 16


def test_what_bounds_the_findings() -> None:
    made = results(diverged=LOST), results(seeds=6)
    few, many = (comparison.limits(found, comparison.aggregate(found)) for found in made)
    assert (few["level"], few["smallest_p"], few["diverged"]) == ("75", "0.250", "1")
    assert (few["runs"], few["cells"], few["games"]) == ("48", "16", "1,200")
    assert few["interval"] == word("text.interval.range")
    assert (many["level"], many["interval"]) == ("95", word("text.interval.signed_rank"))


def test_what_is_cited_is_json_and_the_strings_are_the_numbers() -> None:
    found = results(diverged=LOST)
    cited, raw = comparison.cited(found), comparison.aggregate(found)
    json.dumps(cited, allow_nan=False)
    for row in raw.to_dict("records"):
        shown, base = cited[row["data"]][row["method"]], row["method"] == plan.BASELINE
        delta = word("text.baseline") if base else number(row["delta_m"], sign=True)
        assert shown["delta_m"].startswith(delta)
        assert shown["parameters"] == f"{row['parameters']:,.0f}"
    assert set(cited["tests"]) == set(cited["verdict"]) == {"all", "multi_mnist", "yeast"}
    assert set(cited["tests"]["all"]) == {"nash_equal", "nash_equal_norm", "best_single"}
    assert cited["tests"]["all"]["nash_equal"]["n"] == 5
    assert cited["friedman"]["few"] and cited["findings"] == claims.sentences(
        comparison.claims(found)
    )


def test_a_study_in_which_all_diverged_still_has_its_texts() -> None:
    def value(data: str, method: str, task: str, seed: int) -> float:
        return math.nan if method.startswith("hard") else 0.5

    cited = comparison.cited(results(value=value))
    assert cited["limits"]["diverged"] == "42" and cited["yeast"]["highest"] == "–"
    assert set(outcomes(comparison.claims(results(value=value)), "weightings")) == {"diverged"}


def test_one_data_set_alone_works() -> None:
    cited = comparison.cited(results(data=["yeast"], seeds=2))
    assert set(cited["tests"]) == {"yeast"} and cited["limits"]["seeds"] == "2"
    assert not cited["friedman"]["few"]


def test_learned_numbers_get_the_names_of_tasks_stages_and_experts() -> None:
    told = {
        "cross_stitch": {"alpha": {"conv": [[0.9, 0.1], [0.2, 0.8]]}, "tasks": ["a", "b"]},
        "sluice": {
            "alpha": {"conv": np.eye(4).tolist()},
            "beta": {"a": [0.1, 0.9], "b": [0.2, 0.8]},
            "stages": ["conv", "fc"],
            "tasks": ["a", "b"],
        },
        "mmoe": {
            "gates": {"a": [0.3, 0.7]},
            "spread": {"a": [0.0, 0.1]},
            "experts": ["expert1", "expert2"],
        },
        "ple": {"gates": {"a": [0.5, 0.3, 0.2]}, "experts": {"a": ["own", "shared", "shared"]}},
        "sparse": {
            "density": {"a": 0.5},
            "overlap": [[1.0, 0.4], [0.4, 1.0]],
            "tasks": ["a", "b"],
            "mask_bits": 12,
        },
        "trace_norm": {"singular_values": {"conv.0.weight": [1.0, 0.5]}},
        "recon": {"scores": [3, 1], "specific": ["conv"], "stages": ["conv", "fc"]},
        "hard": {},
    }
    cells = {
        (family, *(cell[key] for key in ("kind", "part", "row", "column"))): cell["value"]
        for family, learned in told.items()
        for cell in frames.cells(learned)
    }
    assert cells["cross_stitch", "alpha", "conv", "b", "a"] == 0.2
    assert cells["sluice", "alpha", "conv", "a 2", "a 2"] == 1
    assert cells["sluice", "beta", "", "b", "fc"] == 0.8
    assert cells["mmoe", "gates", "", "a", "expert2"] == 0.7
    assert cells["ple", "gates", "", "a", "shared 2"] == 0.2
    assert cells["sparse", "mask_bits", "", "", ""] == 12
    assert cells["sparse", "density", "", "a", ""] == 0.5
    assert cells["trace_norm", "singular_values", "", "conv.0.weight", "2"] == 0.5
    assert cells["recon", "scores", "", "fc", ""] == cells["recon", "specific", "", "conv", ""] == 1
    assert len(cells) == 4 + 16 + 4 + 4 + 3 + 6 + 2 + 3


def test_learned_relations_are_held_against_the_true_groups() -> None:
    tasks = list(TASKS["synthetic"])
    odd = [[1.0 if (i - j) % 2 == 0 else 0.2 for j in range(6)] for i in range(6)]
    learned = [
        {"data": data, "sharing": sharing, "seed": seed, **cell}
        for data in ("synthetic", "yeast")
        for sharing, kind in (("sparse", "overlap"), ("soft", "distance"))
        for seed in (0, 1)
        for cell in frames.cells({kind: odd, "tasks": tasks, "mask_bits": 12})
    ]
    found = {claim.outcome: claim.figures for claim in comparison.relations(pd.DataFrame(learned))}
    assert len(found) == len(comparison.relations(pd.DataFrame(learned))) == 2
    known = {figures["data"] for figures in found.values()}
    assert known == {name("data_short", "synthetic")}  # nothing is known of the groups of yeast
    assert [figures["inside"] for figures in found.values()] == ["1.000", "1.000"]
    assert [figures["across"] for figures in found.values()] == ["0.200", "0.200"]
    assert found["overlap"]["agree"] == found["overlap"]["seeds"] == "2"
    assert found["distance"]["agree"] == "0"  # a large distance is far
    said = comparison.claims(made(HAND, learned=learned))
    assert set(outcomes(said, "relation")) == {"overlap", "distance"}
    assert outcomes(said, "masks") == ["counted"]
