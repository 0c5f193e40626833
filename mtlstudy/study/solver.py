"""The solver study: exact Newton against a conic program and the convex-concave procedure (CCP).

"stress": Gramians made hard in one way at a time (condition, task scales, conflict, tiny gradients,
all of these mixed), K = 2..20. "recorded": Gramians of the reported hard+nash runs; the procedure
goes along them warm, as in training. Models trained with the procedure's weights are runs of the
plan (comparison "solver") and stand in no frame here.

A solver fails on a case where the residual max_t |a_t (M a)_t − 1| is above `FAILED` or there are
no weights; it fails silently where its own status nevertheless says solved. Programs are compiled
once a K and not timed, which favours the procedure. Every stress case has a solution (J has full
rank, or Newton reaches it to rounding). Seconds are compared within one computation, never across:
tables have ratios to Newton on the same case.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mtlstudy.nash import Status, nash_weights
from mtlstudy.nash.reference import FAILED, ccp, conic, residual
from mtlstudy.nash.solution import promised
from mtlstudy.study import plan, results
from mtlstudy.study.claims import Claim, sentences
from mtlstudy.study.format import NONE, number, power
from mtlstudy.study.words import name, word

Array = NDArray[np.float64]
Solver = Callable[..., tuple[Array, str, int]]
"""M (K, K) → weights (K,), status, iterations."""

VERSION = 1
SOLVED = ("SOLVED", "optimal")
SIZES = (2, 3, 5, 8, 14, 20)
SEEDS = {"quick": (4, 2), "full": (13, 4)}
"""Draws of every family: for Newton, for the others."""
RECORDED = {"quick": 90, "full": 400}
"""Recorded Gramians a data set."""
COLUMNS = (
    *("cases", "failed", "failed_percent", "silent", "median", "worst", "agreement"),
    *("time", "iterations"),
)
LAWS = ("norm", "gain", "scale")
WEIGHTINGS = ("nash", "nash_ccp")


class Case(NamedTuple):
    """A game: its family, how hard it is (`level`), which draw, and the task gradients J (K, P)."""

    family: str
    level: float
    seed: int
    J: Array


def stress(profile: str) -> Iterator[Case]:
    """The stress set of a profile, the same in every call.

    random: normal gradients. condition: J Jᵀ has eigenvalues from 1 to 1/level. scale: row lengths
    spread evenly (in the logarithm) over a factor `level`. conflict: ± one direction plus `level`
    times noise. tiny: all lengths × level. mixed: conflict `level`, lengths spread over 1e4, then
    × 1e-2.
    """
    for seed in range(SEEDS[profile][0]):
        for K in SIZES:
            rng = np.random.default_rng([seed, K])
            normal = partial[Array](rng.standard_normal, (K, 4 * K))
            line = partial[Array](rng.standard_normal, 4 * K)
            sign = np.where(np.arange(K) % 2, 1.0, -1.0)[:, None]
            spread = np.linspace(0, 1, K)
            yield Case("random", 1.0, seed, normal())
            for level in (1e2, 1e4, 1e6, 1e8, 1e10):
                Q = np.linalg.qr(rng.standard_normal((K, K)))[0]
                yield Case("condition", level, seed, Q * level ** (-spread / 2))
            for level in (1e1, 1e2, 1e3, 1e4):
                J = normal()
                yield Case("scale", level, seed, J * level ** rng.permutation(spread)[:, None])
            for level in (1e-1, 1e-2, 1e-3):
                yield Case("conflict", level, seed, sign * line() + level * normal())
            for level in (1e-2, 1e-4, 1e-6, 1e-8):
                yield Case("tiny", level, seed, level * normal())
            for level in (1e-1, 1e-2, 1e-3):
                J = sign * line() + level * normal()
                J = 1e-2 * J * 1e4 ** rng.permutation(spread)[:, None]
                yield Case("mixed", level, seed, J)


def newton(M: Array) -> tuple[Array, str, int]:
    """The exact solver."""
    solution = nash_weights(torch.from_numpy(M))
    status = Status(int(solution.status)).name
    return solution.weights.numpy(), status, int(solution.iterations)


REFERENCES: dict[str, Solver] = {
    "conic": conic,
    "ccp": ccp,
    "ccp_published": partial(ccp, published=True),
}
SOLVERS = ("newton", *REFERENCES)


def measured(M: Array, solve: Solver, exact: Array) -> tuple[dict[str, Any], Array]:
    """One case by one solver: status, residual, seconds, iterations, and the largest relative
    difference to the exact weights; and its weights."""
    begin = time.perf_counter()
    a, status, iterations = solve(M)
    seconds = time.perf_counter() - begin
    row = {"status": status, "residual": residual(M, a), "seconds": seconds}
    return row | {"iterations": iterations, "difference": float(np.abs(a / exact - 1).max())}, a


def described(M: Array) -> dict[str, float]:
    """K, condition numbers of M and of its cosine matrix, longest over shortest gradient."""
    length = np.sqrt(np.diag(M))
    return {
        "K": len(M),
        "condition": float(np.linalg.cond(M)),
        "cosine_condition": float(np.linalg.cond(M / length[:, None] / length)),
        "scale": float(length.max() / length.min()),
    }


def laws(J: Array, a: Array, rng: np.random.Generator) -> dict[str, float]:
    """What must hold at a solution, as errors measured on the gradients themselves and not on M:
    ‖Jᵀa‖² = K, ⟨g_t, d⟩ = 1 / a_t, and J → S J gives a → S⁻¹ a (S from 1e-3 to 1e3)."""
    d = J.T @ a
    S = 10 ** rng.uniform(-3, 3, len(a))
    scaled, _, _ = newton(S[:, None] * (J @ J.T) * S)
    return {
        "norm_error": float(abs(d @ d / len(a) - 1)),
        "gain_error": float(np.abs(a * (J @ d) - 1).max()),
        "scale_error": float(np.abs(S * scaled / a - 1).max()),
    }


def stressed(profile: str) -> Iterator[dict[str, Any]]:
    """The rows of the stress set."""
    for index, (family, level, seed, J) in enumerate(stress(profile)):
        M = J @ J.T
        about = {"part": "stress", "family": family, "data": "", "case": index, "seed": seed}
        about |= {"level": level, **described(M)}
        exact, _, _ = newton(M)
        own = {**measured(M, newton, exact)[0], **laws(J, exact, np.random.default_rng([7, index]))}
        yield {**about, "solver": "newton", **own}
        if seed < SEEDS[profile][1]:
            for solver, solve in REFERENCES.items():
                yield {**about, "solver": solver, **measured(M, solve, exact)[0]}


def along(data: str, runs: list[torch.Tensor], profile: str) -> Iterator[dict[str, Any]]:
    """The rows of the Gramians (steps, K, K) recorded in some runs on a data set.

    Newton solves all of a run in one batch (seconds: its share); the procedure starts each from its
    last weights. Where there is no solution the others are held to nothing and have no row.
    """
    most = -(-RECORDED[profile] // max(len(runs), 1))
    index = 0
    for seed, gramians in enumerate(runs):
        n = len(gramians)
        gramians = gramians[np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int))]
        begin = time.perf_counter()
        solution = nash_weights(gramians)
        seconds = (time.perf_counter() - begin) / len(gramians)
        last: dict[str, Array | None] = dict.fromkeys(REFERENCES)
        for i, M in enumerate(gramians.numpy()):
            about = {"part": "recorded", "family": "recorded", "data": data, "case": index}
            about |= {"seed": seed, "level": float(i), "K": len(M)}
            index += 1
            status, exact = Status(int(solution.status[i])), solution.weights[i].numpy()
            own = {"status": status.name, "residual": residual(M, exact), "seconds": seconds}
            own |= {"iterations": int(solution.iterations[i]), "difference": 0.0}
            solved = status == Status.SOLVED
            about |= described(M) if solved else {}
            yield {**about, "solver": "newton", **own}
            for solver, solve in REFERENCES.items() if solved else ():
                warm = solve if solver == "conic" else partial(solve, start=last[solver])
                own, last[solver] = measured(M, warm, exact)
                yield {**about, "solver": solver, **own}


def compute(profile: str) -> dict[str, pd.DataFrame]:
    """The frame "solver", a row a case and solver; runs that are missing are trained first."""
    runs = {data: results.gramians(data, profile) for data in plan.COMPARISONS["solver"].data}
    recorded = [gramians.shape[-1] for own in runs.values() for gramians in own]
    for K in {*SIZES, *recorded}:
        for solve in (newton, *REFERENCES.values()):
            solve(np.eye(K))  # compile, untimed
    rows = [
        *stressed(profile),
        *(row for data, own in runs.items() for row in along(data, own, profile)),
    ]
    return {"solver": pd.DataFrame(rows)}


def judged(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows of one part with three columns more. failed: a residual above `FAILED`, or no
    weights;
    silent: failed though the status says solved; time: the seconds over Newton's on the case."""
    rows = frame[frame["part"] == part]
    failed = ~(rows["residual"] <= FAILED)
    silent = failed & rows["status"].isin(SOLVED)
    newton = rows["seconds"].where(rows["solver"] == "newton")
    newton = newton.groupby([rows["data"].fillna(""), rows["case"]]).transform("max")
    return rows.assign(failed=failed, silent=silent, time=rows["seconds"] / newton)


