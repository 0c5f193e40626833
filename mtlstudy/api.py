"""Your own model: any torch module and training loop, balanced by any weighting of this package,
its stages shared by any sharing architecture.

    ms.backward([loss_a, loss_b])                    # in place of (loss_a + loss_b).backward()
    balancer = ms.Balancer("uncertainty", ["a", "b"])    # a weighting that remembers
    balancer.backward({"a": loss_a, "b": None})      # b has no label in this batch
    model = ms.share([stage_1, stage_2], {"a": head_a, "b": head_b}, "cross_stitch", x)

Losses are looked through: which parameters each of them reaches is read off its graph. A parameter
that one loss reaches follows that loss; those that the same losses reach, two or more, are one game
among these losses, J (K′, P) their gradients on its P parameters. Nothing is written to `.grad`
before everything is computed; then it accumulates as `.backward()` does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import reduce
from itertools import chain
from math import isnan
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mtlstudy.errors import InputError, unknown
from mtlstudy.gradients import clip_, direction, gramian
from mtlstudy.models.backbones import Backbone, Stage
from mtlstudy.models.sharing._dynamic import carry
from mtlstudy.models.tasks import Task
from mtlstudy.registry import entry
from mtlstudy.weighting.base import Weighting, Weights

Losses = Mapping[str, Tensor | None] | Sequence[Tensor | None] | Tensor
Blocks = Iterable[Tensor] | Mapping[str, Iterable[Tensor]]


class Balanced(NamedTuple):
    """What was done: games, the losses of each of G; weights (G, K) float64, a row a game, 0 for a
    loss that is not in it; status (G,) of `mtlstudy.Status`; absent: loss → why it took no part.
    With a weighting of the losses there is one row; a method without weights has none."""

    games: list[list[str]]
    weights: Tensor
    status: Tensor
    absent: dict[str, str]


class Game(NamedTuple):
    """Parameters that the same losses (their numbers) reach, block by block; sizes: numbers of each
    block, P in all."""

    losses: tuple[int, ...]
    parameters: list[Tensor]
    sizes: list[int]


Played = list[tuple[tuple[int, ...], Weights]]


def backward(
    losses: Losses,
    shared: Blocks | None = None,
    weighting: str = "nash",
    representation: Tensor | None = None,
    retain_graph: bool = False,
    scaler: Any = None,
    **options: Any,
) -> Balanced:
    """Set the gradients of a step whose weighting remembers nothing: K losses of shape () → `.grad`
    of every parameter that they reach, in its shape. options: the weighting's own; the rest, and
    what is raised, as for `Balancer.backward`, whose object is made once for all steps.

    >>> w = torch.zeros(2, requires_grad=True)
    >>> ms_losses = [(w - torch.tensor([3.0, 0.0])).sum(), (w[1] - 1) * 0.5]
    >>> backward(ms_losses).games
    [['0', '1']]
    """
    names = list(named(losses))
    balancer = Balancer(weighting, names, **options)
    return balancer.backward(losses, shared, representation, retain_graph, scaler)


class Balancer(nn.Module):
    """A weighting of this package for the losses of any model, with its state in `state_dict`.

    tasks: the names of the losses, or how many; options: the weighting's own. Its parameters, where
    it has any (uncertainty), belong into the optimiser. Under torch.distributed gradients are
    averaged over the processes before the game; DDP's own averaging is to be left out
    (`ddp.no_sync()` around the forward pass), and a loss is absent in all processes or in none.

    Raises:
        InputError: an unknown weighting or option, no task, or two of one name.
    """

    def __init__(
        self, weighting: str = "nash", tasks: Sequence[str] | int = 2, **options: Any
    ) -> None:
        super().__init__()
        names = [str(t) for t in range(tasks)] if isinstance(tasks, int) else list(tasks)
        if not names or len(set(names)) < len(names):
            raise InputError(f"tasks = {names}: allowed: one name or more, no name twice")
        self.kind, self.names = entry("weighting", weighting), names
        self.options = self.kind.Options.parse("weighting", options)
        self.seed = torch.initial_seed()  # of methods that draw
        self.device = torch.device("cpu")  # of the last losses
        self.weightings = nn.ModuleDict()  # one a set of losses that meet
        if self.kind.needs == "losses":
            self.weighting_of(tuple(range(len(names))), 1)

    def weighting_of(self, losses: tuple[int, ...], blocks: int) -> Weighting:
        """The weighting of a game among these losses (their numbers) on so many blocks, made when
        the game is first played."""
        key = "_".join(map(str, losses))
        if key not in self.weightings:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(self.seed)  # torch.manual_seed: each device's
                made = self.kind(len(self.names), blocks, self.options)
            self.weightings[key] = made.to(self.device)
        weighting: Any = self.weightings[key]
        weighting.resize(blocks)
        return weighting  # type: ignore[no-any-return]

    def get_extra_state(self) -> dict[str, int]:
        """Which games there were, with their numbers of blocks."""
        return {key: made.B for key, made in self.weightings.items()}  # type: ignore[misc]

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Make them, so that their state can be loaded."""
        for key, blocks in state.items():
            self.weighting_of(tuple(map(int, key.split("_"))), blocks)

    def backward(
        self,
        losses: Losses,
        shared: Blocks | None = None,
        representation: Tensor | None = None,
        retain_graph: bool = False,
        scaler: Any = None,
    ) -> Balanced:
        """Add to `.grad`: the direction d (P,) on the P numbers that two losses or more reach, its
        own gradient on what one reaches (scaled by its weight where the method does that).

        losses: K tensors of one number, by name or in order, or one (K,); None, without gradient,
        or (on a CPU) NaN: the task is absent from this step. shared: the parameters that are
        bargained over, as blocks for weightings a block; all that two losses reach if not given (a
        model that is compiled hides that). What is reached by several but not in it follows the
        weighted sum. representation: z (N, d), which all heads read, for a game on its gradients
        (level = "representation"). scaler: the torch.amp.GradScaler whose `step` follows; the
        losses are given unscaled, and so is the game.

        Raises:
            InputError: losses are not scalars or were added up already, names that are not the
                tasks', nothing that two losses reach, a graph that is freed. `.grad` is as it was.
        """
        given = named(losses, self.names)
        absent = missing(given)
        here: dict[int, Any] = {t: given[n] for t, n in enumerate(self.names) if n not in absent}
        if not here:
            return Balanced([], torch.zeros(0, len(self.names)), torch.zeros(0).long(), absent)
        self.device = next(iter(here.values())).device
        self.to(self.device)
        scale = None if scaler is None else scaler.scale(torch.ones((), device=self.device))
        step = Backward(self, here, representation, retain_graph, scale)
        try:
            with torch.enable_grad():
                done = step.by_losses() if self.kind.needs == "losses" else step.by_games(shared)
        except RuntimeError as error:
            raise explained(error) from None
        return done._replace(absent=absent)

    def after_step(self, losses: Losses) -> None:
        """The losses (K of shape ()) of the same batch after the optimiser's step, for weightings
        that ask for them (`famo`); the others take no notice, and so does it where one is missing.
        """
        values = [loss.detach() for loss in named(losses, self.names).values() if loss is not None]
        for one in self.weightings.values():
            if one.sees_losses_again and len(values) == len(self.names):
                one.after_step(torch.stack(values))  # type: ignore[operator]


