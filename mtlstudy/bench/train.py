"""The whole training loop beside its bare steps, several jobs at once, and several seeds at once.

"loop": a whole run (`Training.run`) as long and as often evaluated as in the full profile (`loop_full`) and in the quick one
(`loop_quick`), beside `step`: batches drawn and trained on, nothing else. ms of a step.
"shares": where the time of a run of the full profile's length goes: ms a step, ratio = share of the run.
"jobs": the reported seeds of one study, `cases` of them, on fresh stores: ms of the wall clock in one job, in two whose processes
have worked before (`jobs_2`), and in two with their start included (`jobs_2_started`).
"seeds": `batch` seeds of the Yeast MLP trained one after the other, or all at once through torch.func (a prototype: `together`);
ms a step of one seed. residual: the largest difference of a weight between the two after 20 steps.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch

from mtlstudy.training.config import PROFILES, RunConfig
from mtlstudy.study import korean_settings
from mtlstudy.registry import entry
from mtlstudy.training.loop import Training
from mtlstudy.training.tune import study
from mtlstudy.bench import record
from mtlstudy.bench import timing
from mtlstudy.bench.peers import Peer
from mtlstudy.bench.together import Apart, Together, difference

BASELINE = {"loop": "step", "shares": "run", "jobs": "jobs_1", "seeds": "one_by_one"}
DATA_SETS = {"quick": ("multi_mnist", "yeast"), "full": ("multi_mnist", "yeast", "korean_sentences")}
WEIGHTINGS = ("equal", "nash")
STEPS = 1000
ROUNDS = {"quick": 5, "full": 9}
JOBS = {"quick": (8, 3), "full": (10, 5)}
"""Reported seeds of the study, and rounds."""
RATE = 3e-3
"""The learning rate of that study, which is not tuned: an odd number of candidates would leave one of two jobs idle."""
SEEDS = {"quick": ((1, 2, 4, 8, 16), 5.0), "full": ((1, 2, 4, 8, 16, 32), 30.0)}
"""Seeds at once, and seconds that the samples of one number may take."""


def run(profile: str, device: str = "cpu", peers: Sequence[Peer] = ()) -> tuple[pd.DataFrame, list[str]]:
    """The whole benchmark: a frame of `record.COLUMNS`, and what was left out. Peers have no loop to be timed."""
    notes: list[str] = []
    here = []
    for name in DATA_SETS[profile]:
        if entry("data", name).available():
            here.append(name)
        else:
            notes.append(f"{name} is left out: its data are not on this machine")
    level = logging.getLogger("mtlstudy").level
    logging.getLogger("mtlstudy").setLevel(logging.WARNING)
    torch.use_deterministic_algorithms(True)  # as in training
    try:
        rows = [row for data in here for weighting in WEIGHTINGS for row in _loop(configured(data, weighting, device), profile)]
        rows += [*_jobs(profile, device), *(row for weighting in WEIGHTINGS for row in _seeds(weighting, profile, device))]
    finally:
        torch.use_deterministic_algorithms(False)
        logging.getLogger("mtlstudy").setLevel(level)
    return record.frame(rows), notes


def configured(data: str, weighting: str, device: str = "cpu") -> RunConfig:
    """What is trained: the study's configuration of a data set."""
    if data in korean_settings.DATA_SETS:
        config = korean_settings.config(data, f"hard+{weighting}", "quick")
    else:
        config = RunConfig(data=data, weighting=weighting)
    return config.but(device=device)


def _loop(config: RunConfig, profile: str) -> Iterator[dict[str, Any]]:
    facts = {"problem": f"{config.data} {config.weighting}", "K": len(config.tasks), "batch": config.batch_size}
    long, short = (config.but(steps=PROFILES[name].steps, evaluations=PROFILES[name].evaluations) for name in ("full", "quick"))
    with TemporaryDirectory() as folder, torch.random.fork_rng():
        place = Path(folder)
        candidates: dict[str, timing.Call | timing.Fresh] = {
            "step": timing.Fresh(lambda: bare(fresh(config.but(steps=STEPS, evaluations=1), place))),
            "loop_full": timing.Fresh(lambda: looped(fresh(long, place))),
            "loop_quick": timing.Fresh(lambda: looped(fresh(short, place))),
        }
        parts = {"step": STEPS, "loop_full": long.steps, "loop_quick": short.steps}
        samples = timing.interleaved(candidates, ROUNDS[profile], warmup=0, device=config.device, parts=parts)
        for row in timing.summary(samples, "step"):
            yield {"part": "loop", **facts, **row}
        for name, seconds in shares(fresh(long, place, Watched)).items():
            own = {"method": name, "ms": 1e3 * seconds["seconds"] / long.steps, "ratio": seconds["share"], "repeats": 1}
            yield {"part": "shares", **facts, **own}