def common(frame: pd.DataFrame, part: str, data: str = "") -> pd.DataFrame:
    """The rows `judged` of one part, and one data set if named, that all solvers were given."""
    rows = judged(frame, part)
    rows = rows[rows["data"] == data] if data else rows
    solvers = rows.groupby([rows["data"].fillna(""), "case"])["solver"].transform("nunique")
    return rows[solvers == len(SOLVERS)]


def exact(frame: pd.DataFrame) -> pd.DataFrame:
    """All stress cases of the exact solver, `judged`."""
    rows = judged(frame, "stress")
    return rows[rows["solver"] == "newton"]


def counted(rows: pd.DataFrame) -> dict[str, str]:
    """One solver's rows as strings; the differences to the exact weights are over the cases that
    did not fail."""
    cells = {"cases": number(len(rows), 0)}
    for key in ("failed", "silent"):
        cells[key] = number(rows[key].sum(), 0)
        cells[f"{key}_percent"] = number(100 * rows[key].mean())
    return {
        **cells,
        "median": power(rows["residual"].median()),
        "worst": power(rows["residual"].max()),
        "agreement": power(rows.loc[~rows["failed"], "difference"].max()),
        "time": number(rows["time"].median()),
        "iterations": number(rows["iterations"].median(), 0),
    }


