"""The methods of the library TorchJD, used and not rewritten: an adapter a kind of weighting, then
the table of the methods.

Source: Quinton & Rey, *Jacobian Descent for Multi-Objective Optimization*, arXiv 2406.16232 (the
library torchjd); each method's own paper stands in its row. torchjd is imported when such a
weighting is made, not before.

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
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, create_model
from torch import Tensor

from mtlstudy.errors import InputError
from mtlstudy.nash import Status
from mtlstudy.nash.reference import FAILED
from mtlstudy.registry import Options
from mtlstudy.weighting import base
from mtlstudy.weighting.base import Weights, registry


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
    pairs: ClassVar[bool] = False
    """Whether its state has a row and a column a task, not rows alone."""
    origin: Tensor
    methods: list[Any]
    """The objects of torchjd: one a block."""

    def __init__(self, tasks: int, blocks: int, options: Any) -> None:
        super().__init__(tasks, blocks, options)
        self.register_buffer("origin", torch.tensor(torch.initial_seed() % 2**31))
        self.methods = [self.make() for _ in range(blocks)]

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
        return [getattr(m, self.holder, m) for m in self.methods]

    def get_extra_state(self) -> dict[str, Any]:
        kept = [{name: deepcopy(getattr(h, name)) for name in self.state} for h in self.holders()]
        return super().get_extra_state() | {"extra": kept}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        for holder, values in zip(self.holders(), deepcopy(state["extra"]), strict=False):
            for name, value in values.items():
                moved = isinstance(value, Tensor) and self.state_device
                setattr(holder, name, value.to(self.state_device) if moved else value)

    @contextmanager
    def of_present(self, method: Any) -> Iterator[None]:
        """An object's state of the tasks that are present alone; that of the others is put back as
        it was. Before a step of all tasks nothing is remembered."""
        if self.present is None:
            yield
            return
        holder, n = getattr(method, self.holder, method), len(self.present)
        before = {name: getattr(holder, name) for name in self.state}
        for name, x in before.items():
            if isinstance(x, Tensor) and x.ndim:
                setattr(holder, name, self.cut(x, 0, 1) if self.pairs else self.cut(x, 0))
            elif name == "_state_key" and x is not None:
                setattr(holder, name, n if isinstance(x, int) else (n, *x[1:]))
        yield
        for name, x in before.items():
            after = getattr(holder, name)
            if isinstance(x, Tensor) and x.ndim:
                i, x = self.present.to(x.device), x.clone()
                x[(i[:, None], i) if self.pairs else i] = after.to(x)
                setattr(holder, name, x)
            elif name == "_state_key" or x is None:
                setattr(holder, name, x)

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

    def game(self, gramians: Tensor) -> Weights:
        finite = torch.isfinite(gramians).all(-1).all(-1).tolist()
        each = zip(self.methods, gramians, finite, strict=True)
        with self.seeded(gramians.device):
            rows = [self.ask(m, M) if ok else M[0] * torch.nan for m, M, ok in each]
        weights = torch.stack(rows)  # (B, K)
        usable = torch.isfinite(weights).all(-1)
        status = torch.where(usable, int(Status.SOLVED), int(Status.NON_FINITE))
        return Weights(torch.where(usable[:, None], weights, 0.0), status)

    def ask(self, method: Any, M: Tensor) -> Tensor:
        """The weights (K,) of one block, of the tasks that are present."""
        with self.of_present(method):
            weights: Tensor = method(M)
        return weights


class TorchJDLoss(TorchJD, base.LossWeighting):
    """A torchjd scalarizer, losses L (K,) → objective, minimised as it is; the recorded weights are
    its derivatives. A call of `forward` is a step; `objective` may be asked again within it."""

    package = "torchjd.scalarization"

    def __init__(self, tasks: int, blocks: int, options: Options) -> None:
        super().__init__(tasks, blocks, options)
        self.method = self.methods[0]  # a submodule: its parameters are trained with the model's

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        self.step += 1
        return super().forward(losses)

    def objective(self, losses: Tensor) -> Tensor:
        with self.seeded(losses.device):
            value: Tensor = self.method(losses)
        return value


class ByTask(TorchJDLoss):
    """A scalarizer that keeps something of every task: in place of the loss of an absent one it is
    shown what is known of that; weights that are a softmax are one over the others alone."""

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        if self.present is None:
            return super().forward(losses)
        here, filled = self.put(self.cut(torch.ones_like(losses), 0)), self.filled(losses)
        present, self.present = self.present, None
        chosen = super().forward(filled)
        self.present = present
        for p in self.parameters():
            if p.grad is not None:
                p.grad *= here
        weights, total = chosen.weights * here, self.total(len(present))
        return Weights(weights * (total / weights.sum() if total else 1.0), chosen.status)

    def total(self, K: int) -> float | None:
        """What the weights of K tasks add up to; None where they are no softmax."""
        return None

    def filled(self, losses: Tensor) -> Tensor:
        """Losses (K,) with what is known of the absent ones in their places."""
        return self.put(self.cut(losses, 0), self.known(losses).to(losses))

    def known(self, losses: Tensor) -> Tensor:
        """What stands in for absent losses (K,)."""
        return losses


class TorchJDJacobian(TorchJD, base.JacobianWeighting):
    """A torchjd aggregator, task gradients J (K, P) → direction d (P,); there are no weights to
    record. A direction that is not finite is handed on as it is."""

    def aggregate(self, J: Tensor) -> Tensor:
        with self.seeded(J.device), self.of_present(self.methods[0]):
            d: Tensor = self.methods[0](self.cut(J, 0))
        self.step += 1
        return d


class FairGradAdapter(TorchJDGramian):
    """Where the least squares of `fairgrad` end early (small gradients) the weights are used all
    the same, and the status is MAX_ITERATIONS."""

    def game(self, gramians: Tensor) -> Weights:
        a, status = super().game(gramians)
        descent = (gramians @ a[..., None]).squeeze(-1)  # (B, K)
        residual = (a ** (1 / self.methods[0].alpha) * descent - 1).abs().amax(-1)
        missed = (residual > FAILED) & (status == Status.SOLVED)
        return Weights(a, torch.where(missed, int(Status.MAX_ITERATIONS), status))


class DWAAdapter(ByTask):
    """Tells `dwa` where an epoch ends, and shows it the losses of each step once."""

    def total(self, K: int) -> float:
        return K

    def forward(self, losses: Tensor, gramians: Tensor | None = None) -> Weights:
        if self.step % self.options.epoch == 0:  # type: ignore[attr-defined]
            self.method.step()  # the epoch is over
        chosen = super().forward(losses)
        self.method(self.filled(losses))  # takes these losses into the epoch's mean
        return chosen

    def known(self, losses: Tensor) -> Tensor:
        """The mean of the epoch so far, or of the last one."""
        m, sums = self.method, losses.sum().expand_as(losses)
        means = [
            sums,
            *m._previous_averages,
            *([m._loss_sum / m._n_batches] if m._n_batches else []),
        ]
        return torch.as_tensor(means[-1])

    def objective(self, losses: Tensor) -> Tensor:
        before = self.get_extra_state()
        value = super().objective(losses)
        self.set_extra_state(before)  # asked for the objective alone, it takes nothing in
        return value


class FAMOAdapter(ByTask):
    """Shows `famo` the losses after the step, and saves its Adam. An absent task's loss stays."""

    sees_losses_again = True

    def total(self, K: int) -> float:
        return 1.0

    def after_step(self, losses: Tensor) -> None:
        self.method.update(self.filled(losses))

    def known(self, losses: Tensor) -> Tensor:
        """The last losses."""
        before: Tensor | None = self.method._prev_losses
        return losses.sum().expand_as(losses) if before is None else before

    def get_extra_state(self) -> dict[str, Any]:
        state, adam = super().get_extra_state(), self.method._optimizer
        state["extra"].append({} if adam is None else deepcopy(adam.state_dict()))
        return state

    def set_extra_state(self, state: dict[str, Any]) -> None:
        adam = state["extra"][-1]
        if adam:  # torchjd makes its Adam at the first update; w itself is loaded after this
            ones = torch.ones_like(self.method._w)
            self.method(ones)
            self.method.update(ones)
            self.method._optimizer.load_state_dict(adam)
        super().set_extra_state(state)


