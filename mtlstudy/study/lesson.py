"""What the book's first chapter shows: a few small runs side by side, in the metrics' own units and paired by seed.

It illustrates how the package is used. It is no evidence for a method: nothing is tuned and the data are small.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtlstudy.study import statistics
from mtlstudy.training.build import build
from mtlstudy.training.config import RunConfig
from mtlstudy.study.format import METRICS, NONE, SHARINGS, WEIGHTINGS, bracket, number
from mtlstudy.training.store import Run
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.study.figures.style import colour, marker, style
from mtlstudy.training.loop import fit

KINDS = {"binary": "이진 분류", "multiclass": "다중 분류", "regression": "회귀", "value": "손실 자체"}


def about(config: RunConfig) -> pd.DataFrame:
    """The tasks of a data set, a row each: kind, loss metric, whether larger is better, examples of each split."""
    _, splits, _, _ = build(config)
    sizes = " / ".join(number(part.sizes()[""], 0) for part in (splits.train, splits.validation, splits.test))
    rows = [
        {"과제": task.name, "종류": KINDS[task.kind], "지표": metric(task.metric, task.higher_is_better),
         "학습 / 검증 / 시험": sizes}
        for task in config.tasks
    ]  # fmt: skip
    return pd.DataFrame(rows)


def metric(name: str, higher_is_better: bool) -> str:
    """A metric's name with the direction that is better."""
    return f"{METRICS.get(name, name)} ({'↑' if higher_is_better else '↓'})"


def model(config: RunConfig) -> Sharing:
    """The configured model, untrained."""
    return build(config)[2]


def runs(config: RunConfig, methods: Sequence[tuple[str, str]], seeds: int) -> list[Run]:
    """Every (sharing, weighting) on the seeds 0, 1, …; what was trained already is read."""
    return [fit(config.but(sharing=s, weighting=w, seed=seed, sharing_options={}, weighting_options={}), progress=False)
            for s, w in methods for seed in range(seeds)]  # fmt: skip


def results(trained: Sequence[Run]) -> pd.DataFrame:
    """One row a run and task: method, seed, task, metric, higher_is_better, value on test (NaN for a diverged run)."""
    return pd.DataFrame([
        {"method": f"{run.config.sharing}+{run.config.weighting}", "seed": run.config.seed, "task": task.name,
         "metric": task.metric, "higher_is_better": task.higher_is_better, "parameters": run.record["summary"]["parameters"],
         "value": run.record["results"]["test"][task.name]["metric"] if run.status == "done" else float("nan")}
        for run in trained for task in run.config.tasks
    ])  # fmt: skip


def name(method: str) -> str:
    """Sharing and weighting in Korean.

    >>> name("hard+nash"), name("single_task+equal")
    ('하드 공유 · 내쉬', '단일 과제')
    """
    sharing, _, weighting = method.partition("+")
    known = SHARINGS.get(sharing, sharing)
    return known if sharing == "single_task" else f"{known} · {WEIGHTINGS.get(weighting, weighting)}"


def paired(frame: pd.DataFrame, base: str) -> list[dict[str, Any]]:
    """For each other method and task: the mean, and the interval of the differences to `base`, paired by seed (positive =
    better)."""
    rows = []
    for (method, task), own in frame.groupby(["method", "task"], sort=False):
        values = own.set_index("seed")["value"]
        rest = frame[(frame["method"] == base) & (frame["task"] == task)].set_index("seed")["value"]
        sign = 1.0 if own["higher_is_better"].iloc[0] else -1.0
        found = statistics.interval(sign * (values - rest))
        rows.append({"method": method, "task": task, "metric": own["metric"].iloc[0], "up": sign > 0, "mean": values.mean(),
                     "sd": values.std(), "gain": found, "parameters": own["parameters"].iloc[0]})  # fmt: skip
    return rows


