"""The toy of the Nash-MTL paper: losses, front, the study's facts, and the adapter to torchjd."""

import math
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torchjd.aggregation import CAGradWeighting, MGDAWeighting, PCGradWeighting

from mtlstudy import InputError, Status, nash_weights, weighting
from mtlstudy.data.toy import STARTS, TOLERANCE, front, gap, jacobian, losses, on_front
from mtlstudy.study import toy
from mtlstudy.study.claims import sentences
from mtlstudy.study.figures import toy as figures
from mtlstudy.study.words import BOOK, word

POINTS = (
    12 * torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 6
)
ALL = torch.tensor(STARTS, dtype=torch.float64)


def by_hand(x1: float, x2: float) -> tuple[float, float]:
    """The formulas as they stand in the paper, number by number."""
    f1 = math.log(max(abs(0.5 * (-x1 - 7) - math.tanh(-x2)), 5e-6)) + 6
    f2 = math.log(max(abs(0.5 * (-x1 + 3) + math.tanh(-x2) + 2), 5e-6)) + 6
    g1 = ((-x1 + 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    g2 = ((-x1 - 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    c1, c2 = max(math.tanh(x2 / 2), 0), max(math.tanh(-x2 / 2), 0)
    return 0.1 * (c1 * f1 + c2 * g1), c1 * f2 + c2 * g2


def test_losses_are_the_formulas():
    for x in [*STARTS, (-7.0, 1e-9), *POINTS.tolist()]:
        assert losses(torch.tensor(x, dtype=torch.float64)).tolist() == pytest.approx(
            by_hand(*x), rel=1e-12, abs=1e-12
        )
    assert losses(torch.zeros(3, 2)).dtype == torch.float32


def test_published_end_points_lie_on_the_front():
    """Points (ℓ1, ℓ2) reported for exact Nash lie on the front, and there x₂ is about −8.37."""
    for l1, l2 in [
        (-1.02, -18.29),
        (-1.51, -15.10),
        (-1.84, -10.07),
        (-0.89, -18.80),
        (-1.95, -5.86),
        (-0.38, -19.83),
    ]:
        nearest = (
            (front()[1] - torch.tensor([l1, l2]))
            .abs()
            .mul(torch.tensor([10.0, 1.0]))
            .sum(-1)
            .argmin()
        )
        assert front()[1][nearest].tolist() == pytest.approx([l1, l2], abs=0.06)
        assert front()[0][nearest, 1].item() == pytest.approx(-8.37, abs=0.05)


def test_jacobian_is_the_derivative():
    value, J = jacobian(POINTS.view(4, 50, 2))
    assert torch.equal(value, losses(POINTS.view(4, 50, 2))) and J.shape == (4, 50, 2, 2)
    h = 1e-6
    for k in range(2):
        step = h * torch.eye(2, dtype=torch.float64)[k]
        slope = (losses(POINTS + step) - losses(POINTS - step)) / (2 * h)
        assert torch.allclose(J.view(200, 2, 2)[:, :, k], slope, rtol=1e-4, atol=1e-4)


def test_front_is_stationary_and_nothing_dominates_it():
    x, value = front()
    _, J = jacobian(x[1:-1])
    cosine = torch.nn.functional.cosine_similarity(J[:, 0], J[:, 1])
    assert cosine.max() < -1 + 1e-8  # the two gradients oppose each other
    assert (value[1:, 0] < value[:-1, 0]).all() and (value[1:, 1] > value[:-1, 1]).all()
    side = torch.linspace(-14, 14, 169, dtype=torch.float64)
    grid = losses(torch.stack(torch.meshgrid(side, side, indexing="ij"), -1))
    assert (
        gap(grid).min() > -2e-3
    )  # up to the spacing of the points of the front, no point of the plane is beyond it


def test_membership():
    value = front()[1]
    span = value.amax(0) - value.amin(0)
    assert on_front(value).all() and gap(value).abs().max() < 1e-12
    inner = value[50:-50]
    for behind, inside in [(0.5 * TOLERANCE, True), (1.5 * TOLERANCE, False)]:
        assert (on_front(inner + behind * span) == inside).all()
    assert not on_front(losses(ALL)).any()
    assert on_front(losses(ALL), tolerance=2.0).all()


def test_for_two_tasks_nash_and_equal_norm_differ_in_length_alone():
    _, J = jacobian(POINTS)
    M = J @ J.mT
    solution = nash_weights(M)
    norm = M.diagonal(dim1=-2, dim2=-1).sqrt()
    cosine = M[:, 0, 1] / norm.prod(-1)
    kept = solution.solved
    assert kept.sum() > 150
    expected = 1 / (norm * (1 + cosine).sqrt()[:, None])
    assert torch.allclose(solution.weights[kept], expected[kept], rtol=1e-6)


def test_a_row_of_the_batch_is_the_path_from_its_start():
    methods = {"nash": {}, "equal": {}, "equal_norm": {}, "pcgrad": {}, "mgda": {}}
    batch = toy.descend(methods, ALL, steps=30, points=10)
    for s in (0, 3):
        single = toy.descend(methods, ALL[s : s + 1], steps=30, points=10)
        assert torch.allclose(single.x[:, :, 0], batch.x[:, :, s], rtol=1e-9, atol=1e-9)
    alone = toy.descend({"equal": {}}, ALL, steps=30, points=10)
    assert torch.allclose(alone.x[:, 0], batch.x[:, 1], rtol=1e-12)
    assert batch.step.tolist() == list(range(0, 31, 3))
    assert batch.games.sum(-1).tolist()[0] == [30] * 5


def test_exact_nash_reaches_the_front_from_every_start():
    """A cheaper equivalent of the paper's run: twenty times the step, a twentieth of the steps."""
    found = toy.descend({"nash": {}}, ALL, steps=1750, lr=2e-2)
    x = found.x[-1, 0]
    assert on_front(losses(x), tolerance=0.01).all()
    assert (x[:, 1] + 8.37).abs().max() < 0.1
    assert x[:, 0].max() - x[:, 0].min() > 5  # of 14: they are spread
    unsolved = found.games[0].sum(0)
    assert unsolved[[Status.NON_FINITE, Status.MAX_ITERATIONS, Status.INDEFINITE]].sum() == 0


def test_facts_of_the_paper():
    """Of the published run; a csv of another schema or other numbers fails here."""
    ends = pd.read_csv(BOOK / "results/quick/toy.csv")
    assert (ends["steps"] == 35_000).all() and (ends["lr"] == 1e-3).all()
    exact = ends["method"].isin(["nash", "equal", "equal_norm"])
    assert (ends.loc[exact, "solved_every"] == 1).all()
    row = toy.summary(ends).set_index("method")
    nash = row.loc["nash"]
    assert nash["on_front"] == 5 and nash["worst"] < 1 and nash["spread"] > 40
    assert row.loc["equal_norm", "on_front"] == 5 and row.loc["mgda", "on_front"] == 5
    equal = ends[ends["method"] == "equal"].set_index("start")
    collapsed = equal.drop(index=3)  # start 3 is (9, 9)
    assert np.allclose(collapsed["l1"], -0.38, atol=0.05)
    assert np.allclose(collapsed["l2"], -19.83, atol=0.6)
    for method in ("equal", "pcgrad", "cagrad"):
        assert row.loc[method, "missed"] == "(9, 9)" and row.loc[method, "worst"] > 50
    mgda = ends[ends["method"] == "mgda"]
    assert (mgda["l1"] < -1.95).sum() >= 3  # it drifts to the end of ℓ1
    found = ends.loc[ends["method"] == "nash", ["l1", "l2"]]
    told = [(-1.02, -18.29), (-1.51, -15.10), (-1.84, -10.07), (-0.89, -18.80), (-1.95, -5.86)]
    assert np.allclose(found, told, atol=[0.15, 1.5])


@pytest.fixture(scope="module")
def short() -> dict[str, pd.DataFrame]:
    """The frames of 60 steps in place of 35 000."""
    options = {name: toy.OPTIONS["quick"].get(name, {}) for name in toy.METHODS}
    return toy.tables(toy.descend(options, ALL, steps=60), options)


def test_frames_and_values(short):
    ends, paths = short["toy"], short["toy_paths"]
    assert list(dict.fromkeys(ends["method"])) == list(toy.METHODS)
    assert len(ends) == 5 * len(toy.METHODS) and (ends["steps"] == 60).all()
    assert not ends.isna().any().any() and not paths.isna().any().any()
    last = paths.groupby(["method", "start"], sort=False).last().reset_index()
    assert np.allclose(last[["x1", "l2"]], ends[["x1", "l2"]], rtol=1e-4)
    assert (last["step"] == 60).all() and set(ends["gap"] >= 0) == {True}
    assert set(ends.loc[ends["method"] == "cagrad", "solved_every"]) == {100}
    problem = toy.cited(ends)["problem"]
    assert word("toy.held", method="CAGrad", every=100) in problem["held"]
    assert problem["x2"].startswith("−8.3")
    methods = toy.methods(ends)
    assert methods[word("toy.columns.on_front")].tolist() == ["0/5"] * len(toy.METHODS)
    assert methods[word("toy.columns.missed")].str.startswith("(−8.5, 7.5), ").all()
    assert toy.points(ends).shape == (5, 1 + len(toy.METHODS))
    for draw in (figures.contours, figures.loss_space):
        figure = draw(ends, paths)
        figure.canvas.draw()  # a glyph that the font lacks is an error
        assert len([ax for ax in figure.axes if ax.lines]) == len(toy.METHODS)
    with pytest.raises(InputError, match="no rows"):
        figures.contours(ends, paths.head(0))


def test_a_path_is_thin():
    """However long the run, a path is published in at most sixty points of five digits."""
    options = {"equal": {}}
    paths = toy.tables(toy.descend(options, ALL, steps=599), options)["toy_paths"]
    assert paths.groupby("start").size().max() <= 60 < 599 and paths["step"].max() == 599
    assert all(float(f"{x:.5g}") == x for x in paths["x1"])


def test_claims_follow_the_numbers(short):
    ends = short["toy"]
    lost = toy.claims(ends)
    outcomes = {(claim.kind, claim.outcome) for claim in lost}
    assert outcomes == {
        ("toy_arrived", "few"),
        ("toy_control", "unclear"),
        ("toy_games", "counted"),
    }
    nash = ends["method"] == "nash"
    won = toy.claims(ends.assign(on_front=nash & (ends["start"] > 1)))
    assert [c.outcome for c in won if c.kind == "toy_control"] == ["up"]
    assert won[0].outcome == "some" and won[0].figures["missed"] == "(−8.5, 7.5)"
    every = toy.claims(ends.assign(on_front=nash))[0]
    assert every.outcome == "all" and every.figures["on_front"] == 5
    for claims in (lost, won, [every]):
        assert len(sentences(claims)) == len(claims)


def make(name: str, blocks: int = 1, tasks: int = 3, **options: object) -> weighting.Weighting:
    cls = weighting.get(name)
    return cls(tasks, blocks, cls.Options.parse(name, options))


G = torch.randn(4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
GRAMIANS = G @ G.mT


@pytest.mark.parametrize(
    ("name", "library"),
    [("pcgrad", PCGradWeighting()), ("cagrad", CAGradWeighting(0.4)), ("mgda", MGDAWeighting())],
)
def test_adapter_gives_the_weights_of_torchjd(name, library):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    chosen = make(name, blocks=4)(torch.ones(3), GRAMIANS)
    assert torch.equal(torch.get_rng_state(), before), "the caller's generator is left alone"
    torch.default_generator.manual_seed(0)
    expected = torch.stack([library(M) for M in GRAMIANS])
    assert torch.allclose(chosen.weights, expected) and (chosen.status == Status.SOLVED).all()


def test_adapter_holds_weights_between_calls_and_resumes():
    entry, other = make("pcgrad", update_every=2), make("pcgrad", update_every=2)
    first = entry(torch.ones(3), GRAMIANS[:1]).weights
    assert (
        not entry.due() and torch.equal(entry(torch.ones(3), None).weights, first) and entry.due()
    )
    other.load_state_dict(entry.state_dict())
    assert torch.equal(
        entry(torch.ones(3), GRAMIANS[1:2]).weights, other(torch.ones(3), GRAMIANS[1:2]).weights
    )


def test_adapter_reports_what_is_not_finite():
    chosen = make("mgda", blocks=2)(
        torch.ones(3), torch.stack([GRAMIANS[0], torch.full((3, 3), torch.nan).double()])
    )
    assert chosen.status.tolist() == [Status.SOLVED, Status.NON_FINITE] and chosen.weights[
        1
    ].tolist() == [0, 0, 0]


def test_adapter_refuses_in_one_line(monkeypatch):
    with pytest.raises(InputError, match=r"cagrad\.c = 2"):
        make("cagrad", c=2)
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(
        InputError, match=r"'mgda' needs torchjd .*pip install 'mtlstudy\[study\]'"
    ) as refused:
        make("mgda")
    assert "\n" not in str(refused.value)
