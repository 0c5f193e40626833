"""The toy study: what each weighting does on the two-task problem of the Nash-MTL paper, from its
five starts.

Source: Navon et al., ICML 2022, arXiv 2202.01017, figure 1: Adam at 1e-3, 35 000 steps; here in
float64. All starts of all methods advance as one tensor x (methods M, starts S, 2): one evaluation
of losses and gradients a step, one batched solution of the exact Nash games, and one call of each
other weighting, whose B blocks are the S starts.

Where a game has no solution its weights are 0, as in training: Adam is given a gradient of 0, and
its momentum alone moves x.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from mtlstudy import weighting
from mtlstudy.data.toy import SCALE, STARTS, TOLERANCE, front, gap, jacobian, losses, on_front
from mtlstudy.nash import Status, nash_weights
from mtlstudy.study import words
from mtlstudy.study.claims import Claim, sentences
from mtlstudy.study.format import number
from mtlstudy.study.tables import records
from mtlstudy.study.words import word
from mtlstudy.weighting import Weights

VERSION = 1
METHODS = ("nash", "equal_norm", "equal", "pcgrad", "cagrad", "mgda")
LATIN = {"pcgrad": "PCGrad", "cagrad": "CAGrad", "mgda": "MGDA"}
STEPS, LR, POINTS = 35_000, 1e-3, 50
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {  # by profile
    "quick": {
        "pcgrad": {"update_every": 5},
        "mgda": {"update_every": 5, "max_iters": 1},
        "cagrad": {"update_every": 100},
    },
    "full": {"mgda": {"max_iters": 1}},  # of two tasks the first Frank-Wolfe step is exact
}
"""torchjd takes one game at a time, CAGrad's a convex program of some milliseconds: the quick
profile holds their weights for some steps and says so in every row (`solved_every`); the steps
themselves are the paper's in both profiles."""
STATUSES, NOT_SOLVED = torch.arange(len(Status)), torch.tensor([-1])


class Paths(NamedTuple):
    """step (R,) of each record, x (R, M, S, 2), games by status (M, S, number of statuses)."""

    step: Tensor
    x: Tensor
    games: Tensor


