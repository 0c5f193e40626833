"""Where one family must coincide with another, to 1e-5: in what it computes, and in what a few
steps of training make of it."""

from typing import NamedTuple

import pytest
import torch
from laws.test_sharing_laws import BACKBONES, DEPTHS, build, loss
from torch import nn
from torch.func import functional_call

from mtlstudy.models.backbones import Backbone, Stage

LAST = object()  # the last stage, whatever its number
EVERY_STAGE = {"scores": [1, 1, 1], "specific": [0, 1, 2]}


class Limit(NamedTuple):
    """A family with these options, a structure and some parameters frozen is another family."""

    family: str
    same: str
    options: dict
    found: dict | None = None
    frozen: tuple = ()
    copied: bool = True
    """Whether the other family is given its weights, or has them from the same seed already."""


LIMITS = {
    "partial with s = 0": Limit("partial", "single_task", {"shared": 0}),
    "partial with all stages": Limit("partial", "hard", {"shared": LAST}),
    "hierarchical with equal depths": Limit(
        "hierarchical", "hard", {"depths": dict.fromkeys(DEPTHS, LAST)}
    ),
    "mmoe with one expert": Limit("mmoe", "hard", {"experts": 1}),
    "sparse at density 1": Limit("sparse", "hard", {"density": 1.0}),
    "recon without a specific stage": Limit("recon", "hard", {"specific": 0}),
    "recon with every stage specific": Limit("recon", "single_task", {}, EVERY_STAGE, copied=False),
    "trace norm with penalty 0": Limit("trace_norm", "single_task", {"strength": 1e-12}),
    "soft without penalty": Limit("soft", "single_task", {"strength": 1e-12}),
    # with the identity for mixing, and as long as it stays the identity
    "cross-stitch unmixed": Limit("cross_stitch", "single_task", {"own": 1.0}, frozen=("alpha",)),
    "sluice unmixed": Limit(
        "sluice", "single_task", {"own": 1.0, "orthogonality": 0.0}, frozen=("alpha", "beta")
    ),
}


def train(model, x, targets, steps=3, frozen=()):
    """A few steps of gradient descent on the summed losses and the family's own penalty."""
    optimiser = torch.optim.SGD(
        [p for n, p in model.named_parameters() if not n.startswith(frozen or ("-",))], lr=0.1
    )
    for _ in range(steps):
        optimiser.zero_grad()
        penalty = model.penalty()
        (loss(model, x, targets) + (0 if penalty is None else penalty)).backward()
        optimiser.step()
    return model


def agree(one, other, x):
    with torch.no_grad():
        a, b = one(x), other(x)
    return all(torch.allclose(a[t], b[t], atol=1e-5, rtol=1e-5) for t in "abc")


def filled(options, stages):
    """The options with the number of stages in place of LAST."""
    if isinstance(options, dict):
        return {key: filled(value, stages) for key, value in options.items()}
    return stages if options is LAST else options


@pytest.mark.parametrize("kind", BACKBONES)
@pytest.mark.parametrize("limit", LIMITS)
def test_limits(limit, kind):
    family, same, options, found, frozen, copied = LIMITS[limit]
    stages = len(BACKBONES[kind]().stages)
    one, x, targets = build(family, kind, found=found, **filled(options, stages))
    other, _, _ = build(same, kind, found=None)
    if copied:
        copy_stages(other, one)
    assert agree(one, other, x)
    assert agree(train(one, x, targets, frozen=frozen), train(other, x, targets), x)


@pytest.mark.parametrize("kind", BACKBONES)
@pytest.mark.parametrize("form", ["laf", "tucker", "tt"])
def test_full_rank_starts_as_single_task(form, kind):
    """At full rank the factors compose the independent weights they were made from; at a share of
    it something near them."""
    one, x, _ = build("tensor_factorised", kind, form=form, rank=1.0)
    other, _, _ = build("single_task", kind)
    assert agree(one, other, x)
    low, _, _ = build("tensor_factorised", kind, form=form, rank=0.4)
    assert low.parameter_count() < one.parameter_count()
    assert not agree(low, other, x) or (form, kind) == ("laf", "encoder")  # equal copies: rank 1


def minimise(model, x, targets):
    """To the minimum, by Newton steps in float64: the heads stay, so that with a linear stage and a
    ridge the problem is strongly convex."""
    parameters = list(model.stages.parameters())
    names = [f"model.{n}" for n, _ in model.named_parameters() if n.startswith("stages")]

    def objective(flat):
        parts = flat.split([p.numel() for p in parameters])
        weights = {n: v.view_as(p) for n, v, p in zip(names, parts, parameters, strict=True)}
        value = functional_call(Objective(model), weights, (x, targets))
        return value + 0.01 * flat.square().sum() / (3 if len(model.stages[0]) == 3 else 1)

    flat = torch.cat([p.detach().flatten() for p in parameters])
    for _ in range(12):
        g = torch.func.grad(objective)(flat)
        if g.norm() < 1e-11:
            break
        flat = flat - torch.linalg.solve(torch.func.hessian(objective)(flat), g)
    assert g.norm() < 1e-8
    torch.nn.utils.vector_to_parameters(flat, parameters)
    return model


