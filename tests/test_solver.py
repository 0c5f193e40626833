"""The solver study: its rows, what counts as a failure, and what the numbers let one say."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mtlstudy.nash.solution import promised
from mtlstudy.study import solver
from mtlstudy.study.claims import Claim, cited, sentences
from mtlstudy.study.figures import solver as figures
from mtlstudy.study.results import Results
from mtlstudy.study.words import BOOK, word

pytest.importorskip("cvxpy")
SPEED = {"newton": 2e-4, "conic": 5e-3, "ccp": 8e-2, "ccp_published": 4e-2}
DATA = {"multi_mnist": ["left", "right"], "yeast": ["class1", "class2", "class3"]}


def cases(far: bool = True) -> pd.DataFrame:
    """Forty cases of the stress set and of each data set, by four solvers; far: whether the
    procedure fails on every third one, silently on even ones."""
    rows = []
    for part, data in (("stress", ""), *(("recorded", name) for name in DATA)):
        for case in range(40):
            for name, seconds in SPEED.items():
                wrong = far and name.startswith("ccp") and case % 3 == 0
                status = "optimal" if case % 2 == 0 else "infeasible"
                rows.append(
                    {
                        "part": part,
                        "family": "mixed",
                        "data": data,
                        "case": case,
                        "level": 1.0 + case,
                        "K": 2 + case % 4,
                        "condition": 10.0 ** (case % 8),
                        "cosine_condition": 1e3,
                        "scale": 1e4,
                        "solver": name,
                        "status": "SOLVED" if name == "newton" else status,
                        "residual": 0.2 if wrong else 1e-13,
                        "seconds": seconds * (1 + case % 5),
                        "iterations": 5,
                        "difference": 1e-6,
                        **dict.fromkeys(("norm_error", "gain_error", "scale_error"), 1e-12),
                    }
                )
    return pd.DataFrame(rows)


def models(shift: float = 0.01) -> Any:
    """Runs with the exact weights, and with the procedure's, which are `shift` better."""
    metrics = [
        {
            "data": data,
            "sharing": "hard",
            "weighting": weighting,
            "seed": seed,
            "role": "final",
            "task": task,
            "metric": "auc",
            "split": "test",
            "value": 0.6 + 0.01 * seed + (shift if weighting == "nash_ccp" else 0.0),
        }
        for data, tasks in DATA.items()
        for weighting in ("nash", "nash_ccp")
        for seed in range(3)
        for task in tasks
    ]
    runs = pd.DataFrame(metrics).drop_duplicates(["data", "weighting", "seed"])
    unsolved = 7 * (runs["weighting"] == "nash_ccp")
    none = dict.fromkeys(Results._fields)
    frames = {"metrics": pd.DataFrame(metrics), "runs": runs.assign(games=300, unsolved=unsolved)}
    return Results(**{**none, **frames})  # type: ignore[arg-type]


def by_kind(claims: list[Claim]) -> dict[str, Claim]:
    return {claim.kind.removeprefix("solver_"): claim for claim in claims}


def test_the_stress_set_is_the_same_every_time_and_has_full_rank() -> None:
    first, again = list(solver.stress("quick")), list(solver.stress("quick"))
    assert len(first) == 480 and {len(case.J) for case in first} == set(solver.SIZES)
    assert all(np.array_equal(a.J, b.J) for a, b in zip(first, again, strict=True))
    assert all(np.linalg.matrix_rank(case.J, tol=0) == len(case.J) for case in first)
    hard = next(c for c in first if c.family == "condition" and c.level == 1e8 and len(c.J) == 5)
    assert np.linalg.cond(hard.J) == pytest.approx(1e4, rel=1e-6)