class PBIAdapter(TorchJDLoss):
    """Gives `pbi` its preference vector (1, …, 1) in the type and on the device of the losses:
    torchjd keeps no buffer."""

    def objective(self, losses: Tensor) -> Tensor:
        self.method.weights = torch.ones_like(losses)
        return super().objective(losses)


def option(default: Any, about: str, *choices: Any, **bounds: float) -> tuple[Any, Any]:
    """A bounded option, or one of `choices`, as pydantic takes it."""
    kind: Any = Literal[choices] if choices else type(default)
    field: Any = Field
    return kind, field(default, description=about, **bounds)


def method(
    name: str,
    adapter: type[TorchJD],
    torchjd_class: str,
    paper: str,
    about: str,
    options: dict[str, tuple[Any, Any]] | None = None,
    **needs: Any,
) -> None:
    """Register a method: its name, adapter, class in the library, paper, what it does, options, and
    what else the adapter has to know of it (see `TorchJD`)."""
    fields: dict[str, Any] = options or {}
    needs["Options"] = create_model("Options", __base__=adapter.Options, **fields)
    needs |= {"torchjd_class": torchjd_class, "paper": paper}
    needs |= {"__doc__": about, "__module__": __name__}
    registry.register(name)(type(torchjd_class, (adapter,), needs))


