"""The benchmarks: the timing, the record, the problems, what every method does on one problem, and the command."""

import json
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from mtlstudy import cli
from mtlstudy.bench import BENCHES, methods, peers, probe, problems, record, scale, solver, step, timing, together, train
from mtlstudy.training.config import RunConfig
from mtlstudy.errors import InputError
from mtlstudy.study import korean_settings
from mtlstudy.training.memory import peak
from mtlstudy.registry import entry

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
    assert seen == ["slow", "slower", "slow", "slower", "slower", "slow", "slow", "slower", "slower", "slow"]
    assert list(samples["round"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    low, high = timing.summary(samples, "slow")
    assert low["ratio"] == 1 and high["ratio_low"] == pytest.approx(2) and high["ratio_high"] == pytest.approx(2)
    assert high["repeats"] == 4 and high["ms"] == pytest.approx(40)


def test_a_short_function_is_called_often_and_a_slow_one_takes_part_in_fewer_rounds(clock):
    counts = {"short": 0, "long": 0, "longest": 0}

    def call(name, seconds):
        counts[name] += 1
        clock(seconds)

    calls = {"short": partial(call, "short", 1e-5), "long": partial(call, "long", 0.08), "longest": partial(call, "longest", 5)}
    samples = timing.interleaved(calls, rounds=40, seconds=3.0, parts={"short": 2})
    assert samples.groupby("method")["round"].count().to_dict() == {"short": 40, "long": 10, "longest": 3}
    assert counts == {"short": 2 + 40 * 2000, "long": 12, "longest": 5}
    assert samples[samples["method"] == "short"]["seconds"].median() == pytest.approx(5e-6)


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
    drift = np.linspace(1, 3, 9)
    rows = [{"method": m, "round": i, "seconds": f * d} for i, d in enumerate(drift) for m, f in (("a", 1e-3), ("b", 2e-3))]
    a, b = timing.summary(pd.DataFrame(rows), "a")
    assert (b["ratio_low"], b["ratio"], b["ratio_high"]) == pytest.approx((2, 2, 2)) and a["ms_high"] > 1.2 * a["ms_low"]
    assert np.isnan(timing.summary(pd.DataFrame(rows), "none")[0]["ratio"])


def test_peak_memory_of_a_known_allocation():
    def call():
        kept = torch.zeros(250_000)  # 1 MB
        for _ in range(3):
            torch.ones(500_000)  # 2 MB, one after the other
        return kept

    assert peak(call, torch.device("cpu")) == pytest.approx(3.0, abs=0.01)


def test_record(store):
    table = record.frame([{"part": "single", "method": "newton", "K": 2, "ms": 0.1, "ratio": 1.0, "cases": 3, "failed": 1}])
    assert list(table) == list(record.COLUMNS)
    assert record.source("solver") == record.PUBLISHED / "solver.csv" and record.PUBLISHED.is_absolute()
    path = record.write("solver", table, record.provenance("quick", "cpu", {"nash-mtl": "abc"}, ["a note"]))
    assert path == record.source("solver") == store.parent / "_build" / "bench" / "solver.csv"
    back = pd.read_csv(path)
    assert back.loc[0, "K"] == 2 and np.isnan(back.loc[0, "batch"])
    origin = json.loads(path.with_suffix(".json").read_text())
    assert {"cpu", "cores", "threads", "packages", "peers", "notes", "command", "commit", "torch", "date"} <= set(origin)
    assert "/" not in origin["command"] and origin["peers"] == {"nash-mtl": "abc"}
    assert record.shown(table) == [["single", "", "newton", "2", "0.1", "1", "", "", "1/3", ""]]
    with pytest.raises(InputError, match="did you mean 'solver'"):
        record.source("slover")
    with pytest.raises(InputError, match="columns"):
        record.frame([{"speed": 1}])


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
def test_problems_are_the_same_every_time(kind):
    made = [problems.make(kind, 3, width=8, depth=1, batch=4) for _ in range(2)]
    (first, z), (second, _) = (problem.losses() for problem in made)
    assert z.shape == (4, 8) and [x.item() for x in first] == [x.item() for x in second]
    facts = made[0].facts()
    assert facts["K"] == 3 and facts["batch"] == 4 and facts["length"] == (32 if kind == "transformer" else None)
    with pytest.raises(InputError, match="problem"):
        problems.make("cnn", 2)


def small(K=3):
    return problems.make("mlp", K, inputs=6, width=8, depth=2, batch=16)


@pytest.mark.parametrize("name", methods.OURS)
def test_our_methods(name):
    if name == "nash_compiled":
        pytest.skip("minutes of compiling")
    problem = small()
    call = methods.OURS[name](problem)
    call()
    found = step.checked(call, problem)
    if name == "nash_representation" or not name.startswith("nash"):
        assert found.get("failed", 0) == 0
    else:
        assert found["cases"] == step.CHECKED and found["failed"] == found["silent"] == 0 and found["residual"] < 1e-9


@pytest.mark.parametrize("name", ["torchjd_upgrad", "torchjd_upgrad_chunk_1", "torchjd_autogram_upgrad"])
def test_torchjd_steps(name):
    pytest.importorskip("torchjd")
    problem = small()
    before = [p.clone() for p in problem.model.parameters()]
    call = methods.THEIRS[name](problem)
    call()
    assert step.checked(call, problem) == {}
    assert all(not torch.equal(a, b) for a, b in zip(before, problem.model.parameters(), strict=True))


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
    rows = list(step.measured("mlp", small, {k: methods.OURS[k] for k in ("limit", "nash_sequential")}, 3, 1.0, "limit", []))
    table = record.frame(rows)
    assert list(table["method"]) == ["limit", "nash_sequential"] and (table["memory_mb"] > 0).all()
    assert table.loc[0, "ratio"] == 1 and table.loc[1, "failed"] == 0 and pd.isna(table.loc[0, "cases"])


def test_the_memory_of_a_step_has_the_task_gradients_that_are_kept():
    wide = partial(problems.make, "mlp", 6, width=512, depth=2, batch=2)
    J = 6 * sum(p.numel() for p in wide().shared()) * 4 / 1e6
    (row,) = step.measured("mlp", wide, {"nash_sequential": methods.OURS["nash_sequential"]}, 2, 1.0, "nash_sequential", [])
    assert J < row["memory_mb"] < 3 * J


def test_solvers_agree_on_a_well_conditioned_game():
    pytest.importorskip("cvxpy")
    posed = solver.game(np.random.default_rng(0).standard_normal((4, 16)))
    for name, solve in solver.solvers([], []).items():
        a, status = solve(posed)
        assert solver.residual(posed.M, a) < 1e-5, name
        assert status in ("SOLVED", "optimal", "")


def test_stress_counts(monkeypatch):
    monkeypatch.setattr(solver, "SIZES", (2, 3))
    cases = list(solver.stress("quick"))[:40]
    monkeypatch.setattr(solver, "stress", lambda profile: iter(cases))
    wrong = lambda posed: (np.ones(len(posed.M)), "optimal")  # noqa: E731
    mute = lambda posed: (np.full(len(posed.M), np.nan), "")  # noqa: E731
    rows = pd.DataFrame(solver._stressed("quick", {"newton": solver.newton, "wrong": wrong, "mute": mute}))
    whole = rows[rows["part"] == "stress"].set_index("method")
    assert whole.loc["newton", ["cases", "failed", "silent"]].tolist() == [40, 0, 0]
    assert whole.loc["wrong", "failed"] == whole.loc["wrong", "silent"] > 0
    assert whole.loc["mute", ["failed", "silent"]].tolist() == [40, 0]
    assert rows[rows["part"] == "stress_bound"].set_index("method").loc["newton", "failed"] == 0
    assert rows[rows["part"] == "stress_family"]["cases"].sum() == 120


def test_a_peer_is_recognised_and_leaves_nothing_behind(checkout, ecos):
    found = peers.peer(checkout)
    text = ["git", "hash-object", str(checkout / "methods" / "weight_methods.py")]
    blob = "blob " + subprocess.run(text, capture_output=True, text=True, check=True).stdout[:12]
    assert (found.name, found.method, found.version()) == ("nash-mtl", "nash_mtl", blob)
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


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ((abs, 1), None),
        ((int, "x"), "invalid literal for int() with base 10: 'x'"),
        ((time.sleep, 60), "more than 1 s a call"),
        ((torch.zeros, 2**33), "more than 12 GB"),
        ((sys.exit, 3), "the process ended with exit code 3"),
    ],
)
def test_a_call_is_tried_within_limits(call, reason, monkeypatch):
    monkeypatch.setattr(probe, "SECONDS", 1.0 if call[0] is time.sleep else 60.0)
    assert probe.tried(partial, *call) == reason


