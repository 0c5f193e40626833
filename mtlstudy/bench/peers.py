"""Other codes of Nash-MTL, timed in their own words: a checkout is recognised, its one module
loaded, nothing of it installed.

Known: nash-mtl (Navon et al., the code published with the paper) and LibMTL (Lin & Zhang, JMLR
2023, arXiv 2203.14338). Both solve by the convex-concave procedure with ECOS and keep their last
weights, in `prvs_alpha`, where the solver fails.
"""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtlstudy.bench.problems import Problem
from mtlstudy.errors import InputError

Array = NDArray[np.float64]
KNOWN = {
    "nash-mtl": ("methods.weight_methods", "NashMTL"),
    "LibMTL": ("LibMTL.weighting.Nash_MTL", "Nash_MTL"),
}
"""Name → module and class."""
DEFAULTS = {"update_weights_every": 1, "optim_niter": 20, "max_norm": 1.0}
"""Of both codes; LibMTL takes them with every call."""


@dataclass(frozen=True)
class Peer:
    """A checkout: its name in `KNOWN`, where it lies, its class."""

    name: str
    path: Path
    weighting: type[Any]

    @property
    def method(self) -> str:
        """How rows name it."""
        return self.name.lower().replace("-", "_")

    def version(self) -> str:
        """The commit of the checkout; where it is none, the git object id of its module."""
        if not (self.path / ".git").exists():
            text = source(self.path, KNOWN[self.name][0]).read_bytes()
            return "blob " + hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()[:12]
        words = ["git", "-C", str(self.path), "describe", "--always", "--dirty", "--exclude=*"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    def solver(self, K: int) -> Callable[[Array], Array]:
        """M (K, K) → weights (K,), from a cold start, the program compiled before."""
        method = self.make(K, [], "cpu")
        method._init_optim_problem()

        def solve(M: Array) -> Array:
            method.prvs_alpha = np.ones(K, dtype=np.float32)
            method.normalization_factor = np.linalg.norm(M).reshape(1)
            a: Array = method.solve_optimization(M / method.normalization_factor.item())
            return a

        return solve

    def step(self, problem: Problem, optimiser: torch.optim.Optimizer) -> Callable[[], Array]:
        """A training step by its own `backward`, clipping included; gives the weights (K,) that it
        used."""
        shared = problem.shared()
        method = self.make(len(problem.tasks), shared, str(problem.device))
        how = {"shared_parameters": shared} if self.name == "nash-mtl" else DEFAULTS

        def step() -> Array:
            optimiser.zero_grad()
            method.backward(losses=torch.stack(problem.losses()[0]), **how)
            optimiser.step()
            return np.asarray(method.prvs_alpha, dtype=np.float64)

        return step

    def make(self, K: int, shared: list[torch.nn.Parameter], device: str) -> Any:
        """An object of its class for K tasks; LibMTL's is told what its trainer would mix in."""
        if self.name == "nash-mtl":
            return self.weighting(K, torch.device(device), **DEFAULTS)
        method = self.weighting()
        method.task_num, method.device, method.rep_grad = K, torch.device(device), False
        for name, value in DEFAULTS.items():
            setattr(method, name, value)
        method.get_share_params = lambda: shared
        method.zero_grad_share_params = lambda: [
            p.grad.zero_() for p in shared if p.grad is not None
        ]
        method.init_param()
        return method


def peer(path: Path) -> Peer:
    """The peer in a folder. Raises `InputError` for a folder that is none, and where something that
    it needs is missing."""
    for name, (module, weighting) in KNOWN.items():
        if source(path, module).is_file():
            ready(f"peer {name}")
            path = path.resolve()
            return Peer(name, path, getattr(load(path, module), weighting))
    files = " or ".join(str(source(Path(), module)) for module, _ in KNOWN.values())
    allowed = f"a checkout of {', '.join(KNOWN)} (a folder with {files})"
    raise InputError(f"peer = {str(path)!r} is not known; allowed: {allowed}")


def source(root: Path, module: str) -> Path:
    """The file of a module "a.b.c" in a checkout: root/a/b/c.py."""
    return root.joinpath(*module.split(".")).with_suffix(".py")


def ready(name: str) -> None:
    """`InputError` where cvxpy or ECOS is missing: these codes would install it or go on with equal
    weights."""
    try:
        import cvxpy
    except ImportError as missing:
        hint = "pip install 'mtlstudy[study]'"
        raise InputError(f"{name} needs cvxpy ({missing}); {hint}") from None
    if "ECOS" not in cvxpy.installed_solvers():
        raise InputError(f"{name} needs the solver ECOS; pip install 'mtlstudy[peers]'")


def load(root: Path, module: str) -> ModuleType:
    """Import one module of a checkout, "a.b.c" from root/a/b/c.py. The packages above it are empty,
    their own `__init__` are not run (they import what is not needed here), and nothing of it stays
    importable. `InputError` names a missing import."""
    parts = module.split(".")
    family = [name for name in sys.modules if name.split(".")[0] == parts[0]]
    before = {name: sys.modules.pop(name) for name in family}
    try:
        for i in range(1, len(parts)):
            package = ModuleType(".".join(parts[:i]))
            package.__path__ = [str(root.joinpath(*parts[:i]))]
            sys.modules[package.__name__] = package
        return import_module(module)
    except ImportError as missing:
        reason = f"{module} cannot be imported ({missing})"
        raise InputError(f"peer {root.name}: {reason}") from None
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == parts[0]]:
            del sys.modules[name]
        sys.modules.update(before)
