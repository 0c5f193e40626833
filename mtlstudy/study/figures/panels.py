"""What figures of several panels have in common: the grid, and one legend under all of them."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlstudy.study.figures.style import style

WIDTH = 7.0


def panels(down: int, across: int, height: float, **how: Any) -> tuple[Figure, list[Axes]]:
    """An empty figure of down × across panels, `height` inches each; how: of `plt.subplots`."""
    style()
    size = (WIDTH, height * down)
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False, **how)
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    return figure, list(axes.flat)


def legend(figure: Figure, axes: list[Axes], across: int = 4) -> Figure:
    """One legend for all panels under them; the figure itself."""
    handles: dict[str, Artist] = {
        text: handle
        for ax in axes
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    columns = min(across, len(handles))
    given = list(handles.values()), list(handles)
    figure.legend(*given, loc="outside lower center", ncols=columns)
    return figure
