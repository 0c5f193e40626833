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
from mtlstudy.data.toy import STARTS, gap, jacobian, losses, on_front
from mtlstudy.nash import Status, nash_weights
from mtlstudy.weighting import Weights

VERSION = 1
METHODS = ("nash", "equal_norm", "equal", "pcgrad", "cagrad", "mgda")
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
    for m, name in enumerate(options):
        for s, start in enumerate(STARTS):
            games = found.games[m, s].tolist()
            points = torch.cat([found.x[:, m, s], value[:, m, s]], -1).numpy()  # (R, 4)
            path = pd.DataFrame(points, columns=["x1", "x2", "l1", "l2"])
            end = {"start_x1": start[0], "start_x2": start[1], **path.iloc[-1].to_dict()}
            end |= {"gap": behind[m, s].item(), "on_front": bool(reached[m, s])}
            end |= {"steps": int(found.step[-1]), "lr": LR}
            end |= {"solved_every": options[name].get("update_every", 1), "games": sum(games)}
            end |= {"pareto_stationary": games[Status.PARETO_STATIONARY]}
            end |= {"unsolved": sum(games) - games[Status.SOLVED]}
            ends.append({"method": name, "start": s + 1, **end})
            path = path.map(lambda number: float(f"{number:.5g}"))
            path.insert(0, "step", found.step.numpy())
            paths.append(path.assign(method=name, start=s + 1))
    whole = pd.concat(paths, ignore_index=True)[["method", "start", *path]]
    return {"toy": pd.DataFrame(ends), "toy_paths": whole}