def by_solver(rows: pd.DataFrame) -> dict[str, dict[str, str]]:
    """`counted` of every solver."""
    return {solver: counted(rows[rows["solver"] == solver]) for solver in SOLVERS}


def titled(rows: list[dict[str, str]]) -> pd.DataFrame:
    """A table under the headings of the book; a solver is a heading by its name."""
    shown = {solver: name("solver", solver) for solver in SOLVERS}
    return pd.DataFrame(rows).rename(columns=lambda c: shown.get(c) or word(f"solver.columns.{c}"))


def solvers(frame: pd.DataFrame, part: str = "stress", data: str = "") -> pd.DataFrame:
    """Table: a row a solver. Only cases that all solvers were given count."""
    own = by_solver(common(frame, part, data)).items()
    return titled(
        [{"solver": name("solver", s), **{key: cells[key] for key in COLUMNS}} for s, cells in own]
    )


def families(frame: pd.DataFrame) -> pd.DataFrame:
    """Table: failures of every solver by family of stress Gramians, as "failed/cases"."""
    rows = []
    for family, own in common(frame, "stress").groupby("family", sort=False):
        ends = (own["condition"].min(), own["condition"].max())
        row = {
            "family": word(f"solver.families.{family}"),
            "condition": " ~ ".join(map(power, ends)),
        }
        for solver in SOLVERS:
            failed = own.loc[own["solver"] == solver, "failed"]
            row[solver] = f"{failed.sum()}/{len(failed)}"
        rows.append(row)
    return titled(rows)


def statuses(frame: pd.DataFrame) -> pd.DataFrame:
    """Table: what the solvers themselves said of the stress cases on which they failed."""
    rows = common(frame, "stress")
    counts = rows[rows["failed"]].groupby(["solver", "status"], as_index=False).size()
    cells = [
        {"solver": name("solver", solver), "status": status, "failed": number(count, 0)}
        for solver, status, count in counts.to_numpy().tolist()
    ]
    return titled(cells or [{"solver": NONE, "status": NONE, "failed": "0"}])


def law_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """Table: the largest error of the three laws over all stress cases of the exact solver."""
    worst = {law: power(exact(frame)[f"{law}_error"].max()) for law in LAWS}
    return titled([{"law": word(f"solver.laws.{law}"), "error": e} for law, e in worst.items()])


def both_ways(models: results.Results) -> pd.DataFrame:
    """The test metrics of the reported hard+nash and hard+nash_ccp runs."""
    rows = models.metrics
    keep = rows["weighting"].isin(WEIGHTINGS) & (rows["role"] == "final")
    return rows[keep & (rows["split"] == "test") & (rows["sharing"] == "hard")]


