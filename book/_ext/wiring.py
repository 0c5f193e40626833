"""What depends on what in a model, asked of autograd and not of the family's declarations.

A model of K tasks is copies of stages (`stages`), heads, and whatever lies outside both: mixing
matrices, gates, short-cuts. One pass finds for each parameter the tasks whose output depends on it.
A second pass, in which the input and output of every copy and head are detached, finds for each
copy and head what it takes its input from directly.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import combinations
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mtlstudy.errors import InputError
from mtlstudy.models.sharing.base import Sharing

Node = tuple[int, str]
"""A copy: (stage, name); a head: (number of stages, task)."""
Names = frozenset[str]
Penalty = Literal["between", "within", "none"]


class Wiring(NamedTuple):
    """The facts that a diagram shows.

    reach: parameter → tasks whose output depends on it. copies: names of the copies at each stage.
    sources: copy or head → copies that its input is directly made of (none: the model's input).
    before, inside: copy or head → parameters outside `stages` and `heads` that its input, or its
    own computation, depends on. penalised: stage → whether a penalty ties its copies to one another
    ("between"), acts on each alone ("within"), or is none. sees: those outside parameters whose
    module takes the model's input. inner: copy or head → the parameters inside it.
    """

    tasks: list[str]
    reach: dict[str, Names]
    copies: list[list[str]]
    sources: dict[Node, frozenset[Node]]
    before: dict[Node, Names]
    inside: dict[Node, Names]
    penalised: list[Penalty]
    sees: Names
    inner: dict[Node, Names]

    def tasks_of(self, names: Names) -> list[str]:
        """The tasks that any of these parameters serves, in order."""
        served = Names().union(*(self.reach[name] for name in names))
        return [task for task in self.tasks if task in served]

    def serves(self, node: Node) -> list[str]:
        """The tasks that a copy or head serves, through its parameters and the outside ones that
        it alone computes with."""
        others = [names for other, names in self.inside.items() if other != node]
        alone = self.inside.get(node, Names()) - Names().union(*others)
        return self.tasks_of(self.inner[node] | alone)


def wiring(model: Sharing, x: Tensor | None = None) -> Wiring:
    """The wiring of a model.

    x: (N, …), an input that carries all labels; for vectors and token numbers one is made.

    Raises:
        InputError: no x is given and the first stage takes images.
    """
    x = example_input(model) if x is None else x
    tasks, L = list(model.task_names), len(model.stages)
    modules: dict[Node, nn.Module] = {
        (level, name): copy
        for level, stage in enumerate(model.stages)
        for name, copy in stage.items()
    }
    modules |= {(L, task): model.heads[task] for task in tasks}
    outside = {
        name: p
        for name, p in model.named_parameters()
        if not name.startswith(("stages.", "heads."))
    }
    with evaluating(model):
        reach = reached(model, x, tasks)
        inputs, outputs, leaves, sees = detached(model, modules, x)
    flat = [(node, leaf) for node, tensors in leaves.items() for leaf in tensors]

    def used(tensors: list[Tensor]) -> Names:
        hits = depends(tensors, list(outside.values()))
        return frozenset(name for name, hit in zip(outside, hits, strict=True) if hit)

    def fed(node: Node) -> frozenset[Node]:
        hits = depends(inputs[node], [leaf for _, leaf in flat])
        return frozenset(source for (source, _), hit in zip(flat, hits, strict=True) if hit)

    def stem(node: Node) -> str:
        return f"heads.{node[1]}." if node[0] == L else f"stages.{node[0]}.{node[1]}."

    return Wiring(
        tasks,
        reach,
        [list(stage.keys()) for stage in model.stages],
        {node: fed(node) for node in modules},
        {node: used(inputs[node]) for node in modules},
        {node: used(outputs[node]) for node in modules},
        penalties(model),
        frozenset(n for n in outside if any(n.startswith(f"{module}.") for module in sees)),
        {node: frozenset(n for n in reach if n.startswith(stem(node))) for node in modules},
    )


def example_input(model: Sharing) -> Tensor:
    """Two examples that the first layer takes; `InputError` where that cannot be told (images)."""
    for module in model.stages[0].modules():
        if isinstance(module, nn.Linear):
            return torch.linspace(-1, 1, 2 * module.in_features).view(2, -1)
        if isinstance(module, nn.Embedding):
            return torch.ones(2, 6, dtype=torch.int64)
    raise InputError("x: the input cannot be told from the first stage; give two examples")


@contextmanager
def evaluating(model: Sharing) -> Iterator[None]:
    """In evaluation mode, and without a trace in the random state."""
    training = model.training
    with torch.random.fork_rng():
        model.eval()
        try:
            yield
        finally:
            model.train(training)


def reached(model: Sharing, x: Tensor, tasks: list[str]) -> dict[str, Names]:
    """Parameter → tasks whose output depends on it."""
    parameters, outputs = dict(model.named_parameters()), model(x)
    hits = {task: depends([outputs[task]], list(parameters.values())) for task in tasks}
    return {name: frozenset(t for t in tasks if hits[t][i]) for i, name in enumerate(parameters)}


def depends(tensors: list[Tensor], on: list[Any]) -> list[bool]:
    """Which of the leaves some of the tensors depend on."""
    sums = [t.sum() for t in tensors if t.requires_grad]
    if not sums or not on:
        return [False] * len(on)
    total = torch.stack(sums).sum()
    grads = torch.autograd.grad(total, on, allow_unused=True, retain_graph=True)
    return [g is not None for g in grads]


Tensors = dict[Node, list[Tensor]]


def detached(
    model: Sharing, modules: dict[Node, nn.Module], x: Tensor
) -> tuple[Tensors, Tensors, Tensors, set[str]]:
    """One pass with every copy and head detached: their inputs and outputs, the leaves in place of
    the outputs, and the outside modules that took x itself."""
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

    def look(name: str) -> Callable[..., None]:
        return lambda _, args: sees.add(name) if args[0] is x else None

    with ExitStack() as stack:
        for node, module in modules.items():
            stack.callback(module.register_forward_pre_hook(enter(node)).remove)
            stack.callback(module.register_forward_hook(leave(node)).remove)
        for name, module in model.named_modules():
            if name and not name.startswith(("stages", "heads")):
                stack.callback(module.register_forward_pre_hook(look(name)).remove)
        model(x)
    return inputs, outputs, leaves, sees


def penalties(model: Sharing) -> list[Penalty]:
    """What the penalty does to the copies of each stage; it ties two where its gradient with
    respect to one depends on the other."""
    penalty, kinds = model.penalty(), list[Penalty]()
    for stage in model.stages:
        copies = [list(copy.parameters()) for copy in stage.values()]
        flat = [p for copy in copies for p in copy]
        if penalty is None or not flat:
            kinds.append("none")
            continue
        grads = iter(torch.autograd.grad(penalty, flat, allow_unused=True, create_graph=True))
        slopes = [[g for g in (next(grads) for _ in copy) if g is not None] for copy in copies]
        pairs = combinations(zip(slopes, copies, strict=True), 2)
        tied = any(any(depends(a, q)) for (a, _), (_, q) in pairs)
        kinds.append("between" if tied else "within" if any(slopes) else "none")
    return kinds
