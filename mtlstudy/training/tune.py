"""Tune with a budget, then train the reported seeds at what was chosen.

Every method has the same number of candidates on the same tuning seeds; selection is by the mean
validation score; a tuned value is never taken from a reported seed, nor from test.
"""

import logging
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from threading import Thread
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mtlstudy.errors import InputError
from mtlstudy.registry import entry
from mtlstudy.training import store
from mtlstudy.training.config import TUNING_SEED, RunConfig
from mtlstudy.training.evaluation import mean
from mtlstudy.training.loop import fit
from mtlstudy.training.store import Run

log = logging.getLogger("mtlstudy")
T = TypeVar("T")
Candidate = Mapping[str, Any]
"""Fields of `RunConfig` that are tried together."""


class Budget(NamedTuple):
    """How much is spent on a method: `trials` candidates on `tuning_seeds` seeds, then `seeds`
    fresh reported ones. dropouts, schedules: those that are tried; rates: ends of the grid of
    learning rates; extend: rates beyond an end that may follow, one by one, while the best stands
    there.
    """

    trials: int
    tuning_seeds: int
    seeds: int
    dropouts: tuple[float, ...] = (0.0,)
    rates: tuple[float, float] = (1.5e-3, 1.5e-2)
    schedules: tuple[str, ...] = ("constant",)
    extend: int = 0

    @property
    def grid(self) -> int:
        """How many learning rates are tried with each dropout and schedule."""
        return self.trials // (len(self.dropouts) * len(self.schedules))


class Study(NamedTuple):
    """Candidates with their scores (−inf: diverged, NaN: undefined), the chosen one, and the
    reported runs."""

    candidates: list[Candidate]
    scores: list[float]
    selected: Candidate
    runs: list[Run]


