"""The two-dimensional toy problem of the Nash-MTL paper as a data set: one example, and the model is a point x.

Source: Navon et al., ICML 2022, arXiv 2202.01017, figure 1, after Liu et al., NeurIPS 2021, arXiv 2110.14048 (see
`mtlstudy.toy_problem`). The seed chooses the start (seed modulo the number of starts).
"""

import torch
from torch import Tensor, nn

from mtlstudy.models.backbones import Backbone, Stage
from mtlstudy.training.config import RunConfig
from mtlstudy.models.tasks import Task
from mtlstudy.data._toy_problem import STARTS, losses
from mtlstudy.data.base import Data, Split, Splits, registry


class Point(nn.Module):
    """x (2,), the only parameter; forward gives it once an example: (N, 2)."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.x = nn.Parameter(start.clone())

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs (N, 1), ignored."""
        return self.x.expand(len(inputs), 2)


class Loss(nn.Module):
    """Head of task t: the value of its loss at x."""

    def __init__(self, t: int) -> None:
        super().__init__()
        self.t = t

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 2) → (N, 1)."""
        return losses(x)[..., self.t, None]


@registry.register("toy")
class Toy(Data):
    """Tasks l1 and l2, whose outputs are the losses themselves."""

    title = "내쉬 MTL 논문의 2차원 문제"
    licence = "식으로 정의"
    citation = "Navon et al., ICML 2022; Liu et al., NeurIPS 2021"
    source = "mtlstudy/toy_problem.py"
    notes = "표본이 하나뿐이며 학습, 검증, 시험이 같다: 최적화의 거동만 본다."

    @property
    def tasks(self) -> tuple[Task, ...]:
        return Task("l1", "value"), Task("l2", "value")

    def load(self, seed: int) -> Splits:
        one = Split(torch.ones(1, 1), {"l1": torch.zeros(1), "l2": torch.zeros(1)})
        return Splits(one, one, one)

    def backbone(self, splits: Splits, config: RunConfig) -> Backbone:
        start = torch.tensor(STARTS[config.seed % len(STARTS)])
        return Backbone((Stage("point", lambda: Point(start), 2),), 2)

    def heads(self, width: int) -> dict[str, nn.Module]:
        return {"l1": Loss(0), "l2": Loss(1)}