class Backward:
    """One backward pass: what is reached by whom, and the gradients before they are written.

    losses: those that are present, by number; z (N, d); scale: the scaler's, a scalar.
    """

    def __init__(
        self,
        balancer: Balancer,
        losses: dict[int, Tensor],
        z: Tensor | None,
        retain: bool,
        scale: Tensor | None,
    ) -> None:
        self.balancer, self.losses, self.z = balancer, losses, z
        self.retain, self.scale = retain, scale
        self.K, self.names = len(balancer.names), balancer.names
        self.several = processes() > 1
        some = next(iter(losses.values()))
        rows = (losses.get(t) for t in range(self.K))
        each = [some.new_zeros(()) if loss is None else loss.detach() for loss in rows]
        self.values = torch.stack(each)  # (K,), 0 for those that are absent
        self.grads: dict[Tensor, Tensor] = {}  # to be written, in memory of their own

    def by_losses(self) -> Balanced:
        """One pass: the weights are ∂ objective / ∂ L. Who reaches what does not matter."""
        weighting = self.balancer.weighting_of(tuple(range(self.K)), 1)
        weighting.attend(list(self.losses))
        losses = list(self.losses.values())
        found = leaves(losses, graph(losses))
        with untouched([*found, *weighting.parameters()]):
            chosen = weighting(self.values, None)
            if self.several:
                self.grads.update(zip(found, self.weighted_sum(found, chosen), strict=True))
            else:  # torch adds to `.grad` itself, without a copy
                a = self.each(chosen)
                if self.scale is not None:
                    a = [a_t * self.scale.to(a_t.dtype) for a_t in a]
                torch.autograd.backward(losses, a, retain_graph=self.retain)
        self.write()
        return self.balanced([(tuple(self.losses), chosen)])

    def by_games(self, shared: Blocks | None) -> Balanced:
        """The game of every set of losses that meet, then what is not bargained over."""
        self.find(shared)
        weightings = [self.balancer.weighting_of(g.losses, len(g.sizes)) for g in self.games]
        for game, weighting in zip(self.games, weightings, strict=True):
            weighting.attend(game.losses)
        played: Played
        if any(w.level == "representation" for w in weightings):
            played = self.by_representation(weightings[0])
        elif self.balancer.kind.needs == "gramians" and [w.due() for w in weightings] == [False]:
            played = self.by_held_weights(weightings[0])
        else:
            each = zip(self.games, self.jacobians(), weightings, strict=True)
            played = [(game.losses, self.play(game, J, w)) for game, J, w in each]
        self.rest(played, any(w.scales_heads for w in weightings))
        self.write()
        return self.balanced(played)

    def find(self, shared: Blocks | None) -> None:
        """games: the parameters to bargain over, by the losses that reach them; own: what each loss
        reaches beside them."""
        graphs = {t: graph([loss]) for t, loss in self.losses.items()}
        if shared is None and any(map(is_compiled, graphs.values())):
            reason = "a compiled model does not tell which losses reach what"
            raise InputError(f"shared: {reason}; allowed: the parameters of its trunk")
        self.own = {t: leaves([self.losses[t]], nodes) for t, nodes in graphs.items()}
        by = dict[Tensor, list[int]]()
        for t, reached in self.own.items():
            for p in reached:
                by.setdefault(p, []).append(t)
        self.games = self.among(shared, by)
        for game in self.games:
            for p in game.parameters:
                del by[p]
        self.own = {t: [p for p in reached if p in by] for t, reached in self.own.items()}

    def among(self, shared: Blocks | None, by: dict[Tensor, list[int]]) -> list[Game]:
        """The games over these parameters. by: parameter → the losses that reach it."""
        kind = self.balancer.kind
        if kind.per_block and not isinstance(shared, Mapping):
            given = f"weighting = {kind.name!r} plays a game a block"
            raise InputError(f"shared: {given}; allowed: {{block: its parameters}}")
        of = shared if isinstance(shared, Mapping) else {"": by if shared is None else shared}
        found: dict[tuple[int, ...], dict[str, list[Tensor]]] = {}
        for block, parameters in of.items():
            for p in dict.fromkeys(parameters):
                if len(tasks := by.get(p, [])) > 1:
                    at = block if kind.per_block else ""
                    found.setdefault(tuple(tasks), {}).setdefault(at, []).append(p)
        if not found and len(self.losses) > 1:
            reason = "no parameter is reached by two losses, so there is nothing to balance"
            raise InputError(f"shared: {reason}; were they computed by one model, undetached?")
        games = []
        for losses, blocks in found.items():
            sizes = [sum(p.numel() for p in block) for block in blocks.values()]
            games.append(Game(losses, [p for block in blocks.values() for p in block], sizes))
        return games

    def jacobians(self) -> list[Tensor]:
        """J (K, P) of every game in K passes, 0 for a loss that is not in it. What each loss
        reaches beside the games is kept in `alone`."""
        made = []
        for game in self.games:
            dtype = reduce(torch.promote_types, {p.dtype for p in game.parameters})
            fill = torch.empty if len(game.losses) == self.K else torch.zeros
            device = game.parameters[0].device
            made.append(fill(self.K, sum(game.sizes), dtype=dtype, device=device))
        self.alone, last = dict[int, list[Tensor]](), next(reversed(self.losses))
        for t, loss in self.losses.items():
            mine = [
                (g.parameters, J[t]) for g, J in zip(self.games, made, strict=True) if t in g.losses
            ]
            by = [*chain.from_iterable(parameters for parameters, _ in mine), *self.own[t]]
            grads = self.differentiate([loss], by, [None], self.retain or t != last)
            for parameters, row in mine:
                flat = [g.reshape(-1) for g in grads[: len(parameters)]]
                torch.cat(flat, out=row)
                grads = grads[len(parameters) :]
            self.alone[t] = grads
        return made

    def play(self, game: Game, J: Tensor, weighting: Weighting) -> Weights:
        """Weights of a game on J (K, P), and its direction as the gradient of its parameters."""
        if weighting.needs == "jacobian":
            chosen = weighting(self.values, None)
            self.set(game.parameters, weighting.aggregate(J).clone())  # it may remember its own
            return chosen  # type: ignore[no-any-return]
        sizes = game.sizes if weighting.per_block else [J.shape[1]]
        chosen = weighting(self.values, gramian(J, sizes) if weighting.due() else None)
        a, d = chosen.weights.to(J.dtype), J.new_empty(J.shape[1])  # (B, K), (P,)
        for part, block, row in zip(d.split(sizes), J.split(sizes, 1), a, strict=True):
            clip_(torch.mv(block.mT, row, out=part), weighting.max_norm)
        self.set(game.parameters, d)
        return chosen  # type: ignore[no-any-return]

    def by_held_weights(self, weighting: Weighting) -> Played:
        """One pass through what is shared: there is one game, and its weights are those of an
        earlier one."""
        (game,) = self.games
        chosen = weighting(self.values, None)
        self.alone = {}
        for t, loss in self.losses.items():
            own = self.own[t]
            self.alone[t] = self.differentiate([loss], own, [None], True) if own else []
        grads = self.weighted_sum(game.parameters, chosen)
        d = torch.cat([g.reshape(-1) for g in grads])
        self.set(game.parameters, clip_(d, weighting.max_norm))
        return [(game.losses, chosen)]

    def by_representation(self, weighting: Weighting) -> Played:
        """A game on ∂L_t/∂z, then one pass from z through what is shared."""
        (game, *more), z = self.games, self.z
        if z is None or more or game.losses != tuple(self.losses):
            reason = "level = 'representation' needs the z that the heads of all losses read"
            raise InputError(f"representation: {reason}; allowed: that tensor")
        below, to_z = set(leaves([z], graph([z]))), dict[int, Tensor]()
        self.own = {t: [p for p in own if p not in below] for t, own in self.own.items()}
        self.alone = {}
        for t, loss in self.losses.items():
            to_z[t], *self.alone[t] = self.differentiate([loss], [z, *self.own[t]], [None], True)
        zero = torch.zeros_like(z) if len(to_z) < self.K else z
        rows = torch.stack([to_z.get(t, zero).flatten() for t in range(self.K)])
        chosen = weighting(self.values, gramian(rows) if weighting.due() else None)
        a = chosen.weights[0].to(z.dtype)
        shared = [p for p in game.parameters if p in below]
        vectors = [(a[t] * v).to(z.dtype) for t, v in to_z.items()]
        d = averaged(direction([z] * len(vectors), vectors, shared))
        self.set(shared, clip_(d, weighting.max_norm))
        return [(game.losses, chosen)]

    def rest(self, played: Played, scales: bool) -> None:
        """What is not bargained over: each loss's own gradient, scaled by its weight in its largest
        game where the method does that."""
        size = {game.losses: sum(game.sizes) for game in self.games}
        order = sorted(played, key=lambda game: (len(game[0]), size[game[0]]))
        a = {t: chosen.weights[0, t] for tasks, chosen in order for t in tasks} if scales else {}
        for t, grads in self.alone.items():
            for p, g in zip(self.own[t], grads, strict=True):
                weighted = a[t].to(g.dtype) * g if t in a else g.clone()
                self.grads[p] = self.grads[p] + weighted if p in self.grads else weighted

    def each(self, chosen: Weights) -> list[Tensor]:
        """The weight of every loss that is present, in its dtype."""
        a = chosen.weights[0].to(self.values.dtype).unbind()
        return [a[t].to(loss.dtype) for t, loss in self.losses.items()]

    def weighted_sum(self, parameters: list[Tensor], chosen: Weights) -> list[Tensor]:
        """Σ_t a_t ∂L_t on these parameters in one pass."""
        losses = list(self.losses.values())
        return self.differentiate(losses, parameters, self.each(chosen), self.retain)

    def differentiate(
        self,
        losses: list[Tensor],
        by: list[Tensor],
        weights: Sequence[Tensor | None],
        retain: bool,
    ) -> list[Tensor]:
        """Gradients of Σ weights · losses, a mean over the processes; unscaled."""
        if self.scale is not None:
            losses = [loss * self.scale.to(loss.dtype) for loss in losses]
        grads = torch.autograd.grad(
            losses, by, weights, retain_graph=retain, materialize_grads=True
        )
        if self.scale is not None:
            grads = tuple(g / self.scale.to(g.dtype) for g in grads)
        return [averaged(g) for g in grads] if self.several else list(grads)

    def set(self, parameters: list[Tensor], d: Tensor) -> None:
        """The gradients of some parameters, from d (P,)."""
        parts = d.split([p.numel() for p in parameters])
        self.grads.update((p, g.view_as(p)) for p, g in zip(parameters, parts, strict=True))

    def write(self) -> None:
        """Add to `.grad`, as `.backward()` does."""
        for p, g in self.grads.items():
            if self.scale is not None:
                g = g * self.scale.to(g.dtype)
            if p.grad is not None:
                p.grad.add_(g)
            elif g.dtype == p.dtype and g.stride() == p.stride():
                p.grad = g
            else:
                p.grad = torch.empty_like(p).copy_(g)

    def balanced(self, played: Played) -> Balanced:
        """What is answered: a row a game, of its first block."""
        if not played:
            none = self.values.new_zeros(0, dtype=torch.int64)
            return Balanced([], none.new_zeros(0, self.K, dtype=torch.float64), none, {})
        games = [[self.names[t] for t in tasks] for tasks, _ in played]
        weights = torch.cat([chosen.weights[:1] for _, chosen in played])
        return Balanced(games, weights, torch.cat([one.status[:1] for _, one in played]), {})


