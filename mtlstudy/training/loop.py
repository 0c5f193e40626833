"""THE training loop, read from top to bottom: `fit(config)` trains one configuration, or goes on
where a kill left it.

What happens in one step stands in `mtlstudy.training.step`. Shapes: K tasks, M (B, K, K) Gramians
of B blocks.
"""

import logging
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.benchmark import Timer
from tqdm import tqdm

from mtlstudy import files
from mtlstudy.data._check import taken
from mtlstudy.data.base import Split
from mtlstudy.nash import Status
from mtlstudy.training import identity, modes, store
from mtlstudy.training.build import build, make_sampler, make_step
from mtlstudy.training.config import RunConfig
from mtlstudy.training.evaluation import Selection, flops
from mtlstudy.training.search import structure
from mtlstudy.training.step import StepResult
from mtlstudy.training.store import Observation, Run, RunRecord, Summary

log = logging.getLogger("mtlstudy")
RECORDS = 20
"""Recorded steps a run (every second one of a short run): weights, statuses, Gramian."""
GATE_EXAMPLES = 1000
"""Validation examples on which learned gates are averaged."""


def fit(config: RunConfig, progress: bool = True) -> Run:
    """Train, select on validation, and (reported seeds only) measure once on test. A finished run
    is read, not repeated; resuming gives the same bits as never having stopped. What is corrupt or
    foreign is named and moved to runs/quarantine, and the run starts anew. A loss that is not
    finite ends the run as "diverged". torch's threads, determinism and random state are left as
    they were.

    Raises:
        InputError: the run's data are missing, or its folder cannot be written.
    """
    if config.processes > 1:
        from mtlstudy.training.parallel import fit_together

        return fit_together(config, progress)
    path = store.root() / config.run_id
    if (path / "DONE").exists() and store.fault(path) is None:
        return store.Run(path, store.read(path))  # a folder that is only read needs no lock
    with files.locked(path):
        run = files.healed(store.load_run, path)
        if run is None:
            with torch_settings(config):
                run = Training.begun(config, path).run(progress)
    assert run is not None
    return run


@contextmanager
def torch_settings(config: RunConfig) -> Iterator[None]:
    """The threads and deterministic algorithms of a run, for the time of it."""
    if config.precision == "bfloat16":
        warn_of_bfloat16(config.device)
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    if config.device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.cuda.reset_peak_memory_stats()
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def warn_of_bfloat16(device: str) -> None:
    """Say what bfloat16 costs where the processor lacks the instructions, as measured here."""
    if device != "cpu":
        return
    x = torch.ones(256, 256)
    low, full = (Timer("x @ x", globals={"x": y}).timeit(3).median for y in (x.bfloat16(), x))
    if low > 1.5 * full:
        message = "precision = 'bfloat16': a matrix product takes %.0f times as long as in float32"
        log.warning(message + " on this processor, which lacks the instructions", low / full)


