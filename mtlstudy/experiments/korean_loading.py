"""How much of a training step is spent on drawing its batch, once the data are in memory: a benchmark."""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from ..config import RunConfig
from ..training import Training


def loading_share(config: RunConfig, steps: int = 30) -> dict[str, float]:
    """Median milliseconds to draw a batch and to train on it, and the share of the draw in both: draw, step, share.

    Nothing is left in the run store.
    """
    torch.set_num_threads(config.threads)
    with TemporaryDirectory() as folder, torch.random.fork_rng():
        training = Training(config, Path(folder) / config.run_id)
        draws, trained = [], []
        for _ in range(steps):
            begin = time.perf_counter()
            batch = training.sampler.draw()
            drawn = time.perf_counter()
            training.train(batch)
            trained.append(1e3 * (time.perf_counter() - drawn))
            draws.append(1e3 * (drawn - begin))
    draw, step = median(draws), median(trained)
    return {"draw": draw, "step": step, "share": draw / (draw + step)}
