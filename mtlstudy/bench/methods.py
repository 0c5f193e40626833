"""One training step of every method that is timed, on the same model, batch and optimiser.

A method is made for a `Problem` and called once a step. It gives an `Answer` where it has
bargaining weights, so that they can be held to M a = 1/a afterwards. Where it keeps memory for its
next call, `forget` gives that back.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mtlstudy import api
from mtlstudy.bench.peers import Peer, ready
from mtlstudy.bench.problems import Problem
from mtlstudy.bench.timing import Call
from mtlstudy.errors import InputError
from mtlstudy.gradients import gramian, task_gradients
from mtlstudy.nash import Status
from mtlstudy.nash.reference import ccp
from mtlstudy.registry import entry
from mtlstudy.training.step import Step

RATE = 1e-4


class Answer(NamedTuple):
    """weights (K,) of a step; M (K, K) of that step, None where the method does not give it;
    solved: what it says of itself, None where it says nothing."""

    weights: Tensor
    M: Tensor | None = None
    solved: bool | None = None


Method = Callable[[Problem], Call]


def adam(problem: Problem) -> torch.optim.Optimizer:
    """The optimiser of every method, the one of training."""
    return torch.optim.Adam(problem.model.parameters(), RATE, fused=True)


def ours(weighting: str, times: int = 1, options: Any = None, **how: Any) -> Method:
    """The package's own step, `times` of them a call; how: arguments of `Step`."""

    def make(problem: Problem) -> Call:
        kind = entry("weighting", weighting)
        parsed = kind.Options.parse("weighting_options", options or {})
        method = kind(len(problem.tasks), 1, parsed).to(problem.device)
        train = Step(problem.model, method, adam(problem), **how)

        def step() -> Answer | None:
            answer: Answer | None = None
            for _ in range(times):
                _, M, (a, status) = train(problem.batch)
                if M is not None and weighting == "nash":
                    answer = Answer(a[0], M[0], bool(status[0] == Status.SOLVED))
            return answer

        def forget() -> None:
            train.J = train.d = train.workspace = None

        step.forget = forget  # type: ignore[attr-defined]
        return step

    return make


def backward(weighting: str) -> Method:
    """What a user of `mtlstudy.Balancer` writes: losses in, gradients out."""

    def make(problem: Problem) -> Call:
        balancer = api.Balancer(weighting, len(problem.tasks))
        optimiser = adam(problem)

        def step() -> Answer | None:
            optimiser.zero_grad()
            done = balancer.backward(problem.losses()[0])
            optimiser.step()
            solved = bool(done.status[0] == Status.SOLVED)
            return Answer(done.weights[0], None, solved) if weighting == "nash" else None

        return step

    return make


def mean_loss(problem: Problem) -> Call:
    """The plain step: the mean of the losses, one backward pass."""
    optimiser = adam(problem)

    def step() -> None:
        optimiser.zero_grad()
        torch.stack(problem.losses()[0]).mean().backward()
        optimiser.step()

    return step


def limit(problem: Problem) -> Call:
    """What no method that needs every task's gradient can go below: one forward, each loss
    differentiated to z through its own head (all in one pass), K backward passes through the trunk;
    the results are dropped and nothing is updated."""
    shared = problem.shared()

    def step() -> None:
        z, to_z = problem.head_gradients()
        for v in to_z:
            torch.autograd.grad(z, shared, v, retain_graph=True)

    return step


def official(solver: str) -> Method:
    """The customary procedure: K passes over all from each loss to the shared parameters, CCP, a
    backward pass of the weighted losses, clipping; as published with the paper, with this package's
    faster program."""

    def make(problem: Problem) -> Call:
        shared, optimiser = problem.shared(), adam(problem)
        a = np.ones(len(problem.tasks))

        def step() -> Answer:
            nonlocal a
            optimiser.zero_grad()
            losses, _ = problem.losses()
            grads = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses]
            J = torch.stack([torch.cat([g.flatten() for g in row]) for row in grads])
            M = (J @ J.mT).double().cpu().numpy()
            found = ccp(M, a, solver=solver, published=True)
            a = np.where(np.isfinite(found.weights), found.weights, a)
            weights = torch.from_numpy(a)
            objective: Tensor = (torch.stack(losses) * weights.to(losses[0])).sum()
            objective.backward()
            nn.utils.clip_grad_norm_(shared, 1.0)
            optimiser.step()
            return Answer(weights, torch.from_numpy(M), found.status == "optimal")

        return step

    return make


