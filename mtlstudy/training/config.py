"""What a run is: one frozen, validated configuration."""

from contextlib import suppress
from math import cos, pi
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, ValidationError, model_validator

from mtlstudy.data._subset import Subset
from mtlstudy.errors import InputError, unknown
from mtlstudy.models.tasks import Task
from mtlstudy.registry import Fields, entry, one_line
from mtlstudy.training import identity

TUNING_SEED = 1000
"""Seeds from here on are for tuning; reported seeds lie below, so none of them was tuned on."""


class RunConfig(Fields):
    """One training run: which data, model and weighting, and how it is trained.

    Raises `InputError` (one line: field, value, what is allowed, nearest spelling).

    >>> RunConfig(data="yeast", weighting="nash", lr=0.003).steps
    250
    """

    data: str
    sharing: str = "hard"
    weighting: str = "equal"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    device: str = "auto"
    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    backbone: Literal["auto", "mlp", "cnn", "text_cnn", "transformer"] = "auto"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    batch_size: Annotated[int, Field(ge=1, le=10**6)] = 64
    temperature: Annotated[float, Field(ge=1, le=1e6)] | None = None
    steps: Annotated[int, Field(ge=1, le=10**9)] = 250
    evaluations: Annotated[int, Field(ge=1, le=10**6)] = 5
    width: Annotated[int, Field(ge=1, le=8192)] = 64
    depth: Annotated[int, Field(ge=1, le=32)] = 2
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    processes: Annotated[int, Field(ge=1, le=4096)] = 1
    sharded: bool = False
    mode: Literal["auto", "sequential", "batched", "chunked"] = "sequential"
    chunk: Annotated[int, Field(ge=1, le=10**6)] = 4
    memory_mb: Annotated[float, Field(gt=0, le=1e9)] | None = None
    accumulate: Annotated[int, Field(ge=1, le=10**6)] = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    only: list[str] = Field(default_factory=list)
    """Tasks of the data set that are trained, in its order; all where there are none."""
    data_options: dict[str, Any] = Field(default_factory=dict)
    sharing_options: dict[str, Any] = Field(default_factory=dict)
    weighting_options: dict[str, Any] = Field(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(one_line(error, "", type(self))) from None

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: dict[str, Any]) -> dict[str, Any]:
        plain = {kind: cls.model_fields[kind].default for kind in ("sharing", "weighting")}
        values = {**plain, **values, "device": resolve_device(values.get("device", "auto"))}
        with suppress(TypeError, ValueError, OverflowError):  # no number: refused with the fields
            values.setdefault("evaluations", min(5, max(int(values.get("steps", 250)), 1)))
        for kind in ("data", "sharing", "weighting"):  # spelled out: equal runs, equal identities
            if kind in values:
                options = values.get(f"{kind}_options", {})
                parsed = entry(kind, values[kind]).Options.parse(f"{kind}_options", options)
                values[f"{kind}_options"] = parsed.model_dump(mode="json")
        if isinstance(only := values.get("only"), list | tuple) and only and "data" in values:
            whole = cls._whole(values["data"], values["data_options"])
            some = Subset(whole, list(only)).names
            values["only"] = [] if len(some) == len(whole.tasks) else some
        return values

    @model_validator(mode="after")
    def _sensible(self) -> "RunConfig":
        if self.evaluations > self.steps:
            raise ValueError(f"evaluations = {self.evaluations}: must be ≤ steps = {self.steps}")
        family, weighting = entry("sharing", self.sharing), entry("weighting", self.weighting)
        pair = f"weighting = {self.weighting!r} with sharing = {self.sharing!r}"
        if family.independent and self.weighting != "equal":
            reason = "nothing is shared, so there is nothing to weigh; allowed: equal"
            raise ValueError(f"{pair}: {reason}")
        if not family.bargains and weighting.needs != "losses":
            reason = "the tasks share no parameter, so no gradients meet"
            raise ValueError(f"{pair}: {reason}; allowed: weightings of the losses")
        if self.compile and self.mode in ("batched", "chunked"):
            raise ValueError(f"mode = {self.mode!r} with compile = True: allowed: auto, sequential")
        if family.changes:
            self._check_changing()
        if self.sharded:
            self._check_sharded()
        if self.accumulate > self.batch_size:
            limit = f"batch_size = {self.batch_size}"
            raise ValueError(f"accumulate = {self.accumulate}: must be ≤ {limit}")
        if self.accumulate > 1 and self.level == "representation":
            reason = "a game on representations needs the batch in one part; allowed: 1"
            raise ValueError(f"accumulate = {self.accumulate}: {reason}")
        return self

    def _check_changing(self) -> None:
        """What a structure that changes while it trains does not allow."""
        reason = f"sharing = {self.sharing!r} changes its parameters while it trains"
        for field, allowed in {"processes": 1, "compile": False}.items():
            if getattr(self, field) != allowed:
                raise ValueError(f"{field} = {getattr(self, field)}: {reason}; allowed: {allowed}")
        if self.level == "representation":
            raise ValueError(f"level = 'representation': {reason}; allowed: parameters")
        every = self.weighting_options.get("update_every", 1)
        if self.sharing_options.get("signal") == "gradient" and (
            every > 1 or entry("weighting", self.weighting).needs != "gramians"
        ):
            reason = f"weighting = {self.weighting!r} does not ask for them at every step"
            raise ValueError(f"signal = 'gradient' takes task gradients, and {reason}")
        if self.weighting == "block_nash" and every > 1:
            raise ValueError(f"update_every: {reason}, and the blocks with them; allowed: 1")

    def _check_sharded(self) -> None:
        """What a model in parts (see `mtlstudy.training.sharded`) does not allow."""
        family, weighting = entry("sharing", self.sharing), entry("weighting", self.weighting)
        for wrong, applies, allowed in (
            (f"processes = {self.processes}", self.processes == 1, "2 or more"),
            (f"mode = {self.mode!r}", self.mode in ("batched", "chunked"), "auto, sequential"),
            ("compile = True", self.compile, "False"),
            (
                f"weighting = {self.weighting!r}",
                weighting.needs == "jacobian",
                "weightings of the losses or of Gramians",
            ),
            ("level = 'representation'", self.level == "representation", "parameters"),
            (f"sharing = {self.sharing!r}", family.penalised(), "families without a penalty"),
        ):
            if applies:
                raise ValueError(f"{wrong} with sharded = True: allowed: {allowed}")

    @property
    def level(self) -> str:
        """With respect to what the weighting's Gramians are."""
        fixed = entry("weighting", self.weighting).level
        return str(self.weighting_options.get("level", fixed))

    @property
    def title(self) -> str:
        """A run in a line, as logs and progress bars name it."""
        return f"{self.data} {self.method} lr={self.lr:g} seed={self.seed}"

    @property
    def method(self) -> str:
        """``sharing+weighting``."""
        return f"{self.sharing}+{self.weighting}"

    @property
    def role(self) -> Literal["tune", "final"]:
        """Whether the seed is one that hyperparameters are tuned on."""
        return "tune" if self.seed >= TUNING_SEED else "final"

    def rate(self, step: int) -> float:
        """The learning rate of a step: constant, or half a cosine from `lr` to 0 (Loshchilov &
        Hutter, ICLR 2017, arXiv 1608.03983, without restarts)."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * (1 + cos(pi * step / self.steps)) / 2

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of the configured data set."""
        tasks: tuple[Task, ...] = self.data_set().tasks
        return tasks

    def data_set(self) -> Any:
        """The configured data set, a `mtlstudy.data.base.Data`; nothing is loaded."""
        whole = self._whole(self.data, self.data_options)
        return Subset(whole, self.only) if self.only else whole

    @staticmethod
    def _whole(name: str, options: dict[str, Any]) -> Any:
        kind = entry("data", name)
        return kind(kind.Options.parse("data_options", options))

    def but(self, **changes: Any) -> "RunConfig":
        """A copy with some fields changed, validated anew."""
        return RunConfig(**{**self.model_dump(), **changes})

    @property
    def run_id(self) -> str:
        """16 hex digits: see `mtlstudy.training.identity`."""
        return identity.run_id(self.model_dump(mode="json"))


def resolve_device(name: Any) -> str:
    """ "auto" → cuda where there is one, else cpu; `InputError` for a device that is absent."""
    present = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    if not isinstance(name, str) or name not in ("auto", "cpu", "cuda"):
        raise unknown("device", name, ["auto", "cpu", "cuda"])
    if name == "auto":
        return present[-1]
    if name not in present:
        reason = f"no GPU is visible to torch {torch.__version__}"
        raise InputError(f"device = 'cuda': {reason}; allowed: auto, cpu")
    return name
