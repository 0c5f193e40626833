"""A drawn diagram of a sharing architecture, and the same in words, both made from the model: which stage is whose.

From bottom to top: the input, a row of boxes a stage (one a copy), the heads. A box has the colours of the tasks that its
parameters serve, as autograd finds it (see `mtlstudy.wiring`); lines are what is computed from what. A rounded box is whatever
else has parameters (mixing matrices, gates, short-cuts), "(x)" that it looks at the input; a dashed line is a penalty.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

from mtlstudy.training.loop.build import build
from mtlstudy.training.loop.config import RunConfig
from mtlstudy.layout import INPUT, Box, Layout, lay_out, way
from mtlstudy.training.loop.search import structure
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.study.figures.style import style
from mtlstudy.wiring import Node, Wiring, wiring

TASKS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8C6D46")
GREY, INK = "#6b6b6b", "#222222"
WORDS = {"alpha": "α", "beta": "β", "gates": "관문", "shortcuts": "지름길", "reads": "읽기", "factors": "공유 인자"}
INCHES = 1.62  # a column
ENDS = {
    "한다": "하고",
    "쓴다": "쓰고",
    "있다": "있고",
    "진다": "지고",
    "인다": "이고",
    "르다": "르고",
    "본다": "보고",
    "붙는다": "붙고",
}


def example(family: str) -> Sharing:
    """The model of a family that the book draws: three synthetic tasks over an MLP of depth 3, untrained. Where the family
    searches for a structure, it is that of the quick profile's search; hierarchical tasks are read at the depths 1, 2, 3."""
    given = {"depths": {"task1": 1, "task2": 2, "task3": 3}} if family == "hierarchical" else {}
    config = RunConfig(
        data="synthetic", data_options={"tasks": 3}, sharing=family, sharing_options=given, depth=3, width=16, device="cpu"
    )
    with TemporaryDirectory() as place:
        return build(config, structure(config, Path(place)))[2]


def colour(task: int) -> str:
    """The colour of the task in column `task`, dark enough for lines."""
    return TASKS[task % len(TASKS)]


def tint(task: int) -> str:
    """The same, light enough for text on it."""
    return to_hex(tuple(1 - 0.5 * (1 - c) for c in to_rgb(colour(task))))  # type: ignore[arg-type]


def diagram(model: Sharing, x: Tensor | None = None) -> Figure:
    """Draw a model. x (N, …): an input, needed for images only (see `wiring`)."""
    style()
    facts = wiring(model, x)
    plan = lay_out(facts, WORDS)
    figure, ax = plt.subplots(figsize=(INCHES * (plan.right - plan.left), plan.top))
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    ax.set(xlim=(plan.left, plan.right), ylim=(0, plan.top))
    ax.set_axis_off()
    Drawing(ax, facts, plan, densities(model)).draw(getattr(model, "names", []))
    return figure


