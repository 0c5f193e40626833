"""Where the boxes of a diagram lie (x in columns, one a task; y in inches), and how its lines go
around them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from wiring import Names, Node, Wiring

INPUT: Node = (-1, "")
HIGH, LOW = 0.34, 0.24  # heights of boxes and of mixers
STEP, MIXED_STEP = 0.62, 1.14  # from one row to the next, without and with mixers between
MARGIN, SIDE = 0.11, 0.06  # beside a box in its column; from a box to a line that passes it

Point = tuple[float, float]


class Box(NamedTuple):
    """A rectangle."""

    x0: float
    x1: float
    y0: float
    y1: float

    @property
    def x(self) -> float:
        """The middle."""
        return (self.x0 + self.x1) / 2

    @property
    def y(self) -> float:
        """The middle."""
        return (self.y0 + self.y1) / 2

    @property
    def width(self) -> float:
        """From left to right."""
        return self.x1 - self.x0


class Mixer(NamedTuple):
    """Parameters between stages: parts, their attributes in the model; sees, whether one of them
    takes the model's input; nodes, what they feed; sources and via, the copies and mixers they
    take."""

    parts: list[str]
    sees: bool
    names: Names
    tasks: list[str]
    nodes: list[Node]
    sources: frozenset[Node]
    via: list["Mixer"]
    box: Box


class Layout(NamedTuple):
    """A diagram's boxes and size. factors: stage → box of what its copies are made of in common,
    and the tasks it serves."""

    nodes: dict[Node, Box]
    mixers: list[Mixer]
    factors: dict[int, tuple[Box, list[str]]]
    left: float
    right: float
    top: float
    left_text: float
    right_text: float


def layout(facts: Wiring) -> Layout:
    """Rows from bottom to top: the input, the stages, the heads."""
    K, L = len(facts.tasks), len(facts.copies)
    nodes = {INPUT: Box(MARGIN, K - MARGIN, 0.1, 0.1 + HIGH)}
    y, mixers = 0.1, list[Mixer]()
    for level in range(L + 1):
        row = [(level, c) for c in (facts.copies[level] if level < L else facts.tasks)]
        y += MIXED_STEP if any(facts.before[node] for node in row) else STEP
        for node, (x0, x1) in zip(row, spans(facts, row), strict=True):
            nodes[node] = Box(x0, x1, y, y + HIGH)
        mixers += list(between(facts, row, nodes, mixers))
    factors = {}
    for level, copies in enumerate(facts.copies):
        used = [facts.inside[(level, c)] for c in copies]
        common = Names().union(*(a & b for a, b in combinations(used, 2)))
        if common:
            first = nodes[(level, copies[0])]
            box = Box(K + MARGIN, K + 1 - MARGIN, first.y0, first.y1)
            factors[level] = (box, facts.tasks_of(common))
    penalty = any(kind != "none" for kind in facts.penalised)
    right = K + (1.0 if factors else 0.5 if penalty else 0.1)
    return Layout(nodes, mixers, factors, -0.62, right, y + HIGH + 0.1, -0.06, K + 0.06)


def spans(facts: Wiring, row: Sequence[Node]) -> list[tuple[float, float]]:
    """Left and right of each box of a row: over the columns of its tasks where no two meet, in
    equal parts otherwise."""
    K = len(facts.tasks)
    columns = [[facts.tasks.index(t) for t in facts.serves(node)] for node in row]
    ends = [(min(c, default=0), max(c, default=K - 1) + 1) for c in columns]
    if not any(a < d and c < b for (a, b), (c, d) in combinations(ends, 2)):
        return [(a + MARGIN, b - MARGIN) for a, b in ends]
    width = K / len(row)
    margin = MARGIN * min(width, 1)
    return [(i * width + margin, (i + 1) * width - margin) for i in range(len(row))]


def between(
    facts: Wiring, row: Sequence[Node], nodes: Mapping[Node, Box], below: Sequence[Mixer]
) -> Iterator[Mixer]:
    """The mixers in front of a row. What a mixer further down has mixed is taken from there."""
    groups: dict[tuple[Names, frozenset[Node]], list[Node]] = {}
    for node in row:
        if facts.before[node]:
            groups.setdefault((facts.before[node], facts.sources[node]), []).append(node)
    for (names, sources), fed in groups.items():
        via = [m for m in below if m.names <= names and m.sources <= sources]
        names -= Names().union(*(m.names for m in via))
        sources -= frozenset[Node]().union(*(m.sources for m in via))
        via = [m for m in via if not any(m in other.via for other in via)]  # none is drawn twice
        parts = list(dict.fromkeys(name.split(".")[0] for name in sorted(names)))
        boxes = [nodes[node] for node in fed]
        x = sum(b.x for b in boxes) / len(boxes)
        y = boxes[0].y0 - (MIXED_STEP - STEP) / 2 - LOW / 2
        half = min(0.32, 0.4 * boxes[0].width)
        box = Box(x - half, x + half, y - LOW / 2, y + LOW / 2)
        sees = bool(names & facts.sees)
        yield Mixer(parts, sees, names, facts.tasks_of(names), fed, sources, via, box)


def route(source: Box, target: Box, plan: Layout) -> list[Point]:
    """The points of a line up from a box to another: straight where nothing lies between, else the
    shortest way around."""
    every = [*plan.nodes.values(), *(m.box for m in plan.mixers)]
    others = [
        b for b in every if b not in (source, target) and b.y0 < target.y1 and b.y1 > source.y0
    ]
    sides = [x for b in others for x in (b.x0 - SIDE, b.x1 + SIDE)]
    lanes = sorted({target.x, source.x, *sides})
    around = sorted((bent(source, target, x) for x in lanes), key=length)
    routes = [straight(source, target), *around]
    free = (r for r in routes if not any(crosses(a, b, o) for a, b in pairwise(r) for o in others))
    return next(free, routes[0])


def length(points: Sequence[Point]) -> float:
    """Of a line with these points."""
    return sum(abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pairwise(points))


def straight(source: Box, target: Box) -> list[Point]:
    """From the top of one to the bottom of the other, upright where one lies over the other."""
    narrow, wide = sorted((source, target), key=lambda box: box.width)
    if wide.x0 <= narrow.x <= wide.x1:
        return [(narrow.x, source.y1), (narrow.x, target.y0)]
    return [(source.x, source.y1), (target.x, target.y0)]


def bent(source: Box, target: Box, x: float) -> list[Point]:
    """Up the line at x, from a box's top where it is above it and from its side where not."""

    def side(box: Box) -> Point:
        return (box.x1 if x > box.x else box.x0, box.y)

    begin = [(x, source.y1)] if source.x0 < x < source.x1 else [side(source), (x, source.y)]
    end = [(x, target.y0)] if target.x0 < x < target.x1 else [(x, target.y), side(target)]
    return begin + end


def crosses(a: Point, b: Point, box: Box) -> bool:
    """Whether a line from a to b meets a box, a little widened; looked at in small steps."""
    points = [(a[0] + i / 60 * (b[0] - a[0]), a[1] + i / 60 * (b[1] - a[1])) for i in range(61)]
    return any(
        box.x0 - 0.03 < x < box.x1 + 0.03 and box.y0 + 1e-6 < y < box.y1 - 1e-6 for x, y in points
    )
