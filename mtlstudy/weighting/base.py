"""What every weighting is: losses (K,) and, where it asks for them, Gramians (B, K, K) → weights.

What a training step has to know of a weighting is declared as attributes; nobody has to guess it.
All state is in the `state_dict`, which makes a resumed run exact.

A task without a label in a batch is absent from that step: its weight is 0, and the others get the
weights of the K′ tasks that are `present`, as if there were no other. What an entry remembers of an
absent task stays as it was, or as near to it as its method allows; the laws say which do what.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlstudy.nash import Status
from mtlstudy.registry import Options as NoOptions
from mtlstudy.registry import Registry


class Weights(NamedTuple):
    """weights (B, K), and status (B,) of `Status` (0 = solved where nothing is to be solved)."""

    weights: Tensor
    status: Tensor


class Weighting(nn.Module):
    """Weights for K tasks on B blocks. The direction of block b is Σ_t weights[b, t] g_t."""

    name: ClassVar[str]
    paper: ClassVar[str]
    version: ClassVar[int] = 1
    """Raised when its numbers change; it enters the identity of every run."""
    solves: ClassVar[bool] = False
    """Whether it uses `mtlstudy.nash`, whose version then counts as well."""
    needs: ClassVar[Literal["losses", "gramians", "jacobian"]] = "gramians"
    """What it makes its weights or direction of."""
    per_block: ClassVar[bool] = False
    """One set of weights a block of the sharing architecture, or one for the whole trunk."""
    sees_losses_again: ClassVar[bool] = False
    """Whether `after_step` is told the losses of the same batch after the step."""

    level: Literal["parameters", "representation"] = "parameters"
    """With respect to what the Gramian's gradients are taken."""
    max_norm: float | None = None
    """Bound on the length of the shared direction, a block; None for none."""
    scales_heads: bool = False
    """Whether the gradients of a task's own parameters are scaled by its weight too."""
    step: int = 0
    """Calls so far, counted on the host, so that nobody waits for a device to read it."""

    present: Tensor | None = None
    """Numbers (K′,) of the tasks that have a label in this batch; None for all of them."""

    Options: ClassVar[type[NoOptions]] = NoOptions
    """Its options: a subclass of `mtlstudy.registry.Options`."""

    def __init__(self, tasks: int, blocks: int, options: NoOptions) -> None:
        super().__init__()
        self.K, self.B, self.options = tasks, blocks, options

    def attend(self, tasks: Sequence[int]) -> None:
        """Which tasks the next call is about: those that have a label in the batch."""
        self.present = None if len(tasks) == self.K else torch.tensor(tasks)

    def cut(self, x: Tensor, *dims: int) -> Tensor:
        """x with the tasks that are present alone along `dims`."""
        if self.present is not None:
            for dim in dims:
                x = x.index_select(dim, self.present.to(x.device))
        return x

    def put(self, x: Tensor, into: Tensor | None = None) -> Tensor:
        """x (…, K′) at the places of its tasks in `into` (…, K), 0 if not given."""
        if self.present is None:
            return x
        into = x.new_zeros(*x.shape[:-1], self.K) if into is None else into
        return into.index_copy(-1, self.present.to(x.device), x.to(into))

    def resize(self, blocks: int) -> None:
        """The sharing architecture has another number of blocks from now on."""
        self.B = blocks if self.per_block else 1

    def due(self) -> bool:
        """Whether the next call asks for fresh Gramians."""
        return self.needs == "gramians"

    def forward(self, losses: Tensor, gramians: Tensor | None) -> Weights:
        """losses (K,) detached, gramians (B, K, K) or None where they are not due → `Weights`."""
        raise NotImplementedError

    def aggregate(self, J: Tensor) -> Tensor:
        """J (K, P) task gradients on the shared parameters → direction d (P,); needs "jacobian".
        `forward` was told their losses before."""
        raise NotImplementedError

    def after_step(self, losses: Tensor) -> None:
        """The losses (K,) of the last batch after the step; called where `sees_losses_again`."""

    def get_extra_state(self) -> dict[str, Any]:
        """What torch saves with the buffers and parameters; "extra": state that is in neither."""
        return {"step": self.step, "extra": []}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore it."""
        self.step = state["step"]


class JacobianWeighting(Weighting):
    """A method that makes a direction of the task gradients themselves; it records no weights."""

    needs = "jacobian"

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        """No weights: (0, K), (0,)."""
        none = torch.zeros(0, self.K, dtype=torch.float64, device=losses.device)
        return Weights(none, none.new_zeros(0, dtype=torch.int64))


class GameOptions(NoOptions):
    """update_every: steps between two games; the weights are held in between."""

    update_every: Annotated[int, Field(ge=1, le=10**9)] = 1


class GameWeighting(Weighting):
    """A weighting that solves something on the Gramians and may hold its weights for some steps.

    The state: the last weights a (B, K) and their status (B,), and the count of steps.
    """

    Options: ClassVar[type[NoOptions]] = GameOptions
    a: Tensor
    status: Tensor

    def __init__(self, tasks: int, blocks: int, options: GameOptions) -> None:
        super().__init__(tasks, blocks, options)
        self.update_every = options.update_every
        self.register_buffer("a", torch.zeros(blocks, tasks, dtype=torch.float64))
        self.register_buffer("status", torch.zeros(blocks, dtype=torch.int64))

    def resize(self, blocks: int) -> None:
        super().resize(blocks)
        if len(self.a) != self.B:  # no solution of before is one of the new games
            self.a = self.a.new_zeros(self.B, self.K)
            self.status = self.status.new_zeros(self.B)

    def due(self) -> bool:
        return self.step % self.update_every == 0

    def forward(self, losses: Tensor, gramians: Tensor | None) -> Weights:
        if gramians is not None:
            weights, status = self.game(self.cut(gramians, -1, -2))
            self.a, self.status = self.put(weights.to(self.a), self.a), status.to(self.status)
        self.step += 1
        return Weights(self.put(self.cut(self.a, -1)), self.status)

    def game(self, gramians: Tensor) -> Weights:
        """gramians (B, K, K) → `Weights` usable as they are: 0 where nothing is to be done. K: of
        the tasks that are present."""
        raise NotImplementedError


class LossWeighting(Weighting):
    """A weighting that is a scalar objective of the losses; its derivatives are the weights."""

    needs = "losses"
    linear: ClassVar[bool] = False
    """Whether the weights are the same whatever the losses."""

    def objective(self, losses: Tensor) -> Tensor:
        """losses (K,) → the scalar that is minimised."""
        raise NotImplementedError

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        """∂ objective / ∂ losses (1, K); gradients of its own parameters are added to theirs."""
        with torch.enable_grad():
            leaf = losses.detach().requires_grad_()
            self.objective(self.cut(leaf, 0)).backward()
        assert leaf.grad is not None
        solved = torch.full((1,), Status.SOLVED, device=losses.device)
        return Weights(leaf.grad[None].double(), solved)


registry: Registry[type[Weighting]] = Registry("weighting")