@contextmanager
def untouched(parameters: list[Tensor]) -> Iterator[None]:
    """`.grad` of these parameters after an exception inside is what it was before; otherwise what
    was set inside is added to it."""
    before = [p.grad for p in parameters]
    for p in parameters:
        p.grad = None
    try:
        yield
    except BaseException:
        for p, old in zip(parameters, before, strict=True):
            p.grad = old
        raise
    for p, old in zip(parameters, before, strict=True):
        if old is not None:
            p.grad = old if p.grad is None else old.add_(p.grad)


def named(losses: Losses, names: Sequence[str] | None = None) -> dict[str, Tensor | None]:
    """The losses by name, in the order of the tasks, each of shape (); checked."""
    if isinstance(losses, Tensor) and losses.ndim != 1:
        shape = tuple(losses.shape)
        raise InputError(f"losses: one tensor {shape}; allowed: a scalar a task, not their sum")
    if not isinstance(losses, Mapping):
        each = list(losses)
        keys = [str(t) for t in range(len(each))] if names is None else list(names)
        if len(each) != len(keys):
            raise InputError(f"losses: {len(each)}; allowed: {len(keys)}, one a task")
        losses = dict(zip(keys, each, strict=True))
    found = dict.fromkeys(losses if names is None else names)
    for name, loss in losses.items():
        if name not in found:
            raise unknown("losses", name, list(found))
        if loss is not None and (not isinstance(loss, Tensor) or loss.numel() != 1):
            shown = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise InputError(f"losses.{name} is {shown}; allowed: a scalar tensor, such as a mean")
        found[name] = loss if loss is None or not loss.ndim else loss.reshape(())
    return found