def torchjd(aggregator: str, chunk: int | None = None) -> Method:
    """torchjd's `mtl_backward` and `jac_to_grad` with one of its aggregators; chunk: its
    parallel_chunk_size. The weights are those before its clipping."""

    def make(problem: Problem) -> Call:
        from torchjd import aggregation
        from torchjd.autojac import jac_to_grad, mtl_backward

        nash = {"n_tasks": len(problem.tasks)} if aggregator == "NashMTL" else {}
        method = getattr(aggregation, aggregator)(**nash)
        own = [problem.model.task_parameters(task.name) for task in problem.tasks]
        shared, optimiser = problem.shared(), adam(problem)
        how: dict[str, Any] = {"shared_params": shared, "parallel_chunk_size": chunk}

        def step() -> Answer | None:
            optimiser.zero_grad()
            losses, z = problem.losses()
            mtl_backward(losses, features=z, tasks_params=own, **how)
            jac_to_grad(shared, method)
            optimiser.step()
            return Answer(torch.tensor(method.weighting.prvs_alpha).double()) if nash else None

        return step

    return make


def autogram(problem: Problem) -> Call:
    """torchjd's engine, which needs no Jacobian for the Gramian, with UPGrad's weighting."""
    from torchjd.aggregation import UPGradWeighting
    from torchjd.autogram import Engine

    engine = Engine(problem.model.stages, batch_dim=None)
    weighting, optimiser = UPGradWeighting(), adam(problem)

    def step() -> None:
        optimiser.zero_grad()
        losses = torch.stack(problem.losses()[0])
        losses.backward(weighting(engine.compute_gramian(losses)))
        optimiser.step()

    return step


def by_peer(peer: Peer) -> Method:
    """A peer's own weighting class."""

    def make(problem: Problem) -> Call:
        train = peer.step(problem, adam(problem))
        return lambda: Answer(torch.from_numpy(train()))

    return make


OURS: dict[str, Method] = {
    "mean_loss": mean_loss,
    "limit": limit,
    "equal": ours("equal"),
    "nash_sequential": ours("nash"),
    "nash_batched": ours("nash", mode="batched"),
    "nash_chunked": ours("nash", mode="chunked"),
    "nash_representation": ours("nash", options={"level": "representation"}),
    "nash_every_5": ours("nash", 5, {"update_every": 5}),
    "nash_bfloat16": ours("nash", precision="bfloat16"),
    "nash_compiled": ours("nash", compile=True),
    "equal_norm": ours("equal_norm"),
    "backward": backward("nash"),
    "backward_equal": backward("equal"),
}
PARTS = {"nash_every_5": 5}
"""Steps that one call of a method takes, where not one."""
THEIRS: dict[str, Method] = {
    "torchjd_nash": torchjd("NashMTL"),
    "torchjd_nash_chunk_1": torchjd("NashMTL", 1),
    "torchjd_upgrad": torchjd("UPGrad"),
    "torchjd_upgrad_chunk_1": torchjd("UPGrad", 1),
    "torchjd_autogram_upgrad": autogram,
}


def available(peers: Sequence[Peer], notes: list[str]) -> dict[str, Method]:
    """Every method that can be tried here; what is missing is a line in `notes`."""
    found = {**OURS, "official": official("ECOS"), **THEIRS}
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        del found["nash_compiled"]
        notes.append(f"nash_compiled is left out: no C++ compiler ({compiler})")
    try:
        ready("official")
    except InputError as missing:
        found["official"] = official("CLARABEL")
        notes.append(f"{missing}; official takes Clarabel")
    return found | {peer.method: by_peer(peer) for peer in peers}


def made(
    methods: Mapping[str, Method], fresh: Callable[[], Problem], where: str, notes: list[str]
) -> dict[str, tuple[Call, Problem]]:
    """Each method with a problem of its own, tried once; one that cannot be run there is a line in
    `notes`."""
    calls: dict[str, tuple[Call, Problem]] = {}
    for name, method in methods.items():
        try:
            problem = fresh()
            call = method(problem)
            call()
            calls[name] = call, problem
        except (InputError, ImportError, ValueError, RuntimeError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            notes.append(f"{name} is left out of {where}: {reason}")
    return calls


def exact(problem: Problem) -> Tensor:
    """M (K, K) of the model as it stands."""
    z, to_z = problem.head_gradients()
    return gramian(task_gradients([z] * len(to_z), to_z, problem.shared()))[0]
