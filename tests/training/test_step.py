"""A step in its other ways: modes, precision, torch.compile, memory layouts."""

import shutil
from functools import cache

import pytest
import torch
from torch._functorch import config as functorch

from mtlstudy import InputError, RunConfig, fit, sharing, weighting
from mtlstudy.bench.problems import make
from mtlstudy.data.base import Split
from mtlstudy.models.backbones import mlp
from mtlstudy.models.layers import MaxPool2x2
from mtlstudy.models.tasks import Task
from mtlstudy.training import modes, store
from mtlstudy.training.loop import Training
from mtlstudy.training.sampling import Sampler
from mtlstudy.training.step import Step

SMALL = {
    "data": "synthetic",
    "steps": 12,
    "evaluations": 2,
    "data_options": {"train": 150},
    "weighting": "nash",
}
SIZES = {
    "mlp": {"width": 16, "depth": 2, "batch": 20},
    "transformer": {"width": 16, "depth": 1, "batch": 6, "length": 5},
}


@cache
def trained(kind, name="nash", steps=3, **how):
    """The weights of a small model after some steps, and the last weights of the tasks."""
    problem = make(kind, 5, **SIZES[kind])
    entry = weighting.get(name)
    blocks = len(problem.model.shared_blocks()) if entry.per_block else 1
    chosen = entry(5, blocks, entry.Options())
    parameters = list(problem.model.parameters())
    step = Step(problem.model, chosen, torch.optim.Adam(parameters, 1e-3, fused=True), **how)
    for _ in range(steps):
        _, _, used = step(problem.batch)
    return torch.cat([p.detach().flatten() for p in parameters]), used.weights


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
@pytest.mark.parametrize(
    "how", [{"mode": "batched"}, {"mode": "chunked", "chunk": 2}, {"mode": "chunked", "chunk": 7}]
)
@pytest.mark.parametrize("name", ["nash", "block_nash", "config"])
def test_every_mode_takes_the_same_step(kind, how, name):
    within = 1e-5 if name == "config" else 1e-6
    assert torch.allclose(trained(kind, name)[0], trained(kind, name, **how)[0], atol=within)


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
def test_bfloat16_solves_the_same_game_nearly_and_exactly_in_float64(kind):
    (p, a), (q, b) = trained(kind, steps=1), trained(kind, steps=1, precision="bfloat16")
    assert p.dtype == q.dtype == torch.float32 and a.dtype == b.dtype == torch.float64
    assert not torch.equal(a, b) and torch.allclose(a, b, rtol=0.1)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_trunk_takes_the_same_step():
    before = functorch.donated_buffer
    assert torch.allclose(trained("mlp")[0], trained("mlp", compile=True)[0], atol=1e-5)
    assert functorch.donated_buffer == before  # torch is left as it was


@pytest.mark.parametrize("name", ["nash", "equal", "config"])
def test_fused_and_plain_adam_agree_in_every_memory_layout(name):
    """A CNN's kernels lie channels-last: a gradient in another layout would be added to the wrong
    numbers."""
    ends = []
    for fused in (True, False):
        config = RunConfig(data="multi_mnist", weighting=name, steps=3, batch_size=16)
        state = Training(config, store.root() / "x")
        kernels = [p for p in state.model.parameters() if p.ndim == 4]
        assert any(not p.is_contiguous() for p in kernels)
        state.train.optimiser = torch.optim.Adam(state.model.parameters(), 1e-3, fused=fused)
        for _ in range(3):
            state.advance(observe=False)
        ends.append(torch.cat([p.detach().flatten() for p in state.model.parameters()]))
    assert torch.allclose(*ends, atol=1e-6)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("sides", [(32, 32), (17, 21), (5, 4)])