def trained(models: results.Results) -> pd.DataFrame:
    """Table: models trained with the exact weights and with the procedure's, by data set and task:
    means, and every paired difference."""
    rows = []
    for (data, task), values in both_ways(models).groupby(["data", "task"], sort=False):
        both = 100 * values.pivot(index="seed", columns="weighting", values="value")
        differences = both["nash_ccp"] - both["nash"]
        rows.append(
            {
                "data": name("data_short", str(data)),
                "task": name("task", str(task)),
                "metric": name("metric", values["metric"].iloc[0]),
                **{weighting: number(both[weighting].mean(), 2) for weighting in WEIGHTINGS},
                "sd": number(both["nash"].std(), 2),
                "differences": ", ".join(number(d, 2, sign=True) for d in differences),
            }
        )
    return titled(rows)


def compared(models: results.Results) -> dict[str, tuple[str, dict[str, str]]]:
    """Data set → the models trained both ways: same, different or untested (no pair is left), and
    the differences over the pairs (task, seed) and the games of either way as strings."""
    runs, found = models.runs[models.runs["role"] == "final"], {}
    for data, values in both_ways(models).groupby("data", sort=False):
        both = values.pivot(index=["seed", "task"], columns="weighting", values="value")
        difference = 100 * (both["nash_ccp"] - both["nash"]).dropna()
        own = runs[runs["data"] == data].groupby("weighting")[["games", "unsolved"]].sum()
        games = own.map(lambda n: number(n, 0))
        outcome = "different" if difference.any() else "same"
        figures = {
            "data": name("data_short", str(data)),
            "pairs": number(len(difference), 0),
            "mean": number(difference.mean(), 2, sign=True),
            "largest": number(difference.abs().max(), 2),
            **games.loc["nash_ccp"],
            **games.loc["nash"].add_prefix("exact_"),
        }
        found[str(data)] = (outcome if len(difference) else "untested", figures)
    return found


def cited(frame: pd.DataFrame, models: results.Results) -> dict[str, Any]:
    """What chapters and paper quote: stress, recorded (by data set), findings."""
    whole, recorded = exact(frame), frame.loc[frame["part"] == "recorded", "data"]
    return {
        "stress": {
            **by_solver(common(frame, "stress")),
            "newton_all": counted(whole),
            "K_min": number(whole["K"].min(), 0),
            "K_max": number(whole["K"].max(), 0),
            "condition_min": power(whole["condition"].min()),
            "condition_max": power(whole["condition"].max()),
            "scale_max": power(whole["scale"].max()),
        },
        "recorded": {d: by_solver(common(frame, "recorded", d)) for d in recorded.unique()},
        "findings": sentences(claims(frame, models)),
    }


def paper(models: results.Results) -> list[Claim]:
    """The claims that the paper cites, ``paper.trained.<data>``."""
    found = compared(models).items()
    return [Claim("paper_trained", *said, f"paper.trained.{data}") for data, said in found]


def claims(frame: pd.DataFrame, models: results.Results) -> list[Claim]:
    """What the numbers allow to be said, in the order in which it is said."""
    whole, rows = exact(frame), common(frame, "stress")
    bounds = promised(whole["cosine_condition"], whole["K"])
    above = int((whole["residual"] > bounds).sum())
    sound = not above and not whole["failed"].any()
    shown = by_solver(rows)
    given = {"given": shown["newton"]["cases"]}
    percent, silent, times = (
        {solver: own[key] for solver, own in shown.items()}
        for key in ("failed_percent", "silent", "time")
    )
    slower = rows.loc[rows["solver"] == "ccp", "time"].median() > 1
    found = [
        Claim(
            "solver_exact",
            "solved" if sound else "failed",
            counted(whole) | {"above": number(above, 0)},
        ),
        Claim("solver_failed", "counted", percent | given),
        Claim("solver_silent", "counted", silent | given),
        Claim("solver_time", "slower" if slower else "faster", times),
    ]
    for data, own in frame[frame["part"] == "recorded"].groupby("data", sort=False):
        found.append(on_recorded(own, str(data)))
    return found + [Claim("solver_trained", *said) for said in compared(models).values()]


def on_recorded(own: pd.DataFrame, data: str) -> Claim:
    """The claim on the Gramians recorded on one data set."""
    statuses = own.loc[own["solver"] == "newton", "status"]
    failed = {s: cells["failed"] for s, cells in by_solver(common(own, "recorded")).items()}
    figures = {"data": name("data_short", data), "cases": number(len(statuses), 0)}
    unsolvable = number((statuses != "SOLVED").sum(), 0)
    return Claim("solver_recorded", "counted", figures | failed | {"unsolvable": unsolvable})
