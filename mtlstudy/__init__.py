"""mtlstudy: multi-task learning, compared honestly.

A model that serves K tasks shares parameters in some pattern (`sharing`), balances the tasks in some way (`weighting`), and is
trained by one loop (`fit`). A run is named by what determines it, so that what was trained once is read ever after.

>>> import torch, mtlstudy as ms
>>> J = torch.tensor([[3.0, 0.0], [0.0, 0.5]])                 # two task gradients, six times apart
>>> solution = ms.nash_weights(J @ J.T)                        # the bargaining solution M a = 1 / a
>>> (solution.weights @ J.double()).tolist()                   # both tasks are heard alike
[1.0, 1.0]
>>> "cross_stitch" in ms.sharing.names(), "nash" in ms.weighting.names(), "yeast" in ms.data.names()
(True, True, True)
>>> ms.RunConfig(data="yeast", weighting="nahs")
Traceback (most recent call last):
mtlstudy.errors.InputError: weighting = 'nahs' is unknown; did you mean 'nash'? ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import data, sharing, weighting
from .config import PROFILES, RunConfig
from .errors import InputError
from .nash import BargainingSolution, Status, nash_weights
from .training import fit

if TYPE_CHECKING:
    from . import diagrams, experiments, figures, frames, lesson, metrics, statistics, tables, tuning
    from .frames import load
    from .tables import prose, show, stamp
    from .tuning import study

LAZY = {
    **dict.fromkeys(("prose", "show", "stamp"), "tables"), "study": "tuning", "load": "frames",
    **dict.fromkeys(("diagrams", "experiments", "figures", "frames", "lesson", "metrics", "statistics", "tables", "tuning"), ""),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """What needs pandas or matplotlib is imported when it is first asked for, so that `import mtlstudy` stays quick."""
    if name not in LAZY:
        raise AttributeError(f"module 'mtlstudy' has no attribute {name!r}")
    return import_module(f".{name}", __name__) if not LAZY[name] else getattr(import_module(f".{LAZY[name]}", __name__), name)


__all__ = [
    "PROFILES", "BargainingSolution", "InputError", "RunConfig", "Status", "data", "diagrams", "experiments", "figures",
    "fit", "frames", "lesson", "load", "metrics", "nash_weights", "prose", "sharing", "show", "stamp", "statistics",
    "study", "tables", "tuning", "weighting",
]  # fmt: skip
