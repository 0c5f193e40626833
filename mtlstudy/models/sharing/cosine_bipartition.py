"""Bipartition by cosine: tasks branch, and split where nothing across the split drifted alike.

Source: Sattler, Müller & Samek, *Clustered Federated Learning*, IEEE TNNLS 2020, arXiv 1910.01991.

    (𝒞₁, 𝒞₂) = argmin max_{s ∈ 𝒞₁, t ∈ 𝒞₂} C_st,   split if that maximum < threshold, then each part

C (K, K): cosines of the tasks' drifts. The best bipartition cuts a maximum spanning tree at its
weakest edge, so the parts at the end are the components of the graph of all C_st ≥ threshold. What
differs from the paper: clients are tasks; the drifts are those of `nash_share`, without the bias of
their noise; the threshold is on the cosine itself, in place of two on the norms of the updates.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from mtlstudy.models.sharing.base import registry
from mtlstudy.models.sharing.nash_share import NashShare
from mtlstudy.nash.coalition import Partition


@registry.register("cosine_bipartition")
class CosineBipartition(NashShare):
    """As `NashShare`, with a threshold in place of the game."""

    paper = "Sattler et al. 2020, arXiv 1910.01991"

    class Options(NashShare.Options):
        """As for nash_share; threshold: least cosine of two tasks that stay together."""

        threshold: Annotated[float, Field(ge=-1, le=1)] = 0.0

    def best(self, C: Tensor) -> Partition:
        near = (self.options.threshold <= C).tolist()
        parts: list[set[int]] = []
        for t in range(len(near)):
            joined = [part for part in parts if any(near[s][t] for s in part)]
            parts = [p for p in parts if p not in joined] + [{t}.union(*joined)]
        coalitions = sorted(tuple(sorted(part)) for part in parts)
        return Partition(coalitions, [0.0 for _ in coalitions])