def missing(losses: Mapping[str, Tensor | None]) -> dict[str, str]:
    """The losses that take no part, and why."""
    why = {}
    for name, loss in losses.items():
        if loss is None:
            why[name] = "not given"
        elif not loss.requires_grad:
            why[name] = "has no gradient"
        elif loss.device.type == "cpu" and isnan(loss.item()):  # elsewhere the host would wait
            why[name] = "is NaN"
    return why


def graph(roots: Sequence[Tensor]) -> list[Any]:
    """The nodes that tensors were computed by, each once."""
    found = list(dict.fromkeys(root.grad_fn for root in roots if root.grad_fn is not None))
    seen = set(found)
    for node in found:  # which grows meanwhile
        for below, _ in node.next_functions:
            if below is not None and below not in seen:
                seen.add(below)
                found.append(below)
    return found


def leaves(roots: Sequence[Tensor], nodes: Iterable[Any]) -> list[Tensor]:
    """The parameters that tensors of this graph depend on, each once."""
    bare = [root for root in roots if root.grad_fn is None and root.requires_grad]
    found = (node.variable for node in nodes if type(node).__name__ == "AccumulateGrad")
    return list(dict.fromkeys([*bare, *found]))


def is_compiled(nodes: Iterable[Any]) -> bool:
    """Whether torch.compile made a part of a graph one node."""
    return any(kind.__name__ == "CompiledFunctionBackward" for kind in set(map(type, nodes)))