class Training:
    """The state of one run: everything that a checkpoint holds."""

    rank = 0
    is_main = True

    def __init__(self, config: RunConfig, path: Path) -> None:
        self.config, self.path = config, path
        dump = config.model_dump(mode="json")
        self.record: RunRecord = {
            "run_id": path.name,
            "config": dump,
            "versions": identity.versions(dump),
            "content": identity.content(dump),
            "status": "running",
            "provenance": dict(store.provenance(config.device)),
        }
        self.lines = dict.fromkeys(("metrics.jsonl", "weights.jsonl"), "")
        if self.is_main and not (path / "run.json").exists():
            files.write(path / "run.json", store.canonical(self.record))
        self.structure = self.search()
        self.data, self.splits, self.model, self.weighting = build(config, self.structure)
        self.sampler = make_sampler(config, self.splits)
        self.train = make_step(config, self.model, self.weighting)
        self.selection = Selection(self.model, self.splits)
        self.step, self.seconds = 0, 0.0
        self.differentiation: dict[str, Any] = {}

    @classmethod
    def begun(cls, config: RunConfig, path: Path) -> Self:
        """A training that goes on from the folder's checkpoint. One that does not fit the run (code
        that changed without its version) is named, the folder moved aside, and the run begun anew.
        """
        self = cls(config, path)
        try:
            self.load_checkpoint()
        except torch.OutOfMemoryError:
            raise
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            if self.is_main:
                reason = str(error).strip().partition("\n")[0]
                what = "%s does not fit this run (%s); its folder is moved to %s, and begun anew"
                log.warning(what, path / "checkpoint.pt", reason, files.aside(path))
            self = cls(config, path)
        return self

    def search(self) -> dict[str, Any] | None:
        """What the family's search finds."""
        return structure(self.config, self.path)

    def run(self, progress: bool) -> Run | None:
        """All steps, evaluations and checkpoints, then the results (None if not the main one)."""
        config, record = self.config, self.record
        self.differentiation = self.differentiation or self.settle_mode()
        self.train.mode = self.differentiation["mode"]
        record["differentiation"] = self.differentiation
        every = max(config.steps // config.evaluations, 1)
        watch = max(config.steps // RECORDS, 2)
        begin = time.perf_counter() - self.seconds
        shown = progress and self.is_main
        hidden = None if shown else True  # None: hidden where nobody sits at a terminal
        bar = tqdm(
            total=config.steps, initial=self.step, desc=config.title, disable=hidden, leave=False
        )
        with bar:
            while self.step < config.steps:
                observe = self.step % watch == 0
                result = self.advance(observe)
                self.step += 1
                evaluate = self.step % every == 0 or self.step == config.steps
                if observe or evaluate:  # the only moments at which the host waits for the device
                    diverged = int(self.train.diverged)
                    if diverged >= 0:
                        log.warning("%s: diverged at step %d", config.title, diverged)
                        record["status"], record["diverged_step"] = "diverged", diverged
                        break
                    bar.update(self.step - bar.n)
                if observe:
                    self.lines["weights.jsonl"] += store.line(self.observation(result))
                if evaluate:
                    self.seconds = time.perf_counter() - begin
                    state = self.train.state_dict()
                    if self.is_main:
                        line = self.selection.evaluate(self.step)
                        self.lines["metrics.jsonl"] += store.line(line)
                        if shown and bar.disable:
                            text = "%s step %d/%d validation %.4f"
                            log.info(text, config.title, self.step, config.steps, line["score"])
                    self.checkpoint(state)
        if not self.is_main:
            return None
        self.seconds = time.perf_counter() - begin
        if record["status"] == "running":
            self.finish()
        record["summary"] = self.summary()
        return store.finish(self.path, record, self.lines)

    def finish(self) -> None:
        """The results at the selected states; test splits are opened for reported seeds alone."""
        record, data, final = self.record, self.data, self.config.role != "tune"
        if lost := self.selection.undefined():
            said = "%s: no evaluation has a defined score for %s; the last state is reported"
            log.warning(said, self.config.title, ", ".join(lost))
        tests: dict[str, Split] = {}
        if final:
            further = data.further(self.config.seed).items()
            tests = {"test": self.splits.test} | {n: taken(data.tasks, s) for n, s in further}
            record["confusion"] = self.selection.confusions(self.splits.test, data.classes())
        record["results"] = self.selection.results(tests)
        record["status"] = "done"
        with torch.no_grad():
            few = self.splits.validation.first(GATE_EXAMPLES)
            record["learned"] = self.model.learned(few.inputs)

    def summary(self) -> Summary:
        """What the run cost."""
        if self.config.device == "cuda":
            memory = torch.cuda.max_memory_allocated()
        else:
            memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        searched = self.structure or {}
        return {
            "parameters": self.model.parameter_count(),
            "flops": flops(self.model, self.splits.train),
            "steps": self.step,
            "seconds": self.seconds,
            "search_steps": searched.get("steps", 0),
            "search_seconds": searched.get("seconds", 0.0),
            "best_step": [best.get("step") for best in self.selection.best],
            "peak_memory_mb": memory / 1e6,
            "games": {status.name: int(self.train.games[status]) for status in Status},
        }

    def advance(self, observe: bool) -> StepResult:
        """One training step on the next batch."""
        self.train.set_rate(self.config.rate(self.step))
        result = self.train(self.sampler.draw(), observe)
        self.train.restructure(self.config.steps, result)
        return result

    def observation(self, result: StepResult) -> Observation:
        """One line of weights.jsonl."""
        M = result.gramians
        return {
            "step": self.step - 1,
            "losses": result.losses.tolist(),
            "weights": result.weights.weights.tolist(),
            "status": result.weights.status.tolist(),
            "gramian": None if M is None else M.tolist(),
        }

    def settle_mode(self) -> dict[str, Any]:
        """How the task gradients are taken (see `mtlstudy.training.modes`)."""
        return modes.settle(self.config, self.train, self.sampler)

    def gather_rng(self, state: Tensor) -> list[Tensor]:
        """The random states of all processes, in order."""
        return [state]

    def load_checkpoint(self) -> None:
        """Go on from the checkpoint, if there is one."""
        state = store.load(self.path / "checkpoint.pt", self.config.device)
        if state is None:
            return
        self.train.load_state_dict(state)
        self.weighting.load_state_dict(state["weighting"])
        self.sampler.load_state_dict(state["sampler"])
        self.train.games, self.train.calls = state["games"], state["step"]
        self.step, self.seconds = state["step"], state["seconds"]
        self.selection.best, self.differentiation = state["best"], state["differentiation"]
        torch.set_rng_state(state["rng"][self.rank].cpu())
        if self.config.device == "cuda":
            torch.cuda.set_rng_state(state["rng_cuda"][self.rank].cpu())
        self.lines = state["lines"]

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Everything the rest of the run depends on, written atomically; the lines so far beside it
        for who looks on."""
        rng = {"rng": self.gather_rng(torch.get_rng_state())}
        if self.config.device == "cuda":
            rng["rng_cuda"] = self.gather_rng(torch.cuda.get_rng_state())
        if not self.is_main:
            return
        state |= {
            "weighting": self.weighting.state_dict(),
            "sampler": self.sampler.state_dict(),
            "games": self.train.games,
            "step": self.step,
            "seconds": self.seconds,
            "best": self.selection.best,
            "differentiation": self.differentiation,
            **rng,
            "lines": self.lines,
        }
        store.save(self.path / "checkpoint.pt", state)
        for name, text in self.lines.items():
            with files.placed(self.path / name) as part:
                part.write_text(text)
