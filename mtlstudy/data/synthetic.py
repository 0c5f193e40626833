"""Synthetic regression tasks whose grouping is known: teachers in hidden groups, with relatedness ρ
inside a group.

Source: this study (the structure to be recovered is the truth of the generator).

    y_t = v_tᵀ (√ρ φ_g(t)(x) + √(1−ρ) ψ_t(x)) + σ ε
    x ~ N(0, I)                x (N, inputs), φ, ψ (N, F): random tanh layers, F = 16

Tasks of one group share the teacher φ_g; each has its own ψ_t. The seed draws teachers and examples
alike; targets are standardised by the training examples. `groups()` is the true partition.

On `synthetic` hard sharing wins whatever the groups: its trunk of width 32 holds all teachers. The
entries of `JUDGES` are truths on which structure matters, in both directions: groups that a narrow
trunk cannot serve at once, and teachers that all tasks have in common, where splitting is wrong.
"""

from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field, create_model
from torch import Tensor

from mtlstudy.data.base import Data, Split, Splits, registry
from mtlstudy.models.tasks import Task
from mtlstudy.registry import Options as NoOptions


class Teacher(NamedTuple):
    """features: F, the width of its tanh layers; sharpness: their slope; layers: how many; lower:
    whether the first of two is each group's own or the same for all tasks."""

    features: int = 16
    sharpness: float = 2.0
    layers: int = 1
    lower: Literal["grouped", "shared"] = "grouped"


@registry.register("synthetic")
class Synthetic(Data):
    """K regression tasks in hidden groups."""

    citation = "this study"
    source = "mtlstudy/data/synthetic.py"

    class Options(NoOptions):
        """tasks: K; groups: hidden groups; rho: relatedness inside a group; train: examples;
        inputs: dimensions; noise: σ; multi_input: each task has `train` examples of its own, in
        place of all tasks on the same ones."""

        tasks: Annotated[int, Field(ge=1, le=64)] = 6
        groups: Annotated[int, Field(ge=1, le=64)] = 2
        rho: Annotated[float, Field(ge=0, le=1)] = 0.9
        train: Annotated[int, Field(ge=10, le=100_000)] = 1000
        inputs: Annotated[int, Field(ge=1, le=1000)] = 20
        noise: Annotated[float, Field(ge=0, le=1e6)] = 0.1
        multi_input: bool = False

    @property
    def teacher(self) -> Teacher:
        """What every teacher is."""
        return Teacher()

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(f"task{t + 1}", "regression") for t in range(self.options.tasks))

    def groups(self) -> list[int]:
        """The true group of every task: dealt out in turn."""
        return [t % self.options.groups for t in range(self.options.tasks)]

    def load(self, seed: int) -> Splits:
        o, generator = self.options, torch.Generator().manual_seed(seed)
        F, sharpness, layers, lower = self.teacher

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        copies = o.tasks if o.multi_input else 1
        sizes = [o.train * copies, 500 * copies, 2000 * copies]
        x = normal(sum(sizes), o.inputs)
        phi = [normal(o.groups, o.inputs, F)]  # layers of the teachers
        psi = [normal(o.tasks, o.inputs, F)]
        v = normal(o.tasks, F)
        if lower == "shared":
            common = phi[0][0].clone()
            phi[0][:], psi[0][:] = common, common
        if layers == 2:
            phi.append(normal(o.groups, F, F))
            psi.append(normal(o.tasks, F, F))
        columns = []
        for t, g in enumerate(self.groups()):
            common, own = x, x
            for group_layer, task_layer in zip(phi, psi, strict=True):
                common = _tanh(common, group_layer[g], sharpness)
                own = _tanh(own, task_layer[t], sharpness)
            columns.append((o.rho**0.5 * common + (1 - o.rho) ** 0.5 * own) @ v[t])
        y = torch.stack(columns, 1)  # (N, K)
        y = y / y[: sizes[0]].std(0) + o.noise * normal(*y.shape)
        y = (y - y[: sizes[0]].mean(0)) / y[: sizes[0]].std(0)
        parts = zip(x.split(sizes), y.split(sizes), strict=True)
        return Splits(*(self._split(*part) for part in parts))

    def _split(self, x: Tensor, y: Tensor) -> Split:
        """x (N, inputs), y (N, K) → all tasks on all examples, or the examples dealt out in
        turn."""
        numbers = {task.name: t for t, task in enumerate(self.tasks)}
        if not self.options.multi_input:
            return Split(x, {name: y[:, t] for name, t in numbers.items()})
        K = len(numbers)
        inputs = {name: x[t::K] for name, t in numbers.items()}
        return Split(inputs, {name: y[t::K, t] for name, t in numbers.items()})


def _tanh(x: Tensor, layer: Tensor, sharpness: float) -> Tensor:
    return torch.tanh(sharpness * x @ layer / layer.shape[0] ** 0.5)


class Judge(Synthetic):
    """A truth on which structure matters."""

    class Options(Synthetic.Options):
        """As for synthetic, and of every teacher: features, sharpness, layers, lower (see
        `Teacher`)."""

        tasks: Annotated[int, Field(ge=1, le=64)] = 8
        rho: Annotated[float, Field(ge=0, le=1)] = 0.95
        features: Annotated[int, Field(ge=1, le=1024)] = 8
        sharpness: Annotated[float, Field(gt=0, le=100)] = 2.0
        layers: Annotated[int, Field(ge=1, le=2)] = 1
        lower: Literal["grouped", "shared"] = "grouped"

    @property
    def teacher(self) -> Teacher:
        o = self.options
        return Teacher(o.features, o.sharpness, o.layers, o.lower)


JUDGES: dict[str, tuple[str, dict[str, Any]]] = {
    "two_groups": ("Two groups of four tasks.", {}),
    "three_groups": ("Three groups of four tasks.", {"tasks": 12, "groups": 3}),
    "one_teacher": ("Eight tasks of one teacher: splitting is wrong.", {"groups": 1}),
    "unrelated": ("Eight tasks, each of a teacher of its own.", {"groups": 8}),
    "lower_shared": (
        "Two groups of four tasks over one lower layer.",
        {"layers": 2, "lower": "shared"},
    ),
    "capacity": ("Two groups of two-layer teachers: too much for one trunk.", {"layers": 2}),
    "two_groups_apart": (
        "Two groups of four tasks, each with its own examples.",
        {"train": 500, "multi_input": True},
    ),
}
"""Name → what it is, and its options' defaults beside those of `Judge`."""


def _register(name: str, about: str, defaults: dict[str, Any]) -> None:
    fields = Judge.Options.model_fields
    changed: dict[str, Any] = {
        key: (Annotated[fields[key].annotation, *fields[key].metadata, Field()], value)
        for key, value in defaults.items()
    }
    options = create_model("Options", __base__=Judge.Options, __doc__=about, **changed)
    members = {"__doc__": about, "__module__": __name__, "Options": options}
    registry.register(name)(type(name, (Judge,), members))


for _name, (_about, _defaults) in JUDGES.items():
    _register(_name, _about, _defaults)
