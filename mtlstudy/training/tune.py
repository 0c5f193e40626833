"""A study of one (data, sharing, weighting): tune with the profile's budget, then train the reported seeds at what was chosen.

Every method has the same number of candidates on the same tuning seeds; selection is by the mean validation score; a tuned value
is never taken from a reported seed, nor from test.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtlstudy.training import store as runs
from mtlstudy.training.config import PROFILES, TUNING_SEED, RunConfig
from mtlstudy.errors import InputError
from mtlstudy.training.evaluation import mean
from mtlstudy.training.store import Run
from mtlstudy.registry import entry
from mtlstudy.training.loop import fit

log = logging.getLogger("mtlstudy")
LEARNING_RATES = (1.5e-3, 1.5e-2)


@dataclass(frozen=True)
class Study:
    """Tuning candidates with their scores, the chosen configuration, and the reported runs."""

    name: str
    trials: list[dict[str, Any]]
    selected: dict[str, Any]
    tuning_runs: list[Run]
    runs: list[Run]


def candidates(config: RunConfig, fixed: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The profile's `trials` candidates: learning rates on a log grid for each dropout. Static weights are drawn from the simplex
    and a family's own options dealt out in turn within the same number; the middle candidate keeps equal weights and defaults.
    A field in `fixed` keeps its value; with nothing left to tune there is one candidate, {}."""
    profile = PROFILES[config.profile]
    rates = np.geomspace(*LEARNING_RATES, profile.trials // len(profile.dropouts))
    grid = [{"lr": float(f"{lr:.3g}"), "dropout": dropout} for dropout in profile.dropouts for lr in rates]
    simplex = np.random.default_rng(0).dirichlet([4.0] * len(config.tasks), len(grid))
    if config.weighting == "static" and not config.weighting_options.get("weights"):
        for i, weights in enumerate(simplex):
            if i != len(grid) // 2:  # the middle candidate keeps equal weights
                grid[i]["weighting_options"] = {"weights": [float(f"{w:.4f}") for w in weights]}  # type: ignore[assignment]
    family = entry("sharing", config.sharing)
    for option, tried in family.tuned.items():
        if config.sharing_options[option] == family.Options().model_dump()[option]:  # not set by hand
            for i in (i for i in range(len(grid)) if i != len(grid) // 2):  # the middle candidate keeps the default
                grid[i].setdefault("sharing_options", {**config.sharing_options})[option] = tried[i % len(tried)]  # type: ignore
    kept = [{key: value for key, value in row.items() if key not in fixed} for row in grid]
    return [row for i, row in enumerate(kept) if row not in kept[:i]]


def study(
    config: RunConfig,
    seeds: Sequence[int] | None = None,
    *,
    fixed: Sequence[str] = (),
    like: Mapping[str, Any] | None = None,
    name: str | None = None,
    progress: bool = True,
    jobs: int = 1,
) -> Study:
    """Tune and train; whatever is finished already is read. The record goes to runs/studies/<name>.json.

    config: everything but what is tuned; seeds: reported seeds (the profile's by default); fixed: fields not to tune; like: what
    another study selected, taken over in place of tuning; jobs: runs trained at once (see `train`).
    """
    profile = PROFILES[config.profile]
    seeds = range(profile.seeds) if seeds is None else seeds
    if not seeds or max(seeds) >= TUNING_SEED:
        raise InputError(f"seeds = {list(seeds)}: allowed: at least one, each below {TUNING_SEED} (those above are for tuning)")
    trials = candidates(config, fixed) if like is None else [dict(like)]
    tuning_runs: list[Run] = []
    if len(trials) > 1:
        n = profile.tuning_seeds
        tuning = [config.but(seed=TUNING_SEED + i, **trial) for trial in trials for i in range(n)]
        tuning_runs = train(tuning, progress, jobs)
        for k, trial in enumerate(trials):
            tried = tuning_runs[k * n : (k + 1) * n]
            trial["score"] = mean([validation_score(run) for run in tried])
            trial["runs"] = [run.path.name for run in tried]
    chosen = max(trials, key=lambda trial: trial.get("score", 0.0))
    selected = {key: value for key, value in chosen.items() if key not in ("score", "runs")}
    final = train([config.but(seed=seed, **selected) for seed in seeds], progress, jobs)
    name = name or f"{config.data}.{config.sharing}.{config.weighting}.{config.profile}"
    record = {
        "name": name, "config": config.model_dump(mode="json"), "trials": trials, "selected": selected,
        "tuning": [run.path.name for run in tuning_runs], "final": [run.path.name for run in final],
    }  # fmt: skip
    file, text = runs.root() / "studies" / f"{name}.json", runs.canonical(record)
    if not file.exists() or file.read_text(encoding="utf-8") != text:  # what rests on it is stale only if it changed
        runs.write(file, text)
    return Study(name, trials, selected, tuning_runs, final)


def train(configs: Sequence[RunConfig], progress: bool = True, jobs: int = 1) -> list[Run]:
    """The runs of these configurations, in their order; `jobs` of them are trained at once, each in a process of its own.

    The processes share the cores, or one GPU, and give the same bits as one after the other (with mode = "auto" where they find
    the same way of differentiation fastest). Raises `InputError` for jobs < 1 and where a process dies, and whatever a
    run raises; what is done by then is kept, and the same call goes on from there.
    """
    if jobs < 1:
        raise InputError(f"jobs = {jobs}: allowed: at least 1")
    if jobs > 1 and (several := max(config.processes for config in configs)) > 1:
        raise InputError(f"jobs = {jobs} with processes = {several}: allowed: one of them above 1")
    if jobs > 1:
        left = [config for config in configs if runs.load_run(runs.root() / config.run_id) is None]
        if left:
            _train_at_once(left, progress, jobs)
    return [fit(config, progress) for config in configs]


def _train_at_once(configs: Sequence[RunConfig], progress: bool, jobs: int) -> None:
    from joblib import Parallel, delayed

    call = delayed(_fit_there)
    pool = Parallel(min(jobs, len(configs)), "loky", batch_size=1, pre_dispatch="all", return_as="generator_unordered")
    try:
        for n, run in enumerate(pool(call(config, os.getcwd(), dict(os.environ)) for config in configs), start=1):
            c, seconds = run.config, run.record["summary"]["seconds"]
            if progress:
                log.info("%d/%d %s: %s, %.1f s", n, len(configs), c.title, run.status, seconds)
    except BrokenProcessPool as error:
        ended = re.findall(r"\w+\(-?\d+\)", str(error))  # such as SIGKILL(-9)
        if not ended:
            raise
        reason = f"a process that trained ended with {', '.join(ended)}, perhaps for want of memory"
        raise InputError(f"jobs = {jobs}: {reason}; what is done is kept, and the same call goes on from there") from error


def _fit_there(config: RunConfig, folder: str, environment: dict[str, str]) -> Run:
    """Train in a worker, which may have been started for another folder and environment."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return fit(config, progress=False)


def validation_score(run: Run) -> float:
    """Mean validation score over tasks at the selected checkpoint; −inf for a run that diverged."""
    if run.status != "done":
        return float("-inf")
    measured = run.record["results"]["validation"]  # in the order of the tasks, whether the run was trained or read just now
    return mean([measured[task.name]["score"] for task in run.config.tasks])