def processes() -> int:
    """How many there are of torch.distributed."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return 1
    return torch.distributed.get_world_size()


def averaged(g: Tensor) -> Tensor:
    """A mean over the processes of torch.distributed, where there are several."""
    if (several := processes()) == 1:
        return g
    g = g.contiguous()
    torch.distributed.all_reduce(g)
    return g / several


def explained(error: RuntimeError) -> Exception:
    """What to do about torch's usual complaints; others as they are."""
    said = str(error)
    if "second time" in said:
        reason = "their graph is freed by an earlier backward pass"
        return InputError(f"losses: {reason}; allowed: a new forward pass, or retain_graph=True")
    if "donated buffer" in said:
        reason = "a compiled model frees what K passes need"
        again = "torch._functorch.config.donated_buffer = False before the first forward pass"
        return InputError(f"losses: {reason}; allowed: {again}")
    return error


def share(
    stages: Sequence[nn.Module],
    heads: Mapping[str, nn.Module],
    family: str = "hard",
    example: Tensor | Mapping[str, Tensor] | None = None,
    **options: Any,
) -> nn.Module:
    """A sharing architecture over your own stages: a module x (N, …) → {task: output of its head}.

    stages: x (N, …) → h_1 → … → z, each a module of one argument whose output has its features on
    axis 1 of images (N, C, H, W) and on the last axis otherwise, (N, d) or (N, T, d); copies begin
    with the given weights. heads: one a task, z → (N, …).
    example: an input (N, …), or one a task, for a dry run that checks the shapes; families
    with gates or mixtures need it for the widths. options: the family's.

    Raises:
        InputError: an unknown family or option, no stage or head, a family that needs what own
            stages do not say, or a dry run that fails, with the stage and the shape.
    """
    if not stages or not heads:
        raise InputError(f"{'stages' if not stages else 'heads'}: none; allowed: one or more")
    kind = entry("sharing", family)
    if kind.searches:
        reason = "searches before it trains, over a problem of the study"
        raise InputError(f"family = {family!r} {reason}; allowed: a family without a search")
    first = next(iter(example.values())) if isinstance(example, Mapping) else example
    widths = list(dry_run(stages, heads, first))
    made = tuple(
        Stage(f"stage{i}", lambda stage=stage: deepcopy(stage), width)  # type: ignore[misc]
        for i, (stage, width) in enumerate(zip(stages, widths, strict=True), 1)
    )
    gate = 1 if first is None else first[:1].numel()
    backbone = Backbone(made, widths[-1], nn.Flatten, gate)
    tasks = [Task(name, "value") for name in heads]
    parsed = kind.Options.parse("sharing", options)
    model: nn.Module = kind(backbone, tasks, dict(heads), parsed)
    return model


