"""Every sharing architecture under every weighting, twice from one seed, and some of them by one
worker and by two: the same bits.

Bits are the digest of all results of a run, and of every recorded loss and weight.
"""

import hashlib

from tqdm import tqdm

from mtlstudy import InputError, RunConfig, sharing, weighting
from mtlstudy.training import store
from mtlstudy.training.tune import train
from reliability import Outcome

SMALL = {
    "data": "synthetic",
    "data_options": {"tasks": 3, "train": 60, "inputs": 6},
    "steps": 6,
    "evaluations": 2,
    "width": 8,
    "batch_size": 20,
    "lr": 0.01,
}
OPTIONS = {"hierarchical": {"sharing_options": {"depths": {"task1": 1}}}}
TOGETHER = 12
"""Of so many combinations one is trained by one worker and by two as well."""


def run(count, seed):
    """count: combinations at most, spread over all of them."""
    every = list(combinations(seed))
    chosen = every[:: max(len(every) // count, 1)][:count]
    failed, left = 0, 0
    for config in tqdm(chosen, disable=None, leave=False):
        try:
            failed += bits([config]) != bits([config])
        except InputError:  # the two make no sense together, in one line
            left += 1
    together = chosen[::TOGETHER] if len(chosen) > TOGETHER else []
    failed += sum(a != b for a, b in zip(bits(together), bits(together, jobs=2), strict=True))
    tried = len(chosen) - left
    return Outcome(tried, failed, {"refused": left, "jobs": len(together)})


def combinations(seed):
    """Every sharing × weighting that a configuration allows."""
    for family in sharing.names():
        for name in weighting.names():
            try:
                yield RunConfig(
                    sharing=family, weighting=name, seed=seed, **SMALL, **OPTIONS.get(family, {})
                )
            except InputError:
                continue


def bits(configs, jobs=1):
    """The digest of each run, trained in an empty store."""
    with store.empty():
        runs = train(configs, progress=False, jobs=jobs)
        recorded = [run.path / "weights.jsonl" for run in runs]
        texts = [run.digest + path.read_text() for run, path in zip(runs, recorded, strict=True)]
    return [hashlib.sha256(text.encode()).hexdigest() for text in texts]
