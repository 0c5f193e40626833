"""mtlstudy: multi-task learning, compared honestly.

A model that serves K tasks shares parameters in some pattern (`sharing`), balances the tasks in
some way (`weighting`), and is trained by one loop (`fit`). A run is named by what determines it,
so that what was trained once is read ever after.

>>> import torch, mtlstudy as ms
>>> J = torch.tensor([[3.0, 0.0], [0.0, 0.5]])         # two task gradients, six times apart
>>> solution = ms.nash_weights(J @ J.T)                # the bargaining solution M a = 1 / a
>>> (solution.weights @ J.double()).tolist()           # both tasks are heard alike
[1.0, 1.0]
>>> "hard" in ms.sharing.names(), "nash" in ms.weighting.names(), "yeast" in ms.data.names()
(True, True, True)
>>> ms.RunConfig(data="yeast", weighting="nahs")
Traceback (most recent call last):
mtlstudy.errors.InputError: weighting = 'nahs' is unknown; did you mean 'nash'? ...

What compares runs is in `mtlstudy.study`, which needs pandas and matplotlib; nothing here does.
"""

from mtlstudy import data, weighting
from mtlstudy.api import Balancer, backward, restructure, share, torchjd_weighting
from mtlstudy.diagnosis import doctor
from mtlstudy.errors import InputError
from mtlstudy.models import sharing
from mtlstudy.nash import BargainingSolution, Status, nash_weights
from mtlstudy.training.config import RunConfig
from mtlstudy.training.loop import fit

__all__ = [
    "Balancer",
    "BargainingSolution",
    "InputError",
    "RunConfig",
    "Status",
    "backward",
    "data",
    "doctor",
    "fit",
    "nash_weights",
    "restructure",
    "share",
    "sharing",
    "torchjd_weighting",
    "weighting",
]
