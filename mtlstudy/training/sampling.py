"""Mini-batches of single- and multi-input problems, in an order that can be saved and resumed.

Every pool (all examples, or those of one task) is visited once in a random order, then again; what
is too short for a batch at the end of a pass is left out of it. Single-input: one pool,
`batch_size` examples a step. Multi-input: every step has examples of every task, K · batch_size of
them in all, in proportion to N_t^(1/T): T = 1 proportional to the sizes, T → ∞ (None) as many for
each task. Of data that miss labels a batch says which tasks have none in it (`Split.absent`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mtlstudy.data.base import Split


class Sampler:
    """Draws batches from a training split. State: the generator, and what is left of each pool.

    Of several processes each takes every `world_size`-th example of the same batch, from `rank` on.
    """

    rank, world_size = 0, 1

    def __init__(
        self,
        train: Split,
        batch_size: int,
        seed: int,
        temperature: float | None = None,
        *,
        device: torch.device | None = None,
    ) -> None:
        self.train, self.sizes = train, train.sizes()
        self.take = shares(self.sizes, batch_size, temperature)
        self.generator = torch.Generator().manual_seed(seed)
        self.home = next(iter(train.targets.values())).device  # where the data are
        self.device = device or self.home
        empty = torch.empty(0, dtype=torch.int64, device=self.home)
        self.left = dict.fromkeys(self.sizes, empty)
        labelled = {task: has_label(y) for task, y in train.targets.items()}
        self.labelled = {task: has for task, has in labelled.items() if not bool(has.all())}

    def draw(self) -> Split:
        """The next mini-batch, or this process's part of it, on the device."""
        rows, whole = {}, {}
        for pool, n in self.take.items():
            if len(self.left[pool]) < n:
                order = torch.randperm(self.sizes[pool], generator=self.generator)
                self.left[pool] = order.to(self.home)
            drawn, self.left[pool] = self.left[pool][:n], self.left[pool][n:]
            whole[pool], rows[pool] = drawn, drawn[self.rank :: self.world_size]
        batch = self.train.batch(rows)
        if self.labelled:
            batch = replace(batch, absent=tuple(self.absent(whole)))
        if self.device == self.home:
            return batch
        return batch.to(self.device, pin=self.device.type == "cuda")

    def absent(self, rows: Mapping[str, Tensor]) -> Iterator[str]:
        """The tasks without a label in these rows, by pool; the host waits for the answer."""
        for task, has in self.labelled.items():
            if not bool(has[rows[task] if task in rows else rows[""]].any()):
                yield task

    def state_dict(self) -> dict[str, Any]:
        """What the next batches depend on."""
        return {"generator": self.generator.get_state(), "left": dict(self.left)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.generator.set_state(state["generator"].cpu())
        self.left = {pool: rows.to(self.home) for pool, rows in state["left"].items()}


def has_label(y: Tensor) -> Tensor:
    """Whether each example of targets y (N,) or (N, T) has a label, (N,); see `models.tasks`."""
    labels = ~torch.isnan(y) if y.is_floating_point() else y != -100
    return labels.flatten(1).any(1) if y.ndim > 1 else labels


def shares(sizes: Mapping[str, int], batch_size: int, temperature: float | None) -> dict[str, int]:
    """Examples of each pool a step: at least one, at most all; largest remainders round up.

    >>> shares({"a": 900, "b": 100}, 50, 1.0), shares({"a": 900, "b": 100}, 50, None)
    ({'a': 90, 'b': 10}, {'a': 50, 'b': 50})
    """
    weight = [n ** (1 / temperature) if temperature else 1.0 for n in sizes.values()]
    p = torch.tensor(weight, dtype=torch.float64)
    exact: Tensor = p / p.sum() * batch_size * len(sizes)
    floor = exact.floor()
    rest = int(exact.sum().round() - floor.sum())
    floor[(exact - floor).argsort(descending=True, stable=True)[:rest]] += 1
    pairs = zip(sizes.items(), floor, strict=True)
    return {pool: min(max(int(n), 1), size) for (pool, size), n in pairs}