def restructure(model: nn.Module, optimiser: torch.optim.Optimizer, step: int, steps: int) -> bool:
    """Let a model of `share` change its structure after the step'th of `steps` steps (from 1 on):
    the optimiser, which holds all its parameters in one group, goes on with those of the new one.
    Whether it changed; families without such changes never do."""
    origins = model.restructure(step, steps, None)  # type: ignore[operator]
    if origins is None:
        return False
    carry(optimiser, origins, list(model.parameters()))
    return True


def dry_run(
    stages: Sequence[nn.Module], heads: Mapping[str, nn.Module], x: Tensor | None
) -> Iterator[int]:
    """The width of every stage's output, 1 where there is no example; heads are tried as well."""
    if x is None:
        yield from [1] * len(stages)
        return
    parts = [(f"stages[{i}]", stage) for i, stage in enumerate(stages)]
    parts += [(f"heads.{name}", head) for name, head in heads.items()]
    with torch.no_grad():
        for name, part in parts:
            copy = deepcopy(part)
            try:
                y = copy(x)
            except RuntimeError as error:
                said = str(error).splitlines()[0]
                raise InputError(f"{name} on an input {tuple(x.shape)}: {said}") from None
            if name.startswith("stages"):
                x = y
                yield y.shape[1 if y.ndim == 4 else -1]


def torchjd_weighting(weighting: str = "nash", tasks: int = 2, **options: Any) -> Any:
    """A weighting of Gramians as one of torchjd's, M (K, K) → weights (K,) of its dtype: for its
    autogram engine as it is, and as an aggregator J (K, P) → d (P,) for autojac:
    ``GramianWeightedAggregator(torchjd_weighting("nash", 2))``. tasks: K.

    Raises:
        InputError: an unknown weighting or option, or one that needs more than a Gramian.
        ImportError: torchjd is not installed.
    """
    from torchjd.aggregation import Weighting as Base

    kind = entry("weighting", weighting)
    if kind.needs != "gramians" or kind.per_block:
        raise InputError(f"weighting = {weighting!r}: allowed: a weighting of one Gramian")
    inner = kind(tasks, 1, kind.Options.parse("weighting", options))

    class OfGramian(Base):  # type: ignore[misc]
        """Gramian (K, K) → weights (K,)."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, stat: Tensor, /) -> Tensor:
            due = self.inner.due()
            zeros = stat.new_zeros(len(stat))
            chosen = self.inner(zeros, stat.double()[None] if due else None)
            weights: Tensor = chosen.weights[0].to(stat)
            return weights

    return OfGramian()