def test_maxima_are_the_same_with_and_without_gradients(sides, layout):
    h = torch.randn(3, 5, *sides).contiguous(memory_format=layout)
    h[0, 0, 0, 0] = float("nan")
    with torch.no_grad():
        quick = MaxPool2x2()(h)
    exact = MaxPool2x2()(h)
    assert torch.equal(quick.nan_to_num(9), exact.nan_to_num(9)) and int(quick.isnan().sum()) == 1
    assert quick.stride() == exact.stride()


@pytest.mark.parametrize("fused", [True, False])
def test_where_a_loss_is_not_finite_nothing_is_changed(fused):
    problem = make("mlp", 2, width=8, depth=1, batch=6)
    equal = weighting.get("equal")
    optimiser = torch.optim.Adam(problem.model.parameters(), 0.1, fused=fused)
    step = Step(problem.model, equal(2, 1, equal.Options()), optimiser)
    step(problem.batch)
    before = [p.clone() for p in problem.model.parameters()]
    problem.batch.inputs[0] = float("inf")
    step(problem.batch)
    assert all(map(torch.equal, before, problem.model.parameters())) and int(step.diverged) == 1
    problem.batch.inputs[0] = 0.0
    step(problem.batch)
    assert not all(map(torch.equal, before, problem.model.parameters()))
    assert int(step.diverged) == 1  # the first one stays on record


def test_the_mode_is_chosen_by_measurement_once_and_recorded(monkeypatch):
    asked, choose = [], modes.choose
    monkeypatch.setattr(modes, "choose", lambda *a: asked.append(a) or choose(*a))
    run = fit(RunConfig(mode="auto", **SMALL), progress=False)
    found = run.record["differentiation"]
    assert len(asked) == 1 and found["mode"] in found["ms"]
    assert set(found["ms"]) == {"sequential", "chunked", "batched"}
    assert min(found["mb"].values()) > 0 and all(ms > 0 for ms in found["ms"].values())
    fixed = fit(RunConfig(mode=found["mode"], **SMALL), progress=False)  # measuring changed nothing
    assert fixed.digest == run.digest
    equal = fit(RunConfig(mode="auto", **{**SMALL, "weighting": "equal"}), progress=False)
    assert equal.record["differentiation"] == {"mode": "sequential"} and len(asked) == 1


def test_a_resumed_run_keeps_the_mode_it_began_with(monkeypatch):
    config = RunConfig(mode="auto", **SMALL)
    chosen = {"mode": "batched", "ms": {"batched": 1.0}, "mb": {}}
    monkeypatch.setattr(modes, "choose", lambda *_: chosen)
    advance = Training.advance

    def stop(self, observe):
        if self.step == 8:
            raise KeyboardInterrupt
        return advance(self, observe)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Training, "advance", stop)
        fit(config, progress=False)
    monkeypatch.setattr(modes, "choose", lambda *_: pytest.fail("chosen twice"))
    assert fit(config, progress=False).record["differentiation"]["mode"] == "batched"


def test_the_memory_of_differentiation_is_bounded_or_refused():
    state = Training(RunConfig(mode="auto", **SMALL), store.root() / "x")
    batch = state.sampler.draw()
    free = modes.choose(state.train, batch)
    least, most = min(free["mb"].values()), max(free["mb"].values())
    assert free["mb"]["sequential"] == least < most
    assert modes.choose(state.train, batch, least * 1.001)["mode"] == "sequential"
    with pytest.raises(InputError, match=r"memory_mb = 1e-06: the task gradients take"):
        modes.choose(state.train, batch, 1e-6)


def test_the_peak_is_that_of_the_tensors():
    def work():
        a = torch.ones(1_000_000)  # 4 MB
        b = torch.cat([a, a])  # 8 MB more
        del a
        return b.sum()

    assert modes.peak(work, torch.device("cpu")) == pytest.approx(12.0, rel=0.01)


