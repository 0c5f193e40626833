"""THE training loop, read from top to bottom: `fit(config)` trains one configuration, or goes on where a kill left it.

What happens in one step stands in `mtlstudy.step`. Shapes: K tasks, M (B, K, K) Gramians of B blocks.
"""

import copy
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from . import runs
from .building import build
from .config import RunConfig
from .evaluation import flops, mean, measure
from .nash import Status
from .runs import Run
from .sampling import Sampler
from .searching import structure
from .shelf import entry
from .step import Step
from .weighting.base import Weights

log = logging.getLogger("mtlstudy")
RECORDS = 30  # recorded steps a run: weights, statuses, Gramian
EVALUATED = 500  # training examples on which the training metric is measured
LOOKED_AT = 1000  # validation examples on which learned gates are averaged


def fit(config: RunConfig, progress: bool = True) -> Run:
    """Train, select on validation, and (reported seeds only) measure once on test. A finished run is read, not repeated.
    Resuming gives the same bits as never having stopped. A loss that is not finite ends the run as "diverged".
    Raises `InputError` where the run's folder is corrupt or foreign, or its data are missing.
    """
    path = runs.root() / config.run_id
    with runs.locked(path):
        done = runs.load_run(path)
        if done is not None:
            return done
        torch.set_num_threads(config.threads)
        if config.device == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        with torch.random.fork_rng():
            torch.use_deterministic_algorithms(True)
            return Training(config, path).run(progress)


