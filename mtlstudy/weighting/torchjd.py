"""The adapters to the library TorchJD, one a kind of weighting: its methods are used, not rewritten.

Source: Quinton & Rey, *Jacobian Descent for Multi-Objective Optimization*, arXiv 2406.16232 (the library torchjd); each method's
own paper stands in its class, in torchjd_gramians, torchjd_losses and torchjd_jacobians, where a further one is a class of
four lines. torchjd is imported when such a weighting is made, not before.

What torchjd has and this shelf has not, and why:

    Krum, TrimmedMean       hold out against forged gradients of other machines; no balance of tasks
    NashMTL                 `nash` solves the same game exactly
    Constant, Mean, Sum     `static` and `equal`
    MoDo, SDMGrad           need gradients of two or three independent batches a step
    COSMOS                  is a model that is told the preference at its input; the objective alone is another method
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor

from mtlstudy.errors import InputError
from mtlstudy.nash.newton import Status
from mtlstudy.registry import Options
from mtlstudy.weighting.base import GameOptions, GameWeighting, JacobianWeighting, LossWeighting, Weighting, Weights


class TorchJD(Weighting):
    """What the adapters share: how an object of torchjd is made, what of it is saved, where its random numbers come from.

    torchjd_class: its name in the library; state: the attributes in which its objects remember something, all of which go into
    `state_dict`; state_device: where they must lie, if not where they were. random: draws come from a seed made of the run's and
    the count of steps, both saved, so that a resumed run is exact, and the caller's generator is left as it was.
    """

    package: ClassVar[str] = "torchjd.aggregation"
    torchjd_class: ClassVar[str]
    state: ClassVar[tuple[str, ...]] = ()
    state_device: ClassVar[str | None] = None
    random: ClassVar[bool] = False
    origin: Tensor
    methods: list[Any]
    """The objects of torchjd: one a block."""

    def __init__(self, tasks: int, blocks: int, options: Any) -> None:
        super().__init__(tasks, blocks, options)
        self.register_buffer("origin", torch.tensor(torch.initial_seed() % 2**31))

    def arguments(self) -> dict[str, Any]:
        """What the object of torchjd is made with: the options but `update_every`."""
        return self.options.model_dump(exclude={"update_every"})

    def make(self) -> Any:
        """A new object of torchjd; `InputError` where the library, or a solver that it calls, is missing."""
        try:
            return getattr(import_module(self.package), self.torchjd_class)(**self.arguments())
        except ImportError as missing:
            raise InputError(f"weighting = {self.name!r} needs torchjd ({missing}); pip install 'mtlstudy[study]'") from None

    def holders(self) -> list[Any]:
        """The objects that have the attributes `state`."""
        return self.methods

    def kept(self) -> list[dict[str, Any]]:
        """The attributes `state` of every object."""
        return [{name: copied(getattr(holder, name)) for name in self.state} for holder in self.holders()]

    def restore(self, kept: list[dict[str, Any]]) -> None:
        """Put them back."""
        for holder, values in zip(self.holders(), kept, strict=True):
            for name, value in values.items():
                setattr(holder, name, copied(value, self.state_device))

    @contextmanager
    def drawing(self, device: torch.device) -> Iterator[None]:
        """Random numbers inside are those of this step; the caller's generators stay as they were."""
        if not self.random:
            yield
            return
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            seed = (int(self.origin) * 1_000_003 + self.step) % 2**63
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                torch.cuda.manual_seed(seed)
            yield


class TorchJDGramian(TorchJD, GameWeighting):
    """A torchjd weighting, Gramian M (K, K) → weights (K,), block by block.

    Weights that are not finite become 0 (no update) and are reported as NON_FINITE.
    """

    def __init__(self, tasks: int, blocks: int, options: GameOptions) -> None:
        super().__init__(tasks, blocks, options)
        self.methods = [self.make() for _ in range(blocks)]

    def game(self, gramians: Tensor) -> Weights:
        known = torch.isfinite(gramians).all(-1).all(-1).tolist()
        with self.drawing(gramians.device):
            weights = torch.stack(
                [
                    method(M) if finite else torch.full_like(M[0], torch.nan)
                    for method, M, finite in zip(self.methods, gramians, known, strict=True)
                ]
            )
        finite = torch.isfinite(weights).all(-1)  # (B,)
        status = torch.where(finite, int(Status.SOLVED), int(Status.NON_FINITE))
        return Weights(torch.where(finite[:, None], weights, 0.0), status)


class TorchJDLoss(TorchJD, LossWeighting):
    """A torchjd scalarizer, losses (K,) → objective. A call of `forward` is a step; `objective` may be asked again within it."""

    package = "torchjd.scalarization"

    def __init__(self, tasks: int, blocks: int, options: Options) -> None:
        super().__init__(tasks, blocks, options)
        self.method = self.make()  # a submodule: its parameters are trained with the model's
        self.methods = [self.method]

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        self.step += 1
        return super().forward(losses)

    def objective(self, losses: Tensor) -> Tensor:
        with self.drawing(losses.device):
            value: Tensor = self.method(losses)
        return value


class TorchJDJacobian(TorchJD, JacobianWeighting):
    """A torchjd aggregator, task gradients J (K, P) → direction (P,). One that is not finite is handed on as it is."""

    def __init__(self, tasks: int, blocks: int, options: Options) -> None:
        super().__init__(tasks, blocks, options)
        self.methods = [self.make()]

    def aggregate(self, J: Tensor) -> Tensor:
        with self.drawing(J.device):
            d: Tensor = self.methods[0](J)
        self.step += 1
        return d


def copied(value: Any, device: str | None = None) -> Any:
    """A copy of a value whose tensors, also those in a list or tuple, share no memory with it."""
    if isinstance(value, Tensor):
        return value.to(device=device, copy=True)
    return type(value)(copied(item, device) for item in value) if isinstance(value, list | tuple) else value
