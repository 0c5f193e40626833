"""THE training loop, read from top to bottom: `fit(config)` trains one configuration, or goes on where a kill left it.

Shapes: K tasks, N examples a batch, z (N, d), J (K, P) task gradients on the shared parameters, M (B, K, K) Gramians.
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
from .data.base import Split
from .evaluation import mean, measure
from .gradients import direction, gramian, representation_gradients, task_gradients
from .nash import Status
from .runs import Run
from .weighting.base import LossWeighting, Weights

log = logging.getLogger("mtlstudy")
RECORDS = 30  # recorded steps a run: weights, statuses, Gramian
EVALUATED = 500  # training examples on which the training metric is measured


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
    """The state of one run: everything that a checkpoint holds, and the step that changes it."""

    def __init__(self, config: RunConfig, path: Path) -> None:
        self.config, self.path = config, path
        self.data, self.splits, self.model, self.weighting = build(config)
        self.tasks = self.data.tasks
        self.blocks = self.model.shared_blocks()
        self.shared = [p for block in self.blocks.values() for p in block]
        self.sizes = [sum(p.numel() for p in block) for block in self.blocks.values()]
        parameters = [*self.model.parameters(), *self.weighting.parameters()]
        self.optimiser = torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay)
        self.order = torch.Generator().manual_seed(config.seed)
        self.rows = torch.empty(0, dtype=torch.int64)  # what is left of the present epoch
        self.step = 0
        self.counts = torch.zeros(len(Status), dtype=torch.int64)  # bargaining games by status
        self.durations: list[float] = []
        self.best: list[dict[str, Any]] = [{} for _ in self.groups()]

    def run(self, progress: bool) -> Run:
        """All steps, evaluations and checkpoints, then the results."""
        config = self.config
        record: dict[str, Any] = {
            "run_id": config.run_id, "config": config.model_dump(mode="json"), "sources": config.sources(),
            "data_sha256": type(self.data).sha256, "status": "running",
            "provenance": dict(runs.provenance(config.device))}  # fmt: skip
        self.resume_or_start(record)
        every, watch = max(config.steps // config.evaluations, 1), max(config.steps // RECORDS, 1)
        name = f"{config.data} {config.sharing}+{config.weighting} lr={config.lr:g} seed={config.seed}"
        bar = tqdm(total=config.steps, initial=self.step, desc=name, disable=not (progress and sys.stderr.isatty()), leave=False)
        with bar, (self.path / "weights.jsonl").open("a") as weights, (self.path / "metrics.jsonl").open("a") as metrics:
            while self.step < config.steps:
                begin, observe = time.perf_counter(), self.step % watch == 0
                losses, M, chosen = self.update(self.batch(), observe)
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
        seconds = sum(self.durations)
        record["summary"] = {
            "parameters": self.model.parameter_count(), "steps": self.step, "seconds": seconds,
            "best_step": [group.get("step") for group in self.best],
            "ms_per_step": 1e3 * float(torch.tensor(self.durations).median()) if self.durations else None,
            "games": {status.name: int(self.counts[status]) for status in Status}}  # fmt: skip
        return runs.finish(self.path, record)

    def batch(self) -> Split:
        """The next mini-batch; an epoch visits every example once in an order drawn anew, its short rest goes with the last."""
        train = self.splits.train
        size = min(self.config.batch_size, len(train))
        if len(self.rows) < size:
            self.rows = torch.randperm(len(train), generator=self.order)
        rows, self.rows = self.rows[:size], self.rows[size:]
        return train.batch(rows.to(train.inputs.device))

    def update(self, batch: Split, observe: bool) -> tuple[Tensor, Tensor | None, Weights]:
        """One training step: losses (K,), Gramians (B, K, K) where they were computed, and the weights that were used."""
        self.model.train()
        z = self.model.encode(batch.inputs)
        named = [task.loss(self.model.heads[task.name](z[task.name]), batch.targets[task.name]) for task in self.tasks]
        losses = torch.stack(named).detach()
        representations = [z[task.name] for task in self.tasks]
        self.optimiser.zero_grad()
        if isinstance(self.weighting, LossWeighting):
            M = None
            if observe and self.shared:
                to_z, _ = representation_gradients(named, representations, [[]] * len(named))
                M = gramian(task_gradients(representations, to_z, self.shared, keep_graph=True))
            chosen = self.weighting(losses)
            if bool(torch.isfinite(losses).all()):
                self.weighting.objective(torch.stack(named)).backward()
                self.optimiser.step()
            return losses, M, chosen
        M, chosen = self.bargain(named, losses, representations)
        if bool(torch.isfinite(losses).all()):
            self.optimiser.step()
        return losses, M, chosen

    def bargain(self, named: list[Tensor], losses: Tensor, z: list[Tensor]) -> tuple[Tensor | None, Weights]:
        """Gradients for a weighting that asks for Gramians: K passes through the trunk, the stored J reused for the step."""
        weighting, own = self.weighting, [self.model.own_parameters(task.name) for task in self.tasks]
        to_z, to_own = representation_gradients(named, z, own)
        level = getattr(weighting.options, "level", "parameters")
        J, M = None, None
        if level == "representation":
            if weighting.due():
                M = gramian(torch.stack([v.flatten() for v in to_z]))
        elif weighting.due() or weighting.per_block:
            J = task_gradients(z, to_z, self.shared)
            M = gramian(J, self.sizes if weighting.per_block else None) if weighting.due() else None
        chosen: Weights = weighting(losses, M)
        if M is not None:
            self.counts += torch.bincount(chosen.status.cpu(), minlength=len(Status))
        a = chosen.weights.to(losses.dtype)  # (B, K)
        if J is not None:
            parts = J.split(self.sizes, 1) if weighting.per_block else [J]
            directions = [a[b] @ part for b, part in enumerate(parts)]
        else:  # the weights are known: one backward pass over their sum
            directions = [direction(z, [a[0, t] * v for t, v in enumerate(to_z)], self.shared)]
        bound = getattr(weighting.options, "max_norm", None)
        d = torch.cat([clip(part, bound) for part in directions])
        for p, part in zip(self.shared, d.split([p.numel() for p in self.shared]), strict=True):
            p.grad = part.view_as(p)
        scale = getattr(weighting.options, "head_gradients", "own") == "weighted"
        for t, (parameters, grads_own) in enumerate(zip(own, to_own, strict=True)):
            for p, g in zip(parameters, grads_own, strict=True):
                p.grad = a[0, t] * g if scale else g
        return M, chosen

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
        seen = torch.arange(min(EVALUATED, len(self.splits.train)), device=self.splits.train.inputs.device)
        line: dict[str, Any] = {"step": self.step, "train": measure(self.model, self.tasks, self.splits.train.batch(seen))}
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

    def resume_or_start(self, record: dict[str, Any]) -> None:
        """Go on from the checkpoint, cutting off what was written after it; otherwise begin a clean folder."""
        file = self.path / "checkpoint.pt"
        if not file.exists():
            self.path.mkdir(parents=True, exist_ok=True)
            for name in ("weights", "metrics"):
                runs.write(self.path / f"{name}.jsonl", "")
            runs.write(self.path / "run.json", runs.canonical(record))
            return
        state = torch.load(file, map_location=self.config.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.weighting.load_state_dict(state["weighting"])
        self.order.set_state(state["order"].cpu())
        self.rows, self.counts = state["rows"].cpu(), state["counts"].cpu()
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
            "order": self.order.get_state(), "rows": self.rows, "counts": self.counts, "step": self.step,
            "durations": self.durations, "best": self.best, "rng": torch.get_rng_state(),
            "sizes": {Path(file.name).name: os.fstat(file.fileno()).st_size for file in files}}  # fmt: skip
        if self.config.device == "cuda":
            state["rng_cuda"] = torch.cuda.get_rng_state()
        runs.save(self.path / "checkpoint.pt", state)


def clip(d: Tensor, bound: float | None) -> Tensor:
    """d (P,) shortened to length `bound` where it is longer."""
    return d if bound is None else d * (bound / torch.linalg.vector_norm(d).clamp_min(bound))