def fresh(config: RunConfig, place: Path, kind: type[Training] = Training) -> Any:
    """A training that has not begun, in a folder of its own."""
    return kind(config, Path(mkdtemp(dir=place)) / config.run_id)


def bare(training: Training) -> timing.Call:
    """Draw and train, and no more."""

    def call() -> None:
        for _ in range(training.config.steps):
            training.train(training.sampler.draw())

    return call


def looped(training: Training) -> timing.Call:
    """The loop as it is."""
    return lambda: training.run(False)


class Watched(Training):
    """A run that notes the seconds that its parts take."""

    def __init__(self, config: RunConfig, path: Path) -> None:
        super().__init__(config, path)
        self.taken: dict[str, list[float]] = defaultdict(list)
        chosen: Any = self.selection
        chosen.evaluate = partial(self.note, "evaluation", chosen.evaluate)
        chosen.results = partial(self.note, "results", chosen.results)

    def note(self, part: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """call(*arguments, **named), timed."""
        answer: list[Any] = []
        self.taken[part].append(timing.once(lambda: answer.append(call(*arguments, **named)), device=self.config.device))
        return answer[0]

    def advance(self, observe: bool) -> Any:
        """One step."""
        batch = self.note("draw", self.sampler.draw)
        return self.note("observed" if observe else "step", self.train, batch, observe)

    def observation(self, *arguments: Any) -> Any:
        """What is written down of a step."""
        return self.note("recording", super().observation, *arguments)

    def checkpoint(self, state: dict[str, Any], files: list[Any]) -> None:
        """What the rest depends on."""
        self.note("checkpoint", super().checkpoint, state, files)


def shares(training: Watched) -> dict[str, dict[str, float]]:
    """Seconds of one run and their share of it: run, draw, step, evaluation, checkpoint, recording, results, rest.

    recording: what an observed step takes beyond the median of the others, and putting it into a line.
    """
    whole = timing.once(looped(training), device=training.config.device)
    observed, typical = training.taken.pop("observed"), median(training.taken["step"])
    seconds = {name: sum(values) for name, values in training.taken.items()}
    seconds["step"] += typical * len(observed)
    seconds["recording"] += sum(observed) - typical * len(observed)
    seconds = {"run": whole, **seconds, "rest": whole - sum(seconds.values())}
    return {name: {"seconds": value, "share": value / whole} for name, value in seconds.items()}


def _jobs(profile: str, device: str) -> Iterator[dict[str, Any]]:
    from joblib.externals.loky import get_reusable_executor

    seeds, rounds = JOBS[profile]
    config = RunConfig(data="multi_mnist", weighting="nash", lr=RATE, device=device)

    def studied(jobs: int, config: RunConfig = config, seeds: int = seeds) -> timing.Call:
        def call() -> None:
            with TemporaryDirectory() as folder, patch.dict(os.environ, {"MTLSTUDY_RUNS": f"{folder}/runs"}):
                study(config, range(seeds), fixed=("lr", "dropout"), jobs=jobs, progress=False)

        return call

    def after(shorter: RunConfig | None) -> timing.Call:
        get_reusable_executor().shutdown(wait=True)
        if shorter:
            studied(2, shorter, 2)()
        return studied(2)

    candidates: dict[str, timing.Call | timing.Fresh] = {
        "jobs_1": timing.Fresh(partial(studied, 1)),
        "jobs_2": timing.Fresh(partial(after, config.but(steps=2, evaluations=1))),
        "jobs_2_started": timing.Fresh(partial(after, None)),
    }
    for row in timing.summary(timing.interleaved(candidates, rounds, warmup=0), "jobs_1"):
        yield {"part": "jobs", "problem": f"{config.data} {config.weighting}", "K": len(config.tasks), "cases": seeds, **row}


def _seeds(weighting: str, profile: str, device: str) -> Iterator[dict[str, Any]]:
    config = RunConfig(data="yeast", weighting=weighting, device=device)
    numbers, seconds = SEEDS[profile]
    for S in numbers:
        apart, together = Apart(config, S), Together(config, S)
        for _ in range(20):
            apart()
            together()
        residual = difference(apart, together)
        calls: Mapping[str, timing.Call | timing.Fresh] = {"one_by_one": apart, "together": together}
        samples = timing.interleaved(calls, 200, seconds=seconds, device=device, parts=dict.fromkeys(calls, S))
        for row in timing.summary(samples, "one_by_one"):
            facts = {"problem": f"{config.data} {weighting}", "K": len(config.tasks), "batch": S}
            yield {"part": "seeds", **facts, **row, "residual": residual}
