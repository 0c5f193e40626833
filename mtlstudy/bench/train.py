"""The whole training loop beside its bare steps, the step of every method of the study, and several
jobs at once.

"loop": a whole run as long and as often evaluated as in the full profile (`loop_full`) and in the
quick one (`loop_quick`), beside `step`: batches drawn and trained on, nothing else. ms of a step.
"shares": where the time of a run of the full profile's length goes: ms a step, ratio = share of the
run. "methods": a training step of every sharing family with equal weights, and of every weighting
on hard sharing; the ratio to hard+equal. "jobs": the reported seeds of one study, `cases` of them,
on fresh stores: ms of the wall clock in one job, in two whose processes have worked before
(`jobs_2`), and in two with their start included (`jobs_2_started`). "arithmetic": a step of
hard+equal by the processor's own instructions (`native`) and by `store.PORTABLE` (`portable`), each
in processes of its own.
"""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import pandas as pd
import torch

from mtlstudy.bench import timing
from mtlstudy.bench.peers import Peer
from mtlstudy.registry import entry
from mtlstudy.study import benchmarks, plan, results
from mtlstudy.training import store
from mtlstudy.training.config import RunConfig
from mtlstudy.training.loop import Training
from mtlstudy.training.tune import train

BASELINE = {
    "loop": "step",
    "shares": "run",
    "methods": "hard+equal",
    "jobs": "jobs_1",
    "arithmetic": "native",
}
DATA_SETS = {
    "quick": ("multi_mnist", "yeast"),
    "full": ("multi_mnist", "yeast", "korean_sentences"),
}
METHODS = ("hard+equal", "hard+nash")
STEPS = 1000
ROUNDS = {"quick": 5, "full": 9}
STEP_ROUNDS = {"quick": (20, 60.0), "full": (60, 600.0)}
"""Rounds, and seconds that the samples of one data set may take."""
JOBS = {"quick": (8, 3), "full": (10, 5)}
"""Reported seeds of the study, and rounds."""


def run(
    profile: str, device: str = "cpu", peers: Sequence[Peer] = ()
) -> tuple[pd.DataFrame, list[str]]:
    """The whole benchmark, and what was left out. Peers have no loop to be timed."""
    here = [name for name in DATA_SETS[profile] if entry("data", name).available()]
    missing = [name for name in DATA_SETS[profile] if name not in here]
    notes = [f"{name} is left out: its data are not on this machine" for name in missing]
    torch.use_deterministic_algorithms(True)  # as in training
    try:
        rows = list(jobs(profile, device))
        for data in here:
            rows += methods(data, STEP_ROUNDS[profile], device, notes)
            rows += arithmetic(data, ROUNDS[profile])
            for method in METHODS:
                rows += loop(configured(data, method, device), profile)
    finally:
        torch.use_deterministic_algorithms(False)
    return benchmarks.frame(rows), notes


def configured(data: str, method: str, device: str = "cpu") -> RunConfig:
    """What is trained: the study's configuration of the quick profile."""
    return plan.Cell(data, method, "quick").config.but(device=device)


def fresh(config: RunConfig, place: Path) -> Training:
    """A training that has not begun, in a folder of its own."""
    return Training(config, Path(mkdtemp(dir=place)) / config.run_id)


def steps(training: Training, number: int = 1) -> None:
    """Draw batches and train on them, and no more."""
    for _ in range(number):
        training.train(training.sampler.draw())


def loop(config: RunConfig, profile: str) -> Iterator[dict[str, Any]]:
    """Whole runs beside bare steps, and the shares of one."""
    facts = {"problem": f"{config.data} {config.weighting}", "K": len(config.tasks)}
    facts |= {"batch": config.batch_size}
    schedule = ("steps", "evaluations")
    long, short = (
        config.but(**{key: plan.PROFILES[name].run[key] for key in schedule})
        for name in ("full", "quick")
    )
    plain = config.but(steps=STEPS, evaluations=1)
    with TemporaryDirectory() as folder, torch.random.fork_rng():
        place = Path(folder)
        candidates: timing.Candidates = {
            "step": timing.Fresh(lambda: partial(steps, fresh(plain, place), STEPS)),
            "loop_full": timing.Fresh(lambda: partial(fresh(long, place).run, False)),
            "loop_quick": timing.Fresh(lambda: partial(fresh(short, place).run, False)),
        }
        parts = {"step": STEPS, "loop_full": long.steps, "loop_quick": short.steps}
        how: dict[str, Any] = {"warmup": 0, "device": config.device, "parts": parts}
        for row in timing.summary(timing.interleaved(candidates, ROUNDS[profile], **how), "step"):
            yield {"part": "loop", **facts, **row}
        seconds = shares(fresh(long, place))
    for name, value in seconds.items():
        row = {"ms": 1e3 * value / long.steps, "ratio": value / seconds["run"], "repeats": 1}
        yield {"part": "shares", **facts, "method": name, **row}


