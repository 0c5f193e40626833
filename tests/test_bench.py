"""The benchmarks: the timing, the record, the problems, what every method does on one problem, and
the command."""

import json
import subprocess
import sys
from functools import partial
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from mtlstudy import cli
from mtlstudy.bench import (
    methods,
    own,
    peers,
    problems,
    record,
    scale,
    solver,
    step,
    timing,
    train,
)
from mtlstudy.errors import InputError
from mtlstudy.nash.reference import residual
from mtlstudy.study import benchmarks, plan
from mtlstudy.study.solver import stress
from mtlstudy.training import store as runs
from mtlstudy.training.config import RunConfig
from mtlstudy.training.modes import peak
from mtlstudy.training.sampling import Sampler

NASH_MTL = """
import missing_helper
from methods.other import x
import torch, numpy as np
class NashMTL:
    def __init__(self, n_tasks, device, max_norm, update_weights_every, optim_niter):
        self.prvs_alpha = np.ones(n_tasks, dtype=np.float32)
    def _init_optim_problem(self): ...
    def solve_optimization(self, gtg):
        self.prvs_alpha = 1 / np.sqrt(np.diag(gtg) * self.normalization_factor)
        return self.prvs_alpha
    def backward(self, losses, shared_parameters, **others):
        sum(losses * torch.from_numpy(self.prvs_alpha)).backward()
        torch.nn.utils.clip_grad_norm_(shared_parameters, 1.0)
"""


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like the published code."""
    package = tmp_path / "nash-mtl" / "methods"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('not to be run')")
    (package / "other.py").write_text("x = 1")
    (package / "weight_methods.py").write_text(NASH_MTL.replace("import missing_helper\n", ""))
    return tmp_path / "nash-mtl"


@pytest.fixture
def ecos(monkeypatch):
    """As if ECOS were installed."""
    monkeypatch.setattr(peers, "ready", lambda name: None)


@pytest.fixture
def clock(monkeypatch):
    """A clock that only `wait(seconds)` moves."""
    now = [0.0]
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def wait(seconds):
        now[0] += seconds

    return wait


def test_interleaved_times_in_turns(clock):
    seen = []

    def call(name, seconds):
        seen.append(name)
        clock(seconds)

    calls = {"slow": partial(call, "slow", 0.02), "slower": partial(call, "slower", 0.04)}
    samples = timing.interleaved(calls, rounds=4, warmup=0)
    turns = ["slow", "slower", "slow", "slower", "slower", "slow"]
    assert seen == [*turns, "slow", "slower", "slower", "slow"]
    assert list(samples["round"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    low, high = timing.summary(samples, "slow")
    assert low["ratio"] == 1 and high["repeats"] == 4 and high["ms"] == pytest.approx(40)
    assert (high["ratio_low"], high["ratio_high"]) == pytest.approx((2, 2))


def test_a_short_function_is_called_often_and_a_slow_one_takes_part_in_fewer_rounds(clock):
    counts = {"short": 0, "long": 0, "longest": 0}

    def call(name, seconds):
        counts[name] += 1
        clock(seconds)

    costs = {"short": 1e-5, "long": 0.08, "longest": 5}
    calls = {name: partial(call, name, seconds) for name, seconds in costs.items()}
    samples = timing.interleaved(calls, rounds=40, seconds=3.0, parts={"short": 2})
    rounds = samples.groupby("method")["round"].count().to_dict()
    assert rounds == {"short": 40, "long": 10, "longest": 3}
    assert counts == {"short": 2 + 40 * 2000, "long": 12, "longest": 5}
    short = samples.loc[samples["method"] == "short", "seconds"]
    assert short.median() == pytest.approx(5e-6)


def test_a_fresh_candidate_is_made_for_every_sample():
    made, called = [], []

    def make():
        made.append(1)
        return lambda: called.append(1)

    timing.interleaved({"a": timing.Fresh(make)}, rounds=5, warmup=0)
    assert len(made) == len(called) == 5
    with pytest.raises(InputError, match="rounds = 0"):
        timing.interleaved({"a": make}, rounds=0)


def test_drift_cancels_in_the_ratio():
    rows = [
        {"method": method, "round": i, "seconds": factor * drift}
        for i, drift in enumerate(np.linspace(1, 3, 9))
        for method, factor in (("a", 1e-3), ("b", 2e-3))
    ]
    a, b = timing.summary(pd.DataFrame(rows), "a")
    assert (b["ratio_low"], b["ratio"], b["ratio_high"]) == pytest.approx((2, 2, 2))
    assert a["ms_high"] > 1.2 * a["ms_low"]
    assert np.isnan(timing.summary(pd.DataFrame(rows), "none")[0]["ratio"])


def test_peak_memory_of_a_known_allocation():
    def call():
        result = torch.zeros(250_000)  # 1 MB
        for _ in range(3):
            torch.ones(500_000)  # 2 MB, one after the other
        return result

    assert peak(call, torch.device("cpu")) == pytest.approx(3.0, abs=0.01)


def test_record():
    row = {"part": "single", "method": "newton", "K": 2, "ms": 0.1, "cases": 3, "failed": 1}
    table = benchmarks.frame([row | {"ratio": 1.0}])
    assert list(table) == list(benchmarks.COLUMNS)
    assert benchmarks.source("solver") == benchmarks.PUBLISHED / "solver.csv"
    origin = record.provenance("quick", "cpu", {"nash-mtl": "abc"}, ["a note"])
    path = record.write("solver", table, origin)
    assert path == benchmarks.source("solver") == runs.build_folder() / "bench" / "solver.csv"
    back = pd.read_csv(path)
    assert back.loc[0, "K"] == 2 and np.isnan(back.loc[0, "batch"])
    written = json.loads(path.with_suffix(".json").read_text())
    named = {"processor", "cores", "threads", "packages", "peers", "notes", "command"}
    assert named | {"commit", "torch", "date"} <= set(written)
    assert "/" not in written["command"] and written["peers"] == {"nash-mtl": "abc"}
    expected = {"part": "single", "method": "newton", "K": "2", "ms": "0.1", "ratio": "1"}
    shown = dict(zip(record.SHOWN, record.shown(table)[0], strict=True))
    assert {key: text for key, text in shown.items() if text} == expected | {"failed": "1/3"}
    with pytest.raises(InputError, match="did you mean 'solver'"):
        benchmarks.source("slover")
    with pytest.raises(InputError, match="columns"):
        benchmarks.frame([{"speed": 1}])


@pytest.mark.parametrize("kind", ["mlp", "transformer", "own_mlp"])
def test_problems_are_the_same_every_time(kind):
    made = [problems.make(kind, 3, width=8, depth=1, batch=4) for _ in range(2)]
    (first, z), (second, _) = (problem.losses() for problem in made)
    assert z.shape == (4, 8) and [x.item() for x in first] == [x.item() for x in second]
    facts = made[0].facts()
    assert facts["K"] == 3 and facts["batch"] == 4
    assert facts["length"] == (32 if kind == "transformer" else None)
    with pytest.raises(InputError, match="problem"):
        problems.make("gru", 2)


def small(K=3):
    return problems.make("mlp", K, inputs=6, width=8, depth=2, batch=16)


@pytest.mark.parametrize("name", [name for name in methods.OURS if name != "nash_compiled"])
def test_our_methods(name):
    problem = small()
    call = methods.OURS[name](problem)
    call()
    found = step.checked(call, problem)
    if name == "nash_representation" or not name.startswith("nash"):
        assert found.get("failed", 0) == 0
    else:
        assert found["cases"] == step.CHECKED and found["residual"] < 1e-9
        assert found["failed"] == found["silent"] == 0


@pytest.mark.parametrize("name", [name for name in methods.THEIRS if "upgrad" in name])
def test_torchjd_steps(name):
    pytest.importorskip("torchjd")
    problem = small()
    before = [p.clone() for p in problem.model.parameters()]
    call = methods.THEIRS[name](problem)
    call()
    assert step.checked(call, problem) == {}
    after = problem.model.parameters()
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_customary_procedure_goes_where_nash_goes():
    pytest.importorskip("cvxpy")
    ours, theirs = small(), small()
    methods.OURS["nash_sequential"](ours)()
    other = methods.official("CLARABEL")(theirs)
    other()
    for p, q in zip(ours.shared(), theirs.shared(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-4, rtol=1e-3)
    assert step.checked(other, theirs)["residual"] < 1e-2


def test_what_cannot_be_run_is_a_note():
    def fails(problem):
        raise ValueError("not with\nthis")

    notes = []
    made = methods.made({"limit": methods.limit, "fails": fails}, small, "here", notes)
    assert list(made) == ["limit"] and notes == ["fails is left out of here: not with"]


def test_measured_rows():
    timed = {name: methods.OURS[name] for name in ("limit", "nash_sequential")}
    table = benchmarks.frame(step.measured("mlp", small, timed, (3, 1.0), "limit", []))
    assert list(table["method"]) == ["limit", "nash_sequential"] and (table["memory_mb"] > 0).all()
    assert table.loc[0, "ratio"] == 1 and table.loc[1, "failed"] == 0
    assert pd.isna(table.loc[0, "cases"])


def test_ones_own_models_are_timed_by_backward_and_what_stands_beside_it(monkeypatch):
    monkeypatch.setattr(own, "SIZES", dict.fromkeys(own.SIZES, (2,)))
    monkeypatch.setattr(own, "ROUNDS", {"quick": (2, 1.0)})
    table, notes = own.run("quick")
    for part in own.SIZES:
        rows = table[table["part"] == part].set_index("method")
        assert {"equal", "backward_equal", "nash_sequential", "backward"} <= set(rows.index)
        assert set(rows.index) <= set(own.TIMED) and rows.loc["nash_sequential", "ratio"] == 1
        assert rows.loc["backward", "failed"] == 0 and rows.loc["backward", "residual"] < 1e-9
    assert not [note for note in notes if note.startswith("backward")]


def test_the_memory_of_a_step_has_the_task_gradients_that_are_kept():
    wide = partial(problems.make, "mlp", 6, width=512, depth=2, batch=2)
    J = 6 * sum(p.numel() for p in wide().shared()) * 4 / 1e6
    timed = {"nash_sequential": methods.OURS["nash_sequential"]}
    (row,) = step.measured("mlp", wide, timed, (2, 1.0), "nash_sequential", [])
    assert J < row["memory_mb"] < 3 * J


def test_solvers_agree_on_a_well_conditioned_game():
    pytest.importorskip("cvxpy")
    posed = solver.game(np.random.default_rng(0).standard_normal((4, 16)))
    for name, solve in [*solver.solvers([], []).items(), ("compiled", solver.ccp_compile)]:
        a, status = solve(posed)
        assert residual(posed.M, a) < 1e-5, name
        assert status in ("SOLVED", "optimal", "")


def test_stress_counts():
    def wrong(posed):
        return np.ones(len(posed.M)), "optimal"

    def mute(posed):
        return np.full(len(posed.M), np.nan), ""

    cases = [case for case in stress("quick") if len(case.J) < 4 and case.seed < 2]
    found = {"newton": solver.newton, "wrong": wrong, "mute": mute}
    rows = pd.DataFrame(solver.stressed(found, cases, few=1)).set_index("method")
    assert rows.loc["newton", ["cases", "failed", "silent"]].tolist() == [80, 0, 0]
    assert rows.loc["wrong", "failed"] == rows.loc["wrong", "silent"] > 0
    assert rows.loc["mute", ["cases", "failed", "silent"]].tolist() == [40, 40, 0]


def test_a_peer_is_recognised_and_leaves_nothing_behind(checkout, ecos):
    found = peers.peer(checkout)
    text = ["git", "hash-object", str(checkout / "methods" / "weight_methods.py")]
    blob = subprocess.run(text, capture_output=True, text=True, check=True).stdout[:12]
    assert (found.name, found.method, found.version()) == ("nash-mtl", "nash_mtl", f"blob {blob}")
    assert not [name for name in sys.modules if name.split(".")[0] == "methods"]
    np.testing.assert_allclose(found.solver(2)(np.diag([4.0, 1.0])), [0.5, 1.0])
    problem = small(2)
    call = methods.by_peer(found)(problem)
    before = problem.shared()[0].clone()
    assert call().weights.tolist() == [1, 1]
    assert not torch.equal(before, problem.shared()[0])


def test_a_peer_that_cannot_be_used_is_one_line(checkout, tmp_path, ecos, monkeypatch):
    with pytest.raises(InputError, match=r"is not known; allowed: a checkout of nash-mtl, LibMTL"):
        peers.peer(tmp_path)
    (checkout / "methods" / "weight_methods.py").write_text(NASH_MTL)
    with pytest.raises(InputError, match=r"cannot be imported .*missing_helper"):
        peers.peer(checkout)
    monkeypatch.undo()
    cvxpy = pytest.importorskip("cvxpy")
    monkeypatch.setattr(cvxpy, "installed_solvers", lambda: ["CLARABEL"])
    with pytest.raises(InputError, match="needs the solver ECOS"):
        peers.peer(checkout)


def test_growth_is_the_slope():
    rows = [{"part": "K", "method": "a", "K": K, "ms": 5 * K**2} for K in (2, 4, 8, 16, 32)]
    rows += [{"part": "length", "method": "b", "length": n, "ms": 7.0 * n} for n in (8, 16)]
    found = benchmarks.growth(benchmarks.frame(rows))
    assert len(found) == 1 and found.loc[0, "exponent"] == pytest.approx(2)
    assert found.loc[0, "error"] < 1e-9 and found.loc[0, "sizes"] == 3


def test_what_is_slow_is_not_tried_on_anything_larger(monkeypatch):
    """A solver outside the package stops, and the package's own goes on."""
    pytest.importorskip("cvxpy")
    monkeypatch.setattr(scale, "SIZES", {"quick": {"solver": (2, 3, 4)}})
    monkeypatch.setattr(scale, "OUTSIDE", {True: ("conic",)})
    monkeypatch.setattr(scale, "ROUNDS", {"quick": (2, 0.1)})
    table, notes = scale.run("quick")
    assert list(table["method"]) == 3 * ["newton", "conic"] and table["failed"].isna().all()
    monkeypatch.setattr(scale, "SECONDS", 1e-9)
    table, notes = scale.run("quick")
    assert notes[-1] == "conic stops at solver = 3: more than 1e-09 s a call before"
    assert list(table.loc[table["method"] == "newton", "K"]) == [2, 3, 4]
    stopped = table[table["failed"] == 1]
    assert stopped[["method", "K"]].to_numpy().tolist() == [["conic", 3]]
    assert list(table.loc[table["method"] == "conic", "K"]) == [2, 3]


