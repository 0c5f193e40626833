"""One's own model: the same numbers as a step of the study, and what users of such libraries
report as failing."""

import copy
import multiprocessing as mp
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import pandas as pd
import pytest
import torch
from torch import nn

import mtlstudy as ms
from mtlstudy import InputError, Status
from mtlstudy.data.base import Split
from mtlstudy.gradients import gramian
from mtlstudy.models.backbones import mlp
from mtlstudy.models.tasks import Task
from mtlstudy.registry import entry, names
from mtlstudy.training.step import Step

K, N = 3, 16
TASKS = [Task(f"t{i}", "regression") for i in range(K)]


def model_of(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    kind = entry("sharing", "hard")
    heads = {task.name: nn.Linear(8, 1) for task in TASKS}
    return kind(mlp(5, 8, 2, dropout), TASKS, heads, kind.Options())


def batch_of(seed=1):
    torch.manual_seed(seed)
    return Split(torch.randn(N, 5), {task.name: torch.randn(N) for task in TASKS})


def losses_of(model, batch):
    outputs = model(batch.inputs)
    return {t.name: t.loss(outputs[t.name], batch.targets[t.name]) for t in TASKS}


def grads_of(model):
    return {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}


def options_of(name):
    return {"weights": [0.5, 0.3, 0.2]} if name == "static" else {}


@pytest.mark.parametrize("name", sorted({*names("weighting")} - {"ntkmtl_sr"}))
def test_gradients_are_those_of_a_step_of_the_study(name):
    kind, model, batch = entry("weighting", name), model_of(), batch_of()
    count = len(model.shared_blocks())
    options = kind.Options.parse("weighting", options_of(name))
    torch.manual_seed(7)
    weighting = kind(K, count if kind.per_block else 1, options)
    own = copy.deepcopy(model)
    torch.manual_seed(7)
    balancer = ms.Balancer(name, [t.name for t in TASKS], **options_of(name))
    step = Step(model, weighting, torch.optim.SGD(model.parameters(), 0.1))
    blocks = own.shared_blocks()  # in the order of the model, which some methods' draws follow
    shared = blocks if kind.per_block else [p for block in blocks.values() for p in block]
    for seed in (1, 2):  # twice: what is remembered counts too
        model.zero_grad()
        own.zero_grad()
        weighting.attend(range(K))
        done = step.backward(batch_of(seed), False, False)
        balancer.backward(losses_of(own, batch_of(seed)), shared)
        if kind.sees_losses_again:
            again = torch.stack([v.detach() for v in losses_of(own, batch).values()])
            weighting.after_step(again)
            balancer.after_step(list(again))
    for key, g in grads_of(model).items():
        scale = g.abs().max().clamp_min(1e-3)
        assert torch.allclose(grads_of(own)[key], g, atol=1e-6 * float(scale), rtol=1e-5), key
    assert done is not None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nash", {"update_every": 3}),
        ("nash", {"level": "representation"}),
        ("ntkmtl_sr", {}),  # whose weights are always by the representation
    ],
)
def test_held_weights_and_games_on_representations_are_those_of_a_step(name, options):
    kind, model = entry("weighting", name), model_of()
    own, weighting = copy.deepcopy(model), kind(K, 1, kind.Options.parse("weighting", options))
    balancer = ms.Balancer(name, [t.name for t in TASKS], **options)
    step = Step(model, weighting, torch.optim.SGD(model.parameters(), 0.1))
    for seed in (1, 2):
        model.zero_grad()
        own.zero_grad()
        batch = batch_of(seed)
        step.backward(batch, False, False)
        z = own.encode(batch.inputs)["t0"]
        outputs = {t.name: own.heads[t.name](z) for t in TASKS}
        losses = {t.name: t.loss(outputs[t.name], batch.targets[t.name]) for t in TASKS}
        balancer.backward(losses, representation=z)
    for key, g in grads_of(model).items():
        assert torch.allclose(grads_of(own)[key], g, atol=1e-6, rtol=1e-5), key


