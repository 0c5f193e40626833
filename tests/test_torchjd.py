"""The adapters to torchjd give what torchjd gives, bit for bit, and fail in one line."""

import subprocess
import sys

import pytest
import torch
from torchjd import _mixins, aggregation, scalarization

from mtlstudy import InputError, Status, weighting
from mtlstudy.weighting.torchjd import TorchJD, TorchJDGramian, TorchJDJacobian, TorchJDLoss

NAMES = [name for name in weighting.names() if issubclass(weighting.get(name), TorchJD)]
LIBRARY = {  # each with the options that the shelf has for defaults
    "aligned_mtl": lambda: aggregation.AlignedMTLWeighting(scale_mode="min"),
    "cagrad": lambda: aggregation.CAGradWeighting(c=0.4),
    "cr_mogm": lambda: aggregation.CRMOGMWeighting(
        aggregation.MGDAWeighting(epsilon=1e-3, max_iters=100), alpha=0.9
    ),
    "dualproj": lambda: aggregation.DualProjWeighting(),
    "fairgrad": lambda: aggregation.FairGradWeighting(alpha=2.0),
    "gradvac": lambda: aggregation.GradVacWeighting(beta=0.5),
    "imtl_g": lambda: aggregation.IMTLGWeighting(),
    "mgda": lambda: aggregation.MGDAWeighting(epsilon=1e-3, max_iters=100),
    "pcd": lambda: aggregation.PCDWeighting(tau=0.02, beta=0.999),
    "pcgrad": lambda: aggregation.PCGradWeighting(),
    "rgw": lambda: aggregation.RandomWeighting(),
    "upgrad": lambda: aggregation.UPGradWeighting(),
    "config": lambda: aggregation.ConFIG(),
    "excess_mtl": lambda: aggregation.ExcessMTL(robust_step_size=1.0, n_warmup_steps=0),
    "graddrop": lambda: aggregation.GradDrop(),
    "dwa": lambda: scalarization.DWA(temperature=2.0),
    "famo": lambda: scalarization.FAMO(3, lr=0.025, weight_decay=1e-3),
    "gls": lambda: scalarization.GeometricMean(),
    "imtl_l": lambda: scalarization.IMTLL(3),
    "pbi": lambda: scalarization.PBI(theta=5.0, weights=torch.ones(3)),
    "rlw": lambda: scalarization.Random(),
    "stch": lambda: scalarization.STCH(mu=0.1),
    "uncertainty": lambda: scalarization.UW(3),
}
STEPS = 6
random = torch.Generator().manual_seed(3)
J = torch.randn(STEPS, 3, 7, dtype=torch.float64, generator=random)
LOSSES = 2 * torch.rand(STEPS, 3, generator=random) + 0.1


def make(name, blocks=1, **options):
    cls = weighting.get(name)
    torch.manual_seed(0)  # the run's seed: draws are then seeded by the count of steps
    return cls(3, blocks, cls.Options.parse(name, options))


def test_every_entry_is_compared():
    assert list(NAMES) == sorted(LIBRARY)
    print(f"{len(NAMES)} methods of torchjd, {STEPS} steps each")


@pytest.mark.parametrize("name", [n for n in NAMES if issubclass(weighting.get(n), TorchJDGramian)])
def test_weights_of_gramians_are_those_of_torchjd(name):
    entry, library = make(name), LIBRARY[name]()
    for i in range(STEPS):
        M = J[i] @ J[i].T
        chosen = entry(LOSSES[i], M[None])
        with torch.random.fork_rng():
            torch.manual_seed(i)
            assert torch.equal(chosen.weights[0], library(M)) and chosen.status.tolist() == [
                Status.SOLVED
            ]


@pytest.mark.parametrize(
    "name", [n for n in NAMES if issubclass(weighting.get(n), TorchJDJacobian)]
)
def test_directions_are_those_of_torchjd(name):
    entry, library = make(name), LIBRARY[name]()
    for i in range(STEPS):
        with torch.random.fork_rng():
            torch.manual_seed(i)
            expected = library(J[i])
        assert torch.equal(entry.aggregate(J[i]), expected)