class Drawing:
    """One diagram on its axes."""

    def __init__(self, ax: Axes, facts: Wiring, plan: Layout, density: list[list[float]]) -> None:
        self.ax, self.facts, self.plan, self.density = ax, facts, plan, density
        self.size = 8.0 if len(facts.tasks) <= 6 else 5.5

    def draw(self, names: Sequence[str]) -> None:
        """Everything, from the back to the front."""
        self.lines()
        self.box(self.plan.nodes[INPUT], [], "입력 x", "input")
        for node, box in self.plan.nodes.items():
            if node != INPUT:
                self.node(node, box)
        for mixer in self.plan.mixers:
            self.box(mixer.box, mixer.tasks, mixer.text, f"mixer:{mixer.text}", small=True)
        for level, (box, tasks) in self.plan.factors.items():
            self.box(box, tasks, WORDS["factors"], f"factors:{level}", small=True)
        for level in range(len(self.facts.copies)):
            self.row(level, names[level] if level < len(names) else f"단계 {level + 1}")
        self.word(self.plan.left_text, self.plan.nodes[(len(self.facts.copies), self.facts.tasks[0])].y, "출력층", ha="right")

    def node(self, node: Node, box: Box) -> None:
        """A copy or a head, with the density of each task's mask in its share of the box."""
        head = node[0] == len(self.facts.copies)
        tasks = self.facts.serves(node)
        masks = self.density[node[0]] if not head and self.density else []
        name = tasks[0] if len(tasks) == 1 and node[1] == "shared" else node[1].replace("shared", "공유")
        self.box(box, tasks, "" if masks else name, f"{'head' if head else 'copy'}:{node[0]}:{node[1]}")
        for i, density in enumerate(masks):
            self.word(box.x0 + (i + 0.5) * (box.x1 - box.x0) / len(masks), box.y, f"밀도 {density:.2f}")

    def box(self, box: Box, tasks: Sequence[str], text: str, gid: str, *, small: bool = False) -> None:
        """A box in equal parts of the tasks' colours; rounded where it is small."""
        shape = f"round,pad=0,rounding_size={0.07 if small else 0.02}"
        frame = FancyBboxPatch((box.x0, box.y0), box.x1 - box.x0, box.y1 - box.y0, boxstyle=shape, mutation_aspect=INCHES,
                               fc="white", ec=INK, lw=0.9, zorder=5, gid=gid)  # fmt: skip
        self.ax.add_patch(frame)
        width = (box.x1 - box.x0) / max(len(tasks), 1)
        for i, task in enumerate(tasks):
            part = Rectangle((box.x0 + i * width, box.y0), width, box.y1 - box.y0, fc=tint(self.facts.tasks.index(task)),
                             lw=0, zorder=5.5, gid=f"{gid}:{task}")  # fmt: skip
            self.ax.add_patch(part)
            part.set_clip_path(frame)
        edge = FancyBboxPatch((box.x0, box.y0), box.x1 - box.x0, box.y1 - box.y0, boxstyle=shape, mutation_aspect=INCHES,
                              fc="none", ec=INK, lw=0.9, zorder=6)  # fmt: skip
        self.ax.add_patch(edge)
        self.word(box.x, box.y, text, size=self.size - (0.5 if small else 0))

    def row(self, level: int, name: str) -> None:
        """A stage's name on the left; its penalty on the right, as a line through the copies or a frame in each."""
        boxes = [self.plan.nodes[(level, c)] for c in self.facts.copies[level]]
        self.word(self.plan.left_text, boxes[0].y, name, ha="right")
        if self.facts.penalised[level] == "between":
            self.ax.plot([boxes[0].x, self.plan.right_text], [boxes[0].y] * 2, color="#aa0000", ls=(0, (3, 2)), lw=1.3, zorder=2)
        elif self.facts.penalised[level] == "within":
            for b in boxes:
                self.ax.add_patch(Rectangle((b.x0 + 0.04, b.y0 + 0.05), b.x1 - b.x0 - 0.08, b.y1 - b.y0 - 0.1, fc="none",
                                            ec="#aa0000", ls=(0, (3, 2)), lw=1.1, zorder=7))  # fmt: skip
        if self.facts.penalised[level] != "none":
            self.word(self.plan.right_text + 0.03, boxes[0].y, "벌점", ha="left", color="#aa0000")

    def word(self, x: float, y: float, text: str, ha: str = "center", color: str = INK, size: float = 0) -> None:
        """Some text."""
        self.ax.text(x, y, text, ha=ha, va="center_baseline", fontsize=size or self.size, color=color, zorder=8)

    def lines(self) -> None:
        """What is computed from what; a line to what serves one task alone has its colour."""
        nodes, mixed = self.plan.nodes, {node: mixer for mixer in self.plan.mixers for node in mixer.nodes}
        for node in (n for n in nodes if n != INPUT):
            if node in mixed:
                self.line(mixed[node].box, nodes[node], self.facts.serves(node))
            else:
                for source in sorted(self.facts.sources[node]) or [INPUT]:
                    self.line(nodes[source], nodes[node], self.facts.serves(node))
        for mixer in self.plan.mixers:
            for box in [nodes[source] for source in sorted(mixer.sources)] + [other.box for other in mixer.via]:
                self.line(box, mixer.box, mixer.tasks)
        for level, (box, _) in self.plan.factors.items():
            first = nodes[(level, self.facts.copies[level][0])]
            self.ax.plot([first.x, box.x], [box.y] * 2, color=GREY, ls=":", lw=1.4, zorder=2)

    def line(self, source: Box, target: Box, tasks: Sequence[str]) -> None:
        """A line that goes around the boxes in its way."""
        own = colour(self.facts.tasks.index(tasks[0])) if len(tasks) == 1 else GREY
        for (xa, ya), (xb, yb) in pairwise(way(source, target, self.plan)):
            self.ax.plot([xa, xb], [ya, yb], color=own, lw=1.2, zorder=3, solid_capstyle="round")