def partly():
    """Losses a and b share u, b and c share v; each has a parameter of its own."""
    torch.manual_seed(0)
    u, v = torch.randn(4, requires_grad=True), torch.randn(3, requires_grad=True)
    own = [torch.ones(2, requires_grad=True) for _ in range(3)]
    A = torch.randn(4, 4)
    losses = {
        "a": (A[0] * u).sum() + (own[0] ** 2).sum(),
        "b": (A[1] * u).sum() + (A[2, :3] * v).sum() + (own[1] ** 2).sum(),
        "c": (A[3, :3] * v).sum() + (own[2] ** 2).sum(),
    }
    return losses, u, v, own, A


def test_parameters_that_only_some_losses_reach_are_a_game_of_those():
    losses, u, v, own, A = partly()
    done = ms.backward(losses, max_norm=None)
    assert sorted(done.games) == [["a", "b"], ["b", "c"]] and not done.absent
    for p, rows in ((u, A[:2]), (v, torch.stack([A[2, :3], A[3, :3]]))):
        a = ms.nash_weights(gramian(rows)[0]).weights.float()
        assert torch.allclose(p.grad, a @ rows, rtol=1e-5)
    assert torch.allclose(own[0].grad, 2 * done.weights[done.games.index(["a", "b"]), 0].float())
    assert done.status.tolist() == [Status.SOLVED] * 2


def test_what_is_not_named_as_shared_follows_the_weighted_sum():
    losses, u, v, _, A = partly()
    done = ms.backward(losses, shared=[u], max_norm=None)
    assert done.games == [["a", "b"]]
    b, c = done.weights[0, 1].float(), 1.0  # c plays no game
    assert torch.allclose(v.grad, b * A[2, :3] + c * A[3, :3], rtol=1e-5)


@pytest.mark.parametrize("gone", [None, torch.tensor(float("nan")), torch.tensor(1.0), "nan"])
@pytest.mark.parametrize("weighting", ["nash", "uncertainty", "equal_norm"])
def test_a_loss_that_is_missing_is_absent_and_said_so(gone, weighting):
    model, batch = model_of(), batch_of()
    losses = losses_of(model, batch)
    gone = losses["t1"] * float("nan") if gone == "nan" else gone
    done = ms.Balancer(weighting, list(losses)).backward({**losses, "t1": gone})
    assert list(done.absent) == ["t1"] and done.weights[0, 1] == 0
    found = grads_of(model)
    assert found["heads.t1.weight"] is None
    two = model_of()
    ms.Balancer(weighting, ["t0", "t2"]).backward(
        {name: loss for name, loss in losses_of(two, batch).items() if name != "t1"}
    )
    for key, g in grads_of(two).items():
        assert g is None or torch.allclose(found[key], g, rtol=1e-5, atol=1e-8), key


def test_nothing_to_do_is_said():
    done = ms.backward({"a": None, "b": torch.tensor(1.0)})
    assert done.absent == {"a": "not given", "b": "has no gradient"} and not done.games


