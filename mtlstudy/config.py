"""What a run is: one frozen, validated configuration, and the identity that follows from it."""

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import InputError, unknown
from .shelf import entry, one_line
from .tasks import Task

TUNING_SEED = 1000
"""Seeds from here on are tuning seeds; reported seeds lie below, so that no reported seed was tuned on."""


class Profile(BaseModel):
    """How much work a study does. `steps` training steps a run, `evaluations` on validation; tuning: `trials` candidates a
    method on `tuning_seeds` seeds; `seeds` fresh reported seeds. `mode`: how task gradients are taken; measured where work is
    long, fixed where anyone shall recompute the same bits."""

    model_config = ConfigDict(frozen=True)
    steps: int
    evaluations: int
    trials: int
    tuning_seeds: int
    seeds: int
    dropouts: tuple[float, ...]
    mode: Literal["auto", "sequential"]


PROFILES = MappingProxyType(
    {
        "quick": Profile(steps=250, evaluations=5, trials=3, tuning_seeds=1, seeds=3, dropouts=(0.0,), mode="sequential"),
        "full": Profile(steps=3000, evaluations=30, trials=10, tuning_seeds=3, seeds=10, dropouts=(0.0, 0.3), mode="auto"),
    }
)


class RunConfig(BaseModel):
    """One training run. A field that is not given comes from the profile or the field's own default.

    Raises `InputError` (one line: field, value, what is allowed, nearest spelling) from every constructor.

    >>> RunConfig(data="yeast", weighting="nash", lr=0.003).steps
    250
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: str
    sharing: str = "hard"
    weighting: str = "equal"
    profile: Literal["quick", "full"] = "quick"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    device: str = "auto"
    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3
    backbone: Literal["auto", "mlp", "cnn", "text_cnn", "transformer"] = "auto"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    batch_size: Annotated[int, Field(ge=1)] = 64
    temperature: Annotated[float, Field(ge=1)] | None = None
    steps: Annotated[int, Field(ge=1)]
    evaluations: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1, le=8192)] = 64
    depth: Annotated[int, Field(ge=1, le=32)] = 2
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    processes: Annotated[int, Field(ge=1, le=4096)] = 1
    sharded: bool = False
    mode: Literal["auto", "sequential", "batched", "chunked"]
    chunk: Annotated[int, Field(ge=1)] = 4
    memory_mb: Annotated[float, Field(gt=0)] | None = None
    accumulate: Annotated[int, Field(ge=1)] = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    data_options: dict[str, Any] = {}
    sharing_options: dict[str, Any] = {}
    weighting_options: dict[str, Any] = {}

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(one_line(error, "", list(type(self).model_fields))) from None

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: dict[str, Any]) -> dict[str, Any]:
        name = values.get("profile", "quick")
        if name not in PROFILES:
            raise unknown("profile", str(name), PROFILES)
        profile = PROFILES[name]
        values = {"steps": profile.steps, "mode": profile.mode, **values}
        values["device"] = resolve_device(str(values.get("device", "auto")))
        values.setdefault("evaluations", min(profile.evaluations, max(int(values["steps"]), 1)))
        for kind in ("data", "sharing", "weighting"):  # every option spelled out, so that equal runs have equal identities
            if isinstance(values.get(kind), str):
                options = values.get(f"{kind}_options") or {}
                parsed = entry(kind, values[kind]).Options.parse(f"{kind}_options", options)
                values[f"{kind}_options"] = parsed.model_dump(mode="json")
        return values

    @model_validator(mode="after")
    def _sensible(self) -> "RunConfig":
        if self.evaluations > self.steps:
            raise ValueError(f"evaluations = {self.evaluations}: must be ≤ steps = {self.steps}")
        family, weighting = entry("sharing", self.sharing), entry("weighting", self.weighting)
        pair = f"weighting = {self.weighting!r} with sharing = {self.sharing!r}"
        if family.independent and self.weighting != "equal":
            raise ValueError(f"{pair}: nothing is shared, so there is nothing to weigh; allowed: equal")
        if not family.bargains and weighting.needs != "losses":
            raise ValueError(f"{pair}: the tasks share no parameter, so no gradients meet; allowed: weightings of the losses")
        if self.compile and self.mode in ("batched", "chunked"):
            raise ValueError(f"mode = {self.mode!r} with compile = True: allowed: auto, sequential")
        if self.sharded:
            self._in_parts()
        if self.accumulate > self.batch_size:
            raise ValueError(f"accumulate = {self.accumulate}: must be ≤ batch_size = {self.batch_size}")
        if self.accumulate > 1 and self.weighting_options.get("level") == "representation":
            raise ValueError(f"accumulate = {self.accumulate}: a game on representations needs the batch in one part; allowed: 1")
        return self

    def _in_parts(self) -> None:
        """What parameters in parts (see `mtlstudy.sharded`) do not allow."""
        family, weighting = entry("sharing", self.sharing), entry("weighting", self.weighting)
        for wrong, allowed in {
            f"processes = {self.processes}": self.processes == 1 and "2 or more",
            f"mode = {self.mode!r}": self.mode in ("batched", "chunked") and "auto, sequential",
            "compile = True": self.compile and "False",
            f"weighting = {self.weighting!r}": weighting.needs == "jacobian" and "weightings of the losses or of Gramians",
            "level = 'representation'": self.weighting_options.get("level") == "representation" and "parameters",
            f"sharing = {self.sharing!r}": family.penalised() and "families that add no penalty to the losses",
        }.items():
            if allowed:
                raise ValueError(f"{wrong} with sharded = True: allowed: {allowed}")

    @property
    def title(self) -> str:
        """A run in a line, as logs and progress bars name it."""
        return f"{self.data} {self.sharing}+{self.weighting} lr={self.lr:g} seed={self.seed}"

    @property
    def role(self) -> Literal["tune", "final"]:
        """Whether the seed is one that hyperparameters are tuned on."""
        return "tune" if self.seed >= TUNING_SEED else "final"

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of the configured data set."""
        data = entry("data", self.data)
        found: tuple[Task, ...] = data(data.Options.parse("data_options", self.data_options)).tasks
        return found

    def but(self, **changes: Any) -> "RunConfig":
        """A copy with some fields changed, validated anew."""
        return RunConfig(**{**self.model_dump(), **changes})

    @property
    def run_id(self) -> str:
        """16 hex digits: the canonical config, the source of the modules it uses, and the data's checksum."""
        text = json.dumps([self.model_dump(mode="json"), self.sources(), entry("data", self.data).sha256], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def sources(self) -> dict[str, str]:
        """Module → digest of its code (comments and docstrings apart) for every module that can change this run's numbers."""
        roots = [module_of(kind, getattr(self, kind)) for kind in SHELVES]
        roots += ["weighting.equal"] if entry("sharing", self.sharing).searches else []
        return source_digests("training", *roots)


SHELVES = ("data", "sharing", "weighting")
STORAGE = {"runs", "config", "errors", "shelf", "hub", "content", "data", "sharing", "weighting"}  # compute no number


def module_of(kind: str, name: str) -> str:
    """The module, within the package, in which an entry of a shelf stands: weighting, "famo" → weighting.torchjd_losses."""
    return f"{kind}.{entry(kind, name).__module__.rsplit('.', 1)[-1]}"


def resolve_device(name: str) -> str:
    """ "auto" → cuda where there is one, else cpu; `InputError` for a device that is not there."""
    present = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    if name == "auto":
        return present[-1]
    if name not in present:
        if name == "cuda":
            raise InputError(f"device = 'cuda': no GPU is visible to torch {torch.__version__}; allowed: auto, cpu")
        raise unknown("device", name, ["auto", "cpu", "cuda"])
    return name


def source_digests(*roots: str) -> dict[str, str]:
    """Digests of these modules of the package and of all they import from it, sorted by name."""
    found: dict[str, str] = {}
    queue = list(roots)
    while queue:
        module = queue.pop()
        if module not in found and module not in STORAGE:
            digest, imports = _module(module)
            found[module] = digest
            queue.extend(imports)
    return dict(sorted(found.items()))


@cache
def _module(module: str) -> tuple[str, tuple[str, ...]]:
    spec = find_spec(f"mtlstudy.{module}")
    if spec is None or spec.origin is None:
        raise InputError(f"module mtlstudy.{module} has no source file")
    file = Path(spec.origin)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    package = module.split(".")[:-1] if file.name != "__init__.py" else module.split(".")
    imports = tuple(_imports(tree, package))
    for node in ast.walk(tree):  # drop docstrings: they change no number
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body[0] = ast.Pass()
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16], imports


def _imports(tree: ast.Module, package: list[str]) -> Iterator[str]:
    """Modules of this package that a module imports relatively: `from ..nash import x` → nash, `from . import a` → a."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            if node.module:
                yield ".".join([*base, node.module])
            else:
                yield from (".".join([*base, alias.name]) for alias in node.names)
