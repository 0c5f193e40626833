"""The transfer experiment: what its frames are made of, and what they let one say."""

import numpy as np
import pandas as pd
import pytest
from synthetic_frames import render

from mtlstudy.study import affinity, claims, plan, results, transfer
from mtlstudy.study.figures import transfer as figures
from mtlstudy.study.words import name
from mtlstudy.training import tune

TASKS = ("sentiment", "hate", "bias", "intention", "similarity")
PULL = {task: float(place) for place, task in enumerate(TASKS)}
"""What a partner does to every task, in percentage points."""


def made(seeds: int = 10, tasks: tuple[str, ...] = TASKS) -> pd.DataFrame:
    """Pairs in which the partner alone decides, and i ← i loses 2 %."""
    rows = [
        {"data": "korean_sentences", "target": i, "partner": j, "seed": seed, "gain": gain}
        for seed in range(seeds)
        for i in tasks
        for j in tasks
        for gain in [-2.0 + (i != j) * (PULL[j] - 0.5) + 0.01 * seed]
    ]
    return pd.DataFrame(rows)


def told(sign: float, tasks: tuple[str, ...] = TASKS) -> pd.DataFrame:
    """Affinities that rank partners as they are, or the other way round."""
    rows = [
        {"data": "korean_sentences", "predictor": key, "target": i, "partner": j, "seed": 0}
        | {"value": sign * PULL[j]}
        for key in ("gradient", "labels")
        for i in tasks
        for j in tasks
        if i != j
    ]
    return pd.DataFrame(rows)


def known(seeds: int = 11) -> pd.DataFrame:
    """Sharing that turns negative below a relatedness of one half."""
    rows = [
        {"train": n, "width": w, "rho": rho, "seed": s, "delta_m": 10 * (rho - 0.4) + 0.01 * s}
        for n in (100, 1000)
        for w in (4, 16)
        for rho in (0.0, 0.5, 1.0)
        for s in range(seeds)
    ]
    return pd.DataFrame(rows)


def test_the_net_gain_is_over_the_same_task_by_itself_at_the_same_values():
    two = transfer.net(made(2))
    assert len(two) == 2 * 5 * 4 and (two["target"] != two["partner"]).all()
    assert np.allclose(two["net"], two["partner"].map(PULL) - 0.5)


def test_every_question_is_a_family_of_its_own():
    tests = transfer.tested(made())
    sizes = tests.groupby("question").size()
    assert sizes.to_dict() == {"alone": 20, "net": 20, "asymmetry": 10}
    by = tests.set_index(["question", "target", "partner"])["difference"]
    assert by["alone", "hate", "bias"] == pytest.approx(-2 + 2 - 0.5 + 0.045)
    assert by["net", "hate", "bias"] == pytest.approx(1.5)
    assert by["asymmetry", "hate", "bias"] == pytest.approx(2 - 1)  # bias pulls more than hate
    assert ("asymmetry", "bias", "hate") not in by
    smallest = tests.groupby("question")["p_holm"].min()
    assert smallest["net"] == pytest.approx(20 / 2**9) and smallest["asymmetry"] < smallest["net"]


def test_pairs_are_counted_by_their_intervals_and_after_holm():
    (net,) = (c for c in transfer.measured(made()) if c.kind == "transfer_net")
    assert net.outcome == "tested" and net.figures["tests"] == 20
    assert (net.figures["up"], net.figures["down"]) == (16, 4)  # sentiment pulls down alone
    pair = transfer.called({"target": "hate", "partner": "sentiment"})
    assert pair in net.figures["downs"] and pair not in net.figures["ups"]
    few = {c.kind: c for c in transfer.measured(made(3))}
    assert {c.outcome for c in few.values()} == {"few"}
    assert few["transfer_net"].figures["above"] == 16 and few["transfer_net"].figures["up"] == 0


def test_where_sharing_turns_negative():
    cells = transfer.cells(known()).set_index(transfer.CELL)
    assert len(cells) == 12 and (cells["p_holm"] < 0.05).all()
    assert cells["difference"][100, 4, 0.0] == pytest.approx(-3.95)
    (claim,) = transfer.known(known())
    assert claim.outcome == "mixed" and (claim.figures["up"], claim.figures["down"]) == (8, 4)
    assert transfer.place({"train": 100, "width": 4, "rho": 0.0}) in claim.figures["worse"]
    (up,) = transfer.known(known().assign(delta_m=lambda f: f["delta_m"] + 20))
    assert up.outcome == "nowhere"
    (few,) = transfer.known(known(3))
    assert few.outcome == "few" and few.figures["below"] == 4


def test_the_full_grid_and_the_pairs_can_be_significant():
    full = transfer.PROFILES["full"]
    cells = len(full.rho) * len(full.train) * len(full.widths)
    assert cells * 2.0 ** (1 - full.seeds) < 0.05
    assert 20 * 2.0 ** (1 - full.real["korean_sentences"].seeds) < 0.05


def test_partners_are_ranked_within_every_target():
    two = transfer.net(made())
    for sign in (1, -1):
        found = affinity.ranked(two, told(sign)).set_index(["predictor", "target"])
        assert np.allclose(found.loc["gradient", "correlation"], sign)
        assert found.loc[("gradient", "hate"), "chosen"] == pytest.approx(3.5 if sign > 0 else -0.5)
        assert found.loc[("gradient", "hate"), "hindsight"] == pytest.approx(3.5)
        assert found.loc[("gradient", "hate"), "mean"] == pytest.approx((0 + 2 + 3 + 4) / 4 - 0.5)
        assert np.allclose(found.loc[affinity.HALVES, "correlation"], 1)