class Objective(nn.Module):
    """Losses and penalty as one module, to be called with other parameters."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, targets):
        penalty = self.model.penalty()
        return loss(self.model, x, targets) + (0 if penalty is None else penalty)


def test_soft_with_an_infinite_penalty_is_hard_sharing(monkeypatch):
    """The minimum under a growing L2 penalty, from trunks that start apart, goes to hard sharing's;
    the gap closes like 1 / λ."""
    monkeypatch.setitem(
        BACKBONES, "mlp", lambda: Backbone((Stage("linear", lambda: nn.Linear(5, 8), 8),), 8)
    )
    hard, x, targets = build("hard", "mlp")
    x, targets = x.double(), {t: y if t == "a" else y.double() for t, y in targets.items()}
    minimise(hard.double(), x, targets)
    assert max(hard(x)[t].std().item() for t in "abc") > 0.5  # it learned something
    gaps = []
    for strength in (1e1, 1e3, 1e5):
        soft = build("soft", "mlp", strength=strength, seed=3)[0].double()
        soft.heads.load_state_dict(hard.heads.state_dict())
        for p in soft.stages.parameters():
            p.data += 0.1 * torch.randn_like(p)
        minimise(soft, x, targets)
        gaps.append(max((soft(x)[t] - hard(x)[t]).abs().max().item() for t in "abc"))
    assert (
        gaps[2] < 1e-5
        and gaps[1] == pytest.approx(gaps[0] / 100, rel=0.2)
        and gaps[2] == pytest.approx(gaps[1] / 100, rel=0.2)
    )


def test_a_large_l1_penalty_makes_hard_sharing_a_minimum():
    """The L1 penalty is exact: beyond the largest gradient every way out of hard sharing costs more
    than it gains."""
    hard, x, targets = build("hard", "mlp")
    soft, _, _ = build("soft", "mlp", strength=10.0, norm="l1")
    copy_stages(soft, hard)
    soft.heads.load_state_dict(hard.heads.state_dict())
    start = {n: v.clone() for n, v in soft.state_dict().items()}
    base = (loss(soft, x, targets) + soft.penalty()).item()
    assert soft.penalty().item() == 0 and base == pytest.approx(
        loss(hard, x, targets).item(), rel=1e-6
    )
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        task = "abc"[int(torch.randint(3, (1,), generator=generator))]
        moved = {
            n: v + 1e-3 * torch.randn(v.shape, generator=generator)
            if f".{task}." in n and n.startswith("stages")
            else v
            for n, v in start.items()
        }
        soft.load_state_dict(moved)
        assert (loss(soft, x, targets) + soft.penalty()).item() > base


def test_the_nuclear_norm_is_what_it_says():
    from mtlstudy.models.sharing.trace_norm import unfoldings

    W = torch.randn(4, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shapes = {
        kind: [tuple(u.shape) for u in unfoldings(W, kind)] for kind in ("last", "tucker", "tt")
    }
    assert shapes == {
        "last": [(20, 3)],
        "tucker": [(4, 15), (5, 12), (3, 20)],
        "tt": [(4, 15), (20, 3)],
    }
    assert torch.equal(unfoldings(W, "tucker")[1], W.permute(1, 0, 2).reshape(5, 12))
    model, _, _ = build("trace_norm", "mlp", strength=2.0)
    stacked = [
        torch.stack([stage[t][0].weight.flatten() for t in "abc"], 1) for stage in model.stages
    ]
    by_hand = sum(2.0 * torch.linalg.matrix_norm(W, "nuc") for W in stacked)
    assert model.penalty().item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_orthogonality_penalty_is_what_it_says():
    model, _, _ = build("sluice", "mlp", orthogonality=0.5)
    by_hand = 0.0
    for stage in model.stages:
        for task in "abc":
            W = stage[task][0].weight
            by_hand += 0.5 * (W[:4] @ W[4:].mT).square().sum().item()
    assert model.penalty().item() == pytest.approx(by_hand, rel=1e-5)


def copy_stages(to, source):
    """Give `to` the stages and heads of `source`, copy by copy; a lone copy goes to all."""
    for a, b in zip(to.stages, source.stages, strict=True):
        for i, copy in enumerate(a.values()):
            given = list(b.values())
            copy.load_state_dict(given[i if len(given) > 1 else 0].state_dict())
    to.heads.load_state_dict(source.heads.state_dict())
