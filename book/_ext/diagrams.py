"""A drawn diagram of a sharing architecture, and the same in words, both made from the model.

From bottom to top: the input, a row of boxes a stage (one a copy), the heads. A box has the colours
of the tasks that its parameters serve, as autograd finds it (see wiring.py); lines are what is
computed from what. A rounded box is whatever else has parameters (mixing matrices, gates,
short-cuts), "(x)" that it looks at the input; a dashed line is a penalty.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib.pyplot as plt
import torch
from layout import INPUT, Box, Layout, Mixer, layout, route
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle
from torch import Tensor
from wiring import Node, Wiring, wiring

from mtlstudy.models.sharing.base import Sharing, matrices
from mtlstudy.study.figures.style import style
from mtlstudy.study.words import load, word
from mtlstudy.training.build import build
from mtlstudy.training.config import RunConfig
from mtlstudy.training.search import structure

TASKS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8C6D46")
GREY, INK, RED = "#6b6b6b", "#222222", "#aa0000"
DASHED = (0, (3, 2))
INCHES = 1.62  # a column


def example(family: str) -> Sharing:
    """The model of a family that the book draws: three synthetic tasks over an MLP of depth 3.

    Where the family searches for a structure, it is that of a quick run's search; hierarchical
    tasks are read at the depths 1, 2, 3.
    """
    depths = {"task1": 1, "task2": 2, "task3": 3}
    options = {"depths": depths} if family == "hierarchical" else {}
    return untrained(
        data="synthetic",
        data_options={"tasks": 3},
        sharing=family,
        sharing_options=options,
        depth=3,
        width=16,
    )


def untrained(**fields: Any) -> Sharing:
    """The model of a configuration, its structure searched for where the family does so."""
    config = RunConfig(**fields, device="cpu")
    with TemporaryDirectory() as folder:
        return build(config, structure(config, Path(folder))).model


def colour(task: int) -> str:
    """The colour of the task in column `task`, dark enough for lines."""
    return TASKS[task % len(TASKS)]


def tint(task: int) -> str:
    """The same, light enough for text on it."""
    return to_hex([1 - 0.5 * (1 - c) for c in to_rgb(colour(task))])


def diagram(model: Sharing, x: Tensor | None = None) -> Figure:
    """Draw a model. x: (N, …), an input, needed for images only (see `wiring`)."""
    style()
    facts = wiring(model, x)
    plan = layout(facts)
    figure, ax = plt.subplots(figsize=(INCHES * (plan.right - plan.left), plan.top))
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    ax.set(xlim=(plan.left, plan.right), ylim=(0, plan.top))
    ax.set_axis_off()
    Drawing(ax, facts, plan, densities(model)).draw(model.stage_names)
    return figure


def text(mixer: Mixer) -> str:
    """What a mixer is called: its parts, and "(x)" where it takes the input."""
    names = load("words.ko.yml")["diagram"]["parts"]
    return "·".join(names.get(part, part) for part in mixer.parts) + ("(x)" if mixer.sees else "")


class Drawing:
    """One diagram on its axes."""

    def __init__(
        self, ax: Axes, facts: Wiring, plan: Layout, density: Sequence[Sequence[float]]
    ) -> None:
        self.ax, self.facts, self.plan, self.density = ax, facts, plan, density
        self.size = 8.0 if len(facts.tasks) <= 6 else 5.5

    def draw(self, names: Sequence[str]) -> None:
        """Everything, from the back to the front."""
        L = len(self.facts.copies)
        self.lines()
        self.box(self.plan.nodes[INPUT], [], word("diagram.input"), "input")
        for node, box in self.plan.nodes.items():
            if node != INPUT:
                self.node(node, box)
        for mixer in self.plan.mixers:
            name = text(mixer)
            self.box(mixer.box, mixer.tasks, name, f"mixer:{name}", small=True)
        for level, (box, tasks) in self.plan.factors.items():
            self.box(box, tasks, word("diagram.factors"), f"factors:{level}", small=True)
        for level in range(L):
            self.row(level, names[level])
        y = self.plan.nodes[(L, self.facts.tasks[0])].y
        self.word(self.plan.left_text, y, word("diagram.heads"), ha="right")

    def node(self, node: Node, box: Box) -> None:
        """A copy or a head, with the density of each task's mask in its share of the box."""
        head, tasks = node[0] == len(self.facts.copies), self.facts.serves(node)
        masks = self.density[node[0]] if not head and self.density else []
        only = tasks[0] if len(tasks) == 1 and node[1] == "shared" else node[1]
        name = "" if masks else only.replace("shared", word("diagram.shared"))
        self.box(box, tasks, name, f"{'head' if head else 'copy'}:{node[0]}:{node[1]}")
        for i, density in enumerate(masks):
            x = box.x0 + (i + 0.5) * box.width / len(masks)
            self.word(x, box.y, word("diagram.density", value=f"{density:.2f}"))

    def box(
        self, box: Box, tasks: Sequence[str], name: str, gid: str, *, small: bool = False
    ) -> None:
        """A box in equal parts of the tasks' colours; rounded where it is small."""
        shape = f"round,pad=0,rounding_size={0.07 if small else 0.02}"
        height = box.y1 - box.y0

        def frame(fill: str, order: float, gid: str | None) -> Patch:
            patch = FancyBboxPatch(
                (box.x0, box.y0), box.width, height, boxstyle=shape, mutation_aspect=INCHES, fc=fill
            )
            patch.set(ec=INK, lw=0.9, zorder=order, gid=gid)
            return self.ax.add_patch(patch)

        outline, width = frame("white", 5, gid), box.width / max(len(tasks), 1)
        for i, task in enumerate(tasks):
            part = Rectangle((box.x0 + i * width, box.y0), width, height, lw=0, zorder=5.5)
            part.set(fc=tint(self.facts.tasks.index(task)), gid=f"{gid}:{task}")
            self.ax.add_patch(part)
            part.set_clip_path(outline)
        frame("none", 6, None)
        self.word(box.x, box.y, name, size=self.size - (0.5 if small else 0))

    def row(self, level: int, name: str) -> None:
        """A stage's name on the left; its penalty on the right, as a line through the copies or a
        frame in each."""
        boxes = [self.plan.nodes[(level, c)] for c in self.facts.copies[level]]
        y, kind = boxes[0].y, self.facts.penalised[level]
        self.word(self.plan.left_text, y, name, ha="right")
        if kind == "none":
            return
        self.word(self.plan.right_text + 0.03, y, word("diagram.penalty"), ha="left", color=RED)
        if kind == "between":
            ends = [boxes[0].x, self.plan.right_text]
            self.ax.plot(ends, [y, y], color=RED, ls=DASHED, lw=1.3, zorder=2)
            return
        for b in boxes:
            corner, height = (b.x0 + 0.04, b.y0 + 0.05), b.y1 - b.y0 - 0.1
            inner = Rectangle(corner, b.width - 0.08, height, fc="none", ec=RED)
            inner.set(ls=DASHED, lw=1.1, zorder=7)
            self.ax.add_patch(inner)

    def word(
        self, x: float, y: float, text: str, ha: str = "center", color: str = INK, size: float = 0
    ) -> None:
        """Some text."""
        at = {"ha": ha, "va": "center_baseline"}
        self.ax.text(x, y, text, fontsize=size or self.size, color=color, zorder=8, **at)

    def lines(self) -> None:
        """What is computed from what; a line to what serves one task alone has its colour."""
        nodes = self.plan.nodes
        mixed = {node: mixer for mixer in self.plan.mixers for node in mixer.nodes}
        for node in (n for n in nodes if n != INPUT):
            tasks = self.facts.serves(node)
            if node in mixed:
                self.line(mixed[node].box, nodes[node], tasks)
                continue
            for source in sorted(self.facts.sources[node]) or [INPUT]:
                self.line(nodes[source], nodes[node], tasks)
        for mixer in self.plan.mixers:
            for box in [*(nodes[s] for s in sorted(mixer.sources)), *(m.box for m in mixer.via)]:
                self.line(box, mixer.box, mixer.tasks)
        for level, (box, _) in self.plan.factors.items():
            first = nodes[(level, self.facts.copies[level][0])]
            self.ax.plot([first.x, box.x], [box.y] * 2, color=GREY, ls=":", lw=1.4, zorder=2)

    def line(self, source: Box, target: Box, tasks: Sequence[str]) -> None:
        """A line that goes around the boxes in its way."""
        shade = colour(self.facts.tasks.index(tasks[0])) if len(tasks) == 1 else GREY
        for (xa, ya), (xb, yb) in pairwise(route(source, target, self.plan)):
            self.ax.plot([xa, xb], [ya, yb], color=shade, lw=1.2, zorder=3, solid_capstyle="round")


