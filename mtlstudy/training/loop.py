"""THE training loop, read from top to bottom: `fit(config)` trains one configuration, or goes on where a kill left it.

What happens in one step stands in `mtlstudy.step`. Shapes: K tasks, M (B, K, K) Gramians of B blocks.
"""

import copy
import logging
import os
import resource
import sys
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from mtlstudy.training import store as runs
from mtlstudy.training.build import adam, build
from mtlstudy.training.clock import Clock
from mtlstudy.training.config import RunConfig
from mtlstudy.training.parallel import ALONE, Team, join
from mtlstudy.training.evaluation import flops
from mtlstudy.training.modes import settle
from mtlstudy.nash.newton import Status
from mtlstudy.training.store import Run
from mtlstudy.training.sampling import Sampler
from mtlstudy.training.search import structure
from mtlstudy.training.selection import Selection
from mtlstudy.models.sharing.base import Sharing
from mtlstudy.registry import entry
from mtlstudy.training.step import Step
from mtlstudy.weighting.base import Weights

log = logging.getLogger("mtlstudy")
RECORDS = 20  # recorded steps a run (every second one of a short run): weights, statuses, Gramian
LOOKED_AT = 1000  # validation examples on which learned gates are averaged


def fit(config: RunConfig, progress: bool = True) -> Run:
    """Train, select on validation, and (reported seeds only) measure once on test. A finished run is read, not repeated.
    Resuming gives the same bits as never having stopped. A loss that is not finite ends the run as "diverged".
    Raises `InputError` where the run's folder is corrupt or foreign, or its data are missing.
    """
    path = runs.root() / config.run_id
    team = join(config.processes, config.device)
    with runs.locked(path) if team.leads else nullcontext():
        team.wait()
        done = runs.load_run(path)
        team.wait()
        if done is None:
            torch.set_num_threads(config.threads)
            if config.device == "cuda":
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
                torch.cuda.reset_peak_memory_stats()
            with torch.random.fork_rng():
                torch.use_deterministic_algorithms(True)
                done = Training(config, path, team).run(progress)
        team.wait()
    return done or runs.Run(path, runs.read(path))