def test_the_loop_and_its_shares(tmp_path):
    config = RunConfig(data="yeast", device="cpu", steps=60, evaluations=2)
    found = train.shares(train.fresh(config, tmp_path))
    parts = {"draw", "step", "evaluation", "checkpoint", "recording", "results", "rest"}
    assert set(found) == parts | {"run"}
    assert sum(found[name] for name in parts) == pytest.approx(found["run"])
    assert found["step"] > 0.2 * found["run"]
    training = train.fresh(config, tmp_path)
    train.steps(training, 60)
    assert training.train.calls == 60


def test_every_method_of_the_plan_has_a_step_ratio():
    notes = []
    rows = list(train.methods("yeast", (3, 0.1), "cpu", notes))
    names = {f"{family}+equal" for family in plan.FAMILIES}
    names |= {f"hard+{weighting}" for weighting in plan.WEIGHTINGS}
    refused = {note.partition(" is left out of yeast: ")[0] for note in notes}
    assert refused < names and len(refused) == len(notes) <= 1
    assert {row["method"] for row in rows} == names - refused
    assert len(rows) == len(names - refused)
    frames = {"train": benchmarks.frame(rows)}
    found = benchmarks.step_ratios(frames)
    assert list(found) == ["data", "method", "ratio"] and set(found["data"]) == {"yeast"}
    ratio = found.set_index("method")["ratio"]
    assert ratio["hard+equal"] == 1 and (ratio > 0).all()
    assert ratio["hard+nash"] > 1 and ratio["single_task+equal"] > 1
    assert benchmarks.step_ratios({"train": benchmarks.frame([])}).empty