def test_growth_is_the_slope():
    rows = [{"part": "K", "method": "a", "K": K, "ms": 5 * K**2} for K in (2, 4, 8, 16, 32)]
    rows += [{"part": "length", "method": "b", "length": n, "ms": 7.0 * n} for n in (8, 16)]
    found = scale.growth(record.frame(rows))
    assert len(found) == 1 and found.loc[0, "exponent"] == pytest.approx(2) and found.loc[0, "error"] < 1e-9
    assert found.loc[0, "sizes"] == 3


@pytest.mark.parametrize("weighting", ["equal", "nash"])
def test_seeds_together_are_the_seeds_apart(weighting):
    config = RunConfig(data="yeast", weighting=weighting, device="cpu")
    apart, at_once = together.Apart(config, 3), together.Together(config, 3)
    assert together.difference(apart, at_once) == 0
    apart()
    at_once()
    for name, value in zip(at_once.names, at_once.values, strict=True):
        own = [dict(model.named_parameters())[name].grad for model in apart.models]
        torch.testing.assert_close(value.grad, torch.stack(own), atol=1e-6, rtol=1e-4)
    with pytest.raises(InputError, match="allowed: equal, nash"):
        together.Together(RunConfig(data="yeast", weighting="dwa"), 2)


def test_the_loop_and_its_shares(tmp_path):
    config = RunConfig(data="yeast", device="cpu", steps=120, evaluations=2)
    found = train.shares(train.fresh(config, tmp_path, train.Watched))
    assert set(found) == {"run", "draw", "step", "evaluation", "checkpoint", "recording", "results", "rest"}
    parts = [value["share"] for name, value in found.items() if name != "run"]
    assert sum(parts) == pytest.approx(1) and found["step"]["share"] > 0.2
    training = train.fresh(config, tmp_path)
    train.bare(training)()
    assert training.train.calls == 120


