"""Nash-MTL with the customary procedure in place of the exact solver: for the solver experiment, to
see what it does to training.

Source: Navon et al., ICML 2022, arXiv 2202.01017: the convex-concave procedure, 20 programs at
most, warm from the last step (`mtlstudy.nash.reference.ccp`; needs the package cvxpy).

Where a program has no answer the last weights are used again, as in the published code. The status
says so here (MAX_ITERATIONS where the residual of M a = 1/a is above `FAILED`), but nothing acts on
it.
"""

import torch
from torch import Tensor

from mtlstudy.nash import Status
from mtlstudy.nash.reference import FAILED, ccp, residual
from mtlstudy.weighting.base import Weights, registry
from mtlstudy.weighting.nash import Nash


@registry.register("nash_ccp")
class NashCCP(Nash):
    """As `Nash`; the weights are those of the procedure, right or wrong. power must be 1."""

    paper = "Navon et al. 2022, arXiv 2202.01017 (its own procedure)"
    solves = False

    class Options(Nash.Options):
        """As for nash, with equal powers."""

        power: None = None

    def game(self, gramians: Tensor) -> Weights:
        weights, status = self.cut(self.a, -1).clone(), self.status.clone()
        for b, M in enumerate(gramians):
            if bool((M.diagonal() > 0).all()):  # a task without gradient: no program can be posed
                warm = weights[b].cpu().numpy() if bool((weights[b] > 0).all()) else None
                a = torch.from_numpy(ccp(M.cpu().numpy(), warm).weights).to(weights)
                weights[b] = a if bool(torch.isfinite(a).all()) else weights[b]
            off = residual(M.cpu().numpy(), weights[b].cpu().numpy())
            status[b] = int(Status.SOLVED if off <= FAILED else Status.MAX_ITERATIONS)
        return Weights(weights, status)
