"""The search for a structure that some families make before training: in pieces, each kept, so that a kill loses one at most."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtlstudy.training import store as runs
from mtlstudy.training.build import adam, chosen, load
from mtlstudy.training.config import RunConfig
from mtlstudy.training.sampling import Sampler
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.registry import entry
from mtlstudy.training.step import Step

log = logging.getLogger("mtlstudy")


class Search:
    """What a family's search works with (see `sharing.base.Problem`): fresh stages and heads, and equal-weight training."""

    def __init__(self, config: RunConfig) -> None:
        self.config, self.steps, self.taken = config, config.steps, 0
        self.data, self.splits = load(config)
        self.tasks = self.data.tasks
        torch.manual_seed(config.seed)
        self.backbone = self.data.backbone(self.splits, config)

    def heads(self) -> dict[str, nn.Module]:
        """Fresh heads."""
        return self.data.heads(self.backbone.width)

    def train(self, model: Sharing, steps: int, watch: Callable[[Tensor], None] | None = None) -> None:
        """`steps` steps with equal weights at the configured learning rate; watch(M (B, K, K)) after each."""
        config = self.config
        model.to(config.device)
        equal = entry("weighting", "equal")
        weighting = equal(len(self.tasks), 1, equal.Options()).to(config.device)
        step = Step(model, weighting, adam(config, model), precision=config.precision, accumulate=config.accumulate)
        device = torch.device(config.device)
        sampler = Sampler(self.splits.train, config.batch_size, config.seed, config.temperature, device=device)
        for _ in range(steps):
            losses, M, _ = step(sampler.draw(), observe=watch is not None, per_block=True)
            if not bool(torch.isfinite(losses).all()):
                log.warning("%s %s: the search diverged; it goes on with what it has", config.data, config.sharing)
                break
            if watch is not None and M is not None:
                watch(M)
        self.taken += steps


def structure(config: RunConfig, path: Path) -> dict[str, Any] | None:
    """What the family's search finds for this configuration, from the run's folder where it is there already; None for a family
    that does not search. Its cost stands under "steps" (gradient steps) and "seconds"."""
    family, options = chosen("sharing", config)
    if not family.searches:
        return None
    file = path / "search.pt"
    state: dict[str, Any] = {"pieces": 0, "found": {}, "steps": 0, "seconds": 0.0, "whole": False}
    if file.exists():
        state = torch.load(file, map_location="cpu", weights_only=True)
    if not state["whole"]:
        problem, begin = Search(config), time.perf_counter()
        torch.manual_seed(config.seed)
        pieces = iter(family.search(problem, options, state["found"]))
        while True:
            torch.manual_seed(config.seed + 7919 * (state["pieces"] + 1))  # a piece draws the same numbers after a resumption
            found = next(pieces, None)
            seconds = state["seconds"] + time.perf_counter() - begin
            state |= {"steps": state["steps"] + problem.taken, "seconds": seconds, "whole": found is None}
            if found is not None:
                state |= {"found": found, "pieces": state["pieces"] + 1}
            runs.save(file, state)
            if found is None:
                break
            problem.taken, begin = 0, time.perf_counter()
    return {**state["found"], "steps": state["steps"], "seconds": state["seconds"]}
