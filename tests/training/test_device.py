"""On an accelerator the host never waits for a training step: here the step is taken on the device
"meta", whose values cannot be read at all, so that whatever asks for one fails."""

import pytest
import torch

from mtlstudy import weighting
from mtlstudy.data.base import Split
from mtlstudy.models import sharing
from mtlstudy.models.backbones import cnn, mlp, text_cnn, transformer
from mtlstudy.models.tasks import Task
from mtlstudy.nash.newton import nash_weights
from mtlstudy.training.parallel import ParallelStep
from mtlstudy.training.sampling import Sampler
from mtlstudy.training.step import Step

META = torch.device("meta")
TASKS = (Task("a", "multiclass", 3), Task("b", "binary"), Task("c", "regression"))
BACKBONES = {
    "mlp": (mlp(6, 8), torch.zeros(10, 6)),
    "cnn": (cnn((1, 20, 20), 8), torch.zeros(10, 1, 20, 20)),
    "text_cnn": (text_cnn(30, 8), torch.zeros(10, 7, dtype=torch.int64)),
    "transformer": (transformer(30, 7, 8), torch.zeros(10, 7, dtype=torch.int64)),
}
WEIGHTINGS = [
    ("equal", {}),
    ("static", {}),
    ("scale_invariant", {}),
    ("uncertainty", {}),
    ("equal_norm", {}),
    ("nash", {}),
    ("nash", {"power": (1.0, 2.0, 3.0)}),
    ("nash", {"update_every": 2}),
    ("nash", {"level": "representation"}),
    ("block_nash", {}),
]


@pytest.fixture(autouse=True)
def few_newton_steps(monkeypatch):
    """All of them are alike, and none could converge on values that are not there."""
    monkeypatch.setattr("mtlstudy.nash.newton.ACCELERATOR_STEPS", 2)


class Fused(torch.optim.SGD):
    """An optimiser that, as fused ones do, is told on the device whether to step; it takes none
    (meta has no such kernel)."""

    _step_supports_amp_scaling = True

    def step(self, closure=None):
        trained = [p for group in self.param_groups for p in group["params"]]
        assert self.found_inf.device == META
        assert all(p.grad.stride() == p.stride() for p in trained)


def step(backbone, family, name, options, kind=Step, **how):
    x = BACKBONES[backbone][1].to(META)
    heads = {task.name: torch.nn.Linear(8, task.outputs) for task in TASKS}
    cls = sharing.get(family)
    model = cls(BACKBONES[backbone][0], TASKS, heads, cls.Options()).to(META)
    entry = weighting.get(name)
    blocks = len(model.shared_blocks()) if entry.per_block else 1
    chosen = entry(3, blocks, entry.Options(**options)).to(META)
    targets = {"a": torch.zeros(10, dtype=torch.int64), "b": torch.zeros(10), "c": torch.zeros(10)}
    batch = Split(x, {name: y.to(META) for name, y in targets.items()})
    optimiser = Fused([*model.parameters(), *chosen.parameters()], lr=0.1)
    return kind(model, chosen, optimiser, **how), batch


CASES = [("mlp", *each) for each in WEIGHTINGS]
CASES += [
    (backbone, name, options)
    for backbone in list(BACKBONES)[1:]
    for name, options in [("equal", {}), ("nash", {}), ("nash", {"level": "representation"})]
]


@pytest.mark.parametrize(("backbone", "name", "options"), CASES)
def test_a_step_reads_nothing_from_the_device(backbone, name, options):
    train, batch = step(backbone, "hard", name, options)
    for _ in range(2):
        losses, _, chosen = train(batch)
        assert losses.device == chosen.weights.device == train.games.device == META


@pytest.mark.parametrize(
    "how",
    [
        {"mode": "batched"},
        {"mode": "chunked", "chunk": 2},
        {"kind": ParallelStep, "micro_batches": 3},
    ],
    ids=["batched", "chunked", "micro-batches"],
)
@pytest.mark.parametrize("name", ["nash", "equal"])
def test_nor_does_it_in_other_ways(how, name):
    train, batch = step("mlp", "hard", name, {}, **how)
    train(batch)


NEED = {name: "a search" for name in sharing.names() if sharing.get(name).searches}
NEED["hierarchical"] = "levels of the tasks"


@pytest.mark.parametrize("family", [name for name in sharing.names() if name not in NEED])
def test_nor_through_any_family(family):
    cls = sharing.get(family)
    name = "nash" if cls.bargains and not cls.independent else "equal"
    train, batch = step("mlp", family, name, {})
    train(batch)


def test_nor_does_the_sampler_nor_the_solver():
    split = Split(torch.zeros(10, 3), {"a": torch.zeros(10)})
    sampler = Sampler(split, 4, 0)  # looks once whether labels are missing
    sampler.train, sampler.home, sampler.device = split.to(META), META, META
    assert all(sampler.draw().inputs.shape == (4, 3) for _ in range(5))
    start = torch.ones(2, 3, device=META)
    solution = nash_weights(torch.zeros(2, 3, 3, device=META), start=start)
    assert solution.weights.shape == (2, 3)


def test_the_device_would_tell():
    with pytest.raises(RuntimeError):
        bool(torch.zeros((), device=META))
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.zeros(3, device=META)[torch.ones(3, dtype=torch.bool, device=META)]
