"""The toy experiment: what each weighting does on the two-task problem of the Nash-MTL paper, from its five starts.

Source: Navon et al., ICML 2022, arXiv 2202.01017, figure 1: Adam at 1e-3, 35 000 steps, here in float64. All starts of all
methods advance as one tensor x (methods M, starts S, 2): one evaluation of losses and gradients a step, one batched solve of the
exact Nash games, and one call of each other weighting, whose B blocks are the S starts.

Where a game has no solution its weights are 0, as in training: Adam is given a gradient of 0, and its momentum alone moves x.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from mtlstudy import weighting
from mtlstudy.nash.newton import Status, nash_weights
from mtlstudy.data._toy_problem import STARTS, gap, jacobian, losses, on_front
from mtlstudy.weighting import Weights
from mtlstudy.study.toy_values import values

__all__ = ["descend", "run", "studies", "values"]

METHODS = ("nash", "equal_norm", "equal", "pcgrad", "cagrad", "mgda")
STEPS, LR, POINTS = 35_000, 1e-3, 200
OPTIONS: dict[str, dict[str, Any]] = {"mgda": {"max_iters": 1}}  # of two tasks the first Frank–Wolfe step is exact
PROFILE_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "quick": {"pcgrad": {"update_every": 5}, "mgda": {"update_every": 5}, "cagrad": {"update_every": 100}},
    "full": {},
}
"""torchjd takes one game at a time, CAGrad's a convex program of some milliseconds: the quick profile holds their weights for
some steps and says so in every row (`solved_every`); the steps themselves are the paper's in both profiles."""
KINDS, NONE_SOLVED = torch.arange(len(Status)), torch.tensor([-1])
SOURCES = ("toy_problem", "nash", "weighting.equal", "weighting.equal_norm", "weighting.torchjd_gramians")


def __getattr__(name: str) -> Any:
    """`figures` and `tables`: how the experiment is shown, imported when asked for."""
    if name not in ("figures", "tables"):
        raise AttributeError(name)
    return import_module(f"{__name__}_{'values' if name == 'tables' else name}")


def studies(profile: str) -> list[str]:
    """The experiment reads no study."""
    return []


class Paths(NamedTuple):
    """step (R,) of each record, x (R, M, S, 2), games by status (M, S, number of statuses)."""

    step: Tensor
    x: Tensor
    games: Tensor


def descend(
    methods: dict[str, dict[str, Any]], starts: Tensor, steps: int = STEPS, lr: float = LR, points: int = POINTS
) -> Paths:
    """Follow every method (name → options) from all starts (S, 2); `points` records a path besides the start.

    Raises:
        InputError: an unknown method or option.
    """
    rows = [_exact if name == "nash" else _from_shelf(name, options, len(starts)) for name, options in methods.items()]
    x = starts.double().repeat(len(rows), 1, 1)  # (M, S, 2)
    games = torch.zeros(len(rows), len(starts), len(Status), dtype=torch.int64)
    optimiser = torch.optim.Adam([x], lr=lr)
    every = max(steps // points, 1)
    record, taken = [x.clone()], [0]
    for step in range(steps):
        value, J = jacobian(x)  # (M, S, 2), (M, S, 2, 2)
        M = J @ J.mT
        with torch.no_grad():
            chosen = [row(value[i, 0], M[i]) for i, row in enumerate(rows)]
            a = torch.stack([own.weights.expand(x.shape[1:]) for own in chosen])  # (M, S, 2)
            status = torch.stack([own.status.expand(len(starts)) for own in chosen])  # (M, S), −1 where none was solved
            x.grad = (a[:, :, None] @ J).squeeze(2)
            games += status[..., None] == KINDS
        optimiser.step()
        if (step + 1) % every == 0 or step + 1 == steps:
            record.append(x.clone())
            taken.append(step + 1)
    return Paths(torch.tensor(taken), torch.stack(record), games)


def _exact(value: Tensor, M: Tensor) -> Weights:
    """The exact solution of M (S, 2, 2), from a cold start: for two tasks it needs no further iteration."""
    solution = nash_weights(M)
    return Weights(torch.where(solution.solved[:, None], solution.weights, 0.0), solution.status)


def _from_shelf(name: str, options: dict[str, Any], starts: int) -> Callable[[Tensor, Tensor], Weights]:
    """A weighting of the shelf with one block a start."""
    cls = weighting.get(name)
    row = cls(2, starts, cls.Options.parse(name, options))

    def weights(value: Tensor, M: Tensor) -> Weights:
        asked = row.due()
        chosen: Weights = row(value, M if asked else None)
        return chosen if asked or row.needs == "losses" else Weights(chosen.weights, NONE_SOLVED)

    return weights


def run(profile: str) -> dict[str, pd.DataFrame]:
    """Table "toy": one row a method and start, where it ended. Table "toy_paths": one row a recorded point of a path."""
    methods = {name: OPTIONS.get(name, {}) | PROFILE_OPTIONS[profile].get(name, {}) for name in METHODS}
    found = descend(methods, torch.tensor(STARTS, dtype=torch.float64), STEPS)
    value = losses(found.x)  # (R, M, S, 2)
    behind, reached = gap(value[-1]), on_front(value[-1])
    ends, paths = [], []
    for m, (name, options) in enumerate(methods.items()):
        for s, start in enumerate(STARTS):
            x, both, counts = found.x[:, m, s], value[:, m, s], found.games[m, s].tolist()
            points = {"step": found.step, "x1": x[:, 0], "x2": x[:, 1], "l1": both[:, 0], "l2": both[:, 1]}
            path = pd.DataFrame({key: column.numpy() for key, column in points.items()})
            paths.append(path.assign(method=name, start=s + 1)[["method", "start", *points]])
            ends.append(
                {"method": name, "start": s + 1, "start_x1": start[0], "start_x2": start[1],
                 **path.drop(columns="step").iloc[-1].to_dict(), "gap": max(behind[m, s].item(), 0.0),
                 "on_front": bool(reached[m, s]), "steps": STEPS, "lr": LR, "solved_every": options.get("update_every", 1),
                 "games": sum(counts), "pareto_stationary": counts[Status.PARETO_STATIONARY],
                 "unsolved": sum(counts) - counts[Status.SOLVED]}
            )  # fmt: skip
    return {"toy": pd.DataFrame(ends), "toy_paths": pd.concat(paths, ignore_index=True)}
