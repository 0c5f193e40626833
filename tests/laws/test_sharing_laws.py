"""Laws that every sharing architecture meets.

All but one hold over every backbone, on one model a (family, backbone) where it suffices. That a
batch can be fitted is asked of the MLP, the cheapest, and of a second backbone, which goes round.
"""

import json
from functools import cache
from typing import NamedTuple

import pytest
import tiny_encoder
import torch
from torch import nn

from mtlstudy.errors import InputError
from mtlstudy.models import sharing
from mtlstudy.models.backbones import cnn, mlp, text_cnn, transformer
from mtlstudy.models.sharing._dynamic import Searched
from mtlstudy.models.sharing.base import matrices
from mtlstudy.models.tasks import Task

N, T, D, V = 12, 6, 8, 20  # examples, tokens, width, vocabulary
TASKS = (Task("a", "multiclass", 3), Task("b", "binary"), Task("c", "regression"))
BACKBONES = {
    "mlp": lambda: mlp(5, width=D),
    "cnn": lambda: cnn((1, 16, 16), width=D),
    "text_cnn": lambda: text_cnn(V, width=D),
    "text_cnn_tokens": lambda: text_cnn(V, width=D, tokens=True),
    "transformer": lambda: transformer(V, T, width=D),
    "transformer_tokens": lambda: transformer(V, T, width=D, tokens=True),
    "encoder": lambda: tiny_encoder.encoder().backbone(2, T, dropout=0.0),
}
PRETRAINED = {"encoder": "every copy of a stage starts from the same weights"}
CASES = [(name, kind) for name in sharing.names() for kind in BACKBONES]


def on_two(names, offset):
    """Each of `names` on the MLP and on one further backbone, which goes round from `offset`."""
    _, *others = BACKBONES
    second = [(name, others[(i + offset) % len(others)]) for i, name in enumerate(names)]
    return [(name, "mlp") for name in names] + second


DEPTHS = {"a": 1, "b": 2, "c": 2}
OPTIONS = {"hierarchical": {"depths": DEPTHS}}
NO_BFLOAT16: dict[str, str] = {}  # family → why it does not give the same loss under autocast

# Parameters as counted with paper and pencil. For each backbone: the sizes of every stage's
# matrices, the sizes of its vectors together, the parameters of a read-out at each stage, and what
# a gate sees (features, parameters).
BLOCK = [192, 64, 256, 256]
PENCIL = {
    "mlp": ([[40], [64]], [8, 8], [0, 0], (5, 0)),
    "cnn": ([[250], [5000], [160]], [10, 20, 8], [88, 168, 0], (16, 0)),
    "text_cnn": ([[160], [192, 256, 320], [192]], [0, 24, 8], [72, 200, 0], (16, 320)),
    "transformer": ([[160, 48], BLOCK, BLOCK], [0, 104, 120], [0, 0, 0], (16, 320)),
    "encoder": ([BLOCK, BLOCK], [104, 104], [0, 0], (8, 0)),
}
WIDTHS = {"mlp": [8, 8], "cnn": [10, 20, 8], "text_cnn": [8, 24, 8], "transformer": [8, 8, 8]}
WIDTHS["encoder"] = [8, 8]
HEADS = 27 + 9 + 9


