"""The table of the methods of TorchJD, each a registered weighting through an adapter of `torchjd`.

A row: registered name, adapter, class in the library, paper, what it does; then its options and
what else the adapter has to know of it (see `TorchJD`).
"""

from typing import Any, Literal

import torch
from pydantic import Field, create_model

from mtlstudy.weighting import torchjd
from mtlstudy.weighting.base import registry
from mtlstudy.weighting.torchjd import TorchJD, TorchJDGramian, TorchJDJacobian, TorchJDLoss


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
) -> type[TorchJD]:
    """The class of a method, registered."""
    fields: dict[str, Any] = options or {}
    text = "; ".join(f"{key}: {field.description}" for key, (_, field) in fields.items())
    made = create_model("Options", __base__=adapter.Options, __doc__=f"{text or 'none'}.", **fields)
    attributes = {"torchjd_class": torchjd_class, "paper": paper, "Options": made, **needs}
    attributes |= {"__doc__": about, "__module__": __name__}
    cls: type[TorchJD] = type(torchjd_class, (adapter,), attributes)
    return registry.register(name)(cls)


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
       state=("_phi_t", "_state_key"), state_device="cpu", random=True)
method("cagrad", TorchJDGramian, "CAGradWeighting", "Liu et al. 2021, arXiv 2110.14048",
       "The direction of best worst descent in a ball of radius c‖g₀‖ around the mean gradient "
       "g₀; a convex program a step. Where Σ_t ‖g_t‖² < 1e-4 torchjd takes the gradients for "
       "zero, and all weights are 0.",
       {"c": option(0.4, "radius of the ball, 0 ≤ c < 1 (the paper: 0.4)", ge=0, lt=1)})
method("mgda", TorchJDGramian, "MGDAWeighting",
       "Désidéri 2012; Sener & Koltun 2018, arXiv 1810.04650",
       "The shortest vector in the convex hull of the task gradients, by Frank–Wolfe.",
       {"epsilon": option(1e-3, "a Frank–Wolfe step below it ends the search", gt=0),
        "max_iters": option(100, "steps at most (of two tasks the first is exact)", ge=1)})
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
method("fairgrad", torchjd.FairGradAdapter, "FairGradWeighting", "Ban & Ji 2024, arXiv 2402.15638",
       "The α-fair sharing of descent, M a = a^(−1/α), by least squares; α = 1 is the game of "
       "Nash-MTL. Least squares that end early (small gradients) are reported as MAX_ITERATIONS.",
       {"alpha": option(2.0, "1: proportional, ∞: max–min fairness (authors: 2)", gt=0, le=100)})
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
       {"robust_step_size": option(1.0, "of the exponentiated gradient (LibMTL: 0.01)", gt=0),
        "n_warmup_steps": option(0, "equal-weight steps that scale the risks (authors: 0)", ge=0)},
       state=("_weights", "_sq_grad_sum", "_initial_w", "_warmup_w_sum", "_n_steps", "_state_key"),
       holder="weighting")
method("uncertainty", TorchJDLoss, "UW", "Kendall et al. 2018 (UW), arXiv 1705.07115",
       "½ Σ_t (exp(−s_t) L_t + s_t): log-variances s_t, 0 at the start, trained by the model's "
       "own optimiser. One form for all tasks, as in the later codebases; the paper halves only "
       "the regression losses.",
       arguments=shape)
method("imtl_l", TorchJDLoss, "IMTLL", "Liu et al. 2021 (IMTL), ICLR, OpenReview IMPnRXEWpvr",
       "Σ_t (exp(s_t) L_t − s_t): log-scales s_t, 0 at the start, trained by the model's own "
       "optimiser. Twice the objective of `uncertainty` at −s: under an optimiser that does not "
       "heed the scale of gradients, Adam, they coincide.",
       arguments=shape)
method("dwa", torchjd.DWAAdapter, "DWA", "Liu, Johns & Davison 2019, arXiv 1803.10704",
       "Σ_t λ_t L_t, λ = K softmax(r / T), r_t the ratio of the mean losses of the last two "
       "epochs; equal until there are two.",
       {"temperature": option(2.0, "T (the paper: 2)", gt=0),
        "epoch": option(25, "steps of an epoch (the paper: a pass over the data)", ge=1)},
       arguments=lambda options, K: {"temperature": options["temperature"]},
       state=("_loss_sum", "_n_batches", "_previous_averages"))
method("rlw", TorchJDLoss, "Random", "Lin et al. 2022 (RLW), arXiv 2111.10603",
       "Random weights, the softmax of K normal numbers, new at every step.",
       random=True)
method("gls", TorchJDLoss, "GeometricMean", "Chennupati et al. 2019 (GLS), arXiv 1904.08492",
       "The geometric mean of the losses, which must be positive.")
method("famo", torchjd.FAMOAdapter, "FAMO", "Liu et al. 2023 (FAMO), arXiv 2306.03792",
       "c Σ_t z_t log L_t with z = softmax(w): w is trained, by its own Adam, on how far the "
       "step has brought each loss down.",
       {"lr": option(0.025, "learning rate of w (the paper: 0.025)", ge=0),
        "weight_decay": option(1e-3, "of w (the paper's γ: 0.001)", ge=0)},
       arguments=shape, state=("_prev_losses",))
method("stch", TorchJDLoss, "STCH", "Lin et al. 2024 (STCH), arXiv 2402.19078",
       "μ log Σ_t exp(L_t / (K μ)): a smooth maximum of the losses, in which the worst task has "
       "the most weight.",
       {"mu": option(0.1, "the smoothing, → 0 for the maximum (the paper: 0.01 to 1)", gt=0)})
method("pbi", torchjd.PBIAdapter, "PBI", "Zhang & Li 2007 (MOEA/D), IEEE TEC 11(6)",
       "The length of L along (1, …, 1) and θ times its distance from there; tasks below the "
       "mean may have negative weights.",
       {"theta": option(5.0, "price of the distance (the paper: 5)", ge=0)},
       arguments=lambda options, K: {"weights": torch.ones(K), **options})
# fmt: on