def descend(
    methods: dict[str, dict[str, Any]],
    starts: Tensor,
    steps: int = STEPS,
    lr: float = LR,
    points: int = POINTS,
) -> Paths:
    """Follow every method (name → options) from all starts (S, 2); `points` records a path besides
    the start. `InputError` for an unknown method or option."""
    rows = [chosen(name, options, len(starts)) for name, options in methods.items()]
    x = starts.double().repeat(len(rows), 1, 1)  # (M, S, 2)
    games = torch.zeros(len(rows), len(starts), len(Status), dtype=torch.int64)
    optimiser = torch.optim.Adam([x], lr=lr)
    every = max(steps // points, 1)
    record, recorded = [x.clone()], [0]
    for step in range(1, steps + 1):
        value, J = jacobian(x)  # (M, S, 2), (M, S, 2, 2)
        M = J @ J.mT
        with torch.no_grad():
            answers = [row(value[i, 0], M[i]) for i, row in enumerate(rows)]
            a = torch.stack([one.weights.expand(x.shape[1:]) for one in answers])  # (M, S, 2)
            status = torch.stack([one.status.expand(len(starts)) for one in answers])  # (M, S)
            x.grad = (a[:, :, None] @ J).squeeze(2)
            games += status[..., None] == STATUSES
        optimiser.step()
        if step % every == 0 or step == steps:
            record.append(x.clone())
            recorded.append(step)
    return Paths(torch.tensor(recorded), torch.stack(record), games)


def chosen(name: str, options: dict[str, Any], starts: int) -> Callable[[Tensor, Tensor], Weights]:
    """Losses (2,), Gramians (S, 2, 2) → weights, status −1 where nothing was solved anew. Nash
    starts cold: for two tasks it needs no further iteration."""
    if name == "nash":
        return exact
    kind = weighting.get(name)
    method = kind(2, starts, kind.Options.parse(name, options))

    def weights(value: Tensor, M: Tensor) -> Weights:
        due = method.due()
        answer: Weights = method(value, M if due else None)
        return answer if due or method.needs == "losses" else Weights(answer.weights, NOT_SOLVED)

    return weights


def exact(value: Tensor, M: Tensor) -> Weights:
    """The exact solution of M (S, 2, 2), 0 where there is none."""
    solution = nash_weights(M)
    return Weights(torch.where(solution.solved[:, None], solution.weights, 0.0), solution.status)


def compute(profile: str) -> dict[str, pd.DataFrame]:
    """The frames "toy", a row a method and start, where it ended; and "toy_paths", a row a recorded
    point of a path, in five significant digits."""
    options = {name: OPTIONS[profile].get(name, {}) for name in METHODS}
    return tables(descend(options, torch.tensor(STARTS, dtype=torch.float64)), options)


def tables(found: Paths, options: dict[str, dict[str, Any]]) -> dict[str, pd.DataFrame]:
    """The frames of the paths of these methods from `STARTS`."""
    value = losses(found.x)  # (R, M, S, 2)
    behind, reached = gap(value[-1]).clamp_min(0), on_front(value[-1])
    ends, paths = [], []
    for m, method in enumerate(options):
        for s, (x1, x2) in enumerate(STARTS):
            games = found.games[m, s].tolist()
            points = torch.cat([found.x[:, m, s], value[:, m, s]], -1).numpy()  # (R, 4)
            path = pd.DataFrame(points, columns=["x1", "x2", "l1", "l2"])
            ends.append(
                {
                    "method": method,
                    "start": s + 1,
                    "start_x1": x1,
                    "start_x2": x2,
                    **path.iloc[-1].to_dict(),
                    "gap": behind[m, s].item(),
                    "on_front": bool(reached[m, s]),
                    "steps": int(found.step[-1]),
                    "lr": LR,
                    "solved_every": options[method].get("update_every", 1),
                    "games": sum(games),
                    "pareto_stationary": games[Status.PARETO_STATIONARY],
                    "unsolved": sum(games) - games[Status.SOLVED],
                }
            )
            path = path.map(lambda number: float(f"{number:.5g}"))
            about = {"method": method, "start": s + 1, "step": found.step.numpy()}
            paths.append(pd.concat([pd.DataFrame(about), path], axis=1))
    return {"toy": pd.DataFrame(ends), "toy_paths": pd.concat(paths, ignore_index=True)}


def name(method: str) -> str:
    """The name of a weighting.

    >>> name("cagrad")
    'CAGrad'
    """
    return LATIN.get(method) or words.name("weighting", method)


def start(x1: float, x2: float) -> str:
    """A starting point in as few digits as it has.

    >>> start(-8.5, 9.0)
    '(−8.5, 9)'
    """
    return f"({x1:g}, {x2:g})".replace("-", "−")


def summary(ends: pd.DataFrame) -> pd.DataFrame:
    """One row a method, raw: starts, on_front, spread (%: the part of the front's width in x₁ that
    its ends on it span), worst gap (%), missed (the starts that did not arrive), games, unsolved,
    pareto_stationary, solved_every, steps."""
    edge = front()[0][:, 0]
    rows = []
    for method, own in ends.groupby("method", sort=False):
        reached, missed = own[own["on_front"]]["x1"], own[~own["on_front"]]
        rows.append(
            {
                "method": method,
                "starts": len(own),
                "on_front": len(reached),
                "spread": 100 * (reached.max() - reached.min()) / float(edge.max() - edge.min()),
                "worst": 100 * own["gap"].max(),
                "missed": ", ".join(map(start, missed["start_x1"], missed["start_x2"])),
                **own[["games", "unsolved", "pareto_stationary"]].sum().to_dict(),
                **own[["solved_every", "steps"]].max().to_dict(),
            }
        )
    return pd.DataFrame(rows)


def methods(ends: pd.DataFrame) -> pd.DataFrame:
    """Table: `summary`, a row a method."""
    rows = [
        {
            "method": name(row["method"]),
            "on_front": f"{row['on_front']}/{row['starts']}",
            "missed": row["missed"] or word("text.none"),
            **{key: number(row[key]) for key in ("spread", "worst")},
            **{key: number(row[key], 0) for key in ("steps", "solved_every")},
            "unsolved": f"{number(row['unsolved'], 0)}/{number(row['games'], 0)}",
        }
        for row in records(summary(ends))
    ]
    return pd.DataFrame(rows).rename(columns=lambda column: word(f"toy.columns.{column}"))


def points(ends: pd.DataFrame) -> pd.DataFrame:
    """Table: a row a start, a column a method: (ℓ₁, ℓ₂) where the path ended; * marks an end off
    the front."""
    shown: dict[str, dict[str, str]] = {}
    for row in records(ends):
        end = f"({number(row['l1'], 2)}, {number(row['l2'], 2)})" + " *" * (not row["on_front"])
        shown.setdefault(start(row["start_x1"], row["start_x2"]), {})[name(row["method"])] = end
    return pd.DataFrame({word("toy.columns.start"): at, **own} for at, own in shown.items())


def cited(ends: pd.DataFrame) -> dict[str, Any]:
    """What the texts quote: the problem, and the findings."""
    edge = front()[0]
    held = [
        word("toy.held", method=name(row["method"]), every=row["solved_every"])
        for row in records(summary(ends))
        if row["solved_every"] > 1
    ]
    problem = {
        "steps": number(ends["steps"].max(), 0),
        "lr": f"{ends['lr'].max():g}",
        "starts": number(ends["start"].nunique(), 0),
        "scale": f"{SCALE:g}",
        "tolerance": number(100 * TOLERANCE, 0),
        "x2": number(float(edge[:, 1].mean()), 2),
        "x1_low": number(float(edge[:, 0].min()), 0),
        "x1_high": number(float(edge[:, 0].max()), 0),
        "held": ", ".join(held) or word("toy.none_held"),
    }
    return {"problem": problem, "findings": sentences(claims(ends))}


def claims(ends: pd.DataFrame) -> list[Claim]:
    """From how many starts each method arrives, nash first; nash beside its control equal_norm; the
    games of nash."""
    rows = {row["method"]: row for row in records(summary(ends))}
    found, nash = [], rows["nash"]
    for row in sorted(rows.values(), key=lambda row: row is not nash):
        several = "some" if row["on_front"] > 1 else "few"
        outcome = "all" if row["on_front"] == row["starts"] else several
        figures = {key: row[key] for key in ("starts", "on_front", "missed")}
        figures |= {"method": name(row["method"]), "spread": number(row["spread"])}
        found.append(Claim("toy_arrived", outcome, figures))
    ahead = nash["on_front"] > rows["equal_norm"]["on_front"]
    found.append(Claim("toy_control", "up" if ahead else "unclear", {}))
    games = {key: number(nash[key], 0) for key in ("games", "unsolved", "pareto_stationary")}
    return [*found, Claim("toy_games", "counted", games)]