WRONG = {
    "losses: one tensor ()": lambda m, x: sum(x.values()),
    "losses.t0 is (16,); allowed: a scalar": lambda m, x: {**x, "t0": torch.ones(16) * x["t0"]},
    "losses.t0 is float": lambda m, x: {**x, "t0": 1.0},
    "no parameter is reached by two": lambda m, x: {
        n: p.sum() for n, p in zip("ab", m, strict=False)
    },
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_use_is_one_line_and_writes_nothing(message):
    model = model_of()
    with pytest.raises(InputError) as error:
        ms.backward(WRONG[message](list(model.parameters()), losses_of(model, batch_of())))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert all(p.grad is None for p in model.parameters())


def test_names_blocks_and_graphs_that_do_not_fit_are_refused():
    model = model_of()
    balancer, losses = ms.Balancer("nash", ["t0", "t1", "t2"]), losses_of(model, batch_of())
    with pytest.raises(InputError, match="losses = 't9' is unknown"):
        balancer.backward({**losses, "t9": losses["t0"]})
    with pytest.raises(InputError, match="losses: 2; allowed: 3"):
        balancer.backward(list(losses.values())[:2])
    with pytest.raises(InputError, match=r"a game a block.*allowed: \{block"):
        ms.Balancer("block_nash", 3).backward(list(losses.values()))
    with pytest.raises(InputError, match="did you mean 'nash'"):
        ms.Balancer("nahs")
    with pytest.raises(InputError, match="no name twice"):
        ms.Balancer("nash", ["a", "a"])
    with pytest.raises(InputError, match="needs the z that the heads"):
        ms.Balancer("nash", list(losses), level="representation").backward(losses)
    balancer.backward(losses)
    before = grads_of(model)
    with pytest.raises(InputError, match="graph is freed"):
        balancer.backward(losses)
    after = grads_of(model)
    assert all(torch.equal(after[key], before[key]) for key in before)


class Broken(torch.autograd.Function):
    """The identity, whose backward pass fails."""

    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        raise ValueError("broken")


@pytest.mark.parametrize("weighting", ["nash", "equal", "uncertainty"])
def test_an_exception_inside_leaves_the_gradients_alone(weighting):
    model, x = model_of(), batch_of().inputs
    first, second = (model.stages[i]["shared"] for i in range(2))
    balancer = ms.Balancer(weighting, K)
    for p in second.parameters():
        p.grad = torch.ones_like(p)
    z = second(Broken.apply(first(x)))  # the heads and the second stage have theirs by then
    with pytest.raises(ValueError, match="broken"):
        balancer.backward([head(z).square().mean() for head in model.heads.values()])
    assert all(bool((p.grad == 1).all()) for p in second.parameters())
    others = [*first.parameters(), *model.heads.parameters(), *balancer.parameters()]
    assert all(p.grad is None for p in others)


def test_it_accumulates_and_keeps_the_graph_on_demand():
    model = model_of()
    losses = losses_of(model, batch_of())
    ms.backward(losses, retain_graph=True)
    once = grads_of(model)
    ms.backward(losses)
    assert all(torch.allclose(g, 2 * once[key]) for key, g in grads_of(model).items())


@pytest.mark.parametrize("weighting", ["nash", "equal", "pcgrad"])
def test_gradients_are_added_in_memory_of_their_own(weighting):
    """Also where autograd hands out one tensor twice: what is added up has one gradient."""
    parts = [torch.ones(4, requires_grad=True) for _ in range(4)]
    balancer, c = ms.Balancer(weighting, 2), torch.arange(4.0)
    seen = []
    for _ in range(2):
        h, own = parts[0] + parts[1], parts[2] + parts[3]
        balancer.backward([(h**2).sum() + (own * c).sum(), (h * c).sum()])
        assert len({p.grad.data_ptr() for p in parts}) == 4
        seen.append(parts[1].grad.clone())
    assert torch.allclose(seen[1], 2 * seen[0]) and torch.equal(parts[0].grad, parts[1].grad)
    parts[2].grad.zero_()
    assert bool(parts[3].grad.any())


def test_what_is_reached_may_change_from_step_to_step():
    """A loss that is missing, another graph, a parameter that is new: nothing is remembered of who
    reached what."""
    torch.manual_seed(0)
    u, v, late = (torch.randn(3, requires_grad=True) for _ in range(3))
    A, balancer = torch.randn(3, 3), ms.Balancer("nash", ["a", "b", "c"])
    steps = [
        ((u, u, v), [["a", "b"]], "c"),
        ((u, u, u), [["a", "b", "c"]], ""),
        ((v, late, late), [["b", "c"]], "a"),
        ((u, None, u), [["a", "c"]], ""),
    ]
    for reads, games, alone in steps:
        u.grad = v.grad = late.grad = None
        pairs = zip("abc", A, reads, strict=True)
        losses = {n: None if p is None else (row * p).sum() for n, row, p in pairs}
        done = balancer.backward(losses)
        assert done.games == games
        read = dict(zip("abc", reads, strict=True))
        for p in (u, v, late):
            assert (p.grad is not None) == any(p is q for q in reads)
        if alone:
            assert torch.equal(read[alone].grad, A["abc".index(alone)])
        for name in games[0]:
            rows = A[["abc".index(n) for n in games[0]]]
            a = ms.nash_weights(gramian(rows)[0]).weights.float()
            d = a @ rows
            assert torch.allclose(read[name].grad, d / d.norm().clamp_min(1), rtol=1e-4)


def test_what_a_function_keeps_under_the_name_variable_is_no_parameter():
    class Keeps(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.variable = torch.ones(3, requires_grad=True)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return 2 * g

    w = torch.ones(2, requires_grad=True)
    h = Keeps.apply(w)
    done = ms.backward([h.sum(), (h * torch.tensor([1.0, 3.0])).sum()])
    assert done.games == [["0", "1"]] and w.grad is not None


WAITS_FOR_NOTHING = [
    *((name, {}) for name in ("nash", "block_nash", "equal", "equal_norm", "uncertainty", "famo")),
    *(("nash", options) for options in ({"update_every": 3}, {"level": "representation"})),
]


@pytest.mark.parametrize(("name", "options"), WAITS_FOR_NOTHING)
def test_the_host_never_waits_for_a_device(name, options):
    """Tensors of the device "meta" have no values: whoever asks for one fails."""
    with torch.device("meta"):
        net, heads = nn.Linear(5, 8), nn.ModuleList([nn.Linear(8, 1) for _ in range(3)])
        x = torch.randn(4, 5)
    balancer = ms.Balancer(name, 3, **options)
    shared = {"net": list(net.parameters())} if balancer.kind.per_block else None
    for absent in (None, None, 1):
        z = net(x)
        losses = [None if t == absent else h(z).square().mean() for t, h in enumerate(heads)]
        done = balancer.backward(losses, shared, representation=z)
        assert done.weights.device.type == net.weight.grad.device.type == "meta"


def test_frozen_parameters_and_parameters_used_twice():
    model = model_of()
    first = model.stages[0]["shared"][0]
    first.weight.requires_grad_(False)
    x = batch_of().inputs
    z = model.stages[1]["shared"](model.stages[1]["shared"](model.stages[0]["shared"](x)))
    losses = {name: head(z).square().mean() for name, head in model.heads.items()}
    J = torch.stack([
        torch.cat([g.flatten() for g in torch.autograd.grad(
            loss, model.stages[1]["shared"].parameters(), retain_graph=True)])
        for loss in losses.values()
    ])  # fmt: skip
    shared = list(model.stages[1]["shared"].parameters())
    ms.backward(losses, shared=shared, max_norm=None)
    assert first.weight.grad is None
    d = torch.cat([p.grad.flatten() for p in shared])
    assert torch.allclose(d, ms.nash_weights(gramian(J)[0]).weights.float() @ J, rtol=1e-4)


def test_half_precision_with_a_scaler_plays_the_unscaled_game():
    plain, scaled, batch = model_of(), model_of(), batch_of()
    ms.backward(losses_of(plain, batch))
    optimiser = torch.optim.SGD(scaled.parameters(), 0.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    ms.backward(losses_of(scaled, batch), scaler=scaler)
    first = next(scaled.parameters()).grad
    assert torch.allclose(first, 1024 * next(plain.parameters()).grad, rtol=1e-4)
    scaler.unscale_(optimiser)
    for key, g in grads_of(plain).items():
        assert torch.allclose(grads_of(scaled)[key], g, rtol=1e-4, atol=1e-8), key
    with torch.autocast("cpu", torch.bfloat16):
        low = model_of()
        done = ms.backward(losses_of(low, batch))
    assert done.status.tolist() == [Status.SOLVED]
    assert all(p.grad.dtype == p.dtype for p in low.parameters())


def test_an_overflow_reaches_the_scaler_and_the_step_is_left_out():
    model = model_of()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    before = [p.detach().clone() for p in model.parameters()]
    ms.backward(losses_of(model, batch_of()), scaler=scaler, weighting="equal_norm")
    losses = losses_of(model, batch_of())
    ms.backward({n: 1e30 * loss for n, loss in losses.items()}, scaler=scaler)
    scaler.step(optimiser)
    scaler.update()
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert scaler.get_scale() < 2.0**120


def test_the_state_of_every_game_is_in_the_state_dict():
    def played(balancer, n):
        for _ in range(n):
            done = balancer.backward(partly()[0])
        return done

    whole = ms.Balancer("nash", ["a", "b", "c"], update_every=2)
    played(whole, 2)
    first, again = (
        ms.Balancer("nash", ["a", "b", "c"], update_every=2),
        ms.Balancer("nash", ["a", "b", "c"], update_every=2),
    )
    played(first, 1)
    again.load_state_dict(first.state_dict())
    assert torch.equal(played(again, 1).weights, played(first, 1).weights)
    uncertain = ms.Balancer("uncertainty", ["a", "b", "c"])
    assert list(uncertain.parameters())
    uncertain.backward(partly()[0])
    assert all(p.grad is not None for p in uncertain.parameters())


class Block(nn.Module):
    """A residual block with batch norm."""

    def __init__(self, c):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(c, c, 3, padding=1), nn.BatchNorm2d(c), nn.ReLU())

    def forward(self, x):
        return x + self.body(x)


class GPT(nn.Module):
    """A causal Transformer with tied embedding and output: its weight is used twice."""

    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(20, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
        self.label = nn.Linear(16, 3)

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        h = self.layer(self.token(x), mask, is_causal=True)
        return h @ self.token.weight.T, self.label(h[:, -1])


def test_a_resnet_with_two_heads_and_a_gpt_train():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3), Block(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    heads, x = nn.ModuleList([nn.Linear(4, 2), nn.Linear(4, 1)]), torch.randn(8, 3, 9, 9)
    gpt, tokens = GPT(), torch.randint(20, (8, 6))

    def images():
        z = trunk(x)
        return nn.functional.cross_entropy(heads[0](z), torch.arange(8) % 2), heads[1](z).square()

    def text():
        next_token, label = gpt(tokens)
        target = tokens[:, 1:].reshape(-1)
        language = nn.functional.cross_entropy(next_token[:, :-1].reshape(-1, 20), target)
        return language, nn.functional.cross_entropy(label, torch.arange(8) % 3)

    for module, losses in ((nn.ModuleList([trunk, heads]), images), (gpt, text)):
        optimiser = torch.optim.Adam(module.parameters(), 0.02)
        first = sum(float(loss.detach().mean()) for loss in losses())
        for _ in range(25):
            optimiser.zero_grad()
            done = ms.backward([loss.mean() for loss in losses()])
            optimiser.step()
        last = sum(float(loss.detach().mean()) for loss in losses())
        assert last < 0.9 * first and done.status.tolist() == [Status.SOLVED]


@pytest.mark.slow
def test_a_compiled_module_and_what_to_do_about_its_buffers():
    from torch._functorch import config

    model, plain, batch = model_of(), model_of(), batch_of()
    with config.patch(donated_buffer=False):
        model.forward = torch.compile(model.forward)
        shared = [p for block in model.shared_blocks().values() for p in block]
        with pytest.raises(InputError, match="shared: a compiled model does not tell"):
            ms.backward(losses_of(model, batch))
        ms.backward(losses_of(model, batch), shared)
    ms.backward(losses_of(plain, batch))
    for key, g in grads_of(plain).items():
        assert torch.allclose(grads_of(model)[key], g, rtol=1e-4, atol=1e-6), key


def worker(rank, port, queue):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    model, batch = model_of(), batch_of()
    own = Split(batch.inputs[rank::2], {n: y[rank::2] for n, y in batch.targets.items()})
    ddp = nn.parallel.DistributedDataParallel(model)
    for _ in range(2):  # twice: DDP complains at the second forward pass
        model.zero_grad()
        with ddp.no_sync():
            outputs = ddp(own.inputs)
        ms.backward({t.name: t.loss(outputs[t.name], own.targets[t.name]) for t in TASKS})
    queue.put({key: g.tolist() for key, g in grads_of(model).items()})
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_play_the_game_of_the_whole_batch():
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    context = mp.get_context("spawn")
    queue = context.Queue()
    each = [context.Process(target=worker, args=(rank, port, queue)) for rank in range(2)]
    for process in each:
        process.start()
    found = [queue.get(timeout=240) for _ in each]
    for process in each:
        process.join(60)
    whole = model_of()
    ms.backward(losses_of(whole, batch_of()))
    assert found[0] == found[1]
    for key, g in grads_of(whole).items():
        assert torch.allclose(torch.tensor(found[0][key]), g, rtol=1e-4, atol=1e-6), key


def test_torchjd_takes_the_exact_game_and_its_methods_are_weightings_here():
    from torchjd.aggregation import GramianWeightedAggregator

    torch.manual_seed(0)
    J = torch.randn(3, 10)
    exact = ms.nash_weights(gramian(J)[0]).weights.float()
    weighting = ms.torchjd_weighting("nash", 3)
    assert torch.allclose(weighting(J @ J.T), exact, rtol=1e-4)
    assert torch.allclose(GramianWeightedAggregator(weighting)(J), exact @ J, rtol=1e-4)
    with pytest.raises(InputError, match="allowed: a weighting of one Gramian"):
        ms.torchjd_weighting("uncertainty", 3)


@pytest.mark.parametrize("family", names("sharing"))
def test_every_family_shares_own_stages(family):
    torch.manual_seed(0)
    stages = [nn.Sequential(nn.Linear(5, 8), nn.ReLU()), nn.Sequential(nn.Linear(8, 8), nn.ReLU())]
    heads, x = {"a": nn.Linear(8, 1), "b": nn.Linear(8, 2)}, torch.randn(6, 5)
    kind = entry("sharing", family)
    if kind.searches or family == "hierarchical":
        with pytest.raises(InputError, match=family):
            ms.share(stages, heads, family, x)
        return
    model = ms.share(stages, heads, family, x)
    out = model(x)
    assert {n: tuple(y.shape) for n, y in out.items()} == {"a": (6, 1), "b": (6, 2)}
    if any(len(use.tasks) > 1 and use.parameters for use in model.usage()):
        done = ms.backward([y.square().mean() for y in out.values()])
        assert done.games == [["0", "1"]]


def test_a_structure_changes_in_ones_own_loop_and_the_optimiser_goes_on():
    torch.manual_seed(0)
    stages, heads = [nn.Linear(5, 8), nn.Linear(8, 8)], {n: nn.Linear(8, 1) for n in "abcd"}
    x, A = torch.randn(64, 5), torch.randn(5, 2)
    y = {n: x @ A[:, i % 2] for i, n in enumerate("abcd")}
    model = ms.share(stages, heads, "nash_share", x, start=0.2, length=0.4)
    optimiser, changed = torch.optim.Adam(model.parameters(), 0.02), []
    for step in range(1, 21):
        optimiser.zero_grad()
        losses = {n: (out[:, 0] - y[n]).square().mean() for n, out in model(x).items()}
        ms.backward(losses, weighting="equal")
        optimiser.step()
        changed += [step] if ms.restructure(model, optimiser, step, 20) else []
        held = {id(p) for p in optimiser.param_groups[0]["params"]}
        assert held == {id(p) for p in model.parameters()}
    assert changed == [4, 12] and set(optimiser.state) == set(model.parameters())
    assert [d["phase"] for d in model.learned(x)["decisions"]] == ["start", "branch", "merge"]


def test_stages_that_do_not_fit_are_named_with_the_shape():
    stages, heads = [nn.Linear(5, 8), nn.Linear(9, 8)], {"a": nn.Linear(8, 1)}
    with pytest.raises(InputError, match=r"stages\[1\] on an input \(6, 8\): mat1 and mat2"):
        ms.share(stages, heads, "hard", torch.randn(6, 5))
    with pytest.raises(InputError, match="heads: none"):
        ms.share(stages, {}, "hard")


def test_the_chapters_examples_run_and_say_what_its_text_says(capsys):
    source = Path(__file__).parents[1] / "notebooks" / "own_model.py"
    scope = {}
    for cell in jupytext.read(source).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, source.name, "exec"), scope)
    for losses in (scope["cnn"], scope["text"], scope["lightning"]):
        begin, end = (pd.DataFrame(rows).mean() for rows in (losses[:30], losses[-30:]))
        assert (end < 0.8 * begin).all() and len(begin) == 2, "every task's loss falls"
    assert scope["missing"] == len(scope["text"]) / 2
    assert "Advice" in capsys.readouterr().out and "Race" not in str(scope["report"].sections[:3])


def test_it_needs_nothing_of_the_study():
    """What the extra `study` brings is not there: weighing, sharing and diagnosing work."""
    there = ("pandas", "sklearn", "river", "mlxtend", "joblib", "torchjd", "matplotlib", "cvxpy")
    code = f"""
import sys
for name in {there!r}: sys.modules[name] = None
import torch, mtlstudy as ms
net = torch.nn.Linear(3, 2)
of = lambda m, x: dict(a=m(x)[:, 0].square().mean(), b=(m(x)[:, 1] - 1).square().mean())
assert ms.backward(of(net, torch.ones(4, 3))).games == [["a", "b"]]
model = ms.share([torch.nn.Linear(3, 3)], dict(a=torch.nn.Linear(3, 1)), "hard", torch.ones(4, 3))
print(ms.doctor(net, of, [torch.randn(4, 3) for _ in range(5)], steps=1, progress=False).advice[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(("Weigh by", "Stay with")), done.stderr
