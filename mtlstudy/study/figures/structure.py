"""Figures of the structure experiment from its frames: a panel a judge. `InputError` where there is
nothing to draw."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlstudy.study import statistics, structure
from mtlstudy.study.figures.panels import grid, legend, strip, tiles
from mtlstudy.study.figures.style import DARK, GREY, LOOKS
from mtlstudy.study.words import name, word

TINTS = tuple(tint for tint, _ in LOOKS.values())
MARKS = "oDs^vPX<*p>hd8"


def delta_m(frame: pd.DataFrame) -> Figure:
    """Δm of every arm over single-task: a point a seed, the mean and its interval."""
    gains = structure.gains(frame).rename(columns={"arm": "method"})
    gains = gains[gains["method"] != "single_task"]
    names = {arm: structure.called(arm) for arm in structure.ARMS if arm in set(gains["method"])}
    judges = list(gains["judge"].unique())
    figure, axes = tiles(len(judges), 0.9 + 0.25 * len(names), sharey="row")
    for ax, judge in zip(axes, judges, strict=True):
        own = gains[gains["judge"] == judge]
        strip(ax, own, "delta_m", names)
        ax.axvline(0, color=GREY, lw=1, ls="--", zorder=1)
        ax.set(title=name("data_short", judge), xlabel=word("axis.delta_m_better"))
    return figure


def front(frame: pd.DataFrame) -> Figure:
    """Δm against parameters (left) and passes through a trunk (right), on log scales."""
    gains = structure.gains(frame)
    judges = list(gains["judge"].unique())
    figure, axes = grid(len(judges), 2, 2.1, sharey="row")
    arms = [arm for arm in structure.ARMS if arm in set(gains["arm"])]
    for row, judge in zip(axes, judges, strict=True):
        for ax, key in zip(row, ("share", "cost"), strict=True):
            for i, arm in enumerate(arms):
                own = gains[(gains["judge"] == judge) & (gains["arm"] == arm)]
                if own.empty:
                    continue
                ci, x = statistics.interval(own["delta_m"]), own[key].mean()
                tint = TINTS[i % len(TINTS)]
                ax.plot([x, x], [ci.low, ci.high], color=tint, lw=1, alpha=0.7)
                edge = {"ms": 6.5, "mec": "white", "mew": 0.5, "label": structure.called(arm)}
                ax.plot(x, ci.mean, MARKS[i % len(MARKS)], ls="none", color=tint, **edge)
            ax.axhline(0, color=GREY, lw=1, ls="--", zorder=1)
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:.2g}")
            ax.set_title(name("data_short", judge))
        row[0].set_ylabel(word("axis.delta_m"))
    for ax, key in zip(axes[-1], ("share", "cost"), strict=True):
        ax.set_xlabel(word(f"structure.axis.{key}"))
    return legend(figure, list(axes.flat), 5)


def over_time(coalitions: pd.DataFrame, frame: pd.DataFrame, arm: str = "nash_share") -> Figure:
    """Which tasks share a stage with which, over the steps: a row a task, in the order of the true
    groups, which the gaps divide; one colour, one copy. A column a stage."""
    own = coalitions[coalitions["arm"] == arm]
    judges, stages = list(own["judge"].unique()), sorted(own["stage"].unique())
    figure, axes = grid(len(judges), len(stages), 1.7, sharex=True)
    for row, judge in zip(axes, judges, strict=True):
        of_judge, groups = own[own["judge"] == judge], true_groups(judge)
        order = list(groups)
        place = {task: i + 0.6 * groups[task] for i, task in enumerate(order)}
        end = int(structure.rows_of(frame, judge, arm)["steps"].max())
        for ax, stage in zip(row, stages, strict=True):
            bars(ax, of_judge[of_judge["stage"] == stage], place, end)
            ax.set_title(f"{name('data_short', judge)}, {word('structure.stage', stage=stage + 1)}")
            ax.set_yticks(list(place.values()), [str(int(t.removeprefix("task"))) for t in order])
            ax.tick_params(axis="y", labelsize=6.5)
            ax.set(xlim=(0, end), ylim=(max(place.values()) + 0.6, -0.6))
            ax.grid(visible=False)
        row[0].set_ylabel(word("structure.axis.task"))
    for ax in axes[-1]:
        ax.set_xlabel(word("structure.axis.step"))
    return figure


def bars(ax: Axes, decisions: pd.DataFrame, place: dict[str, float], end: int) -> None:
    """A bar a task from one decision to the next, in the colour of its coalition."""
    steps = sorted(decisions["step"].unique())
    for step, until in zip(steps, [*steps[1:], end], strict=True):
        now = decisions[decisions["step"] == step]
        several = now["coalition"].nunique() > 1
        for row in now.itertuples():
            tint = TINTS[1 + row.coalition % (len(TINTS) - 1)] if several else GREY
            y, width = place[str(row.task)], until - step
            ax.barh(y, width, 0.8, step, color=tint, edgecolor="white", linewidth=0.6)


def drifts(cosines: pd.DataFrame, arm: str = "nash_share") -> Figure:
    """Cosines of the tasks' drifts by which the coalitions formed, tasks in the order of their true
    groups, between which a line is drawn."""
    own = cosines[cosines["arm"] == arm]
    judges = list(own["judge"].unique())
    figure, axes = tiles(len(judges), 2.2)
    for ax, judge in zip(axes, judges, strict=True):
        groups = true_groups(judge)
        order = list(groups)
        C = own[own["judge"] == judge].pivot(index="row", columns="column", values="value")
        C = C.loc[order, order].to_numpy(copy=True)
        np.fill_diagonal(C, np.nan)
        image = ax.imshow(C, cmap="RdBu", vmin=-1, vmax=1)
        borders = [i for i in range(1, len(order)) if groups[order[i]] != groups[order[i - 1]]]
        for at in borders if len(borders) < len(order) - 1 else []:
            ax.axhline(at - 0.5, color=DARK, lw=0.8)
            ax.axvline(at - 0.5, color=DARK, lw=0.8)
        numbers = [str(int(task.removeprefix("task"))) for task in order]
        ax.set_xticks(range(len(order)), numbers, fontsize=6.5)
        ax.set_yticks(range(len(order)), numbers, fontsize=6.5)
        ax.set_title(name("data_short", judge))
        ax.grid(visible=False)
    figure.colorbar(image, ax=axes, label=word("structure.axis.cosine"), shrink=0.8)
    return figure


def true_groups(judge: str) -> dict[str, int]:
    """Task → its true group, group by group."""
    c = structure.config(judge, "hard")
    pairs = zip([task.name for task in c.tasks], structure.truth(c), strict=True)
    return dict(sorted(pairs, key=lambda pair: pair[1]))  # tasks in their order within a group
