"""Mini-batches of single- and multi-input problems, in an order that can be saved and taken up again.

Every pool (all examples, or those of one task) is visited once in an order drawn anew, then again; what is too short for a batch
at the end of a pass is left out of it. Single-input: one pool, `batch_size` examples a step. Multi-input: every step has examples
of every task, K · batch_size of them in all, dealt out in proportion to N_t^(1/T): T = 1 proportional to the sizes, T → ∞
(None) as many for each task. An epoch of a multi-input problem is Σ N_t examples: a small task is then seen more than once where
T > 1, and a large one less. Of R processes that train together each takes every R-th example of the same batch.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mtlstudy.data.base import Split
from mtlstudy.training.parallel import ALONE, Team


class Sampler:
    """Draws batches from a training split. State: the generator, and what is left of each pool's pass."""

    def __init__(
        self, train: Split, batch_size: int, seed: int, temperature: float | None = None, *,
        device: torch.device | None = None, team: Team = ALONE,
    ) -> None:  # fmt: skip
        self.train, self.sizes, self.team = train, train.sizes(), team
        self.take = shares(self.sizes, batch_size, temperature)
        self.order = torch.Generator().manual_seed(seed)
        self.home = next(iter(train.targets.values())).device  # where the data are: on `device`, if they fit
        self.device = device or self.home
        self.left = {pool: torch.empty(0, dtype=torch.int64, device=self.home) for pool in self.sizes}

    def draw(self) -> Split:
        """The next mini-batch, or this process's part of it, on the device."""
        rows = {}
        for pool, n in self.take.items():
            if len(self.left[pool]) < n:
                self.left[pool] = torch.randperm(self.sizes[pool], generator=self.order).to(self.home)
            drawn, self.left[pool] = self.left[pool][:n], self.left[pool][n:]
            rows[pool] = drawn[self.team.rank :: self.team.size]
        batch = self.train.batch(rows)
        return batch if self.device == self.home else batch.to(self.device, pin=self.device.type == "cuda")

    def steps_per_epoch(self) -> float:
        """Steps until as many examples were drawn as there are."""
        return sum(self.sizes.values()) / sum(self.take.values())

    def state_dict(self) -> dict[str, Any]:
        """What the next batches depend on."""
        return {"order": self.order.get_state(), "left": dict(self.left)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.order.set_state(state["order"].cpu())
        self.left = {pool: rows.to(self.home) for pool, rows in state["left"].items()}


def shares(sizes: Mapping[str, int], batch_size: int, temperature: float | None) -> dict[str, int]:
    """Examples of each pool a step: at least one, at most all; the rest of the rounding goes to the largest remainders.

    >>> shares({"a": 900, "b": 100}, 50, 1.0), shares({"a": 900, "b": 100}, 50, None)
    ({'a': 90, 'b': 10}, {'a': 50, 'b': 50})
    """
    weight = torch.tensor([n ** (1 / temperature) if temperature else 1.0 for n in sizes.values()], dtype=torch.float64)
    exact: Tensor = weight / weight.sum() * batch_size * len(sizes)
    floor = exact.floor()
    rest = int(exact.sum().round() - floor.sum())
    floor[(exact - floor).argsort(descending=True, stable=True)[:rest]] += 1
    return {pool: min(max(int(n), 1), size) for (pool, size), n in zip(sizes.items(), floor, strict=True)}
