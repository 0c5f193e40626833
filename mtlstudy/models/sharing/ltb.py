"""Learning to branch: every node of a stage chooses its parent below, by logits that are trained
with the weights; what was chosen in the end trains from new weights.

Source: Guo, Lee & Ulbricht, *Learning to Branch for Multi-Task Learning*, ICML 2020, arXiv
2006.01895.

    h_j^{l+1} = f_j^{l+1}(Σ_i d_ij h_i^l)      d_j = softmax((θ_j + ε_j) / τ),  ε: Gumbel noise

Each of K nodes j of a stage mixes the K nodes i below by a Gumbel-softmax of its logits θ_j (K,),
and so does each task those of the last stage; τ falls geometrically while they train, so that a
mixture becomes a choice. In the end every node keeps its likeliest parent: a tree. What differs
from the paper: a stage of the backbone is the unit, with as many nodes as there are tasks; weights
and logits train together, on the same examples and at the same rate.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone
from mtlstudy.models.sharing._dynamic import Coalitions, Searched
from mtlstudy.models.sharing.base import Problem, Sharing, State, Use, mix, registry
from mtlstudy.registry import Options as NoOptions


@registry.register("ltb")
class LearningToBranch(Searched):
    """A tree of stages, from choices that were learned."""

    paper = "Guo et al. 2020, arXiv 2006.01895"
    tuned = {"cold": (0.1, 0.5)}

    class Options(NoOptions):
        """hot, cold: τ at the beginning and the end of the search; search: share of the training
        steps that it takes."""

        hot: Annotated[float, Field(gt=0, le=100)] = 5.0
        cold: Annotated[float, Field(gt=0, le=100)] = 0.1
        search: Annotated[float, Field(gt=0, le=1)] = 1.0

    @classmethod
    def find(cls, problem: Problem, options: Any, steps: int) -> State:
        model = Branching(problem.backbone, problem.tasks, problem.heads(), options)
        K = len(model.tasks)

        def cool(step: int, batch: Any) -> None:
            model.temperature = options.hot * (options.cold / options.hot) ** (step / steps)

        problem.train(model, steps, before=cool)
        choices = [logits.detach().softmax(1).tolist() for logits in model.logits]
        passes = {"forward": K * steps, "backward": K * steps}
        return {"coalitions": model.tree(), "choices": choices, **passes}


class Branching(Sharing):
    """What the search trains: K copies of every stage, one trunk of which is each task's choice.

    logits: of every stage θ (K, K), a row a node of the next stage, or a task after the last.
    """

    logits: Any

    def build(self, backbone: Backbone) -> None:
        K = len(self.tasks)
        self.stages = self.copies(backbone.stages, [f"node{i + 1}" for i in range(K)])
        self.logits = nn.ParameterList(torch.zeros(K, K) for _ in backbone.stages)
        self.temperature = 1.0

    def represent(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        h = x.expand(len(self.tasks), *x.shape)  # (K, N, …)
        for stage, logits in zip(self.stages, self.logits, strict=True):
            f = torch.stack([copy(h_j) for copy, h_j in zip(stage.values(), h, strict=True)])
            h = mix(nn.functional.gumbel_softmax(logits, self.temperature), f)
        return {task: h[self.task_names.index(task)] for task in tasks}

    def usage(self) -> Iterable[Use]:
        yield from super().usage()
        yield self.use("choice", *self.logits)

    def tree(self) -> list[Coalitions]:
        """The coalitions of every stage: tasks whose likeliest way leads through the same node."""
        partitions: list[Coalitions] = []
        nodes = torch.arange(len(self.tasks))
        for logits in reversed(self.logits):
            nodes = logits.argmax(1).cpu()[nodes]  # of every task, one stage further down
            through: dict[int, list[str]] = {}
            for task, node in zip(self.task_names, nodes.tolist(), strict=True):
                through.setdefault(node, []).append(task)
            partitions.insert(0, sorted(through.values()))
        return partitions