def test_no_step_is_taken_on_weights_that_are_not_finite():
    """The geometric mean of the losses has no derivative where a task has no label: its loss is
    0."""
    config = RunConfig(data="synthetic", weighting="gls", steps=2, evaluations=1)
    state = Training(config, store.root() / "x")
    batch = state.sampler.draw()
    batch.targets["task1"][:] = float("nan")
    before = [p.detach().clone() for p in state.model.parameters()]
    result = state.train(batch)
    assert not torch.isfinite(result.weights.weights).all()
    assert all(torch.equal(p, q) for p, q in zip(before, state.model.parameters(), strict=True))
    assert int(state.train.diverged) == 0


class Tasks:
    """Three regressions over one trunk, in float64 by plain gradient descent, so that what a step
    did can be read off the parameters."""

    def __init__(self, name, names="abc", heads=None, freeze=(), **options):
        torch.manual_seed(0)
        trunk, tasks = mlp(4, 6), [Task(n, "regression") for n in names]
        made = {n: torch.nn.Linear(6, 1) for n in "abc"}
        made = {n: made[(heads or {}).get(n, n)] for n in names}
        hard = sharing.get("hard")
        self.model = hard(trunk, tasks, made, hard.Options()).double()
        for parameter in freeze:
            self.model.get_parameter(parameter).requires_grad_(False)
        entry = weighting.get(name)
        blocks = len(self.model.shared_blocks()) if entry.per_block else 1
        self.weighting = entry(len(names), blocks, entry.Options(**options))
        optimiser = torch.optim.SGD(self.model.parameters(), 1.0, momentum=0.9)
        self.step = Step(self.model, self.weighting, optimiser)
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(9, 4, generator=generator, dtype=torch.float64)
        y = torch.randn(3, 9, generator=generator, dtype=torch.float64)
        self.y = {n: y["abc".index(n)] for n in names}

    def batch(self, absent=()):
        y = {n: y * torch.nan if n in absent else y for n, y in self.y.items()}
        return Split(self.x, y, absent=tuple(absent))

    def parameters(self):
        return {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def gradients(self, head):
        """Of every task's loss alone on its own head's weight."""
        losses = self.step.forward(self.batch())[0]
        p = self.model.heads[head].weight
        grads = [torch.autograd.grad(L, p, retain_graph=True, allow_unused=True)[0] for L in losses]
        return [torch.zeros_like(p) if g is None else g for g in grads]


SCALED = ["equal", "static", "nash", "nash_ccp", "uncertainty", "scale_invariant"]


@pytest.mark.parametrize("options", [{}, {"update_every": 2}, {"level": "representation"}])
@pytest.mark.parametrize("name", SCALED)
def test_a_head_that_serves_two_tasks_follows_each_by_its_own_weight(name, options):
    """a_a g_a + a_b g_b, not a_b (g_a + g_b)."""
    if options and name not in ("nash", "nash_ccp"):
        pytest.skip("an option of the games")
    tasks = Tasks(name, heads={"b": "a"}, **options)
    assert tasks.model.heads["a"] is tasks.model.heads["b"]
    for _ in range(2):  # a game, and with update_every = 2 the weights held from it
        g = tasks.gradients("a")
        a = tasks.step(tasks.batch()).weights.weights[0]
        expected = a[0] * g[0] + a[1] * g[1]
        assert not torch.allclose(a[0], a[1]) or name in ("equal", "static", "uncertainty")
        torch.testing.assert_close(tasks.model.heads["a"].weight.grad, expected)


@pytest.mark.parametrize("name", ["block_nash", "pcgrad", "config"])
def test_a_head_that_serves_two_tasks_follows_the_sum_where_heads_are_not_scaled(name):
    tasks = Tasks(name, heads={"b": "a"})
    g = tasks.gradients("a")
    tasks.step(tasks.batch())
    torch.testing.assert_close(tasks.model.heads["a"].weight.grad, g[0] + g[1])


@pytest.mark.parametrize("absent", ["a", "b"])
@pytest.mark.parametrize(
    "name", ["nash", "block_nash", "equal", "equal_norm", "gls", "mgda", "config", "uncertainty"]
)
def test_a_batch_without_a_label_of_a_task_is_a_step_of_the_others(name, absent):
    torch.manual_seed(0)
    whole, rest = Tasks(name), Tasks(name, "abc".replace(absent, ""))
    rest.model.load_state_dict(whole.model.state_dict(), strict=False)
    result = whole.step(whole.batch([absent]))
    rest.step(rest.batch())
    before, after = rest.parameters(), whole.parameters()
    assert all(torch.allclose(p, after[key]) for key, p in before.items())
    t = "abc".index(absent)
    assert float(result.losses[t]) == 0 and not result.weights.weights[:, t].any()
    assert whole.model.heads[absent].weight.grad is None
    whole.step(whole.batch())  # all are there again
    moved = whole.parameters()
    assert not torch.equal(moved[f"heads.{absent}.weight"], after[f"heads.{absent}.weight"])
    assert all(bool(torch.isfinite(p).all()) for p in moved.values())


def test_the_weight_of_a_task_is_held_while_it_is_absent_from_a_game():
    tasks = Tasks("nash", update_every=2)
    tasks.step(tasks.batch())
    held = tasks.weighting.a.clone()
    tasks.step(tasks.batch())
    assert float(tasks.step(tasks.batch("b")).weights.weights[0, 1]) == 0  # a game without b
    a = tasks.step(tasks.batch()).weights.weights
    assert float(a[0, 1]) == float(held[0, 1]) > 0 and float(a[0, 0]) != float(held[0, 0])


def test_a_batch_without_any_label_changes_nothing():
    tasks = Tasks("gls")
    before = tasks.parameters()
    result = tasks.step(tasks.batch("abc"))
    assert all(torch.equal(p, before[key]) for key, p in tasks.parameters().items())
    assert not result.weights.weights.any() and int(tasks.step.diverged) == -1


def test_the_sampler_says_which_tasks_have_no_label_in_a_batch():
    y = torch.full((6,), torch.nan)
    y[4:] = 1.0
    tags = torch.full((6, 2), -100)
    tags[:3, 1] = 0
    split = Split(torch.arange(6.0)[:, None], {"a": torch.zeros(6), "b": y, "c": tags})
    sampler, seen = Sampler(split, 2, 0), set()
    for _ in range(9):
        batch = sampler.draw()
        without = [n for n in "bc" if not bool((batch.targets[n] == batch.targets[n]).any())]
        rows = set(batch.inputs[:, 0].long().tolist())
        assert set(batch.absent) == {*"bc"} - {*"b" * bool(rows & {4, 5})} - {
            *"c" * bool(rows & {0, 1, 2})
        }
        assert "b" not in without or "b" in batch.absent
        seen |= {batch.absent}
    assert len(seen) > 1


@pytest.mark.parametrize("name", ["nash", "block_nash", "config", "equal"])
def test_a_frozen_parameter_of_the_trunk_stays_and_takes_no_part(name):
    frozen = next(key for key, _ in Tasks(name).model.named_parameters() if "bias" in key)
    tasks = Tasks(name, freeze=[frozen])
    before = tasks.parameters()
    M = tasks.step(tasks.batch(), observe=True).gramians
    after = tasks.parameters()
    assert torch.equal(before[frozen], after[frozen])
    assert sum(not torch.equal(p, after[key]) for key, p in before.items()) == len(before) - 1
    blocks = tasks.model.shared_blocks().values()
    losses = tasks.step.forward(tasks.batch())[0]
    assert all(p.requires_grad for block in blocks for p in block) and len(losses) == len(M[0])


def test_a_parameter_of_trunk_and_head_at_once_is_refused():
    tasks = Tasks("nash")
    tasks.model.heads["a"].extra = next(iter(tasks.model.shared_blocks().values()))[0]
    with pytest.raises(InputError, match=r"heads\.a\.extra.*trunk"):
        tasks.step.find_blocks()
