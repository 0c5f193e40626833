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
from copy import deepcopy
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
    """What was done: games, the losses of each; weights (G, K) float64, a row a game, 0 for a loss
    that is not in it; status (G,) of `mtlstudy.Status`; absent: loss → why it took no part. With a
    weighting of the losses there is one row; a method without weights has none."""

    games: list[list[str]]
    weights: Tensor
    status: Tensor
    absent: dict[str, str]


class Game(NamedTuple):
    """Parameters that the same losses (their numbers) reach, block by block, and J (K, P) on them:
    0 for a loss that does not reach them."""

    losses: tuple[int, ...]
    blocks: list[list[Tensor]]
    J: Tensor

    @property
    def sizes(self) -> list[int]:
        """Numbers of each block."""
        return [sum(p.numel() for p in block) for block in self.blocks]

    @property
    def parameters(self) -> list[Tensor]:
        """Those of all blocks."""
        return [p for block in self.blocks for p in block]


def backward(
    losses: Losses,
    shared: Blocks | None = None,
    weighting: str = "nash",
    representation: Tensor | None = None,
    retain_graph: bool = False,
    scaler: Any = None,
    **options: Any,
) -> Balanced:
    """Set the gradients of a step whose weighting remembers nothing; see `Balancer.backward`.

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
        self.weightings = nn.ModuleDict()  # one a set of losses that meet
        if self.kind.needs == "losses":
            self.weighting_of(tuple(range(len(names))), 1)

    def weighting_of(self, losses: tuple[int, ...], blocks: int) -> Weighting:
        """The weighting of a game, made when the game is first played."""
        key = "_".join(map(str, losses))
        if key not in self.weightings:
            with torch.random.fork_rng():
                torch.manual_seed(self.seed)
                self.weightings[key] = self.kind(len(self.names), blocks, self.options)
        made: Any = self.weightings[key]
        made.resize(blocks)
        return made  # type: ignore[no-any-return]

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
        """Add to `.grad`: the direction on what two losses or more reach, its own gradient on what
        one reaches (scaled by its weight where the method does that).

        losses: a scalar a task, by name or in order; None, without gradient, or (on a CPU) NaN: the
        task is absent from this step. shared: the parameters that are bargained over, as blocks for
        weightings a block; all that two losses reach if not given (a model that is compiled hides
        that). What is reached by several but
        not in it follows the weighted sum. representation: z (N, d), which all heads read, for a
        game on its gradients (level = "representation"). scaler: the torch.amp.GradScaler whose
        `step` follows; the losses are given unscaled, and so is the game.

        Raises:
            InputError: losses are not scalars or were added up already, names that are not the
                tasks', nothing that two losses reach, a graph that is freed. `.grad` is as it was.
        """
        given = named(losses, self.names)
        absent = {name: why for name, loss in given.items() if (why := missing(loss))}
        here = {t: given[name] for t, name in enumerate(self.names) if name not in absent}
        if not here:
            return Balanced([], torch.zeros(0, len(self.names)), torch.zeros(0).long(), absent)
        any_loss: Any = next(iter(here.values()))
        self.to(any_loss.device)
        scale = None if scaler is None else scaler.scale(torch.ones((), device=any_loss.device))
        try:
            with torch.enable_grad():
                step = Backward(self, here, shared, representation, retain_graph, scale)  # type: ignore[arg-type]
                done = step.by_losses() if self.kind.needs == "losses" else step.by_games()
        except RuntimeError as error:
            raise explained(error) from None
        step.write()
        return done._replace(absent=absent)

    def after_step(self, losses: Losses) -> None:
        """The losses of the same batch after the optimiser's step, for weightings that ask for them
        (`famo`); the others take no notice."""
        values = [loss.detach() for loss in named(losses, self.names).values() if loss is not None]
        for one in self.weightings.values():
            if one.sees_losses_again and len(values) == len(self.names):
                one.after_step(torch.stack(values))  # type: ignore[operator]


class Backward:
    """One backward pass: what is reached by whom, and the gradients before they are written."""

    def __init__(
        self,
        balancer: Balancer,
        losses: dict[int, Tensor],
        shared: Blocks | None,
        z: Tensor | None,
        retain: bool,
        scale: Tensor | None,
    ) -> None:
        self.balancer, self.losses, self.z = balancer, losses, z
        self.retain, self.scale = retain, scale
        self.K, self.names = len(balancer.names), balancer.names
        self.grads: dict[Tensor, Tensor] = {}
        if balancer.kind.needs == "losses":  # who reaches what does not matter
            found = leaves(torch.stack([*losses.values()]))
            self.by: dict[Tensor, list[int]] = {p: [] for p in found}
            return
        self.reach = {t: leaves(loss) for t, loss in losses.items()}
        self.by = {}
        for t, found in self.reach.items():
            for p in found:
                self.by.setdefault(p, []).append(t)
        self.shared = self.among(shared)

    def among(self, shared: Blocks | None) -> dict[tuple[int, ...], list[list[Tensor]]]:
        """The parameters to bargain over, by the losses that reach them, block by block."""
        kind = self.balancer.kind
        if kind.per_block and not isinstance(shared, Mapping):
            given = f"weighting = {kind.name!r} plays a game a block"
            raise InputError(f"shared: {given}; allowed: {{block: its parameters}}")
        if shared is None and any(is_compiled(loss) for loss in self.losses.values()):
            reason = "a compiled model does not tell which losses reach what"
            raise InputError(f"shared: {reason}; allowed: the parameters of its trunk")
        both = [p for p, tasks in self.by.items() if len(tasks) > 1]
        of = shared if isinstance(shared, Mapping) else {"": both if shared is None else shared}
        found: dict[tuple[int, ...], dict[str, list[Tensor]]] = {}
        for block, parameters in of.items():
            for p in parameters:
                if len(tasks := self.by.get(p, [])) > 1:
                    at = block if kind.per_block else ""
                    found.setdefault(tuple(tasks), {}).setdefault(at, []).append(p)
        if not found and len(self.losses) > 1:
            reason = "no parameter is reached by two losses, so there is nothing to balance"
            raise InputError(f"shared: {reason}; were they computed by one model, undetached?")
        return {tasks: list(blocks.values()) for tasks, blocks in found.items()}

    def by_losses(self) -> Balanced:
        """One pass: the weights are ∂ objective / ∂ L."""
        weighting = self.balancer.weighting_of(tuple(range(self.K)), 1)
        weighting.attend(list(self.losses))
        chosen = weighting(self.values(), None)
        self.weighted_sum(list(self.by), chosen.weights[0])
        return self.balanced([(tuple(self.losses), chosen)])

    def by_games(self) -> Balanced:
        """The game of every set of losses that meet, then what is not bargained over."""
        played = list[tuple[tuple[int, ...], Weights]]()
        weightings = {
            tasks: self.balancer.weighting_of(tasks, len(blocks))
            for tasks, blocks in self.shared.items()
        }
        for tasks, weighting in weightings.items():
            weighting.attend(tasks)
        if any(w.level == "representation" for w in weightings.values()):
            played = self.by_representation(weightings)
        elif self.held(list(weightings.values())):
            played = self.by_held_weights(*next(iter(weightings.items())))
        else:
            for game, weighting in zip(self.games(), weightings.values(), strict=True):
                played.append((game.losses, self.play(game, weighting)))
        self.rest(played, any(w.scales_heads for w in weightings.values()))
        return self.balanced(played)

    def held(self, weightings: list[Weighting]) -> bool:
        """Whether there is one game, and its weights are those of before."""
        return self.balancer.kind.needs == "gramians" and [w.due() for w in weightings] == [False]

    def games(self) -> list[Game]:
        """K passes: the gradients of each loss on all that it reaches. Those on what it does not
        bargain over are kept."""
        rows: dict[int, dict[Tensor, Tensor]] = {}
        last = list(self.losses)[-1]
        for t, loss in self.losses.items():
            found = list(self.reach[t])
            keep = self.retain or t != last
            grads = self.differentiate([loss], found, [None], keep)
            rows[t] = dict(zip(found, grads, strict=True))
        self.own = rows
        made = []
        for tasks, blocks in self.shared.items():
            parameters = [p for block in blocks for p in block]
            flat = [torch.cat([rows[t][p].reshape(-1) for p in parameters]) for t in tasks]
            J = flat[0].new_zeros(self.K, len(flat[0]))
            J[list(tasks)] = torch.stack(flat)
            made.append(Game(tasks, blocks, J))
        return made

    def play(self, game: Game, weighting: Weighting) -> Weights:
        """Weights of a game, and its direction as the gradient of its parameters."""
        J, values = game.J, self.values()
        if weighting.needs == "jacobian":
            chosen = weighting(values, None)
            self.set(game.parameters, weighting.aggregate(J))
            return chosen  # type: ignore[no-any-return]
        sizes = game.sizes if weighting.per_block else [J.shape[1]]
        chosen = weighting(values, gramian(J, sizes) if weighting.due() else None)
        a = chosen.weights.to(J.dtype)  # (B, K)
        parts = zip(J.split(sizes, 1), a, strict=True)
        d = [clip_(torch.mv(block.mT, row), weighting.max_norm) for block, row in parts]
        self.set(game.parameters, torch.cat(d))
        return chosen  # type: ignore[no-any-return]

    def by_held_weights(
        self, tasks: tuple[int, ...], weighting: Weighting
    ) -> list[tuple[tuple[int, ...], Weights]]:
        """One pass through what is shared: the weights are those of an earlier game."""
        chosen = weighting(self.values(), None)
        shared = [p for block in self.shared[tasks] for p in block]
        bargained = set(shared)
        own = [p for p in self.by if p not in bargained]
        self.own = self.alone(own)
        self.weighted_sum(shared, chosen.weights[0])
        d = torch.cat([self.grads[p].reshape(-1) for p in shared])
        self.set(shared, clip_(d, weighting.max_norm))
        return [(tasks, chosen)]

    def by_representation(
        self, weightings: Mapping[tuple[int, ...], Weighting]
    ) -> list[tuple[tuple[int, ...], Weights]]:
        """A game on ∂L_t/∂z, then one pass from z through what is shared."""
        (tasks, *more), z = weightings, self.z
        if z is None or more or tasks != tuple(self.losses):
            reason = "level = 'representation' needs the z that the heads of all losses read"
            raise InputError(f"representation: {reason}; allowed: that tensor")
        below, to_z = leaves(z), list[Tensor]()
        self.own = {}
        for t, loss in self.losses.items():
            head = [p for p in self.reach[t] if p not in below]
            grads = self.differentiate([loss], [z, *head], [None], True)
            to_z.append(grads[0])
            self.own[t] = dict(zip(head, grads[1:], strict=True))
        weighting, rows = weightings[tasks], torch.stack([v.flatten() for v in to_z])
        full = rows.new_zeros(self.K, rows.shape[1])
        full[list(tasks)] = rows
        chosen = weighting(self.values(), gramian(full) if weighting.due() else None)
        a = chosen.weights[0].to(z.dtype)
        shared = [p for block in self.shared[tasks] for p in block if p in below]
        vectors = [(a[t] * v).to(z.dtype) for t, v in zip(tasks, to_z, strict=True)]
        d = averaged(direction([z] * len(tasks), vectors, shared))
        self.set(shared, clip_(d, weighting.max_norm))
        return [(tasks, chosen)]

    def rest(self, played: list[tuple[tuple[int, ...], Weights]], scales: bool) -> None:
        """What is not bargained over: each loss's own gradient, scaled by its weight in its largest
        game where the method does that."""
        size = {tasks: sum(p.numel() for b in bs for p in b) for tasks, bs in self.shared.items()}
        order = sorted(played, key=lambda game: (len(game[0]), size[game[0]]))
        a = {t: chosen.weights[0, t] for tasks, chosen in order for t in tasks} if scales else {}
        bargained = {p for bs in self.shared.values() for b in bs for p in b}
        for t, grads in self.own.items():
            for p, g in grads.items():
                if p in bargained:
                    continue
                weighted = a[t].to(g.dtype) * g if t in a else g
                self.grads[p] = self.grads[p] + weighted if p in self.grads else weighted

    def alone(self, parameters: list[Tensor]) -> dict[int, dict[Tensor, Tensor]]:
        """The gradients of each loss on these parameters."""
        rows = {}
        for t, loss in self.losses.items():
            mine = [p for p in parameters if p in self.reach[t]]
            grads = self.differentiate([loss], mine, [None], True) if mine else []
            rows[t] = dict(zip(mine, grads, strict=True))
        return rows

    def weighted_sum(self, parameters: list[Tensor], a: Tensor) -> None:
        """Σ_t a_t ∂L_t in one pass, kept for these parameters. a (K,)."""
        losses = list(self.losses.values())
        each = [a[t].to(loss) for t, loss in self.losses.items()]
        grads = self.differentiate(losses, parameters, each, self.retain)
        self.grads.update(zip(parameters, grads, strict=True))

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
        return [averaged(g if self.scale is None else g / self.scale.to(g.dtype)) for g in grads]

    def values(self) -> Tensor:
        """The losses (K,), 0 for those that are absent."""
        some = next(iter(self.losses.values()))
        given = (self.losses.get(t) for t in range(self.K))
        return torch.stack([some.new_zeros(()) if x is None else x.detach() for x in given])

    def set(self, parameters: list[Tensor], d: Tensor) -> None:
        """The gradients of some parameters, from d (P,)."""
        parts = d.split([p.numel() for p in parameters])
        self.grads.update((p, g.view_as(p)) for p, g in zip(parameters, parts, strict=True))

    def write(self) -> None:
        """Add to `.grad`, as `.backward()` does."""
        for p, g in self.grads.items():
            scaled = g if self.scale is None else g * self.scale.to(g.dtype)
            new = torch.empty_like(p).copy_(scaled)  # in its dtype and layout
            p.grad = new if p.grad is None else p.grad.add_(new)

    def balanced(self, played: list[tuple[tuple[int, ...], Weights]]) -> Balanced:
        """What is answered: a row a game, of its first block."""
        rows = [chosen.weights[:1] for _, chosen in played]
        status = [chosen.status[:1] for _, chosen in played]
        some = next(iter(self.losses.values()))
        empty = torch.zeros(0, self.K, dtype=torch.float64, device=some.device)
        games = [[self.names[t] for t in tasks] for tasks, _ in played]
        none = empty.new_zeros(0, dtype=torch.int64)
        return Balanced(games, torch.cat([empty, *rows]), torch.cat([none, *status]), {})


def named(losses: Losses, names: Sequence[str] | None = None) -> dict[str, Tensor | None]:
    """The losses by name, in the order of the tasks; checked."""
    if isinstance(losses, Tensor) and losses.ndim != 1:
        shape = tuple(losses.shape)
        raise InputError(f"losses: one tensor {shape}; allowed: a scalar a task, not their sum")
    if not isinstance(losses, Mapping):
        each = list(losses)
        keys = [str(t) for t in range(len(each))] if names is None else list(names)
        if len(each) != len(keys):
            raise InputError(f"losses: {len(each)}; allowed: {len(keys)}, one a task")
        losses = dict(zip(keys, each, strict=True))
    for name in losses:
        if names is not None and name not in names:
            raise unknown("losses", name, names)
    for name, loss in losses.items():
        if loss is not None and (not isinstance(loss, Tensor) or loss.numel() != 1):
            shown = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise InputError(f"losses.{name} is {shown}; allowed: a scalar tensor, such as a mean")
    ordered = {name: losses.get(name) for name in (losses if names is None else names)}
    return {name: None if loss is None else loss.reshape(()) for name, loss in ordered.items()}


def missing(loss: Tensor | None) -> str:
    """Why a loss takes no part; "" where it does."""
    if loss is None:
        return "not given"
    if not loss.requires_grad:
        return "has no gradient"
    if loss.device.type == "cpu" and bool(loss.isnan()):  # elsewhere the host would have to wait
        return "is NaN"
    return ""


def graph(root: Tensor) -> Iterator[Any]:
    """The nodes that a tensor was computed by, each once."""
    seen, left = {root.grad_fn}, [root.grad_fn]
    while left:
        node: Any = left.pop()
        yield node
        for below, _ in node.next_functions:
            if below is not None and below not in seen:
                seen.add(below)
                left.append(below)


def leaves(root: Tensor) -> dict[Tensor, None]:
    """The parameters that a tensor depends on, in the order in which its graph meets them."""
    if root.grad_fn is None:
        return {root: None} if root.requires_grad else {}
    return {node.variable: None for node in graph(root) if hasattr(node, "variable")}


def is_compiled(root: Tensor) -> bool:
    """Whether torch.compile made a part of its graph one node."""
    return root.grad_fn is not None and any(
        node.name() == "CompiledFunctionBackward" for node in graph(root)
    )


def averaged(g: Tensor) -> Tensor:
    """A mean over the processes of torch.distributed, where there are several."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return g
    g = g.contiguous()
    torch.distributed.all_reduce(g)
    return g / torch.distributed.get_world_size()


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
    """A sharing architecture over your own stages: a module x → {task: output of its head}.

    stages: x → h_1 → … → z, each a module of one argument whose output has its features on axis 1
    of images and on the last axis otherwise; copies begin with the given weights. heads: one a
    task. example: an input (N, …), or one a task, for a dry run that checks the shapes; families
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
    """A weighting of Gramians as one of torchjd's: for its autogram engine as it is, and as an
    aggregator for autojac: ``GramianWeightedAggregator(torchjd_weighting("nash", 2))``.

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
