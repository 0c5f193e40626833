"""The figure of the chapter on one's own model."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from mtlstudy.study.figures.panels import panels
from mtlstudy.study.words import word


def losses(examples: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """The losses of every example by step, a panel an example, a line a task; steps at which a task
    has no loss are bridged. Examples: title → a row {task: loss} a step."""
    figure, axes = panels(1, len(examples), 2.4)
    for ax, (title, rows) in zip(axes, examples.items(), strict=True):
        for task, values in pd.DataFrame(rows).items():
            given = values.dropna()
            ax.plot(given.index + 1, given, lw=1, label=task)
        ax.set(title=title, yscale="log", xlabel=word("own_model.step"))
        ax.legend(fontsize=8)
    axes[0].set_ylabel(word("own_model.loss"))
    return figure
