"""What depends on what in a model, asked of autograd and not of the family's declarations.

A model of K tasks is copies of stages (`stages`), heads, and whatever lies outside both: mixing matrices, gates, short-cuts. For
each parameter the tasks whose output depends on it are found from one pass; for each copy and head, what it takes its input from,
from a second pass in which every copy's and head's input and output are cut loose, so that only the direct way is seen.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mtlstudy.errors import InputError
from mtlstudy.models.sharing.base import Sharing

Node = tuple[int, str]
"""A copy: (stage, name); a head: (number of stages, task)."""


@dataclass(frozen=True)
class Wiring:
    """The facts that a diagram shows.

    reach: parameter → tasks whose output depends on it. copies: names of the copies at each stage. sources: copy or head → copies
    that its input is directly made of (none: the model's input). before, inside: copy or head → parameters outside `stages` and
    `heads` that its input, or its own computation, depends on. penalised: stage → whether a penalty ties its copies to one
    another ("between"), acts on each alone ("within"), or is none. sees: those outside parameters whose module takes the model's
    input. owned: copy or head → the parameters inside it.
    """

    tasks: list[str]
    reach: dict[str, frozenset[str]]
    copies: list[list[str]]
    sources: dict[Node, frozenset[Node]]
    before: dict[Node, frozenset[str]]
    inside: dict[Node, frozenset[str]]
    penalised: list[Literal["between", "within", "none"]]
    sees: frozenset[str]
    owned: dict[Node, frozenset[str]]

    def tasks_of(self, names: frozenset[str]) -> list[str]:
        """The tasks that any of these parameters serves, in order."""
        found = frozenset[str]().union(*(self.reach[name] for name in names))
        return [task for task in self.tasks if task in found]

    def serves(self, node: Node) -> list[str]:
        """The tasks that a copy or head serves: through its parameters, and those from outside that it alone computes with."""
        used = [names for other, names in self.inside.items() if other != node]
        alone = self.inside.get(node, frozenset()) - frozenset[str]().union(*used)
        return self.tasks_of(self.owned[node] | alone)


def wiring(model: Sharing, x: Tensor | None = None) -> Wiring:
    """Find them for an input x (N, …) that carries all labels; a tiny one is made for vectors and token numbers."""
    x = tiny(model) if x is None else x
    tasks, L = list(model.sorted), len(model.stages)
    modules: dict[Node, nn.Module] = {}
    for level, stage in enumerate(model.stages):
        modules |= {(level, name): copy for name, copy in stage.items()}
    modules |= {(L, task): model.heads[task] for task in tasks}
    outside = {n: p for n, p in model.named_parameters() if not n.startswith(("stages.", "heads."))}
    with quiet(model):
        reach = reached(model, x, tasks)
        inputs, outputs, leaves, sees = cut(model, modules, x)
    sources: dict[Node, frozenset[Node]] = {}
    before: dict[Node, frozenset[str]] = {}
    inside: dict[Node, frozenset[str]] = {}
    flat = [(node, leaf) for node, found in leaves.items() for leaf in found]
    for node in modules:
        hits = depends(inputs[node], [leaf for _, leaf in flat])
        sources[node] = frozenset(n for (n, _), hit in zip(flat, hits, strict=True) if hit)
        for place, tensors in ((before, inputs[node]), (inside, outputs[node])):
            place[node] = frozenset(n for n, hit in zip(outside, depends(tensors, list(outside.values())), strict=True) if hit)
    stem = {node: f"heads.{node[1]}." if node[0] == L else f"stages.{node[0]}.{node[1]}." for node in modules}
    owned = {node: frozenset(n for n in reach if n.startswith(stem[node])) for node in modules}
    seen = frozenset(n for n in outside if any(n.startswith(f"{module}.") for module in sees))
    copies = [list(stage.keys()) for stage in model.stages]
    return Wiring(tasks, reach, copies, sources, before, inside, penalties(model), seen, owned)


def tiny(model: Sharing) -> Tensor:
    """Two examples that the model can take, from its first layer. `InputError` where they cannot be told (images)."""
    for module in model.stages[0].modules():
        if isinstance(module, nn.Linear):
            return torch.linspace(-1, 1, 2 * module.in_features).view(2, -1)
        if isinstance(module, nn.Embedding):
            return torch.ones(2, 6, dtype=torch.int64)
    raise InputError("x: the input cannot be told from the first stage; give two examples")


@contextmanager
def quiet(model: Sharing) -> Iterator[None]:
    """In evaluation mode, and without a trace in the random state."""
    training = model.training
    with torch.random.fork_rng():
        model.eval()
        try:
            yield
        finally:
            model.train(training)


def reached(model: Sharing, x: Tensor, tasks: list[str]) -> dict[str, frozenset[str]]:
    """Parameter → tasks whose output depends on it."""
    parameters = dict(model.named_parameters())
    outputs = model(x)
    hits = {task: depends([outputs[task]], list(parameters.values())) for task in tasks}
    return {name: frozenset(t for t in tasks if hits[t][i]) for i, name in enumerate(parameters)}


def depends(tensors: list[Tensor], on: list[Any]) -> list[bool]:
    """Which of the leaves some of the tensors depend on."""
    there = [t.sum() for t in tensors if t.requires_grad]
    if not there or not on:
        return [False] * len(on)
    return [g is not None for g in torch.autograd.grad(torch.stack(there).sum(), on, allow_unused=True, retain_graph=True)]


def cut(
    model: Sharing, modules: dict[Node, nn.Module], x: Tensor
) -> tuple[dict[Node, list[Tensor]], dict[Node, list[Tensor]], dict[Node, list[Tensor]], set[str]]:
    """Inputs and outputs of every copy and head as they were, the leaves put in place of the outputs, and the outside modules
    that took x itself."""
    inputs, outputs, leaves = ({node: list[Tensor]() for node in modules} for _ in range(3))
    sees: set[str] = set()

    def enter(node: Node) -> Callable[..., Any]:
        def hook(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            inputs[node].append(args[0])
            return (args[0].detach().requires_grad_(args[0].is_floating_point()), *args[1:])

        return hook

    def leave(node: Node) -> Callable[..., Any]:
        def hook(_: nn.Module, __: Any, out: Tensor) -> Tensor:
            outputs[node].append(out)
            leaves[node].append(out.detach().requires_grad_())
            return leaves[node][-1]

        return hook

    with ExitStack() as stack:
        for node, module in modules.items():
            stack.callback(module.register_forward_pre_hook(enter(node)).remove)
            stack.callback(module.register_forward_hook(leave(node)).remove)
        for name, module in model.named_modules():
            if name and not name.startswith(("stages", "heads")):
                hook = module.register_forward_pre_hook(lambda _, args, name=name: sees.add(name) if args[0] is x else None)
                stack.callback(hook.remove)
        model(x)
    return inputs, outputs, leaves, sees


def penalties(model: Sharing) -> list[Literal["between", "within", "none"]]:
    """For each stage what the model's penalty does to its copies: it ties two where its slope on one depends on the other."""
    penalty, found = model.penalty(), list[Literal["between", "within", "none"]]()
    for stage in model.stages:
        copies = [list(copy.parameters()) for copy in stage.values()]
        flat = [p for copy in copies for p in copy]
        if penalty is None or not flat:
            found.append("none")
            continue
        grads = iter(torch.autograd.grad(penalty, flat, allow_unused=True, create_graph=True))
        slopes = [[g for g in (next(grads) for _ in copy) if g is not None] for copy in copies]
        tied = any(any(depends(a, q)) for (a, _), (_, q) in combinations(zip(slopes, copies, strict=True), 2))
        found.append("between" if tied else "within" if any(slopes) else "none")
    return found