class Training:
    """The state of one run: everything that a checkpoint holds."""

    def __init__(self, config: RunConfig, path: Path) -> None:
        self.config, self.path = config, path
        self.record: dict[str, Any] = {
            "run_id": config.run_id, "config": config.model_dump(mode="json"), "sources": config.sources(),
            "data_sha256": entry("data", config.data).sha256, "status": "running",
            "provenance": dict(runs.provenance(config.device))}  # fmt: skip
        if not (path / "checkpoint.pt").exists():  # a clean folder, and nothing of a start that came to no checkpoint
            for name in ("weights", "metrics"):
                runs.write(path / f"{name}.jsonl", "")
            runs.write(path / "run.json", runs.canonical(self.record))
        self.structure = structure(config, path)
        self.data, self.splits, self.model, self.weighting = build(config, self.structure)
        self.tasks = self.data.tasks
        parameters = [*self.model.parameters(), *self.weighting.parameters()]
        self.optimiser = torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay)
        self.sampler = Sampler(self.splits.train, config.batch_size, config.seed, config.temperature)
        self.train = Step(self.model, self.weighting, self.optimiser)
        self.seen = self.splits.train.first(EVALUATED)
        self.step = 0
        self.durations: list[float] = []
        self.best: list[dict[str, Any]] = [{} for _ in self.groups()]

    def run(self, progress: bool) -> Run:
        """All steps, evaluations and checkpoints, then the results."""
        config, record = self.config, self.record
        self.resume()
        every, watch = max(config.steps // config.evaluations, 1), max(config.steps // RECORDS, 1)
        name = f"{config.data} {config.sharing}+{config.weighting} lr={config.lr:g} seed={config.seed}"
        bar = tqdm(total=config.steps, initial=self.step, desc=name, disable=not (progress and sys.stderr.isatty()), leave=False)
        with bar, (self.path / "weights.jsonl").open("a") as weights, (self.path / "metrics.jsonl").open("a") as metrics:
            while self.step < config.steps:
                begin, observe = time.perf_counter(), self.step % watch == 0
                losses, M, chosen = self.advance(observe)
                if not bool(torch.isfinite(losses).all()):
                    log.warning("%s: diverged at step %d", name, self.step)
                    record |= {"status": "diverged", "diverged_step": self.step}
                    break
                if observe:
                    weights.write(runs.line(self.observation(losses, M, chosen)))
                else:  # observed steps cost more than the method does
                    self.durations.append(time.perf_counter() - begin)
                self.step += 1
                bar.update()
                if self.step % every == 0 or self.step == config.steps:
                    line = self.evaluate()
                    metrics.write(runs.line(line))
                    if progress and bar.disable:
                        log.info("%s step %d/%d validation %.4f", name, self.step, config.steps, line["score"])
                    self.checkpoint([weights, metrics])
        if record["status"] == "running":
            record |= {"status": "done", "results": self.results()}
            with torch.no_grad():
                record["learned"] = self.model.learned(self.splits.validation.first(LOOKED_AT).inputs)
        seconds = sum(self.durations)
        record["summary"] = {
            "parameters": self.model.parameter_count(), "flops": flops(self.model, self.splits.train),
            "steps": self.step, "seconds": seconds, "search_steps": (self.structure or {}).get("steps", 0),
            "search_seconds": (self.structure or {}).get("seconds", 0.0),
            "best_step": [group.get("step") for group in self.best],
            "ms_per_step": 1e3 * float(torch.tensor(self.durations).median()) if self.durations else None,
            "games": {status.name: int(self.train.counts[status]) for status in Status}}  # fmt: skip
        return runs.finish(self.path, record)

    def advance(self, observe: bool) -> tuple[Tensor, Tensor | None, Weights]:
        """One training step on the next batch (see `Step`)."""
        return self.train(self.sampler.draw(), observe)

    def observation(self, losses: Tensor, M: Tensor | None, chosen: Weights) -> dict[str, Any]:
        """One line of weights.jsonl."""
        return {
            "step": self.step, "losses": losses.tolist(), "weights": chosen.weights.tolist(),
            "status": chosen.status.tolist(), "gramian": None if M is None else M.tolist()}  # fmt: skip

    def groups(self) -> list[list[str]]:
        """Tasks that select a checkpoint together: all of them, or each by itself where nothing is shared."""
        names = [task.name for task in self.tasks]
        return [[name] for name in names] if self.model.independent else [names]

    def evaluate(self) -> dict[str, Any]:
        """One line of metrics.jsonl; the best state so far of every group of tasks is kept."""
        line: dict[str, Any] = {"step": self.step, "train": measure(self.model, self.tasks, self.seen)}
        line["validation"] = measure(self.model, self.tasks, self.splits.validation)
        scores = {name: value["score"] for name, value in line["validation"].items()}
        line["score"] = mean(list(scores.values()))
        for names, best in zip(self.groups(), self.best, strict=True):
            score = mean([scores[name] for name in names])
            if score > best.get("score", float("-inf")):
                best |= {"score": score, "step": self.step, "state": copy.deepcopy(self.model.state_dict())}
        return line

    def results(self) -> dict[str, dict[str, dict[str, float]]]:
        """Split → task → measures at the selected checkpoints; test is opened here, once, and for reported seeds only."""
        splits = {"train": self.splits.train, "validation": self.splits.validation, "test": self.splits.test}
        if self.config.role == "tune":
            del splits["test"]
        results: dict[str, dict[str, dict[str, float]]] = {name: {} for name in splits}
        for names, best in zip(self.groups(), self.best, strict=True):
            if "state" in best:
                self.model.load_state_dict(best["state"])
            for split, examples in splits.items():
                measured = measure(self.model, self.tasks, examples)
                results[split] |= {name: measured[name] for name in names}
        return results

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one, cutting off what was written after it."""
        file = self.path / "checkpoint.pt"
        if not file.exists():
            return
        state = torch.load(file, map_location=self.config.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.weighting.load_state_dict(state["weighting"])
        self.sampler.load_state_dict(state["sampler"])
        self.train.counts = state["counts"].cpu()
        self.step, self.durations, self.best = state["step"], state["durations"], state["best"]
        torch.set_rng_state(state["rng"].cpu())
        if self.config.device == "cuda":
            torch.cuda.set_rng_state(state["rng_cuda"].cpu())
        for name, size in state["sizes"].items():
            os.truncate(self.path / name, size)

    def checkpoint(self, files: list[Any]) -> None:
        """Everything the rest of the run depends on, written atomically."""
        for file in files:
            file.flush()
        state = {
            "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "weighting": self.weighting.state_dict(),
            "sampler": self.sampler.state_dict(), "counts": self.train.counts, "step": self.step,
            "durations": self.durations, "best": self.best, "rng": torch.get_rng_state(),
            "sizes": {Path(file.name).name: os.fstat(file.fileno()).st_size for file in files}}  # fmt: skip
        if self.config.device == "cuda":
            state["rng_cuda"] = torch.cuda.get_rng_state()
        runs.save(self.path / "checkpoint.pt", state)
