import warnings
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from synthetic_frames import curves, study

from mtlstudy.study.figures import comparison as figures
from mtlstudy.study.figures import style
from mtlstudy.errors import InputError


@pytest.fixture(scope="module")
def frames() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return study(diverged=("yeast", "nash", 1))


def texts(figure: plt.Figure) -> str:
    return " ".join(t.get_text() for t in figure.findobj(mpl.text.Text))


def test_every_figure_is_written_three_times_and_reruns_to_the_same_bytes(frames, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    metrics, summary, weights = frames
    drawn = {
        "delta_m": lambda: figures.delta_m(metrics),
        "conflict": lambda: figures.conflict(summary),
        "weights": lambda: figures.weights_over_time(weights),
        "cost": lambda: figures.parameters_vs_delta(metrics, summary),
        "curves": lambda: figures.learning_curves(curves()),
    }
    for name, draw in drawn.items():
        first = [p.read_bytes() for p in figures.save(draw(), tmp_path / name)]
        second = [p.read_bytes() for p in figures.save(draw(), tmp_path / "again" / name)]
        assert first == second, name
        assert first[0].startswith(b"<?xml")
        assert first[1].startswith(b"%PDF")
        assert first[2].startswith(b"\x89PNG")
    assert not plt.get_fignums()  # nothing is left open to be shown twice


def test_diverged_seeds_are_shown(frames) -> None:  # type: ignore[no-untyped-def]
    assert "발산 1/3" in texts(figures.delta_m(frames[0]))


def test_every_method_is_shown(frames) -> None:  # type: ignore[no-untyped-def]
    shown = texts(figures.parameters_vs_delta(frames[0], frames[1]))
    for name in ("단일 과제", "균등 가중", "동일 노름", "블록 내쉬"):
        assert name in shown


def test_a_glyph_that_the_font_lacks_is_an_error(tmp_path: Path) -> None:
    figures.style()
    figure, ax = plt.subplots()
    plt.close(figure)
    ax.set_title("한글 −1 Δ α → ± ·")  # all there
    figures.save(figure, tmp_path / "good")
    ax.set_title("\U0001f600")
    with pytest.raises(UserWarning, match="missing from"):
        figures.save(figure, tmp_path / "bad")


def test_the_font_is_the_korean_one() -> None:
    figures.style()
    assert mpl.rcParams["font.family"] == ["Noto Sans KR"]


def test_colours_are_distinct_and_stable() -> None:
    assert len({style.colour(m) for m in style.METHODS}) == len(style.METHODS)
    assert style.colour("mmoe+nash") == style.colour("mmoe+nash")


def test_equal_costs_are_drawn_apart() -> None:
    place = figures._apart(np.array([1.0, 0.5, 0.5, 0.5]))
    assert len(set(place)) == 4
    assert place[0] == 1.0
    assert place[1:].mean() == pytest.approx(0.5)


def test_an_all_diverged_method_and_a_zero_weight_are_drawn_without_a_warning(frames, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    metrics, summary, weights = (f.copy() for f in frames)
    lost = (metrics["weighting"] == "nash") & (metrics["data"] == "yeast")
    metrics.loc[lost, ["status", "value"]] = ["diverged", np.nan]
    weights.loc[weights["task"] == "class3", "weight"] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.save(figures.delta_m(metrics), tmp_path / "a")
        figures.save(figures.weights_over_time(weights), tmp_path / "b")
        figures.save(figures.parameters_vs_delta(metrics, summary), tmp_path / "c")
    assert "발산 3/3" in texts(figures.delta_m(metrics))


def test_nothing_to_draw_is_refused(frames) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError):
        figures.weights_over_time(frames[2], methods=["hard+equal"])
    with pytest.raises(InputError):
        figures.conflict(frames[1].assign(cosine=np.nan))
