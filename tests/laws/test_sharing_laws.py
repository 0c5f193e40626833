"""Laws that every sharing architecture meets, over every kind of backbone."""

import pytest
import torch
from torch import nn

from mtlstudy.models import sharing
from mtlstudy.models.backbones import cnn, mlp, text_cnn, transformer
from mtlstudy.errors import InputError
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
}
CASES = [(name, kind) for name in sharing.names() for kind in BACKBONES]
DEPTHS = {"a": 1, "b": 2, "c": 2}
OPTIONS = {"hierarchical": {"depths": DEPTHS}}
NO_BFLOAT16: dict[str, str] = {}  # family → why it does not give the same loss under bfloat16 autocast

# Parameters as counted with paper and pencil. For each backbone: the sizes of every stage's matrices, the sizes of its vectors
# together, the parameters of a read-out at each stage, and what a gate sees (features, parameters).
BLOCK = [192, 64, 256, 256]
PENCIL = {
    "mlp": ([[40], [64]], [8, 8], [0, 0], (5, 0)),
    "cnn": ([[250], [5000], [160]], [10, 20, 8], [88, 168, 0], (16, 0)),
    "text_cnn": ([[160], [192, 256, 320], [192]], [0, 24, 8], [72, 200, 0], (16, 320)),
    "transformer": ([[160, 48], BLOCK, BLOCK], [0, 104, 120], [0, 0, 0], (16, 320)),
}
WIDTHS = {"mlp": [8, 8], "cnn": [10, 20, 8], "text_cnn": [8, 24, 8], "transformer": [8, 8, 8]}
HEADS = 27 + 9 + 9


def by_hand(name, kind):
    kind = kind.removesuffix("_tokens")
    matrix, vector, read, (seen, view) = PENCIL[kind]
    stage = [sum(m) + v for m, v in zip(matrix, vector, strict=True)]
    L, trunk, flat = len(stage), sum(stage), [m for row in matrix for m in row]
    gates = sum(3 * (w * 2 + 2) for w in WIDTHS[kind][:-1]) + sum(w * 4 + 4 for w in WIDTHS[kind][: L - 2])
    count = {
        "single_task": 3 * trunk,
        "hard": trunk,
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
        "sparse": trunk - sum(m // 4 for m in flat),
    }
    return count[name] + HEADS


def structure(name, kind):
    """A structure as a search would give it: recon splits the second stage; no sparse task uses every fourth weight, and each
    leaves out some of its own besides."""
    if name == "recon":
        return {"scores": [0, 5, 0], "specific": [1]}
    if name != "sparse":
        return None
    torch.manual_seed(0)
    stages = [stage.build() for stage in BACKBONES[kind]().stages]

    def mask(p, i):
        place = torch.arange(p.numel()).view_as(p)
        return (place % 4 != 3) & (place % 5 != i)

    masks = {t.name: [{n: mask(p, i) for n, p in matrices(s).items()} for s in stages] for i, t in enumerate(TASKS)}
    return {"start": [stage.state_dict() for stage in stages], "masks": masks}


def data(kind):
    g = torch.Generator().manual_seed(1)
    if kind == "mlp":
        x = torch.randn(N, 5, generator=g)
    elif kind == "cnn":
        x = torch.randn(N, 1, 16, 16, generator=g)
    else:
        x = torch.randint(1, V, (N, T), generator=g)
        x[:6, 4:] = 0  # half of the sentences are shorter
    y = {"a": torch.arange(N) % 3, "b": (torch.arange(N) % 2).float(), "c": torch.linspace(-1, 1, N)}
    if kind.endswith("tokens"):
        there, tag = x != 0, x % 3
        y = {"a": torch.where(there, tag, -100), "b": torch.where(there, (x % 2).float(), torch.nan)}
        y["c"] = torch.where(there, x / V - 0.5, torch.nan)
    return x, y


def build(name, kind, tasks=TASKS, seed=0, found="default", **options):
    backbone = BACKBONES[kind]()
    torch.manual_seed(seed)
    cls = sharing.get(name)
    heads = {t.name: nn.Linear(backbone.width, t.outputs) for t in sorted(tasks, key=lambda t: t.name)}
    found = structure(name, kind) if found == "default" else found
    return cls(backbone, tasks, heads, cls.Options(**{**OPTIONS.get(name, {}), **options}), found), *data(kind)


def loss(model, x, targets, only=None):
    outputs = model(x)
    return sum(t.loss(outputs[t.name], targets[t.name]) for t in model.tasks if only in (None, t.name))


def test_every_entry_is_covered():
    for name in sharing.names():
        by_hand(name, "mlp")  # a new architecture needs its parameters counted by hand
    print(f"{len(sharing.names())} families × {len(BACKBONES)} backbones: {len(CASES)} cases a law")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_batch_fits(name, kind):
    model, x, targets = build(name, kind)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
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
    model, x, _ = build(name, kind)
    lead = (N, T) if kind.endswith("tokens") else (N,)
    assert {task: tuple(y.shape) for task, y in model(x).items()} == {"a": (*lead, 3), "b": (*lead, 1), "c": (*lead, 1)}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_same_seed_same_bits_and_another_seed_others(name, kind):
    (one, x, _), (same, _, _), (other, _, _) = build(name, kind), build(name, kind), build(name, kind, seed=1)
    assert all(torch.equal(one(x)[t], same(x)[t]) for t in "abc")
    assert any(not torch.equal(one(x)[t], other(x)[t]) for t in "abc")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_state_dict_round_trip(name, kind):
    (one, x, _), (other, _, _) = build(name, kind), build(name, kind, seed=1)
    other.load_state_dict(one.state_dict())
    assert all(torch.equal(one(x)[t], other(x)[t]) for t in "abc")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_parameters_are_counted_as_used(name, kind):
    """By hand, and as the weights that any output depends on (for sparse: whose gradient is ever other than 0)."""
    model, _, _ = build(name, kind)
    assert model.parameter_count() == by_hand(name, kind)
    used = sum(p.numel() for p in set(model.parameters()))
    if name == "sparse":
        used -= sum(int((~m.any(0)).sum()) for m in model.masks().values())
    assert model.parameter_count() == used


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_gradients_reach_what_they_should(name, kind):
    """A task reaches the blocks it uses and its own parameters, and no others; together that is every parameter. What it
    reaches is asked of autograd."""
    model, x, targets = build(name, kind)
    shared = {p for block in model.shared_blocks().values() for p in block}
    own = {t.name: set(model.own_parameters(t.name)) for t in TASKS}
    assert shared.union(*own.values()) == set(model.parameters())
    assert not any(own[s] & own[t] for s in own for t in own if s != t) and not shared.intersection(*own.values())
    if model.bargains:
        assert shared and not model.independent
    else:
        assert not shared
    for task in own:
        uses = {p for use in model.usage() if task in use.tasks for p in use.parameters} | own[task]
        grads = torch.autograd.grad(loss(model, x, targets, only=task), list(model.parameters()), allow_unused=True)
        reached = {p for p, g in zip(model.parameters(), grads, strict=True) if g is not None}
        assert reached == uses


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_order_of_tasks_does_not_matter(name, kind):
    model, x, _ = build(name, kind)
    turned, _, _ = build(name, kind, tasks=TASKS[::-1], seed=5)
    turned.load_state_dict(model.state_dict())
    again, _, _ = build(name, kind, tasks=TASKS[::-1])
    assert all(torch.equal(model(x)[t], turned(x)[t]) and torch.equal(model(x)[t], again(x)[t]) for t in "abc")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_inputs_by_task_equal_common_inputs(name, kind):
    model, x, _ = build(name, kind)
    by_task = model({"a": x, "b": x[:7], "c": x[3:]})
    assert all(torch.allclose(model(x)[t][rows], by_task[t], atol=1e-5) for t, rows in
               (("a", slice(0, N)), ("b", slice(0, 7)), ("c", slice(3, N))))  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), [c for c in CASES if c[1].startswith(("text", "trans"))])