def by_hand(name, kind):
    kind = kind.removesuffix("_tokens")
    matrix, vector, read, (seen, view) = PENCIL[kind]
    stage = [sum(m) + v for m, v in zip(matrix, vector, strict=True)]
    L, trunk, flat = len(stage), sum(stage), [m for row in matrix for m in row]
    widths = WIDTHS[kind]
    gates = sum(3 * (w * 2 + 2) for w in widths[:-1]) + sum(w * 4 + 4 for w in widths[: L - 2])
    count = {
        "single_task": 3 * trunk,
        "hard": trunk,
        "cosine_bipartition": trunk,
        "grouped": 3 * trunk,
        "nash_share": trunk,
        "partial": trunk + 2 * stage[-1],
        "soft": 3 * trunk,
        "trace_norm": 3 * trunk,
        "tensor_factorised": sum(2 * m + 3 * 2 for m in flat) + 3 * sum(vector),
        "cross_stitch": 3 * trunk + 9 * L,
        "sluice": 3 * trunk + 36 * L + 3 * L + 3 * sum(read),
        "hierarchical": sum(stage[:2]) + read[0] + 2 * read[1] + 2 * D * D,
        "mmoe": 3 * trunk + 3 * (3 * seen + 3 + view),
        "ple": 4 * trunk + 3 * (2 * seen + 2 + view) + (4 * seen + 4 + view) + gates,
        "recon": trunk + 2 * stage[1],
        "tag": trunk + stage[-1],
        "branched": trunk + stage[-1],
        "ltb": trunk + stage[-1],
        "sparse": trunk - sum(m // 4 for m in flat),
    }
    return count[name] + HEADS


def structure(name, kind):
    """A structure as a search would give it: recon splits the second stage; coalitions part in the
    last; no sparse task uses every fourth weight, and each leaves out some of its own besides."""
    if name == "recon":
        return {"scores": [0, 5, 0], "specific": [1]}
    if issubclass(sharing.get(name), Searched):
        *lower, _ = BACKBONES[kind]().stages
        return {"coalitions": [*[[["a", "b", "c"]] for _ in lower], [["a", "c"], ["b"]]]}
    if name != "sparse":
        return None
    torch.manual_seed(0)
    stages = [stage.build() for stage in BACKBONES[kind]().stages]

    def mask(p, i):
        place = torch.arange(p.numel()).view_as(p)
        return (place % 4 != 3) & (place % 5 != i)

    masks = {
        t.name: [{n: mask(p, i) for n, p in matrices(s).items()} for s in stages]
        for i, t in enumerate(TASKS)
    }
    return {"start": [stage.state_dict() for stage in stages], "masks": masks}


def data(kind):
    g = torch.Generator().manual_seed(1)
    if kind == "mlp":
        x = torch.randn(N, 5, generator=g)
    elif kind == "cnn":
        x = torch.randn(N, 1, 16, 16, generator=g)
    elif kind == "encoder":
        x = torch.randn(N, T, D, generator=g)
        x[:6, 4:] = 0
    else:
        x = torch.randint(1, V, (N, T), generator=g)
        x[:6, 4:] = 0  # half of the sentences are shorter
    y = {
        "a": torch.arange(N) % 3,
        "b": (torch.arange(N) % 2).float(),
        "c": torch.linspace(-1, 1, N),
    }
    if kind.endswith("tokens"):
        mask, tag = x != 0, x % 3
        y = {"a": torch.where(mask, tag, -100), "b": torch.where(mask, (x % 2).float(), torch.nan)}
        y["c"] = torch.where(mask, x / V - 0.5, torch.nan)
    return x, y


def build(name, kind, tasks=TASKS, seed=0, found="default", **options):
    backbone = BACKBONES[kind]()
    torch.manual_seed(seed)
    cls = sharing.get(name)
    heads = {
        t.name: nn.Linear(backbone.width, t.outputs) for t in sorted(tasks, key=lambda t: t.name)
    }
    found = structure(name, kind) if found == "default" else found
    return cls(
        backbone, tasks, heads, cls.Options(**{**OPTIONS.get(name, {}), **options}), found
    ), *data(kind)


def loss(model, x, targets, only=None):
    outputs = model(x)
    return sum(
        t.loss(outputs[t.name], targets[t.name]) for t in model.tasks if only in (None, t.name)
    )


class Case(NamedTuple):
    """A built model, its batch, and its outputs with their graph. No law changes it."""

    model: sharing.Sharing
    x: torch.Tensor
    targets: dict[str, torch.Tensor]
    outputs: dict[str, torch.Tensor]


@cache
def case(name, kind):
    """One model a (family, backbone), shared by the laws."""
    model, x, targets = build(name, kind)
    return Case(model, x, targets, model(x))


def test_every_entry_is_covered():
    for name in sharing.names():
        by_hand(name, "mlp")  # a new architecture needs its parameters counted by hand
    print(f"{len(sharing.names())} families × {len(BACKBONES)} backbones: {len(CASES)} cases a law")
    assert {kind for _, kind in on_two(sharing.names(), 1)} == set(BACKBONES)


@pytest.mark.parametrize(("name", "kind"), on_two(sharing.names(), 1))
def test_a_batch_fits(name, kind):
    model, x, targets = build(name, kind)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02, fused=True)
    first = loss(model, x, targets).item()
    for _ in range(600):
        optimiser.zero_grad()
        value = loss(model, x, targets)
        value.backward()
        optimiser.step()
        if value.item() < 0.1 * first:
            return
    raise AssertionError(f"loss {first:.3f} → {value.item():.3f}")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_outputs_have_their_shapes(name, kind):
    lead = (N, T) if kind.endswith("tokens") else (N,)
    shapes = {task: tuple(y.shape) for task, y in case(name, kind).outputs.items()}
    assert shapes == {"a": (*lead, 3), "b": (*lead, 1), "c": (*lead, 1)}


