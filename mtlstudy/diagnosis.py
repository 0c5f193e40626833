"""A diagnosis of your own multi-task model: do its tasks conflict, and is weighing them worth it?

    report = ms.doctor(model, losses_of, batches)      # losses_of(model, batch) -> {task: loss}
    print(report)                                       # or report.html()

Three parts: what the gradients say at the present parameters, block by block; whether the
bargaining game has a solution on them, and where the customary procedure (Navon et al., ICML 2022,
arXiv 2202.01017) would miss it; and a short race of weightings, and of every task alone, from these
parameters, judged on batches that none of them trained on. The model is left as it was. A
difference counts where its 95 % interval over the batches leaves 0 out.
"""

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from importlib.util import find_spec
from itertools import combinations
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from mtlstudy.api import Balancer, graph, leaves, missing, named
from mtlstudy.errors import InputError
from mtlstudy.gradients import cosines, gramian
from mtlstudy.nash import Status, nash_weights
from mtlstudy.nash.reference import FAILED, ccp, residual

LossesOf = Callable[[nn.Module, Any], Mapping[str, Tensor | None]]
RACE = ("equal", "equal_norm", "uncertainty", "nash")
STATIC = 3
"""Fixed weights that are tried in the race, drawn from the simplex."""
SCALES = 3.0
"""A ratio of the largest to the smallest mean gradient norm from which the scales differ."""