def shape(options: dict[str, Any], K: int) -> dict[str, Any]:
    """The options and the number of tasks."""
    return {"shape": K, **options}


def smoothed(options: dict[str, Any], K: int) -> dict[str, Any]:
    """The options with the method that they name, with its own defaults."""
    inner: Any = registry.get(options.pop("of"))
    return {"weighting": inner(K, 1, inner.Options()).methods[0], **options}


# fmt: off
method("pcgrad", TorchJDGramian, "PCGradWeighting", "Yu et al. 2020, arXiv 2001.06782",
       "The sum of the task gradients, each projected off those it conflicts with in random order.",
       random=True)
method("gradvac", TorchJDGramian, "GradVacWeighting", "Wang et al. 2021, arXiv 2010.05874",
       "As PCGrad, but towards a running mean of the cosine of each pair in place of 0.",
       {"beta": option(0.5, "share of the newest cosine in the mean (LibMTL: 0.5)", ge=0, le=1)},
       state=("_phi_t", "_state_key"), state_device="cpu", random=True, pairs=True)
method("cagrad", TorchJDGramian, "CAGradWeighting", "Liu et al. 2021, arXiv 2110.14048",
       "The direction of best worst descent in a ball of radius c‖g₀‖ around the mean gradient "
       "g₀; a convex program a step. Where Σ_t ‖g_t‖² < 1e-4 torchjd takes the gradients for "
       "zero, and all weights are 0.",
       {"c": option(0.4, "radius of the ball, 0 ≤ c < 1 (the paper: 0.4)", ge=0, lt=1)})
method("mgda", TorchJDGramian, "MGDAWeighting",
       "Désidéri 2012; Sener & Koltun 2018, arXiv 1810.04650",
       "The shortest vector in the convex hull of the task gradients, by Frank–Wolfe.",
       {"epsilon": option(1e-3, "a Frank–Wolfe step below it ends the search", gt=0, le=1),
        "max_iters": option(100, "steps at most (2 tasks: the first is exact)", ge=1, le=10**6)})
method("imtl_g", TorchJDGramian, "IMTLGWeighting",
       "Liu et al. 2021 (IMTL), ICLR, OpenReview IMPnRXEWpvr",
       "The direction with the same component along every unit task gradient; weights of sum 1, "
       "some perhaps negative.")
method("aligned_mtl", TorchJDGramian, "AlignedMTLWeighting",
       "Senushkin et al. 2023, arXiv 2305.19000",
       "The mean of the gradients after J was made orthogonal with equal singular values: the "
       "nearest system of condition 1.",
       {"scale_mode": option("min", "the common eigenvalue (the paper: the smallest)",
                             "min", "median", "rmse")})
method("fairgrad", FairGradAdapter, "FairGradWeighting", "Ban & Ji 2024, arXiv 2402.15638",
       "The α-fair sharing of descent, M a = a^(−1/α), by least squares; α = 1 is the game of "
       "Nash-MTL. Least squares that end early (small gradients) are reported as MAX_ITERATIONS.",
       {"alpha": option(2.0, "1: proportional, ∞: max–min fairness (authors: 2)", ge=0.1, le=100)})
method("upgrad", TorchJDGramian, "UPGradWeighting", "Quinton & Rey 2024, arXiv 2406.16232",
       "The mean of the task gradients, each projected onto the directions that hurt no task.")
method("dualproj", TorchJDGramian, "DualProjWeighting",
       "Lopez-Paz & Ranzato 2017 (GEM), arXiv 1706.08840",
       "The mean gradient projected onto the directions that hurt no task.")
method("pcd", TorchJDGramian, "PCDWeighting", "Varam & AlHajri 2026, arXiv 2606.29521",
       "The direction nearest the gradient of the first task, the primary one, in which all "
       "others still descend.",
       {"tau": option(0.02, "share of its own progress granted to a secondary task", ge=0, le=1),
        "beta": option(0.999, "decay of the running mean of ‖g_t‖²", ge=0, lt=1)},
       state=("_sq_norm_ema", "_n_steps", "_state_key"), state_device="cpu")
method("rgw", TorchJDGramian, "RandomWeighting", "Lin et al. 2022 (RGW), arXiv 2111.10603",
       "Random weights on the gradients of the shared parameters, the softmax of K normal "
       "numbers, new at every step.",
       random=True)