def table(frame: pd.DataFrame, base: str = "single_task+equal") -> pd.DataFrame:
    """Mean ± standard deviation over the seeds of every method and task, and what it gains over `base` with its interval."""
    found = paired(frame, base)
    rows: dict[str, dict[str, str]] = {}
    for row in found:
        cells = rows.setdefault(row["method"], {"방법": name(row["method"]), "매개변수": number(row["parameters"], 0)})
        unit = f"{row['task']}, {metric(row['metric'], row['up'])}"
        cells[unit] = number(row["mean"], 3) + ("" if np.isnan(row["sd"]) else f" ± {number(row['sd'], 3)}")
        own = row["method"] == base
        gain = f"{number(row['gain'].mean, 4, sign=True)} {bracket(row['gain'].low, row['gain'].high, 4)}"
        if base in set(frame["method"]):
            cells[f"{row['task']}: 나아진 정도 [구간]"] = "기준" if own else gain
    return pd.DataFrame(rows.values()).fillna(NONE)


def sentences(frame: pd.DataFrame, base: str = "single_task+equal") -> list[str]:
    """What the intervals allow one to say, one sentence a method and task."""
    lines = []
    for row in paired(frame, base):
        gain = row["gain"]
        if row["method"] != base and gain.n:
            sure = gain.low > 0 or gain.high < 0
            side = "더 좋다" if gain.mean > 0 else "더 나쁘다"
            verdict = f"이 시험 환자들에서는 {side}" if sure else "차이가 있다고 말할 수 없다"
            facts = f"나아진 정도 {number(gain.mean, 4, sign=True)}, 구간 {bracket(gain.low, gain.high, 4)}, 시드 {gain.n}개"
            lines.append(f"{name(row['method'])} 대 {name(base)}, 과제 {row['task']}: {verdict} ({facts}).")
    return lines


def spread(frame: pd.DataFrame) -> list[str]:
    """For each task how far the methods' means lie apart, beside how far the seeds of one method do."""
    lines = []
    for task, own in frame.groupby("task", sort=False):
        by = own.groupby("method")["value"]
        apart, seeds = by.mean().max() - by.mean().min(), by.std().median()
        inside = f"한 방법 안의 시드 표준편차 {number(seeds, 4)} (방법들의 중앙값)"
        lines.append(f"과제 {task}: 방법 평균의 가장 큰 차이 {number(apart, 4)}, {inside}.")
    return lines


def figure(frame: pd.DataFrame) -> Figure:
    """A panel a task: a point a seed, the mean as a bar; a line joins the seeds' points of neighbouring methods."""
    style()
    tasks, methods = list(dict.fromkeys(frame["task"])), list(dict.fromkeys(frame["method"]))
    drawn, axes = plt.subplots(1, len(tasks), figsize=(7, 0.7 + 0.42 * len(methods)), squeeze=False, sharey=True)
    plt.close(drawn)
    for ax, task in zip(axes[0], tasks, strict=True):
        own = frame[frame["task"] == task]
        wide = own.pivot(index="seed", columns="method", values="value")[methods]
        for values in wide.to_numpy():
            ax.plot(values, range(len(methods)), color="#bbbbbb", lw=0.7, zorder=1)
        for y, method in enumerate(methods):
            ax.plot(
                wide[method], np.full(len(wide), y), marker(method), color=colour(method), ms=5, mec="white", mew=0.4, zorder=3
            )
            ax.plot([wide[method].mean()] * 2, [y - 0.25, y + 0.25], color="#222222", lw=1.4, zorder=4)
        up = bool(own["higher_is_better"].iloc[0])
        ax.set(title=task, xlabel=metric(own["metric"].iloc[0], up) + (" → 좋음" if up else " ← 좋음"))
        ax.set_yticks(range(len(methods)), [name(m) for m in methods])
        ax.set_ylim(len(methods) - 0.5, -0.5)
        ax.grid(axis="y", visible=False)
    return drawn


def provenance(trained: Sequence[Run]) -> dict[str, Any]:
    """Under what the runs were made, for `tables.stamp`: versions, device, seeds, and the days and commits of all of them."""
    origins = [run.record["provenance"] for run in trained]
    joined = {key: ", ".join(sorted({origin[key] for origin in origins})) for key in origins[0]}
    return {**joined, "profile": trained[0].config.profile, "seeds": sorted({run.config.seed for run in trained})}