class Section(NamedTuple):
    """A table of the report: title, columns, rows of strings, and what they let one say."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]]
    said: list[str]


class Report(NamedTuple):
    """Sections, and the advice with its reasons; `str` is for a terminal, `html` for a browser."""

    sections: list[Section]
    advice: list[str]

    def __str__(self) -> str:
        parts = []
        for title, columns, rows, said in self.sections:
            table = [list(columns), *rows]
            widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
            lines = [
                "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                for row in table
            ]
            parts.append("\n".join([title, *(f"  {line}".rstrip() for line in lines), *said]))
        return "\n\n".join([*parts, "\n".join(["Advice", *(f"- {line}" for line in self.advice)])])

    def html(self) -> str:
        """The report as one page without scripts; names from the model show as text."""
        parts = [
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>mtlstudy doctor</title>'
        ]
        parts.append("<style>td,th{padding:.2em .8em;text-align:left}</style>")
        for title, columns, rows, said in self.sections:
            head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
            body = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
            table = "".join(f"<tr>{line}</tr>" for line in [head, *body])
            parts += [f"<h2>{html.escape(title)}</h2><table>{table}</table>"]
            parts += [f"<p>{html.escape(line)}</p>" for line in said]
        advice = "".join(f"<li>{html.escape(line)}</li>" for line in self.advice)
        return "\n".join([*parts, f"<h2>Advice</h2><ul>{advice}</ul></html>"])


class Estimate(NamedTuple):
    """A mean over batches with its 95 % interval (Student's t)."""

    mean: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or −1 where the interval is on one side of 0, 0 where it is not."""
        return int(self.low > 0) - int(self.high < 0)

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of some values with its interval; an infinite one for a single value."""
    from scipy.stats import t as student  # here: importing the package must stay cheap

    x = np.asarray(values, dtype=np.float64)
    half = np.inf
    if len(x) > 1:
        half = float(student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5)
    return Estimate(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half)


def doctor(
    model: nn.Module,
    losses_of: LossesOf,
    batches: Iterable[Any],
    steps: int = 50,
    lr: float = 1e-3,
    race: Sequence[str] = RACE,
    progress: bool = True,
) -> Report:
    """Examine a model; see the module.

    losses_of: (model, batch) → {task: scalar loss, or None}; batches: five or more, of which the
    last fifth judge the race and train nothing; steps, lr: of each contestant, with Adam; race:
    weightings, the first of which the others are compared with.

    Raises:
        InputError: fewer than five batches, fewer than two tasks, or nothing that two losses reach.
    """
    given = list(batches)
    if len(given) < 5:
        raise InputError(f"batches: {len(given)}; allowed: 5 or more")
    held = max(len(given) // 5, 1)
    train, judge = given[:-held], given[-held:]
    with torch.random.fork_rng():
        seen = Gradients(deepcopy(model), losses_of)
        for batch in tqdm(train, desc="gradients", disable=not progress or None, leave=False):
            seen.look(batch)
        if len(seen.names) < 2 or not seen.blocks:
            what = f"{len(seen.names)} tasks, {len(seen.blocks)} blocks of shared parameters"
            raise InputError(f"losses_of: {what}; allowed: two tasks or more that share some")
        raced = {}
        absent = left_out(race, seen.names)
        race = [name for name in race if name not in absent]
        methods = [*race, *(f"static {i + 1}" for i in range(STATIC)), *seen.names]
        for one in tqdm(methods, desc="race", disable=not progress or None, leave=False):
            torch.manual_seed(0)  # the same draws for all
            raced[one] = contest(model, losses_of, train, judge, one, seen.names, steps, lr)
    result = Race(raced, seen.names, steps, len(judge), list(absent.values()))
    sections = [seen.scales(), seen.conflicts(), seen.games(), result.weightings(), result.alone()]
    return Report(sections, advice(seen, result))


class Gradients:
    """What the task gradients say over the batches. losses: (n, K); M: Gramians (B, K, K) of every
    batch, a block a top-level module whose parameters two losses reach; absent tasks have 0."""

    def __init__(self, model: nn.Module, losses_of: LossesOf) -> None:
        self.model, self.losses_of = model, losses_of
        self.names: list[str] = []
        self.blocks: dict[str, list[Tensor]] = {}
        self.losses: list[list[float]] = []
        self.M: list[Tensor] = []

    def look(self, batch: Any) -> None:
        """Take in one batch."""
        losses = named(self.losses_of(self.model, batch), self.names or None)
        self.names = self.names or list(losses)
        absent = missing(losses)
        present: dict[str, Any] = {n: x for n, x in losses.items() if n not in absent}
        if not self.blocks:
            reached = [set(leaves([loss], graph([loss]))) for loss in present.values()]
            for name, p in self.model.named_parameters():
                if sum(p in found for found in reached) > 1:
                    self.blocks.setdefault(name.split(".")[0], []).append(p)
        shared = [p for block in self.blocks.values() for p in block]
        if not shared:
            return
        rows = [torch.zeros(sum(p.numel() for p in shared), device=shared[0].device)] * len(losses)
        for t, name in enumerate(self.names):
            if name in present:
                grads = torch.autograd.grad(
                    present[name], shared, retain_graph=True, materialize_grads=True
                )
                rows[t] = torch.cat([g.flatten() for g in grads])
        sizes = [sum(p.numel() for p in block) for block in self.blocks.values()]
        self.M.append(gramian(torch.stack(rows), sizes).cpu())
        values = (present.get(name) for name in self.names)
        self.losses.append([np.nan if x is None else float(x.detach()) for x in values])

    def norms(self) -> np.ndarray:
        """Lengths (n, K) of the gradients on all that is shared."""
        return np.stack([M.sum(0).diagonal().clamp_min(0).sqrt().numpy() for M in self.M])

    def scales(self) -> Section:
        """Sizes of losses and gradients, a row a task."""
        losses, norms = np.array(self.losses), self.norms()
        rows = [
            [name, f"{loss:.4g}", f"{norm:.4g}", f"{sd / max(norm, 1e-30):.2f}"]
            for name, loss, norm, sd in zip(
                self.names, np.nanmean(losses, 0), norms.mean(0), norms.std(0), strict=True
            )
        ]
        said = f"Largest over smallest mean gradient norm: {self.ratio():.3g}."
        return Section("Scales", ["task", "loss", "gradient norm", "its variation"], rows, [said])

    def ratio(self) -> float:
        """The largest over the smallest mean length of a task's gradient."""
        mean = self.norms().mean(0)
        return float(mean.max() / max(mean.min(), 1e-30))

    @cached_property
    def pairs(self) -> dict[tuple[str, str], list[Estimate]]:
        """The cosine of every pair of tasks over the batches in which both have a gradient: on all
        that is shared, then block by block."""
        M = torch.stack([torch.cat([one.sum(0, keepdim=True), one]) for one in self.M])
        C, there = cosines(M), M.diagonal(dim1=-2, dim2=-1) > 0  # (n, 1 + B, K, K), (n, 1 + B, K)
        found = {}
        for (s, one), (t, other) in combinations(enumerate(self.names), 2):
            both = there[..., s] & there[..., t]
            parts = zip(C[..., s, t].unbind(1), both.unbind(1), strict=True)
            found[one, other] = [estimate(c[b].tolist() or [0.0]) for c, b in parts]
        return found

    def steady(self) -> list[tuple[str, str]]:
        """The pairs of tasks whose gradients oppose each other beyond the noise of the batches."""
        return [pair for pair, (whole, *_) in self.pairs.items() if whole.sign < 0]

    def conflicts(self) -> Section:
        """Cosines of every pair, over all that is shared and block by block."""
        verdicts = {1: "agree", 0: "only noise", -1: "conflict"}
        rows = [
            [", ".join(pair), str(whole), verdicts[whole.sign], *map(str, by_block)]
            for pair, (whole, *by_block) in self.pairs.items()
        ]
        columns = ["pair", "cosine [95 %]", "verdict", *self.blocks]
        said = f"Pairs in steady conflict: {len(self.steady())} of {len(rows)}."
        return Section("Conflict", columns, rows, [said])

    def games(self) -> Section:
        """The bargaining game on every batch, and where the customary procedure would fail."""
        solution = nash_weights(torch.stack([M.sum(0) for M in self.M]))
        counts = {s.name: int((solution.status == s).sum()) for s in Status}
        rows = [["exact", name, str(n)] for name, n in counts.items() if n]
        worst = solution.residual[solution.solved]
        said = (
            [f"Largest residual of a solved game: {float(worst.max()):.1e}."] if len(worst) else []
        )
        if find_spec("cvxpy") is None:
            said.append(
                "The customary procedure was not tried: the package cvxpy is not installed."
            )
            return Section("Game", ["solver", "status", "batches"], rows, said)
        missed = 0
        for M in self.M:
            m = M.sum(0).numpy()
            a = ccp(m).weights if (np.diagonal(m) > 0).all() else np.full(len(m), np.nan)
            missed += not residual(m, a) <= FAILED
        rows.append(["customary", f"residual above {FAILED:g}", str(missed)])
        return Section("Game", ["solver", "status", "batches"], rows, said)


def left_out(race: Sequence[str], names: list[str]) -> dict[str, str]:
    """The weightings whose package is not installed, with what they say. `InputError` for one that
    there is not, and where none is left."""
    said = {}
    for weighting in race:
        try:
            Balancer(weighting, names)
        except InputError as error:
            if "pip install" not in str(error):
                raise
            said[weighting] = str(error)
    if len(said) == len(race):
        raise InputError(
            f"race = {list(race)}: none of them is there; {next(iter(said.values()), '')}"
        )
    return said


class Contest(NamedTuple):
    """losses (n, K) on the batches that judge, after the race; seconds a step, their median."""

    losses: np.ndarray
    seconds: float


def contest(
    model: nn.Module,
    losses_of: LossesOf,
    train: Sequence[Any],
    judge: Sequence[Any],
    method: str,
    names: list[str],
    steps: int,
    lr: float,
) -> Contest:
    """Train a copy by a weighting, by fixed weights ("static 1", …) or on one task alone."""
    own, kind, *number = deepcopy(model), *method.split()
    alone = names.index(method) if method in names else None
    options: dict[str, Any] = {}
    if number and alone is None:
        drawn = np.random.default_rng(0).dirichlet([4.0] * len(names), STATIC)
        options["weights"] = [float(w) for w in drawn[int(number[0]) - 1]]
    balancer = Balancer("equal" if alone is not None else kind, names, **options)
    optimiser = torch.optim.Adam([*own.parameters(), *balancer.parameters()], lr)
    took = []
    for step in range(steps):
        begin = perf_counter()
        optimiser.zero_grad()
        losses = dict(losses_of(own, train[step % len(train)]))
        if alone is not None:
            losses = {n: loss if n == method else None for n, loss in losses.items()}
        balancer.backward(losses)
        optimiser.step()
        took.append(perf_counter() - begin)
    own.eval()
    with torch.no_grad():
        values = [named(losses_of(own, batch), names) for batch in judge]
    rows = [[np.nan if x is None else float(x) for x in row.values()] for row in values]
    return Contest(np.array(rows), median(took))


class Race(NamedTuple):
    """What came out: contestant → `Contest`; the first is what the others are compared with."""

    contests: Mapping[str, Contest]
    names: list[str]
    steps: int
    judged: int
    left_out: list[str]

    @property
    def base(self) -> str:
        """The weighting that the others are compared with."""
        return next(iter(self.contests))

    def gain(self, method: str, task: int | None = None) -> Estimate:
        """How much lower (%) the losses of the judging batches are than under the base, a mean over
        the tasks, or of one task."""
        base, own = self.contests[self.base].losses, self.contests[method].losses
        relative = 100 * (base - own) / np.maximum(np.abs(base), 1e-30)  # (n, K)
        by_batch = np.nanmean(relative, 1) if task is None else relative[:, task]
        return estimate(by_batch[np.isfinite(by_batch)].tolist() or [0.0])

    def methods(self) -> list[str]:
        """The weightings, without the tasks alone."""
        return [name for name in self.contests if name not in self.names]

    def weightings(self) -> Section:
        """A row a weighting."""
        first = self.contests[self.base].seconds
        rows = [
            [name, str(self.gain(name)), f"{self.contests[name].seconds / first:.2f}"]
            for name in self.methods()
        ]
        said = (
            f"{self.steps} steps each from the present parameters; judged on {self.judged} batches."
        )
        columns = ["weighting", f"gain over {self.base} % [95 %]", "time a step"]
        return Section("Race", columns, rows, [said, *self.left_out])

    def alone(self) -> Section:
        """What each task gains by being trained alone."""
        rows = [[n, str(self.gain(n, t))] for t, n in enumerate(self.names)]
        return Section("Alone", ["task", f"gain over {self.base} % [95 %]"], rows, [])


def advice(seen: Gradients, race: Race) -> list[str]:
    """What to do, with its reasons and how sure they are."""
    better = [m for m in race.methods()[1:] if race.gain(m).sign > 0]
    pairs, lines = seen.steady(), list[str]()
    if better:
        best = max(better, key=lambda m: race.gain(m).mean)
        lines.append(
            f"Weigh by {best}: it gained {race.gain(best)} % over {race.base} in the race."
        )
    else:
        lines.append(f"Stay with {race.base}: no weighting gained over it beyond the noise.")
    if seen.ratio() >= SCALES and not better:
        scales = f"gradient norms differ {seen.ratio():.3g} times"
        lines.append(f"The {scales}; scale the losses, or try equal_norm in a longer run.")
    if pairs:
        shown = "; ".join(", ".join(pair) for pair in pairs[:5])
        lines.append(
            f"In steady conflict: {shown}. Let them share fewer layers (partial, nash_share)."
        )
    else:
        lines.append("No pair of tasks conflicts beyond the noise of the batches.")
    alone = [n for t, n in enumerate(race.names) if race.gain(n, t).sign > 0]
    if alone:
        lines.append(f"Better alone, so far: {', '.join(alone)}. Sharing may harm them.")
    few = f"{race.judged} batches and {race.steps} steps are a short race"
    lines.append(f"How sure: {few}; tune the learning rate of what you choose and use fresh seeds.")
    return lines