def shares(training: Training) -> dict[str, float]:
    """Seconds of one run: run, draw, step, evaluation, checkpoint, recording, results, rest.

    recording: what an observed step takes beyond the median of the others, and putting it into a
    line.
    """
    taken: dict[str, list[float]] = defaultdict(list)
    timed = partial(timing.once, device=training.config.device)

    def note(part: str, call: Callable[..., Any], *arguments: Any) -> Any:
        answer: list[Any] = []
        taken[part].append(timed(lambda: answer.append(call(*arguments))))
        return answer[0]

    def advance(observe: bool) -> Any:
        batch = note("draw", training.sampler.draw)
        return note("observed" if observe else "step", training.train, batch, observe)

    for part, owner, method in (
        ("evaluation", training.selection, "evaluate"),
        ("recording", training, "observation"),
        ("checkpoint", training, "checkpoint"),
        ("results", training, "finish"),
    ):
        setattr(owner, method, partial(note, part, getattr(owner, method)))
    training.advance = advance  # type: ignore[method-assign]
    whole = timed(partial(training.run, False))
    observed, typical = taken.pop("observed"), median(taken["step"])
    seconds = {name: sum(values) for name, values in taken.items()}
    seconds["step"] += typical * len(observed)
    seconds["recording"] += sum(observed) - typical * len(observed)
    return {"run": whole, **seconds, "rest": whole - sum(seconds.values())}


def methods(
    data: str, limits: tuple[int, float], device: str, notes: list[str]
) -> Iterator[dict[str, Any]]:
    """A step of every method of the plan on a data set. limits: rounds and seconds."""
    names = [
        *(f"{family}+equal" for family in plan.FAMILIES),
        *(f"hard+{weighting}" for weighting in plan.WEIGHTINGS),
    ]
    with TemporaryDirectory() as folder, torch.random.fork_rng():
        calls: dict[str, timing.Call | timing.Fresh] = {}
        for name in dict.fromkeys(names):
            if reason := results.refusal(plan.Cell(data, name, "quick")):
                notes.append(f"{name} is left out of {data}: {reason}")
                continue
            config = configured(data, name, device).but(steps=50, evaluations=1)  # a short search
            training = fresh(config, Path(folder))
            calls[name] = partial(steps, training)
        samples = timing.interleaved(calls, limits[0], seconds=limits[1], device=device)
    facts = {"part": "methods", "problem": data, "K": len(training.config.tasks)}
    for row in timing.summary(samples, BASELINE["methods"]):
        yield {**facts, "batch": training.config.batch_size, **row}


def arithmetic(data: str, rounds: int) -> Iterator[dict[str, Any]]:
    """A step on the CPU by either arithmetic, which a process chooses when it loads torch."""
    program = f"from mtlstudy.bench import train; print(train.bare({data!r}))"
    others = {key: value for key, value in os.environ.items() if key not in store.PORTABLE}
    samples = []
    for i in range(rounds):
        for method, chosen in (("native", {}), ("portable", store.PORTABLE)):
            command = [sys.executable, "-c", program]
            done = subprocess.run(
                command, env={**others, **chosen}, capture_output=True, check=True
            )
            samples.append({"method": method, "round": i, "seconds": float(done.stdout)})
    for row in timing.summary(pd.DataFrame(samples), BASELINE["arithmetic"]):
        yield {"part": "arithmetic", "problem": data, **row}


def bare(data: str, number: int = 100) -> float:
    """Seconds of a step of hard+equal in this process, the mean over `number`."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with TemporaryDirectory() as folder:
        training = fresh(configured(data, "hard+equal"), Path(folder))
        steps(training, 5)
        return timing.once(partial(steps, training, number)) / number


def jobs(profile: str, device: str) -> Iterator[dict[str, Any]]:
    """The same runs in one job and in two."""
    from joblib.externals.loky import get_reusable_executor

    seeds, rounds = JOBS[profile]
    config = configured("multi_mnist", "hard+nash", device)

    def study(jobs: int, config: RunConfig = config, seeds: int = seeds) -> None:
        with store.empty():
            train([config.but(seed=seed) for seed in range(seeds)], progress=False, jobs=jobs)

    def two(warm: bool) -> timing.Call:
        get_reusable_executor().shutdown(wait=True)
        if warm:
            study(2, config.but(steps=2, evaluations=1), 2)
        return partial(study, 2)

    candidates: timing.Candidates = {
        "jobs_1": timing.Fresh(lambda: partial(study, 1)),
        "jobs_2": timing.Fresh(partial(two, True)),
        "jobs_2_started": timing.Fresh(partial(two, False)),
    }
    facts = {"part": "jobs", "problem": f"{config.data} {config.weighting}", "cases": seeds}
    for row in timing.summary(timing.interleaved(candidates, rounds, warmup=0), "jobs_1"):
        yield {**facts, "K": len(config.tasks), **row}