method("cr_mogm", TorchJDGramian, "CRMOGMWeighting", "Zhou et al. 2022 (CR-MOGM), NeurIPS",
       "The running mean of another method's weights.",
       {"of": option("mgda", "the method, with its defaults", "mgda", "cagrad", "pcgrad"),
        "alpha": option(0.9, "share of the old weights (the paper: rising to 1)", ge=0, lt=1)},
       arguments=smoothed, state=("_lambda",), random=True)
method("graddrop", TorchJDJacobian, "GradDrop", "Chen et al. 2020, arXiv 2010.06808",
       "Every parameter follows the tasks of one sign, drawn with the share that this sign has "
       "in Σ_t |g_t|.",
       random=True)
method("config", TorchJDJacobian, "ConFIG", "Liu et al. 2024 (ConFIG), arXiv 2408.11104",
       "The direction with the same cosine to every task gradient, as long as the sum of the "
       "gradients' components along it.")
method("excess_mtl", TorchJDJacobian, "ExcessMTL", "He et al. 2024, arXiv 2402.02009",
       "Weights grow with a task's estimated excess risk, Σ g² / √(Σ over the steps of g²). Its "
       "state is as large as J.",
       {"robust_step_size": option(1.0, "of exponentiated gradient (LibMTL: 0.01)", gt=0, le=1e6),
        "n_warmup_steps": option(0, "equal-weight steps that scale the risks (0)", ge=0, le=10**9)},
       state=("_weights", "_sq_grad_sum", "_initial_w", "_warmup_w_sum", "_n_steps", "_state_key"),
       holder="weighting")
method("uncertainty", ByTask, "UW", "Kendall et al. 2018 (UW), arXiv 1705.07115",
       "½ Σ_t (exp(−s_t) L_t + s_t): log-variances s_t, 0 at the start, trained by the model's "
       "own optimiser. One form for all tasks, as in the later codebases; the paper halves only "
       "the regression losses.",
       arguments=shape)
method("imtl_l", ByTask, "IMTLL", "Liu et al. 2021 (IMTL), ICLR, OpenReview IMPnRXEWpvr",
       "Σ_t (exp(s_t) L_t − s_t): log-scales s_t, 0 at the start, trained by the model's own "
       "optimiser. Twice the objective of `uncertainty` at −s: under an optimiser that does not "
       "heed the scale of gradients, Adam, they coincide.",
       arguments=shape)
method("dwa", DWAAdapter, "DWA", "Liu, Johns & Davison 2019, arXiv 1803.10704",
       "Σ_t λ_t L_t, λ = K softmax(r / T), r_t the ratio of the mean losses of the last two "
       "epochs; equal until there are two.",
       {"temperature": option(2.0, "T (the paper: 2)", gt=0, le=1e6),
        "epoch": option(25, "steps of an epoch (the paper: a pass over the data)", ge=1, le=10**9)},
       arguments=lambda options, K: {"temperature": options["temperature"]},
       state=("_loss_sum", "_n_batches", "_previous_averages"))
method("rlw", TorchJDLoss, "Random", "Lin et al. 2022 (RLW), arXiv 2111.10603",
       "Random weights, the softmax of K normal numbers, new at every step.",
       random=True)
method("gls", TorchJDLoss, "GeometricMean", "Chennupati et al. 2019 (GLS), arXiv 1904.08492",
       "The geometric mean of the losses, which must be positive.")
method("famo", FAMOAdapter, "FAMO", "Liu et al. 2023 (FAMO), arXiv 2306.03792",
       "c Σ_t z_t log L_t with z = softmax(w): w is trained, by its own Adam, on how far the "
       "step has brought each loss down.",
       {"lr": option(0.025, "learning rate of w (the paper: 0.025)", ge=0, le=10),
        "weight_decay": option(1e-3, "of w (the paper's γ: 0.001)", ge=0, le=1)},
       arguments=shape, state=("_prev_losses",))
method("stch", TorchJDLoss, "STCH", "Lin et al. 2024 (STCH), arXiv 2402.19078",
       "μ log Σ_t exp(L_t / (K μ)): a smooth maximum of the losses, in which the worst task has "
       "the most weight.",
       {"mu": option(0.1, "the smoothing, → 0 for the maximum (paper: 0.01 to 1)", gt=0, le=1e6)})
method("pbi", PBIAdapter, "PBI", "Zhang & Li 2007 (MOEA/D), IEEE TEC 11(6)",
       "The length of L along (1, …, 1) and θ times its distance from there; tasks below the "
       "mean may have negative weights.",
       {"theta": option(5.0, "price of the distance (the paper: 5)", ge=0, le=1e6)},
       arguments=lambda options, K: {"weights": torch.ones(K), **options})
# fmt: on