def test_rows_of_a_recorded_run() -> None:
    """Whatever the procedure does, Newton's row is there; what has no solution stands alone."""
    J = torch.randn(5, 3, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    J[2, 1] = -J[2, 0]  # opposed: no solution
    rows = pd.DataFrame(solver.along("yeast", [J @ J.mT], "quick"))
    by = rows.groupby("case")["solver"].apply(list)
    assert by.map(len).tolist() == [4, 4, 1, 4, 4] and by[2] == ["newton"]
    assert rows.loc[rows["case"] == 2, "status"].item() != "SOLVED"
    assert (rows.loc[rows["case"] != 2, "residual"] < 1e-4).all()
    assert (
        solver.judged(rows, "recorded").loc[rows["solver"] == "newton", "time"].dropna().eq(1).all()
    )


def test_laws_are_measured_on_the_gradients() -> None:
    rng = np.random.default_rng(0)
    J = rng.standard_normal((4, 9))
    a, status, _ = solver.newton(J @ J.T)
    assert status == "SOLVED" and max(solver.laws(J, a, rng).values()) < 1e-9
    assert min(solver.laws(J, 1.01 * a, rng).values()) > 1e-3


def test_failures_are_counted_by_what_the_solvers_say() -> None:
    stress = solver.by_solver(solver.common(cases(), "stress"))
    assert (stress["ccp"]["failed"], stress["ccp"]["silent"]) == ("14", "7")
    assert stress["ccp"]["failed_percent"] == "35.0" and stress["newton"]["failed"] == "0"
    assert stress["ccp"]["time"] == "400.0" and stress["newton"]["time"] == "1.0"
    lost = cases().assign(residual=np.nan)
    assert solver.judged(lost, "stress")["failed"].all(), "no weights are a failure"
    few = cases()
    few = few[(few["solver"] == "newton") | (few["case"] < 30)]
    assert len(solver.common(few, "stress")) == 4 * 30, "cases that all were given count"


def test_claims_follow_the_numbers() -> None:
    found = by_kind(solver.claims(cases(), models()))
    outcomes = {kind: claim.outcome for kind, claim in found.items()}
    assert outcomes == {
        "exact": "solved",
        "failed": "counted",
        "silent": "counted",
        "time": "slower",
        "recorded": "counted",
        "trained": "different",
    }
    assert found["time"].figures["ccp"] == "400.0" and found["recorded"].figures["ccp"] == "14"
    assert found["trained"].figures["mean"] == "+1.00"
    assert found["trained"].figures["unsolved"] == "21"
    bad = cases().assign(residual=1e-2)
    quick = cases()
    quick.loc[quick["solver"] == "newton", "seconds"] *= 1e4
    other = by_kind(solver.claims(bad, models(0.0)))
    assert other["exact"].outcome == "failed" and other["trained"].outcome == "same"
    assert by_kind(solver.claims(quick, models()))["time"].outcome == "faster"
    gone = models(np.nan)
    assert by_kind(solver.claims(cases(), gone))["trained"].outcome == "untested"
    for given in (models(), models(0.0), gone):
        for claims in (solver.claims(cases(), given), solver.paper(given)):
            assert len(sentences(claims)) == len(claims)
    assert set(cited(solver.paper(models()))["paper"]["trained"]) == set(DATA)


def test_tables_and_what_is_cited() -> None:
    frame = cases()
    for part, data in (("stress", ""), ("recorded", "yeast")):
        assert len(solver.solvers(frame, part, data)) == 4
    families = solver.families(frame)
    assert families[word("solver.ccp")].tolist() == ["14/40"]
    counts = solver.statuses(frame)[word("solver.columns.failed")]
    assert counts.astype(int).sum() == 28 and len(solver.statuses(cases(far=False))) == 1
    assert len(solver.law_errors(frame)) == 3 and len(solver.trained(models())) == 5
    found = solver.cited(frame, models())
    assert found["stress"]["K_max"] == "5" and found["stress"]["newton_all"]["cases"] == "40"
    assert set(found["recorded"]) == set(DATA) and len(found["findings"]) == 8


def test_what_is_published_is_read() -> None:
    frame = pd.read_csv(BOOK / "results/quick/solver.csv")
    exact = solver.exact(frame)
    assert len(exact) == 480 and not exact["failed"].any()
    assert (exact["residual"] <= promised(exact["cosine_condition"], exact["K"])).all()


def test_figures_are_drawn() -> None:
    frame = cases()
    for draw, axes in ((figures.residuals, 1), (figures.along, 2), (figures.times, 1)):
        figure = draw(frame)
        figure.canvas.draw()
        assert len(figure.axes) == axes and all(len(ax.lines) >= 4 for ax in figure.axes)