class Training:
    """The state of one run: everything that a checkpoint holds."""

    def __init__(self, config: RunConfig, path: Path, team: Team = ALONE) -> None:
        self.config, self.path, self.team = config, path, team
        self.record: dict[str, Any] = {
            "run_id": config.run_id, "config": config.model_dump(mode="json"), "sources": config.sources(),
            "data_sha256": entry("data", config.data).sha256, "status": "running",
            "provenance": dict(runs.provenance(config.device))}  # fmt: skip
        if team.leads and not (path / "checkpoint.pt").exists():  # a clean folder; a start without a checkpoint leaves nothing
            for name in ("weights", "metrics"):
                runs.write(path / f"{name}.jsonl", "")
            runs.write(path / "run.json", runs.canonical(self.record))
        for process in range(team.size):  # the first one searches, the others read what it found
            if process == team.rank:
                self.structure = structure(config, path)
            team.wait()
        _, self.splits, self.model, self.weighting = build(config, self.structure)
        trained: Sharing = self.model
        kind: type[Step] = Step
        if config.sharded:  # torch's FSDP takes a while to import
            from mtlstudy.training.sharded import ShardedStep, shard

            trained, kind = shard(copy.deepcopy(self.model), team), ShardedStep
        self.optimiser = adam(config, trained, self.weighting)
        self.sampler = Sampler(
            self.splits.train, config.batch_size, config.seed, config.temperature, device=torch.device(config.device), team=team
        )
        self.train = kind(
            trained, self.weighting, self.optimiser, chunk=config.chunk, precision=config.precision,
            accumulate=config.accumulate, compile=config.compile, team=team,
        )  # fmt: skip
        self.selection = Selection(self.model, self.splits)
        self.step = 0
        self.differentiation: dict[str, Any] = {}
        self.spans: list[list[float]] = []  # seconds and steps between two looks
        if team.rank:
            torch.manual_seed(config.seed + 104_729 * team.rank)  # each drops out units of its own

    def run(self, progress: bool) -> Run | None:
        """All steps, evaluations and checkpoints, then the results (None in a process that does not lead)."""
        config, record, team = self.config, self.record, self.team
        self.resume()
        self.differentiation = self.differentiation or settle(config, self.train, self.sampler)
        self.train.mode = self.differentiation["mode"]
        record["differentiation"] = self.differentiation
        every, watch = max(config.steps // config.evaluations, 1), max(config.steps // RECORDS, 2)
        shown = progress and team.leads
        hidden = not (shown and sys.stderr.isatty())
        bar = tqdm(total=config.steps, initial=self.step, desc=config.title, disable=hidden, leave=False)
        with bar, self.opened("weights") as weights, self.opened("metrics") as metrics:
            clock = Clock(self.train.device)
            while self.step < config.steps:
                observe = self.step % watch == 0
                if observe:  # such a step costs more than the method does, and is not timed
                    clock.stop(self.spans)
                losses, M, chosen = self.advance(observe)
                self.step += 1
                clock.steps += 1
                evaluate = self.step % every == 0 or self.step == config.steps
                if observe or evaluate:
                    if not observe:
                        clock.stop(self.spans)
                    lost = int(self.train.lost)
                    if lost >= 0:
                        log.warning("%s: diverged at step %d", config.title, lost)
                        record |= {"status": "diverged", "diverged_step": lost}
                        break
                    bar.update(self.step - bar.n)
                if observe:
                    weights.write(runs.line(self.observation(losses, M, chosen)))
                if evaluate:
                    state = self.train.state_dict()
                    if config.sharded:
                        self.model.load_state_dict(state["model"])
                    if team.leads:
                        line = self.selection.evaluate(self.step)
                        metrics.write(runs.line(line))
                        if shown and bar.disable:
                            log.info("%s step %d/%d validation %.4f", config.title, self.step, config.steps, line["score"])
                    self.checkpoint(state, [weights, metrics])
                if observe or evaluate:
                    clock.start()
        if not team.leads:
            return None
        if record["status"] == "running":
            record |= {"status": "done", "results": self.selection.results(test=config.role != "tune")}
            with torch.no_grad():
                record["learned"] = self.model.learned(self.splits.validation.first(LOOKED_AT).inputs)
        record["summary"] = self.summary()
        return runs.finish(self.path, record)

    def opened(self, name: str) -> Any:
        """A file of the run to append to; only the process that leads writes."""
        return (self.path / f"{name}.jsonl" if self.team.leads else Path(os.devnull)).open("a")

    def summary(self) -> dict[str, Any]:
        """What the run cost."""
        seconds, steps = (sum(span[i] for span in self.spans) for i in (0, 1))
        cuda = self.config.device == "cuda"
        memory = torch.cuda.max_memory_allocated() if cuda else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "parameters": self.model.parameter_count(), "flops": flops(self.model, self.splits.train),
            "steps": self.step, "seconds": seconds * self.step / steps if steps else 0.0,
            "search_steps": (self.structure or {}).get("steps", 0), "search_seconds": (self.structure or {}).get("seconds", 0.0),
            "best_step": [best.get("step") for best in self.selection.best], "peak_memory_mb": memory / 1e6,
            "ms_per_step": 1e3 * median(span[0] / span[1] for span in self.spans) if self.spans else None,
            "games": {status.name: int(self.train.counts[status]) for status in Status}}  # fmt: skip

    def advance(self, observe: bool) -> tuple[Tensor, Tensor | None, Weights]:
        """One training step on the next batch (see `Step`)."""
        return self.train(self.sampler.draw(), observe)

    def observation(self, losses: Tensor, M: Tensor | None, chosen: Weights) -> dict[str, Any]:
        """One line of weights.jsonl."""
        return {
            "step": self.step - 1, "losses": losses.tolist(), "weights": chosen.weights.tolist(),
            "status": chosen.status.tolist(), "gramian": None if M is None else M.tolist()}  # fmt: skip

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one, cutting off what was written after it."""
        file, team = self.path / "checkpoint.pt", self.team
        if not file.exists():
            return
        state = torch.load(file, map_location=self.config.device, weights_only=True)
        self.train.load_state_dict(state)
        self.weighting.load_state_dict(state["weighting"])
        self.sampler.load_state_dict(state["sampler"])
        self.train.counts, self.train.calls = state["counts"], state["step"]
        self.step, self.spans, self.selection.best = state["step"], state["spans"], state["best"]
        self.differentiation = state["differentiation"]
        torch.set_rng_state(state["rng"][team.rank].cpu())
        if self.config.device == "cuda":
            torch.cuda.set_rng_state(state["rng_cuda"][team.rank].cpu())
        team.wait()
        if team.leads:
            for name, size in state["sizes"].items():
                os.truncate(self.path / name, size)

    def checkpoint(self, state: dict[str, Any], files: list[Any]) -> None:
        """Everything the rest of the run depends on, beside the step's own state, written atomically."""
        device, cuda = self.train.device, self.config.device == "cuda"
        rng = {"rng": self.team.collect(torch.get_rng_state().to(device))}
        if cuda:
            rng["rng_cuda"] = self.team.collect(torch.cuda.get_rng_state().to(device))
        if not self.team.leads:
            return
        for file in files:
            file.flush()
        state |= {
            "weighting": self.weighting.state_dict(), "sampler": self.sampler.state_dict(), "counts": self.train.counts,
            "step": self.step, "spans": self.spans, "best": self.selection.best, "differentiation": self.differentiation, **rng,
            "sizes": {Path(file.name).name: os.fstat(file.fileno()).st_size for file in files}}  # fmt: skip
        runs.save(self.path / "checkpoint.pt", state)