def equal(a, b):
    return all(torch.equal(a[t], b[t]) for t in "abc")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_same_seed_same_bits_in_any_order_of_the_tasks(name, kind):
    """Another seed gives others, until it is given the state of the first."""
    _, x, _, outputs = case(name, kind)
    same, other = (build(name, kind, tasks=TASKS[::-1], seed=seed)[0] for seed in (0, 1))
    assert equal(outputs, same(x)) and not equal(outputs, other(x))
    other.load_state_dict(case(name, kind).model.state_dict())
    assert equal(outputs, other(x))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_parameters_are_counted_as_used(name, kind):
    """By hand, and as the weights that any output depends on (for sparse: whose gradient is ever
    other than 0)."""
    model = case(name, kind).model
    assert model.parameter_count() == by_hand(name, kind)
    used = sum(p.numel() for p in set(model.parameters()))
    if name == "sparse":
        used -= sum(int((~m.any(0)).sum()) for m in model.masks())
    assert model.parameter_count() == used


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_gradients_reach_what_they_should(name, kind):
    """A task reaches the blocks it uses and its own parameters, and no others; together that is
    every parameter. What it reaches is asked of autograd."""
    model, _, targets, outputs = case(name, kind)
    shared = {p for block in model.shared_blocks().values() for p in block}
    own = {t.name: set(model.task_parameters(t.name)) for t in TASKS}
    assert shared.union(*own.values()) == set(model.parameters())
    assert not any(own[s] & own[t] for s in own for t in own if s != t)
    assert not shared.intersection(*own.values())
    if model.bargains:
        assert shared and not model.independent
    else:
        assert not shared
    every = list(model.parameters())
    for task in TASKS:
        uses = {p for use in model.usage() if task.name in use.tasks for p in use.parameters}
        value = task.loss(outputs[task.name], targets[task.name])
        grads = torch.autograd.grad(value, every, retain_graph=True, allow_unused=True)
        reached = {p for p, g in zip(every, grads, strict=True) if g is not None}
        assert reached == uses | own[task.name]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_inputs_by_task_equal_common_inputs(name, kind):
    model, x, _, outputs = case(name, kind)
    rows = {"a": slice(0, N), "b": slice(0, 7), "c": slice(3, N)}
    with torch.no_grad():
        by_task = model({task: x[some] for task, some in rows.items()})
    assert all(torch.allclose(outputs[t][rows[t]], by_task[t], atol=1e-5) for t in "abc")


@pytest.mark.parametrize(("name", "kind"), [c for c in CASES if c[1].startswith(("text", "trans"))])
def test_padding_changes_nothing(name, kind):
    """The short sentences give the same outputs without their padding (the text CNN's convolutions
    see zeros beyond the end)."""
    model, x, _, outputs = case(name, kind)
    with torch.no_grad():
        cut = model(x[:6, :4])
    rows = (slice(0, 6), slice(0, 4)) if kind.endswith("tokens") else (slice(0, 6),)
    assert all(torch.allclose(outputs[t][rows], cut[t], atol=1e-5) for t in "abc")