def candidates(config: RunConfig, budget: Budget, fixed: Sequence[str] = ()) -> list[Candidate]:
    """The budget's `trials` candidates: rates on a log grid with each dropout and schedule. Static
    weights are drawn from the simplex and a family's own options dealt out in turn within the same
    number; the middle candidate keeps equal weights and defaults. A field in `fixed` keeps its
    value; with nothing left to tune there is one candidate, {}."""
    rates = np.geomspace(*budget.rates, budget.grid)
    several = len(budget.schedules) > 1
    grid: list[dict[str, Any]] = [
        {"lr": float(f"{lr:.3g}"), "dropout": dropout} | ({"schedule": schedule} if several else {})
        for schedule in budget.schedules
        for dropout in budget.dropouts
        for lr in rates
    ]
    others = [i for i in range(len(grid)) if i != len(grid) // 2]
    if config.weighting == "static" and not config.weighting_options.get("weights"):
        simplex = np.random.default_rng(0).dirichlet([4.0] * len(config.tasks), len(grid))
        for i in others:
            weights = [float(f"{w:.4f}") for w in simplex[i]]
            grid[i]["weighting_options"] = {"weights": weights}
    family = entry("sharing", config.sharing)
    defaults = family.Options().model_dump()
    for option, tried in family.tuned.items():
        if config.sharing_options[option] == defaults[option]:  # not set by hand
            for i in others:
                options = grid[i].setdefault("sharing_options", {**config.sharing_options})
                options[option] = tried[i % len(tried)]
    kept = [{key: value for key, value in row.items() if key not in fixed} for row in grid]
    return [row for i, row in enumerate(kept) if row not in kept[:i]]


def tuning(
    config: RunConfig,
    budget: Budget,
    fixed: Sequence[str] = (),
    tried: Sequence[Candidate] | None = None,
) -> list[tuple[Candidate, list[RunConfig]]]:
    """Every candidate (of `candidates` where not given) with its runs on the tuning seeds; nothing
    where there is one candidate."""
    if tried is None:
        tried = candidates(config, budget, fixed)
        if len(tried) == 1:
            return []
    seeds = range(TUNING_SEED, TUNING_SEED + budget.tuning_seeds)
    return [(each, [config.but(seed=seed, **each) for seed in seeds]) for each in tried]


def further(
    tried: Sequence[Candidate], scores: Sequence[float], budget: Budget, fixed: Sequence[str] = ()
) -> Candidate | None:
    """The next candidate where the best one's learning rate stands at an end of those tried: the
    same with a rate one step of the grid beyond; None where it does not or `extend` are made."""
    if "lr" in fixed or budget.grid < 2 or len(tried) >= budget.trials + budget.extend:
        return None
    if not any(map(math.isfinite, scores)):
        return None
    best = select(tried, scores)
    step = (budget.rates[1] / budget.rates[0]) ** (1 / (budget.grid - 1))
    rates = [each["lr"] for each in tried]
    if best["lr"] not in (min(rates), max(rates)):
        return None
    lr = best["lr"] * step if best["lr"] == max(rates) else best["lr"] / step
    return {**best, "lr": float(f"{lr:.3g}")}


def select(tried: Sequence[T], scores: Sequence[float]) -> T:
    """The candidate of the highest score, the first of equals.

    Raises:
        InputError: none has a score: each diverged, or has an undefined metric on validation.
    """
    usable = [i for i, score in enumerate(scores) if math.isfinite(score)]
    if not usable:
        diverged = sum(score == float("-inf") for score in scores)
        undefined = f"of {len(scores) - diverged} a metric on validation is undefined"
        reason = f"{diverged} diverged, {undefined}: nothing can be selected"
        raise InputError(f"none of the {len(scores)} candidates has a score: {reason}")
    return tried[max(usable, key=lambda i: scores[i])]


def reported(config: RunConfig, selected: Candidate, seeds: Sequence[int]) -> list[RunConfig]:
    """The runs of the reported seeds. `InputError` for none, or for one that is for tuning."""
    if not seeds or max(seeds) >= TUNING_SEED:
        allowed = f"at least one, each below {TUNING_SEED} (those above are for tuning)"
        raise InputError(f"seeds = {list(seeds)}: allowed: {allowed}")
    return [config.but(seed=seed, **selected) for seed in seeds]


def study(
    config: RunConfig,
    budget: Budget,
    seeds: Sequence[int] | None = None,
    *,
    fixed: Sequence[str] = (),
    like: Candidate | None = None,
    progress: bool = True,
    jobs: int = 1,
) -> Study:
    """Tune and train; what is finished already is read.

    config: everything but what is tuned; seeds: reported seeds (the budget's by default); fixed:
    fields not to tune; like: what another study selected, taken over in place of tuning; jobs:
    runs trained at once (see `train`).
    """
    seeds = range(budget.seeds) if seeds is None else seeds
    reported(config, {}, seeds)  # refused before anything is trained
    tried: list[Candidate]
    if like is not None:
        tried, scores = [{key: v for key, v in like.items() if key not in fixed}], [0.0]
    elif groups := tuning(config, budget, fixed):
        tried, scores = [], []
        while groups:
            flat = iter(train([c for _, group in groups for c in group], progress, jobs))
            tried += [each for each, _ in groups]
            scores += [mean([score(next(flat)) for _ in group]) for _, group in groups]
            more = further(tried, scores, budget, fixed)
            groups = [] if more is None else tuning(config, budget, fixed, [more])
    else:
        tried, scores = candidates(config, budget, fixed), [0.0]
    selected = select(tried, scores)
    runs = train(reported(config, selected, seeds), progress, jobs)
    return Study(tried, scores, selected, runs)


def score(run: Run) -> float:
    """Mean validation score over tasks at the selected checkpoint; −inf where the run diverged, NaN
    where a metric is undefined."""
    if run.status != "done":
        return float("-inf")
    measured = run.record["results"]["validation"]
    return mean([measured[task.name]["score"] for task in run.config.tasks])


def train(configs: Sequence[RunConfig], progress: bool = True, jobs: int = 1) -> list[Run]:
    """The runs of these configurations, in their order; `jobs` at once, by long-lived workers.

    The processes share the cores, or one GPU, and give the same bits as one after the other (with
    mode = "auto" where they find the same mode fastest). Raises `InputError` for jobs < 1 and where
    a worker dies, and whatever a run raises; what is done by then is kept, and the same call goes
    on from there.
    """
    if jobs < 1:
        raise InputError(f"jobs = {jobs}: allowed: at least 1")
    several = max((config.processes for config in configs), default=1)
    if jobs > 1 and several > 1:
        raise InputError(f"jobs = {jobs} with processes = {several}: allowed: one of them above 1")
    if jobs > 1:
        left = [c for c in configs if store.finished(store.root() / c.run_id) is None]
        for n, run in enumerate(_at_once(left, jobs), start=1):
            if progress:
                log.info("%d/%d %s: %s", n, len(left), run.config.title, run.status)
    return [fit(config, progress) for config in configs]


def _at_once(configs: Sequence[RunConfig], jobs: int) -> Iterator[Run]:
    if not configs:
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    call, here = delayed(_fit_in_worker), (os.getcwd(), dict(os.environ), os.getpid())
    pool = Parallel(
        min(jobs, len(configs)),
        "loky",
        batch_size=1,
        pre_dispatch="all",
        return_as="generator_unordered",
    )
    try:
        yield from pool(call(config, *here) for config in configs)
    except KeyboardInterrupt:
        get_reusable_executor().shutdown(kill_workers=True)
        raise
    except BrokenProcessPool as error:
        signals = re.findall(r"\w+\(-?\d+\)", str(error))  # such as SIGKILL(-9)
        if not signals:
            raise
        reason = f"a worker ended with {', '.join(signals)}, perhaps for want of memory"
        again = "what is done is kept, and the same call goes on from there"
        raise InputError(f"jobs = {jobs}: {reason}; {again}") from error


def _fit_in_worker(config: RunConfig, folder: str, environment: dict[str, str], parent: int) -> Run:
    """Train in a worker, which may have been started for another folder and environment."""
    _end_with(parent)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return fit(config, progress=False)


@cache
def _end_with(parent: int) -> None:
    """End this worker when the process that it works for is no more, killed as it may be."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