def test_drawing_a_batch_is_a_small_part_of_a_step():
    """Also of token sequences, whose batches are the widest."""
    problem = problems.make("transformer", 3, batch=4000)
    draw = Sampler(problem.batch, 32, seed=0).draw
    short = problems.Problem(problem.name, problem.model, draw(), problem.length)
    train_step = methods.ours("equal")(short)
    times = timing.interleaved({"draw": draw, "step": train_step}, rounds=5, seconds=1.0)
    drawing = timing.summary(times, "step")[0]
    assert drawing["method"] == "draw" and 0 < drawing["ratio"] < 0.1


def test_every_benchmark_has_a_baseline():
    for name in benchmarks.BENCHES:
        module = import_module(f"mtlstudy.bench.{name}")
        assert module.BASELINE and callable(module.run)


def test_the_command(monkeypatch):
    table = benchmarks.frame([{"part": "single", "method": "newton", "ms": 0.1}])
    monkeypatch.setattr(solver, "run", lambda *given: (table, ["a note"]))
    found = CliRunner().invoke(cli.app, ["bench", "solver"])
    assert found.exit_code == 0, found.output
    assert "newton" in found.output and "a note" in found.output
    assert (runs.build_folder() / "bench/solver.json").exists()
    for words, expected in (
        (["bench", "solve"], "did you mean 'solver'"),
        (["bench", "solver", "--profile", "fast"], "profile = 'fast'"),
    ):
        wrong = CliRunner().invoke(cli.app, words)
        assert wrong.exit_code == 2 and expected in wrong.output
