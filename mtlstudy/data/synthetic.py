"""Synthetic regression tasks whose grouping is known: teachers in hidden groups, with relatedness ρ
inside a group.

Source: this study (the structure to be recovered is the truth of the generator).

    y_t = v_tᵀ (√ρ φ_g(t)(x) + √(1−ρ) ψ_t(x)) + σ ε
    x ~ N(0, I)                x (N, inputs), φ, ψ (N, 16): random tanh layers

Tasks of one group share the teacher φ_g; each has its own ψ_t. The seed draws teachers and examples
alike; targets are standardised by the training examples. `groups()` is the true partition.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mtlstudy.data.base import Data, Split, Splits, registry
from mtlstudy.models.tasks import Task
from mtlstudy.registry import Options as NoOptions


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
        noise: Annotated[float, Field(ge=0)] = 0.1
        multi_input: bool = False

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(f"task{t + 1}", "regression") for t in range(self.options.tasks))

    def groups(self) -> list[int]:
        """The true group of every task: dealt out in turn."""
        return [t % self.options.groups for t in range(self.options.tasks)]

    def load(self, seed: int) -> Splits:
        o, generator = self.options, torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        copies = o.tasks if o.multi_input else 1
        sizes = [o.train * copies, 500 * copies, 2000 * copies]
        x = normal(sum(sizes), o.inputs)
        phi = normal(o.groups, o.inputs, 16)  # first layers of the teachers
        psi = normal(o.tasks, o.inputs, 16)
        v = normal(o.tasks, 16)
        columns = []
        for t, g in enumerate(self.groups()):
            features = o.rho**0.5 * _tanh(x, phi[g]) + (1 - o.rho) ** 0.5 * _tanh(x, psi[t])
            columns.append(features @ v[t])
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


def _tanh(x: Tensor, layer: Tensor) -> Tensor:
    return torch.tanh(2 * x @ layer / layer.shape[0] ** 0.5)
