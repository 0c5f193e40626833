"""The adapters to the library TorchJD, one a kind of weighting: its methods are used, not
rewritten.

Source: Quinton & Rey, *Jacobian Descent for Multi-Objective Optimization*, arXiv 2406.16232 (the
library torchjd); each method's own paper stands in its row of `torchjd_methods`. torchjd is
imported when such a weighting is made, not before.

Methods of torchjd that are not registered, and why:

    Krum, TrimmedMean       hold out against forged gradients of other machines; no task balance
    NashMTL                 `nash` solves the same game exactly
    Constant, Mean, Sum     `static` and `equal`
    MoDo, SDMGrad           need gradients of two or three independent batches a step
    COSMOS                  is a model that is told the preference at its input
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor

from mtlstudy.errors import InputError
from mtlstudy.nash import Status
from mtlstudy.registry import Options
from mtlstudy.weighting import base
from mtlstudy.weighting.base import Weights


class TorchJD(base.Weighting):
    """What the adapters share: how an object of torchjd is made, what of it is saved, where its
    random numbers come from. What a method needs is data:

    torchjd_class: its name in the library. arguments: made of options and K, in place of the
    options. state: the attributes in which its objects remember something, saved in `state_dict`.
    state_device: where they must lie, if not where they were. holder: the attribute of the object
    that has them, if not itself. random: draws come from a seed made of the run's and the count of
    steps, both saved, so that a resumed run is exact, and the caller's generator is left as it was.
    """

    package: ClassVar[str] = "torchjd.aggregation"
    torchjd_class: ClassVar[str]
    arguments: ClassVar[Callable[[dict[str, Any], int], Mapping[str, Any]] | None] = None
    state: ClassVar[tuple[str, ...]] = ()
    state_device: ClassVar[str | None] = None
    holder: ClassVar[str] = ""
    random: ClassVar[bool] = False
    origin: Tensor
    methods: list[Any]
    """The objects of torchjd: one a block."""

    def __init__(self, tasks: int, blocks: int, options: Any) -> None:
        super().__init__(tasks, blocks, options)
        self.register_buffer("origin", torch.tensor(torch.initial_seed() % 2**31))

    def make(self) -> Any:
        """A new object of torchjd; `InputError` where the library, or a solver that it calls, is
        missing."""
        given = self.options.model_dump(exclude={"update_every"})
        arguments = type(self).arguments
        try:
            method = getattr(import_module(self.package), self.torchjd_class)
            return method(**(given if arguments is None else arguments(given, self.K)))
        except ImportError as missing:
            reason = f"needs torchjd ({missing}); pip install 'mtlstudy[study]'"
            raise InputError(f"weighting = {self.name!r} {reason}") from None

    def holders(self) -> list[Any]:
        """The objects that have the attributes `state`."""
        return [getattr(m, self.holder) if self.holder else m for m in self.methods]

    def extra_state(self) -> list[Any]:
        return [{name: copied(getattr(h, name)) for name in self.state} for h in self.holders()]

    def load_extra_state(self, state: list[Any]) -> None:
        for holder, values in zip(self.holders(), state, strict=True):
            for name, value in values.items():
                setattr(holder, name, copied(value, self.state_device))

    @contextmanager
    def seeded(self, device: torch.device) -> Iterator[None]:
        """Random numbers inside are those of this step; the caller's generators stay as they
        were."""
        if not self.random:
            yield
            return
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            seed = (int(self.origin) * 1_000_003 + self.step) % 2**63
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                torch.cuda.manual_seed(seed)
            yield


class TorchJDGramian(TorchJD, base.GameWeighting):
    """A torchjd weighting, Gramian M (K, K) → weights (K,), block by block; heads follow their own
    gradients.

    Weights that are not finite become 0 (no update) and are reported as NON_FINITE.
    """

    def __init__(self, tasks: int, blocks: int, options: base.GameOptions) -> None:
        super().__init__(tasks, blocks, options)
        self.methods = [self.make() for _ in range(blocks)]

    def game(self, gramians: Tensor) -> Weights:
        finite = torch.isfinite(gramians).all(-1).all(-1).tolist()
        each = zip(self.methods, gramians, finite, strict=True)
        with self.seeded(gramians.device):
            rows = [m(M) if ok else torch.full_like(M[0], torch.nan) for m, M, ok in each]
        weights = torch.stack(rows)  # (B, K)
        usable = torch.isfinite(weights).all(-1)
        status = torch.where(usable, int(Status.SOLVED), int(Status.NON_FINITE))
        return Weights(torch.where(usable[:, None], weights, 0.0), status)


class TorchJDLoss(TorchJD, base.LossWeighting):
    """A torchjd scalarizer, losses L (K,) → objective, minimised as it is; the recorded weights are
    its derivatives. A call of `forward` is a step; `objective` may be asked again within it."""

    package = "torchjd.scalarization"

    def __init__(self, tasks: int, blocks: int, options: Options) -> None:
        super().__init__(tasks, blocks, options)
        self.method = self.make()  # a submodule: its parameters are trained with the model's
        self.methods = [self.method]

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        self.step += 1
        return super().forward(losses)

    def objective(self, losses: Tensor) -> Tensor:
        with self.seeded(losses.device):
            value: Tensor = self.method(losses)
        return value


class TorchJDJacobian(TorchJD, base.JacobianWeighting):
    """A torchjd aggregator, task gradients J (K, P) → direction d (P,); there are no weights to
    record. A direction that is not finite is handed on as it is."""

    def __init__(self, tasks: int, blocks: int, options: Options) -> None:
        super().__init__(tasks, blocks, options)
        self.methods = [self.make()]

    def aggregate(self, J: Tensor) -> Tensor:
        with self.seeded(J.device):
            d: Tensor = self.methods[0](J)
        self.step += 1
        return d


class FairGradAdapter(TorchJDGramian):
    """Where the least squares of `fairgrad` end early (small gradients) the weights are used all
    the same, and the status is MAX_ITERATIONS."""

    def game(self, gramians: Tensor) -> Weights:
        a, status = super().game(gramians)
        descent = (gramians @ a[..., None]).squeeze(-1)  # (B, K)
        residual = (a ** (1 / self.methods[0].alpha) * descent - 1).abs().amax(-1)
        missed = (residual > 1e-3) & (status == Status.SOLVED)
        return Weights(a, torch.where(missed, int(Status.MAX_ITERATIONS), status))


class DWAAdapter(TorchJDLoss):
    """Tells `dwa` where an epoch ends, and shows it the losses of each step once."""

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        if self.step % self.options.epoch == 0:  # type: ignore[attr-defined]
            self.method.step()  # the epoch is over
        chosen = super().forward(losses)
        self.method(losses)  # takes these losses into the epoch's mean
        return chosen

    def objective(self, losses: Tensor) -> Tensor:
        before = self.extra_state()
        value = super().objective(losses)
        self.load_extra_state(before)  # asked for the objective alone, it takes nothing in
        return value


class FAMOAdapter(TorchJDLoss):
    """Shows `famo` the losses after the step, and saves its Adam."""

    sees_losses_again = True

    def after_step(self, losses: Tensor) -> None:
        self.method.update(losses)

    def extra_state(self) -> list[Any]:
        adam = self.method._optimizer
        return [*super().extra_state(), {} if adam is None else deepcopy(adam.state_dict())]

    def load_extra_state(self, state: list[Any]) -> None:
        *state, adam = state
        if adam:  # torchjd makes its Adam at the first update; w itself is loaded after this
            ones = torch.ones_like(self.method._w)
            self.method(ones)
            self.method.update(ones)
            self.method._optimizer.load_state_dict(adam)
        super().load_extra_state(state)


class PBIAdapter(TorchJDLoss):
    """Gives `pbi` its preference vector (1, …, 1) in the type and on the device of the losses:
    torchjd keeps no buffer."""

    def objective(self, losses: Tensor) -> Tensor:
        self.method.weights = torch.ones_like(losses)
        return super().objective(losses)


def copied(value: Any, device: str | None = None) -> Any:
    """A copy of a value whose tensors, also those in a list or tuple, share no memory with it."""
    if isinstance(value, Tensor):
        return value.to(device=device, copy=True)
    if isinstance(value, list | tuple):
        return type(value)(copied(item, device) for item in value)
    return value
