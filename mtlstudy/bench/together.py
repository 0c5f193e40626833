"""Several seeds of one configuration trained at once: their parameters stacked, one vectorised forward and backward for all.

A prototype, to see whether it pays and whether the bits are the same; for single-input vectors with binary tasks and no missing
labels, hard sharing, `equal` and `nash`. The gradients are the same to rounding but not in every bit, and where a unit's gradient
is nothing but rounding Adam makes whole steps of it.
Shapes: S seeds, N examples, K tasks, P shared parameters, J (S, K, P), M (S, K, K).
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, stack_module_state, vmap

from mtlstudy.training.build import adam, build
from mtlstudy.training.config import RunConfig
from mtlstudy.errors import InputError
from mtlstudy.nash.newton import nash_weights
from mtlstudy.training.sampling import Sampler
from mtlstudy.training.step import Step

Parameters = dict[str, Tensor]


class Apart:
    """S seeds one after the other; a call is one step of each."""

    def __init__(self, config: RunConfig, S: int) -> None:
        self.models, self.steps, self.samplers = [], [], []
        for seed in range(S):
            own = config.but(seed=seed)
            _, splits, model, weighting = build(own)
            self.models.append(model)
            self.steps.append(Step(model, weighting, adam(own, model, weighting)))
            self.samplers.append(Sampler(splits.train, own.batch_size, seed))

    def __call__(self) -> None:
        """One step."""
        for step, sampler in zip(self.steps, self.samplers, strict=True):
            step(sampler.draw())

    def parameters(self) -> Parameters:
        """Every parameter, stacked (S, …)."""
        return stack_module_state(list[nn.Module](self.models))[0]


class Together:
    """The same S seeds at once; a call is one step of all."""

    def __init__(self, config: RunConfig, S: int) -> None:
        if config.weighting not in ("equal", "nash"):
            raise InputError(f"weighting = {config.weighting!r}: allowed: equal, nash")
        apart = Apart(config, S)
        self.samplers, self.nash = apart.samplers, config.weighting == "nash"
        stacked, self.buffers = stack_module_state(list[nn.Module](apart.models))
        self.base = copy.deepcopy(apart.models[0]).to("meta")
        self.values = nn.ParameterList([nn.Parameter(value.detach()) for value in stacked.values()])
        self.names, self.tasks = list(stacked), [task.name for task in self.base.tasks]
        self.shared = [name for name in self.names if not name.startswith("heads.")]
        self.optimiser = adam(config, self.values)
        self.last = torch.zeros(S, len(self.tasks), dtype=torch.float64, device=self.values[0].device)

    def __call__(self) -> None:
        """One step."""
        batches = [sampler.draw() for sampler in self.samplers]
        x = torch.stack([torch.as_tensor(batch.inputs) for batch in batches])  # (S, N, d)
        y = torch.stack([torch.stack([batch.targets[task] for task in self.tasks], -1) for batch in batches])  # (S, N, K)
        values = dict(zip(self.names, self.values, strict=True))
        found = self.by_nash(values, x, y) if self.nash else vmap(grad(self.weighted))(values, self.buffers, x, y, self.equal(x))
        for name, value in values.items():
            value.grad = found[name]
        self.optimiser.step()

    def equal(self, x: Tensor) -> Tensor:
        """Weights (S, K), all 1 / K."""
        return x.new_full((len(x), len(self.tasks)), 1 / len(self.tasks))

    def by_nash(self, values: Parameters, x: Tensor, y: Tensor) -> Parameters:
        """The gradients of every parameter: J of all seeds, one batched game, directions clipped to length 1, heads weighted."""
        trunk = {name: values[name] for name in self.shared}
        heads = {name: value for name, value in values.items() if name not in trunk}
        jacobian: Any = vmap(jacrev(lambda own, rest, *more: self.losses({**own, **rest}, *more)))
        rows = jacobian(trunk, heads, self.buffers, x, y)  # each (S, K, …)
        J = torch.cat([rows[name].flatten(2) for name in self.shared], -1)
        solution = nash_weights(J.double() @ J.double().mT, start=self.last)
        self.last = torch.where(solution.solved[:, None], solution.weights, 0.0)
        a = self.last.to(J.dtype)  # (S, K)
        d = (a[:, None] @ J).squeeze(1)
        d = d / torch.linalg.vector_norm(d, dim=-1, keepdim=True).clamp_min(1.0)
        found: Parameters = vmap(grad(lambda own, rest, *more: self.weighted({**own, **rest}, *more)))(
            heads, trunk, self.buffers, x, y, a
        )
        for name, part in zip(self.shared, d.split([trunk[name][0].numel() for name in self.shared], -1), strict=True):
            found[name] = part.reshape(trunk[name].shape)
        return found

    def losses(self, values: Parameters, buffers: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """The K losses of one seed."""
        out = functional_call(self.base, (values, buffers), (x,))
        return torch.stack([F.binary_cross_entropy_with_logits(out[t].squeeze(-1), y[:, i]) for i, t in enumerate(self.tasks)])

    def weighted(self, values: Parameters, buffers: Parameters, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        """Σ_t weights_t L_t of one seed."""
        return (weights * self.losses(values, buffers, x, y)).sum()


def difference(apart: Apart, together: Together) -> float:
    """The largest difference of a parameter."""
    mine = {name: value.detach() for name, value in zip(together.names, together.values, strict=True)}
    return max(float((mine[name] - value.detach()).abs().max()) for name, value in apart.parameters().items())
