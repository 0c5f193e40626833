"""Figures: all glyphs there, the same bytes again, every method and every lost seed shown."""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib import cbook
from synthetic_frames import render, results

from mtlstudy.errors import InputError
from mtlstudy.models import sharing
from mtlstudy.study import frames, plan
from mtlstudy.study.figures import comparison, learned, style
from mtlstudy.study.results import Results
from mtlstudy.study.words import family, label, name, word
from mtlstudy.training.build import build
from mtlstudy.training.config import RunConfig

LOST = [("yeast", "hard+nash", 1)]


@pytest.fixture(scope="module")
def found() -> Results:
    return results(diverged=LOST)


@pytest.fixture(scope="module")
def told() -> pd.DataFrame:
    """What freshly initialised models of every family give, on two data sets and seeds."""
    rows = []
    for data in ("synthetic", "yeast"):
        for one in set(plan.FAMILIES) - {"hierarchical"}:
            for seed in (0, 1):
                config = RunConfig(data=data, sharing=one, seed=seed, width=8, steps=10)
                structure = {"scores": [3, 1], "specific": [0]} if one == "recon" else None
                _, splits, model, _ = build(config, structure)
                said = json.loads(json.dumps(model.learned(splits.validation.first(20).inputs)))
                head = {"data": data, "sharing": one, "weighting": "equal", "seed": seed}
                rows += [{**head, **cell} for cell in frames.cells(said)]
    return pd.DataFrame(rows)


def texts(figure: plt.Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_figures_are_written_three_times_and_rerun_to_the_same_bytes(
    found: Results, tmp_path: Path
) -> None:
    first, again = (
        [path.read_bytes() for path in style.save(comparison.cost(found), tmp_path / place)]
        for place in ("first", "again")
    )
    assert first == again and [one[:4] for one in first] == [b"<?xm", b"%PDF", b"\x89PNG"]
    assert not plt.get_fignums()  # nothing is left open to be shown twice


def test_every_method_and_every_lost_seed_is_shown(found: Results) -> None:
    assert word("text.diverged", lost=1, seeds=3) in texts(comparison.delta_m(found))
    shown = texts(comparison.cost(found))
    assert all(label(method) in shown for method in plan.COMPARISONS["weightings"].methods)


def test_what_diverged_or_left_the_game_is_drawn_without_a_warning() -> None:
    found = results(diverged=[("yeast", "hard+nash", seed) for seed in range(3)])
    found.weights.loc[found.weights["task"] == "class3", "weight"] = 0.0
    render(*(draw(found) for draw in (comparison.delta_m, comparison.conflict, comparison.weights)))
    assert word("text.diverged", lost=3, seeds=3) in texts(comparison.delta_m(found))


def test_structures_and_what_they_learned_are_drawn(told: pd.DataFrame) -> None:
    refused = [("yeast", "ple"), ("yeast", "hierarchical")]
    found = results("sharings", data=("synthetic", "yeast"), refused=refused)
    delta = comparison.delta_m(found)
    render(delta, learned.mixing(told), learned.mixing(told, "sluice"))
    render(learned.gates(told), learned.relations(told), learned.spectra(told))
    shown = texts(delta)
    assert shown.count(word("text.no_value")) == 2 and name("sharing", "trace_norm") in shown


def test_nothing_to_draw_is_refused(found: Results, told: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="none of hard\\+equal_norm, hard\\+nash"):
        comparison.weights(found._replace(weights=found.weights[:0]))
    with pytest.raises(InputError, match="no rows"):
        comparison.conflict(found._replace(runs=found.runs.assign(cosine=np.nan)))
    with pytest.raises(InputError, match="no rows"):
        learned.mixing(told, "hard")


def test_a_glyph_that_the_font_lacks_is_an_error(tmp_path: Path) -> None:
    style.style()
    assert mpl.rcParams["font.family"] == ["Noto Sans KR"]
    figure, ax = plt.subplots()
    plt.close(figure)
    ax.set_title(word("axis.delta_m_better") + " −1 Δ α → ± ·")  # all there
    style.save(figure, tmp_path / "good")
    ax.set_title("\U0001f600")
    with pytest.raises(UserWarning, match="missing from"):
        style.save(figure, tmp_path / "bad")


@pytest.mark.parametrize("kind", ["weightings", "sharings"])
def test_methods_have_places_names_and_looks_of_their_own(kind: str) -> None:
    methods = list(plan.COMPARISONS[kind].methods)
    assert sorted(methods[::-1], key=plan.place) == methods
    named = label if kind == "weightings" else family
    colours, markers = zip(*map(style.look, methods), strict=True)
    for distinct in (colours, markers, map(named, methods)):
        assert len(set(distinct)) == len(methods)
    assert sorted(["b+c", "a+b", *methods], key=plan.place)[-2:] == ["a+b", "b+c"]
    assert style.look("mmoe+nash") == style.look("mmoe+nash") != style.look("mmoe+equal")


def test_every_family_that_is_published_is_in_the_plan() -> None:
    assert set(plan.FAMILIES) == set(sharing.names()) - set(plan.STRUCTURES)


def test_equal_costs_are_drawn_side_by_side() -> None:
    place = comparison.spread(np.array([1.0, 0.5, 0.5, 0.5]))
    assert len(set(place)) == 4 and place[0] == 1.0
    assert place[1:].mean() == pytest.approx(0.5)


def test_a_label_from_data_is_no_mathematics():
    figure = plt.figure()
    text = figure.text(0, 0, style.literal("$x$ and $\\frac{1$"))
    figure.canvas.draw()
    plt.close(figure)  # in whatever order tests run, another one counts those that are open
    assert not cbook.is_math_text(text.get_text())
