"""Affinities: what is to foretell which partner a task gains from, and whether it does.

Everything is measured in one run a predictor and seed, of all tasks that are paired, at the values
of hard sharing, on training data only. A matrix (K, K) has a row a target and a column a partner,
in the order of the data set.

Of every target its partners are ranked. The K rank correlations are the sample: its unit is the
task whose partner is chosen, not the pair. They are not quite independent, since
each task is a partner of the others, and the intervals are narrower than they should be for that.

Sources: Fifty et al., *Efficiently Identifying Task Groupings for Multi-Task Learning*, NeurIPS
2021, arXiv 2109.04617 (the look ahead); Yu et al., *Gradient Surgery for Multi-Task Learning*,
NeurIPS 2020, arXiv 2001.06782 (cosines of task gradients).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mtlstudy.gradients import cosines
from mtlstudy.study import statistics, structure
from mtlstudy.training import tune
from mtlstudy.training.build import load
from mtlstudy.training.config import RunConfig
from mtlstudy.training.store import Run

HALVES = "halves"
"""Stands for the net gain itself, as the other seeds have it."""


def gradient(run: Run) -> Tensor:
    """Mean cosine of the task gradients over the recorded steps of hard sharing, (K, K)."""
    seen = [line["gramian"] for line in run.observations() if line["gramian"]]
    M = torch.tensor(seen, dtype=torch.float64).sum(1)  # (steps, K, K)
    return torch.stack([cosines(each) for each in M]).mean(0)


def drift(run: Run) -> Tensor:
    """Cosine of the tasks' drifts while NashShare has them apart, (K, K), in the data's order."""
    frame = pd.DataFrame(structure.cosines(run)).pivot(index="row", columns="column")["value"]
    own = [task.name for task in run.config.tasks]
    return torch.tensor(frame.loc[own, own].to_numpy(copy=True))


def ahead(run: Run) -> Tensor:
    """How much a step for the partner lowers the target's loss, (K targets, K partners): TAG's
    affinity Z_ji, in the data's order."""
    Z = torch.tensor(run.record["learned"]["search"]["affinities"])
    own = [task.name for task in run.config.tasks]
    at = [sorted(own).index(task) for task in own]
    return Z[at][:, at].mT


PREDICTORS: Mapping[str, tuple[str, Callable[[Run], Tensor]]] = {
    "gradient": ("hard", gradient),
    "drift": ("nash_share", drift),
    "ahead": ("tag", ahead),
}
"""Predictor → the family in one run of which it is measured, and how."""


def labels(c: RunConfig) -> Tensor | None:
    """|correlation| of two tasks' training labels, (K, K); None where tasks have other inputs."""
    train = load(c)[1].train
    if not isinstance(train.inputs, Tensor):
        return None
    return torch.corrcoef(torch.stack([train.targets[task.name] for task in c.tasks])).abs()


def affinities(configs: Sequence[RunConfig], jobs: int = 1) -> Iterator[dict[str, Any]]:
    """A row a predictor, target, partner and seed, of runs of hard sharing."""
    for c in configs:
        names = [task.name for task in c.tasks]
        families = [c.but(sharing=family) for family, _ in PREDICTORS.values()]
        runs = dict(zip(PREDICTORS, tune.train(families, progress=False, jobs=jobs), strict=True))
        found: dict[str, Tensor | None] = {key: PREDICTORS[key][1](runs[key]) for key in runs}
        for key, value in (found | {"labels": labels(c)}).items():
            for (i, target), (j, partner) in permutations(enumerate(names), 2):
                at = {"data": c.data, "predictor": key, "target": target, "partner": partner}
                if value is not None:
                    yield {**at, "seed": c.seed, "value": float(value[i, j])}


def ranked(two: pd.DataFrame, affinity: pd.DataFrame) -> pd.DataFrame:
    """A row a data set, predictor and target: Spearman's correlation over its partners, and the net
    gain (%p) with the partner that is ranked first (chosen), on average (mean), and with the best
    in hindsight.

    two: the rows of `mtlstudy.study.transfer.net`. The predictor "halves" is net itself: what odd
    seeds say of even ones, that is what noise leaves for anything to foretell.
    """
    keys = ["data", "target", "partner"]
    even = two["seed"] % 2 == 0
    halves = two[~even].assign(predictor=HALVES, value=two["net"])
    made = []
    for predictor, own in pd.concat([affinity, halves]).groupby("predictor", sort=False):
        value = own.groupby(keys, sort=False)["value"].mean()
        gain = (two[even] if predictor == HALVES else two).groupby(keys, sort=False)["net"].mean()
        both = pd.concat([value, gain], axis=1, join="inner")
        for (data, target), of in both.groupby(level=["data", "target"], sort=False):
            made.append(
                {
                    **{"data": data, "predictor": predictor, "target": target},
                    "correlation": of["net"].corr(of["value"], method="spearman"),
                    "chosen": of["net"].iloc[of["value"].to_numpy().argmax()],
                    **{"mean": of["net"].mean(), "hindsight": of["net"].max()},
                }
            )
    return pd.DataFrame(made)


def foretold(two: pd.DataFrame, affinity: pd.DataFrame) -> pd.DataFrame:
    """A row a data set and predictor: interval and p of the rank correlations over the targets,
    Holm over the predictors of a data set, and the means of `ranked`."""
    made = []
    for data, own in ranked(two, affinity).groupby("data", sort=False):
        rows = []
        for predictor, of in own.groupby("predictor", sort=False):
            means = of[["chosen", "mean", "hindsight"]].mean()
            ci, p = statistics.interval(of["correlation"]), statistics.wilcoxon(of["correlation"])
            about = {"data": data, "predictor": predictor, "ci": ci, "p": p}
            rows.append({**about, **means, "halves": predictor == HALVES})
        table = pd.DataFrame(rows)
        made.append(
            table.assign(p_holm=statistics.holm(table["p"].where(~table["halves"]).tolist()))
        )
    return pd.concat(made, ignore_index=True)