def test_padding_changes_nothing(name, kind):
    """The short sentences give the same outputs without their padding (the text CNN's windows see zeros beyond the end)."""
    model, x, _ = build(name, kind)
    model.eval()
    full, cut = model(x[:6]), model(x[:6, :4])
    rows = (slice(None), slice(0, 4)) if kind.endswith("tokens") else (slice(None),)
    assert all(torch.allclose(full[t][rows], cut[t], atol=1e-5) for t in "abc")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_bfloat16_gives_the_same_loss(name, kind):
    model, x, targets = build(name, kind)
    with torch.no_grad():
        exact = loss(model, x, targets)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = loss(model, x, targets)
    if name not in NO_BFLOAT16:
        assert rough.item() == pytest.approx(exact.item(), rel=0.03)


@pytest.mark.parametrize(("name", "kind"), [c for c in CASES if c[1] in ("mlp", "cnn")])
def test_bad_sizes_are_refused(name, kind):
    model, x, _ = build(name, kind)
    with pytest.raises(RuntimeError):
        model(x[:, :, :-1] if kind == "cnn" else x[:, :-1])


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_was_learned_is_plain_numbers(name, kind):
    import json

    model, x, _ = build(name, kind)
    with torch.no_grad():
        common, by_task = model.learned(x), model.learned({"a": x, "b": x, "c": x})
    assert json.dumps(common, allow_nan=False, sort_keys=True) == json.dumps(by_task, allow_nan=False, sort_keys=True)
    assert common or name in ("hard", "single_task", "partial")


@pytest.mark.parametrize("kind", BACKBONES)
def test_masks_never_change_a_pruned_weight(kind):
    """Adam on one task's loss moves no weight outside its mask; what no task uses is zero and stays zero."""
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
    """Cross-stitch near the identity, sluice near its own subspace and the last stage, experts apart from one another."""
    stitch = build("cross_stitch", kind)[0]
    for rows in stitch.alpha:
        alpha = torch.stack([rows[t].detach() for t in "abc"])
        assert torch.allclose(alpha, torch.full((3, 3), 0.05) + 0.85 * torch.eye(3))
    sluice = build("sluice", kind)[0]
    for rows in sluice.alpha:
        alpha = torch.cat([rows[t].detach() for t in "abc"])
        assert torch.allclose(alpha, torch.full((6, 6), 0.02) + 0.88 * torch.eye(6))
    assert all(sluice.beta[t][-1].item() == pytest.approx(0.9) and sluice.beta[t].sum().item() == pytest.approx(1) for t in "abc")
    for name in ("mmoe", "ple"):
        model = build(name, kind)[0]
        for stage in model.stages:
            first = [next(p for p in expert.parameters() if p.ndim > 1) for expert in stage.values()]
            assert all(not torch.equal(a, b) for i, a in enumerate(first) for b in first[:i])
    soft = build("soft", kind)[0]
    assert soft.penalty().item() == 0  # the trunks start from one and the same
