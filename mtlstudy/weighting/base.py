"""What every weighting is: losses (K,) and, where it asks for them, Gramians (B, K, K) → weights (B, K).

All state is in buffers, in `step` and in what `kept` gives, so that `state_dict` makes a resumed run exact.
"""

from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.nash.newton import Status
from mtlstudy.registry import Options as NoOptions
from mtlstudy.registry import Registry

KINDS = {"losses": "loss", "gramians": "gramian", "jacobian": "jacobian"}
"""What a weighting needs → its kind."""


class Weights(NamedTuple):
    """weights (B, K) and, for weightings that solve something, status (B,) of `Status` (0 = solved for all others)."""

    weights: Tensor
    status: Tensor


class Weighting(nn.Module):
    """Weights for K tasks on B blocks. The shared direction of block b is Σ_t weights[b, t] g_t."""

    name: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[str] = "gramians"
    """ "losses", "gramians" or "jacobian"."""
    kind: ClassVar[str] = "gramian"
    """ "loss", "gramian" or "jacobian", as listings show it: follows from `needs`."""
    per_block: ClassVar[bool] = False
    """One set of weights a block of the sharing architecture, or one for the whole trunk."""
    looks_again: ClassVar[bool] = False
    """Whether it wants to see the losses of the same batch once more after the step."""
    step: int = 0
    """Calls so far, where they are counted: on the host, so that nobody waits for a device to read it."""

    Options: ClassVar[type[NoOptions]] = NoOptions
    """Its options: a subclass of `mtlstudy.registry.Options`."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.kind = KINDS[cls.needs]

    def __init__(self, tasks: int, blocks: int, options: NoOptions) -> None:
        super().__init__()
        self.K, self.B, self.options = tasks, blocks, options

    def due(self) -> bool:
        """Whether the next call asks for fresh Gramians."""
        return self.needs == "gramians"

    def forward(self, losses: Tensor, gramians: Tensor | None) -> Weights:
        """losses (K,) detached, gramians (B, K, K) or None where they are not due → `Weights`."""
        raise NotImplementedError

    def look(self, losses: Tensor) -> None:
        """The losses (K,) of the last batch after the step; called where `looks_again`."""

    def kept(self) -> list[Any]:
        """State beside buffers, parameters and the count of calls."""
        return []

    def restore(self, kept: list[Any]) -> None:
        """Put it back."""

    def get_extra_state(self) -> dict[str, Any]:
        """What is saved with the buffers and parameters."""
        return {"step": self.step, "kept": self.kept()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Put it back."""
        self.step = state["step"]
        self.restore(state["kept"])


class JacobianWeighting(Weighting):
    """A method that makes a direction of the task gradients themselves; there are no weights to record."""

    needs = "jacobian"

    def aggregate(self, J: Tensor) -> Tensor:
        """J (K, P) task gradients on the shared parameters → direction d (P,)."""
        raise NotImplementedError

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        """No weights: (0, K), (0,)."""
        none = torch.zeros(0, self.K, dtype=torch.float64, device=losses.device)
        return Weights(none, none.new_zeros(0, dtype=torch.int64))


class GameOptions(NoOptions):
    """update_every: steps between two games; the weights are held in between."""

    update_every: Annotated[int, Field(ge=1)] = 1


class GameWeighting(Weighting):
    """A weighting that solves something on the Gramians and may hold its weights for some steps.

    The state: the last weights a (B, K) and their status (B,), buffers, and the count of steps.
    """

    Options: ClassVar[type[NoOptions]] = GameOptions
    a: Tensor
    status: Tensor

    def __init__(self, tasks: int, blocks: int, options: GameOptions) -> None:
        super().__init__(tasks, blocks, options)
        self.update_every = options.update_every
        self.register_buffer("a", torch.zeros(blocks, tasks, dtype=torch.float64))
        self.register_buffer("status", torch.zeros(blocks, dtype=torch.int64))

    def due(self) -> bool:
        return self.step % self.update_every == 0

    def forward(self, losses: Tensor, gramians: Tensor | None) -> Weights:
        if gramians is not None:
            weights, status = self.game(gramians)
            self.a, self.status = weights.to(self.a), status.to(self.status)
        self.step += 1
        return Weights(self.a, self.status)

    def game(self, gramians: Tensor) -> Weights:
        """gramians (B, K, K) → `Weights` that may be used as they are: 0 where nothing is to be done."""
        raise NotImplementedError


class LossWeighting(Weighting):
    """A weighting that is a function of the losses alone: a scalar objective, and the weights are its derivatives."""

    needs = "losses"
    linear: ClassVar[bool] = False
    """Whether the weights are the same whatever the losses."""

    def objective(self, losses: Tensor) -> Tensor:
        """losses (K,) → the scalar that is minimised."""
        raise NotImplementedError

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        """∂ objective / ∂ losses (1, K); the gradients of the weighting's own parameters are added to theirs."""
        with torch.enable_grad():
            leaf = losses.detach().requires_grad_()
            self.objective(leaf).backward()
        assert leaf.grad is not None
        return Weights(leaf.grad[None].double(), torch.full((1,), Status.SOLVED, device=losses.device))


registry: Registry[type[Weighting]] = Registry("weighting")