def densities(model: Sharing) -> list[list[float]]:
    """For each stage the share of its weights that every task's mask keeps; nothing for a model without masks."""
    if not hasattr(model, "masks"):
        return []
    kept = [[0.0] * len(model.sorted) for _ in model.stages]
    size = [0] * len(kept)
    for name, mask in model.masks().items():  # type: ignore[operator]  # (K, …)
        level = int(name.split(".")[0])
        size[level] += mask[0].numel()
        kept[level] = [k + float(m.sum()) for k, m in zip(kept[level], mask, strict=True)]
    return [[k / max(n, 1) for k in row] for row, n in zip(kept, size, strict=True)]


def describe(model: Sharing, x: Tensor | None = None) -> str:
    """The same facts as one Korean sentence, which serves as the diagram's alternative text."""
    facts = wiring(model, x)
    L, names = len(facts.copies), list(getattr(model, "names", []))
    said: dict[str, list[str]] = {}
    for level in range(L):
        said.setdefault(whose(facts, level), []).append(names[level] if level < len(names) else str(level + 1))
    clauses = [f"{', '.join(stages)} 단계는 {clause}" for clause, stages in said.items()]
    if any(used for node, used in facts.inside.items() if node[0] < L):
        clauses.append("그 가중치는 모든 과제가 공유하는 인자로 만들어진다")
    mixers = lay_out(facts, WORDS).mixers
    if mixers:
        at = {"단계 사이" if m.nodes[0][0] < L else "출력층 앞" for m in mixers}
        parts = dict.fromkeys(part for m in mixers for part in m.text.removesuffix("(x)").split("·"))
        clauses.append(f"{'와 '.join(sorted(at))}에 학습되는 부분({', '.join(parts)})이 놓인다")
    levels = {task: sorted({level for level, _ in facts.sources[(L, task)]}) for task in facts.tasks}
    if len({tuple(read) for read in levels.values()}) > 1:
        read = ", ".join(f"{task}: {'·'.join(names[level] for level in levels[task])}" for task in facts.tasks)
        clauses.append(f"출력층이 보는 단계({read})는 과제마다 다르다")
    elif any(len(read) > 1 for read in levels.values()):
        clauses.append("출력층은 여러 단계의 출력을 본다")
    for kind, clause in (("between", "사본들을 서로 묶는 벌점이 붙는다"), ("within", "사본마다 따로 벌점이 붙는다")):
        if kind in facts.penalised:
            clauses.append(clause)
    kept = [density for row in densities(model) for density in row]
    if kept:
        clauses.append(f"과제마다 마스크가 고른 가중치(밀도 {min(kept):.2f}–{max(kept):.2f})만 쓰인다")
    return sentence(clauses)


def whose(facts: Wiring, level: int) -> str:
    """Whose a stage is."""
    served = [facts.serves((level, c)) for c in facts.copies[level]]
    if len(served) == 1:
        return "모든 과제가 공유한다" if served[0] == facts.tasks else f"{', '.join(served[0])} 과제만 쓴다"
    if sorted(served) == sorted([task] for task in facts.tasks):
        return "과제마다 따로 있다"
    kinds = ["모든 과제가" if t == facts.tasks else "한 과제만" if len(t) == 1 else "일부 과제가" for t in served]
    counted = [f"{kind} 쓰는 사본 {kinds.count(kind)}개" for kind in sorted(set(kinds))]
    return f"{', '.join(counted)}로 이루어진다"


def sentence(clauses: Sequence[str]) -> str:
    """Clauses joined into one sentence.

    >>> sentence(["layer1 단계는 모든 과제가 공유한다", "layer2 단계는 과제마다 따로 있다"])
    'layer1 단계는 모든 과제가 공유하고, layer2 단계는 과제마다 따로 있다.'
    """
    joined = [c.removesuffix(end) + link for c in clauses[:-1] for end, link in ENDS.items() if c.endswith(end)]
    return ", ".join([*joined, clauses[-1]]) + "."