@pytest.mark.skipif(not entry("data", "korean_tagging").available(), reason="korean_tagging is not on this machine")
def test_drawing_a_batch_is_a_small_part_of_a_step(tmp_path):
    config = korean_settings.config("korean_tagging", "hard+equal", "quick").but(steps=60, evaluations=1)
    found = train.shares(train.fresh(config, tmp_path, train.Watched))
    assert 0 < found["draw"]["seconds"] < 0.05 * found["step"]["seconds"]


def test_every_benchmark_has_a_baseline():
    for name in BENCHES:
        module = record.benchmark(name)
        assert module.BASELINE and callable(module.run)


def test_the_command(store, monkeypatch):
    monkeypatch.setattr(
        solver, "run", lambda *given: (record.frame([{"part": "single", "method": "newton", "ms": 0.1}]), ["a note"])
    )
    found = CliRunner().invoke(cli.app, ["bench", "solver"])
    assert found.exit_code == 0, found.output
    assert "newton" in found.output and "a note" in found.output and (store.parent / "_build/bench/solver.json").exists()
    for words, said in (
        (["bench", "solve"], "did you mean 'solver'"),
        (["bench", "solver", "--profile", "fast"], "profile = 'fast'"),
    ):
        wrong = CliRunner().invoke(cli.app, words)
        assert wrong.exit_code == 2 and said in wrong.output