@pytest.mark.parametrize("name", [n for n in NAMES if issubclass(weighting.get(n), TorchJDLoss)])
def test_objectives_of_losses_are_those_of_torchjd(name):
    entry, library = make(name, **({"epoch": 2} if name == "dwa" else {})), LIBRARY[name]()
    for i in range(STEPS):
        if name == "dwa" and i % 2 == 0:
            library.step()
        weights, value = entry(LOSSES[i]).weights[0], entry.objective(LOSSES[i])
        leaf = LOSSES[i].clone().requires_grad_()
        with torch.random.fork_rng():
            torch.manual_seed(i + 1)
            expected = library(leaf)
        assert torch.equal(value, expected) and torch.equal(
            weights, torch.autograd.grad(expected, leaf)[0].double()
        )
        after = LOSSES[i] * torch.tensor([0.9, 0.5, 0.8])
        entry.after_step(after)
        if name == "famo":
            library.update(after)


def test_famo_and_dwa_learn():
    famo, dwa = make("famo"), make("dwa", epoch=2)
    start = famo(LOSSES[0]).weights
    famo.after_step(LOSSES[0] * torch.tensor([0.1, 1.0, 1.0]))
    assert famo.sees_losses_again and not torch.equal(famo(LOSSES[0]).weights, start)
    seen = [dwa(losses).weights for losses in LOSSES]
    assert all(torch.equal(w, torch.ones(1, 3).double()) for w in seen[:4]) and not torch.equal(
        seen[4], seen[3]
    )
    assert all(
        p.grad is None for p in famo.parameters()
    )  # the model's optimiser leaves FAMO's logits alone


def test_blocks_remember_each_for_itself():
    both, alone = make("gradvac", blocks=2), make("pcd", blocks=1)
    M = J @ J.mT
    for i in (0, 2):
        both(LOSSES[0], M[i : i + 2])
    assert not torch.equal(*(method._phi_t for method in both.methods))
    alone(LOSSES[0], M[:1])
    with_other = make("pcd", blocks=2)
    with_other(LOSSES[0], M[:2])
    assert torch.equal(
        alone(LOSSES[0], M[2:3]).weights[0], with_other(LOSSES[0], M[2:4]).weights[0]
    )


@pytest.mark.parametrize(
    "name", [n for n in NAMES if issubclass(weighting.get(n), TorchJDGramian) and n != "rgw"]
)
def test_what_is_not_finite_is_reported_and_not_remembered(name):
    entry, untouched = make(name), make(name)
    chosen = entry(LOSSES[0], torch.full((1, 3, 3), torch.nan, dtype=torch.float64))
    assert chosen.status.tolist() == [Status.NON_FINITE] and chosen.weights.tolist() == [[0, 0, 0]]
    untouched.step += 1
    M = (J[1] @ J[1].T)[None]
    assert torch.equal(entry(LOSSES[1], M).weights, untouched(LOSSES[1], M).weights)


def test_fairgrad_says_where_its_least_squares_end_early():
    M = (J[0] @ J[0].T)[None]
    assert make("fairgrad")(LOSSES[0], M).status.tolist() == [Status.SOLVED]
    assert make("fairgrad")(LOSSES[0], 1e-12 * M).status.tolist() == [Status.MAX_ITERATIONS]


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_explained_and_bounded(name):
    options = weighting.get(name).Options
    for field, info in options.model_fields.items():
        assert info.description or field == "update_every", field
        assert info.metadata or "Literal" in str(info.annotation), field


@pytest.mark.parametrize("name", ["uncertainty", "mgda", "graddrop"])
def test_without_torchjd_one_line_says_so(name, monkeypatch):
    monkeypatch.setitem(sys.modules, weighting.get(name).package, None)
    with pytest.raises(
        InputError, match=rf"'{name}' needs torchjd .*pip install 'mtlstudy\[study\]'"
    ) as refused:
        make(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "solver"), [("upgrad", "quadprog"), ("dualproj", "qpsolvers"), ("cagrad", "cvxpy")]
)
def test_without_its_solver_one_line_says_so(name, solver, monkeypatch):
    monkeypatch.setattr(
        _mixins, "find_spec", lambda package: None if package == solver else package
    )
    with pytest.raises(InputError, match=rf"'{name}' needs torchjd .*'{solver}'") as refused:
        make(name)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_torchjd_and_cvxpy_are_imported_on_the_first_call_only():
    code = (
        "import sys, mtlstudy.nash.reference, mtlstudy.weighting\n"
        "assert 'upgrad' in mtlstudy.weighting.names()\n"
        "assert not {'torchjd', 'cvxpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