def test_halves_are_of_different_seeds():
    noisy = made(2)
    noisy["gain"] *= np.where(noisy["seed"] == 0, -1, 1)  # the seeds disagree
    found = affinity.ranked(transfer.net(noisy), told(1).iloc[:0]).set_index("predictor")
    assert set(found.index) == {affinity.HALVES} and np.allclose(found["correlation"], -1)


def test_it_is_said_plainly_that_nothing_foretells():
    frames = {"transfer": made(), "affinity": told(1)}
    (few,) = transfer.said(frames)
    assert few.outcome == "few"  # five tasks cannot be significant, however well they are ranked
    tasks = tuple(f"task{i}" for i in range(8))
    PULL.update({task: float(i) for i, task in enumerate(tasks)})
    frames = {"transfer": made(4, tasks), "affinity": told(1, tasks)}
    (some,) = transfer.said(frames)
    assert some.outcome == "some" and some.figures["sure"].count(",") == 1
    (wrong,) = transfer.said({**frames, "affinity": told(-1, tasks)})
    assert wrong.outcome == "nothing"  # a ranking that is wrong for sure foretells nothing


def test_tables_figures_and_sentences():
    frames = {"transfer": made(), "affinity": told(1), "relatedness": known()}
    families, partners, predictors = (table.frame for table in transfer.tables(frames).tables)
    assert (len(families), len(partners), len(predictors)) == (3, 5, 3)
    assert partners.iloc[1, 4].startswith(f"{name('task', 'similarity')} +3.5")
    assert len(claims.sentences(transfer.found(frames))) == 1 + 3 + 1
    assert len(transfer.scale(frames)) == 2
    render(
        figures.relatedness(frames["relatedness"]),
        figures.matrix(frames["transfer"]),
        figures.scatter(frames["transfer"], frames["affinity"]),
    )


@pytest.fixture
def small(monkeypatch):
    """Three tasks of the plan's quick Yeast, one seed of few steps, without tuning."""
    real = {"yeast": transfer.Real(("class1", "class2", "class3"), 1, 1)}
    one = transfer.Profile((0.0, 1.0), (20,), (4,), 20, 2, real)
    monkeypatch.setitem(transfer.PROFILES, "quick", one)
    quick = plan.PROFILES["quick"]
    run = {**quick.run, "steps": 40, "evaluations": 2}
    budget = quick.budget._replace(trials=1, seeds=1)
    monkeypatch.setitem(plan.PROFILES, "quick", quick._replace(run=run, budget=budget))
    return one


def test_it_computes_a_row_a_cell_and_a_pair_and_trains_nothing_twice(small, monkeypatch):
    frames = transfer.compute("quick")
    assert set(frames) == set(transfer.TABLES)
    assert len(frames["relatedness"]) == 4 and frames["relatedness"]["delta_m"].notna().all()
    pairs = frames["transfer"].set_index(["target", "partner"])
    assert len(pairs) == 9 and pairs.index.is_unique
    (c,) = transfer.chosen("yeast", "quick", plan.HARD)
    (two,) = tune.train([c.but(only=["class1", "class3"])], progress=False)
    measured = two.record["results"]["test"]
    for i, j in (("class1", "class3"), ("class3", "class1")):
        row = pairs.loc[(i, j)]
        assert row["value"] == measured[i]["metric"]
        assert row["gain"] == pytest.approx(100 * (row["value"] / row["alone"] - 1))
    (single,) = transfer.chosen("yeast", "quick", plan.BASELINE)
    published = results.collect([single], "quick")["metrics"].set_index("task")["test"]
    assert pairs.loc[("class2", "class2"), "alone"] == published["class2"]
    value = frames["affinity"].set_index(["predictor", "target", "partner"])["value"]
    assert len(value) == 4 * 6
    for key in ("gradient", "drift", "labels"):  # these are symmetric
        assert value[key, "class1", "class2"] == pytest.approx(value[key, "class2", "class1"])
    hard = c.but(only=["class1", "class2", "class3"], sharing="tag")
    (tag,) = tune.train([hard], progress=False)
    Z = tag.record["learned"]["search"]["affinities"]
    assert value["ahead", "class1", "class3"] == pytest.approx(Z[2][0])  # of class3's step
    monkeypatch.setattr("mtlstudy.training.loop.Training.run", lambda *_: pytest.fail("trained"))
    again = transfer.compute("quick")
    assert all(again[table].equals(frames[table]) for table in frames)


def test_matrices_are_in_the_order_of_the_data_set(small):
    c = transfer.looks("yeast", "quick")[0].but(only=["class2", "class11", "class12"])
    names = [task.name for task in c.tasks]
    assert names != sorted(names)  # a model has its tasks in the order of their names
    run = tune.train([c.but(sharing="tag")], progress=False)[0]
    Z = run.record["learned"]["search"]["affinities"]
    by = {name: i for i, name in enumerate(sorted(names))}
    assert affinity.ahead(run)[0, 1].item() == pytest.approx(Z[by["class11"]][by["class2"]])
    run = tune.train([c.but(sharing="nash_share")], progress=False)[0]
    C = run.record["learned"]["decisions"][-1]["cosines"][0]
    assert affinity.drift(run)[0, 1].item() == pytest.approx(C[by["class2"]][by["class11"]])