def bfloat16_loss(model, x, targets):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        return loss(model, x, targets).item()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_bfloat16_gives_the_same_loss(name, kind):
    model, x, targets, outputs = case(name, kind)
    exact = sum(t.loss(outputs[t.name], targets[t.name]) for t in TASKS).item()
    if name not in NO_BFLOAT16:
        assert bfloat16_loss(model, x, targets) == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("form", ["tucker", "tt"])
def test_every_factorisation_takes_bfloat16(form, kind):
    model, x, targets = build("tensor_factorised", kind, form=form)
    exact = loss(model, x, targets).item()
    assert bfloat16_loss(model, x, targets) == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize(("name", "kind"), [c for c in CASES if c[1] in ("mlp", "cnn")])
def test_bad_sizes_are_refused(name, kind):
    model, x, _, _ = case(name, kind)
    with pytest.raises(RuntimeError):
        model(x[:, :, :-1] if kind == "cnn" else x[:, :-1])


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_was_learned_is_plain_numbers(name, kind):
    model, x, _, _ = case(name, kind)
    with torch.no_grad():
        common, by_task = model.learned(x), model.learned({"a": x, "b": x, "c": x})
    text = (json.dumps(found, allow_nan=False, sort_keys=True) for found in (common, by_task))
    assert len(set(text)) == 1
    assert common or name in ("hard", "single_task", "partial")


@pytest.mark.parametrize("kind", BACKBONES)
def test_masks_never_change_a_pruned_weight(kind):
    """Adam on one task's loss moves no weight outside its mask; what no task uses stays zero."""
    model, x, targets = build("sparse", kind)
    before = {n: p.clone() for n, p in model.named_parameters()}
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        loss(model, x, targets, only="a").backward()
        optimiser.step()
    moved = 0
    for l, stage in enumerate(model.stages):
        for n, p in matrices(stage["shared"]).items():
            change = p != before[f"stages.{l}.shared.{n}"]
            assert not (change & ~model.mask("a", l, n)).any()
            assert (p[~torch.stack([model.mask(t, l, n) for t in "abc"]).any(0)] == 0).all()
            moved += int(change.sum())
    assert moved > 0


def test_refusals_say_why():
    with pytest.raises(InputError, match="no order of levels"):
        build("hierarchical", "mlp", depths=None)
    with pytest.raises(InputError, match="allowed: 1 to 2"):
        build("hierarchical", "mlp", depths={"a": 3})
    with pytest.raises(InputError, match="allowed: a, b, c"):
        build("hierarchical", "mlp", depths={"z": 1})
    with pytest.raises(InputError, match="subspaces do not divide"):
        build("sluice", "mlp", subspaces=3)
    with pytest.raises(InputError, match="allowed: 0 to 2"):
        build("partial", "mlp", shared=3)


@pytest.mark.parametrize("kind", BACKBONES)
def test_initialisation_is_as_published(kind):
    """Cross-stitch near the identity, sluice near its own subspace and the last stage, experts
    different from one another."""
    stitch = build("cross_stitch", kind)[0]
    for rows in stitch.alpha:
        alpha = torch.stack([rows[t].detach() for t in "abc"])
        assert torch.allclose(alpha, torch.full((3, 3), 0.05) + 0.85 * torch.eye(3))
    sluice = build("sluice", kind)[0]
    for rows in sluice.alpha:
        alpha = torch.cat([rows[t].detach() for t in "abc"])
        assert torch.allclose(alpha, torch.full((6, 6), 0.02) + 0.88 * torch.eye(6))
    assert all(
        sluice.beta[t][-1].item() == pytest.approx(0.9)
        and sluice.beta[t].sum().item() == pytest.approx(1)
        for t in "abc"
    )
    for name in ("mmoe", "ple"):
        model = build(name, kind)[0]
        for stage in model.stages:
            first = [
                next(p for p in expert.parameters() if p.ndim > 1) for expert in stage.values()
            ]
            differ = [not torch.equal(a, b) for i, a in enumerate(first) for b in first[:i]]
            assert all(differ) or kind in PRETRAINED
    soft = build("soft", kind)[0]
    assert soft.penalty().item() == 0  # the trunks start from one and the same