def densities(model: Sharing) -> list[list[float]]:
    """For each stage the share of its weights that every task's mask keeps; nothing for a model
    without masks."""
    if not hasattr(model, "masks"):
        return []
    masks, rows = iter(model.masks()), []  # (K, …), a weight each
    for stage in model.stages:
        weights = matrices(next(iter(stage.values())))
        flat = [next(masks).float().flatten(1) for _ in weights]
        rows.append(torch.cat(flat, 1).mean(1).tolist() if flat else [1.0] * len(model.tasks))
    return rows


def describe(model: Sharing, x: Tensor | None = None) -> str:
    """The same facts in words, which serve as the diagram's alternative text."""
    facts = wiring(model, x)
    L, names = len(facts.copies), model.stage_names
    stages: dict[str, list[str]] = {}
    for level in range(L):
        stages.setdefault(whose(facts, level), []).append(names[level])
    parts = [f"{', '.join(levels)}: {text}" for text, levels in stages.items()]
    if any(used for node, used in facts.inside.items() if node[0] < L):
        parts.append(word("diagram.made"))
    mixers = layout(facts).mixers
    if mixers:
        places = {"stages" if m.nodes[0][0] < L else "heads" for m in mixers}
        called = dict.fromkeys(
            part for m in mixers for part in text(m)[: -3 * m.sees or None].split("·")
        )
        before = ", ".join(
            word(f"diagram.before.{place}") for place in sorted(places, reverse=True)
        )
        parts.append(word("diagram.learned", places=before, parts=", ".join(called)))
    levels = {t: sorted({level for level, _ in facts.sources[(L, t)]}) for t in facts.tasks}
    if len({tuple(read) for read in levels.values()}) > 1:
        read = (f"{t}: {'·'.join(names[n] for n in levels[t])}" for t in facts.tasks)
        parts.append(word("diagram.reads", read=", ".join(read)))
    elif any(len(read) > 1 for read in levels.values()):
        parts.append(word("diagram.several"))
    parts += [word(f"diagram.{k}") for k in ("between", "within") if k in facts.penalised]
    kept = [density for row in densities(model) for density in row]
    if kept:
        parts.append(word("diagram.masks", low=f"{min(kept):.2f}", high=f"{max(kept):.2f}"))
    return "; ".join(parts)


def whose(facts: Wiring, level: int) -> str:
    """Whose a stage is."""
    served = [facts.serves((level, c)) for c in facts.copies[level]]
    if len(served) == 1:
        tasks = ", ".join(served[0])
        every = served[0] == facts.tasks
        return word("diagram.whose.all") if every else word("diagram.whose.some", tasks=tasks)
    if sorted(served) == sorted([task] for task in facts.tasks):
        return word("diagram.whose.each")
    kinds = ["all" if t == facts.tasks else "one" if len(t) == 1 else "some" for t in served]
    counts = {kind: kinds.count(kind) for kind in ("all", "some", "one")}
    return ", ".join(word(f"diagram.copies.{k}", count=n) for k, n in counts.items() if n)
