"""The search for a structure that some families make before training: in pieces, each saved, so
that a kill loses one at most."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtlstudy.data.base import Split
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.registry import entry
from mtlstudy.training import store
from mtlstudy.training.build import backbone, chosen, load, make_sampler, make_step
from mtlstudy.training.config import RunConfig

log = logging.getLogger("mtlstudy")


class Search:
    """What a family's search works with (see `sharing.base.Problem`): fresh stages and heads, and
    training with equal weights, by every process for itself."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config.but(processes=1, sharded=False, compile=False)
        self.steps, self.lr, self.taken = config.steps, config.lr, 0
        self.data, self.splits = load(config)
        self.tasks = self.data.tasks
        torch.manual_seed(config.seed)
        self.backbone = backbone(config, self.data, self.splits)

    def heads(self) -> dict[str, nn.Module]:
        """Fresh heads."""
        return self.data.heads(self.backbone.width)

    def examples(self, n: int) -> Tensor:
        """The inputs of the first n training examples, of multi-input problems of all tasks."""
        pools = len(self.splits.train.sizes())
        few = self.splits.train.first(-(-n // pools)).to(torch.device(self.config.device))
        return torch.cat(list(few.pools().values()))

    def train(
        self,
        model: Sharing,
        steps: int,
        watch: Callable[[Tensor], None] | None = None,
        before: Callable[[int, Split], None] | None = None,
    ) -> None:
        """`steps` steps at the configured learning rate; before(step, batch) and watch(M (B, K, K))
        around each."""
        config, equal = self.config, entry("weighting", "equal")
        weighting = equal(len(self.tasks), 1, equal.Options()).to(config.device)
        step = make_step(config, model.to(config.device), weighting)
        sampler = make_sampler(config, self.splits)
        for i in range(steps):
            batch = sampler.draw()
            if before is not None:
                before(i, batch)
            losses, M, _ = step(batch, observe=watch is not None, per_block=True)
            if not bool(torch.isfinite(losses).all()):
                log.warning("%s: the search diverged; it goes on with what it has", config.title)
                break
            if watch is not None and M is not None:
                watch(M)
        self.taken += steps


def structure(config: RunConfig, path: Path) -> dict[str, Any] | None:
    """What the family's search finds, from the run's folder where it is already; None for a family
    that does not search. Its cost stands under "steps" (gradient steps) and "seconds"."""
    family, options = chosen("sharing", config)
    if not family.searches:
        return None
    file = path / "search.pt"
    state: dict[str, Any]
    state = {"pieces": 0, "structure": {}, "steps": 0, "seconds": 0.0, "complete": False}
    state = store.load(file) or state
    if not state["complete"]:
        problem, begin = Search(config), time.perf_counter()
        torch.manual_seed(config.seed)
        pieces = iter(family.search(problem, options, state["structure"]))
        while not state["complete"]:
            # a piece draws the same numbers after a resumption
            torch.manual_seed(config.seed + 7919 * (state["pieces"] + 1))
            piece = next(pieces, None)
            state["steps"] += problem.taken
            state["seconds"] += time.perf_counter() - begin
            state["complete"] = piece is None
            if piece is not None:
                state |= {"structure": piece, "pieces": state["pieces"] + 1}
            store.save(file, state)
            problem.taken, begin = 0, time.perf_counter()
    return {**state["structure"], "steps": state["steps"], "seconds": state["seconds"]}
