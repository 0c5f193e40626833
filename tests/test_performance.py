"""The chapter on performance: tables, figures and claims follow the benchmarks' rows, and say where
there are none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtlstudy import files
from mtlstudy.study import benchmarks, performance, publish
from mtlstudy.study.claims import Claim, sentences
from mtlstudy.study.figures import performance as figures
from mtlstudy.study.performance import bfloat16, findings, further, judged, targets
from mtlstudy.study.words import word

ORIGIN = {
    "profile": "quick",
    "device": "CPU",
    "processor": "Some CPU @ 2 GHz",
    "isa": "AVX2",
    "cores": 2,
    "threads": 1,
    "date": "2026-01-02",
    "commit": "abc1234",
    "mtlstudy": "1.0",
    "torch": "2.13",
    "python": "3.11",
    "packages": {"torchjd": "0.18.0"},
    "peers": {"nash-mtl": "def5678"},
    "notes": ["ccp_ecos is left out"],
}


def row(part: str, method: str, ms: float = 1.0, ratio: float = 1.0, **more: Any) -> dict[str, Any]:
    """A row of the schema whose quartiles lie 2 % apart."""
    spread = {
        f"{key}{end}": value * by
        for key, value in (("ms", ms), ("ratio", ratio))
        for end, by in (("", 1), ("_low", 0.99), ("_high", 1.01))
    }
    return {"part": part, "problem": part, "method": method, "repeats": 10, **spread, **more}


def solver(newton: float = 0.01, over: float = 200.0) -> pd.DataFrame:
    """newton: ms a task; over: how many times slower the procedure is."""
    others = {"newton_warm": 0.5, "ccp": over, "ccp_published": over / 2, "torchjd": 2 * over}
    rows = [row("single", "newton", newton * K, K=K) for K in (2, 5, 8, 11, 40)]
    rows += [
        row("single", method, newton * K * ratio, ratio, K=K)
        for K in (2, 5, 8, 11)
        for method, ratio in (others | {"my_peer": 90.0}).items()
    ]
    for N in (1, 16, 1024):
        ratio = 1 / N**0.5 if N > 1 else 1.02
        rows += [row("batched", "newton", 0.05 / N**0.5, ratio, K=5, batch=N)]
        rows += [row("batched", "one_by_one", 0.05, K=5, batch=N)]
    counts = (("newton", 0, 0, 1e-12), ("ccp", 30, 20, 5.0), ("my_peer", 40, 40, 7.0))
    rows += [
        row("stress", method, cases=100, failed=failed, silent=silent, residual=residual)
        for method, failed, silent, residual in counts
    ]
    return benchmarks.frame(rows)


STEP = {
    "limit": 1.0,
    "mean_loss": 0.5,
    "nash_sequential": 1.05,
    "nash_batched": 1.5,
    "nash_chunked": 1.2,
    "nash_representation": 0.95,
    "nash_every_5": 0.61,
    "official": 3.0,
    "torchjd_nash": 4.0,
}


def step(**changed: float) -> pd.DataFrame:
    """Both models alike; changed: method → ratio to the limit."""
    memory = {"nash_batched": 30.0, "nash_chunked": 15.0}
    return benchmarks.frame(
        row(
            part,
            method,
            2 * K * ratio,
            ratio,
            K=K,
            memory_mb=memory.get(method, 10.0) * K,
            residual=0.2 if method == "official" else 1e-14,
            failed=0,
            cases=5,
            silent=2 if method == "official" else 0,
        )
        for part in ("mlp", "transformer")
        for K in (2, 8)
        for method, ratio in {**STEP, **changed}.items()
    )


def own(backward: float = 1.02) -> pd.DataFrame:
    """The small models; backward: its ratio to the step at K = 8."""
    ratios = {"equal": 0.5, "backward_equal": 0.55, "nash_sequential": 1.0, "torchjd_upgrad": 1.5}
    return benchmarks.frame(
        row(part, method, 2 * K * ratio, ratio, K=K, memory_mb=1.0 * K, cases=5, failed=0, silent=0)
        for part in performance.OWN
        for K in (2, 8)
        for method, ratio in {**ratios, "backward": backward if K == 8 else 1.01}.items()
    )


def train(loop: float = 1.05, jobs: float = 0.55) -> pd.DataFrame:
    rows = []
    for run in ("yeast equal", "multi_mnist nash"):
        ratios = {"step": 1.0, "loop_full": loop, "loop_quick": 1.2}
        rows += [row("loop", method, 2.0 * r, r, problem=run) for method, r in ratios.items()]
        shares = {"run": 1.0, "step": 0.8, "draw": 0.05, "evaluation": 0.1, "rest": 0.05}
        rows += [
            {"part": "shares", "problem": run, "method": method, "ms": 2 * r, "ratio": r}
            for method, r in shares.items()
        ]
    for method, ratio in (("jobs_1", 1.0), ("jobs_2", jobs), ("jobs_2_started", 1.1 * jobs)):
        rows.append(row("jobs", method, 1000 * ratio, ratio, problem="multi_mnist nash"))
    for method, ratio in (("hard+equal", 1.0), ("hard+nash", 2.5), ("ple+equal", 3.0)):
        rows.append(row("methods", method, ratio, ratio, problem="yeast"))
    return benchmarks.frame(rows)


def scale() -> pd.DataFrame:
    rows = []
    for part, sizes in (
        ("K", (2, 8, 32, 128)),
        ("length", (8, 16, 32, 64)),
        ("parameters", (1e4, 1e5, 1e6, 1e7)),
    ):
        for method, power in (("mean_loss", 0.5), ("nash_sequential", 1.0)):
            for size in sizes:
                own = {"K": 8, part: int(size), "memory_mb": float(size)}
                rows.append(row(part, method, float(size) ** power, **own))
    rows += [row("solver", "newton", float(K) ** 2, K=K) for K in (2, 8, 32, 128)]
    rows += [{"part": "K", "method": "official", "K": 8, "cases": 1, "failed": 1}]
    return benchmarks.frame(rows)


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    """All benchmarks."""
    return {"solver": solver(), "step": step(), "own": own(), "train": train(), "scale": scale()}


@pytest.fixture
def empty() -> dict[str, pd.DataFrame]:
    """Nothing was measured."""
    return {name: benchmarks.frame([]) for name in benchmarks.BENCHES}


@pytest.fixture
def unpublished(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if no benchmark had been published."""
    monkeypatch.setattr(benchmarks, "PUBLISHED", tmp_path / "nowhere")


def outcomes(frames: dict[str, pd.DataFrame]) -> dict[str, str]:
    return {row["key"]: row["outcome"] for row in judged(frames)}


def cell(frames: dict[str, pd.DataFrame], key: str, column: str) -> str:
    """A cell of the table of targets."""
    table = targets(frames).set_index(word("performance.columns.target"))
    return str(table.loc[word(f"performance.targets.{key}"), word(f"performance.columns.{column}")])


def by_kind(claims: list[Claim]) -> dict[str, list[Claim]]:
    found: dict[str, list[Claim]] = {}
    for claim in claims:
        found.setdefault(claim.kind.removeprefix("performance_"), []).append(claim)
    return found


def test_the_targets_follow_the_rows(
    frames: dict[str, pd.DataFrame], empty: dict[str, pd.DataFrame]
) -> None:
    assert set(outcomes(frames).values()) == {"reached"} and len(targets(frames)) == 11
    assert set(outcomes(empty).values()) == {"untested"}
    slow = {**frames, "solver": solver(0.02, 150), "train": train(loop=1.2, jobs=0.7)}
    missed = [key for key, outcome in outcomes(slow).items() if outcome == "missed"]
    assert missed == ["solver_2", "solver_11", "solver_40", "over_ccp", "loop", "jobs"]
    times = word("performance.units.times")
    assert cell(slow, "over_ccp", "measured") == f"75.0 {times}", "the nearest procedure counts"
    assert cell(slow, "loop", "measured") == "20.0 %"
    assert cell(slow, "jobs", "measured") == f"1.43 {times}"
    assert cell(slow, "jobs", "quartiles") == "1.41 ~ 1.44"
    claim = findings(slow)[0]
    assert claim.outcome == "some" and (claim.figures["reached"], claim.figures["missed"]) == (5, 6)
    assert all(word(f"performance.targets.{key}") in claim.sentence() for key in missed)


def test_a_step_counts_by_its_best_way_and_its_worst_size(
    frames: dict[str, pd.DataFrame],
) -> None:
    worse = {**frames, "step": step(nash_sequential=1.25)}
    assert outcomes(worse)["transformer"] == "missed"
    assert outcomes(worse)["mlp"] == "reached", "chunked takes 1.20 there"
    assert cell(worse, "mlp", "where").endswith(word("performance.nash_chunked"))


def test_backward_is_held_to_the_step_of_the_loop(frames: dict[str, pd.DataFrame]) -> None:
    slow = {**frames, "own": own(1.2)}
    assert outcomes(slow)["backward"] == "missed"
    assert cell(slow, "backward", "where") == f"K = 8, {word('performance.own_mlp')}"
    claim = by_kind(findings(slow))["backward"][0]
    assert claim.figures["items"].count("1.01 ~ 1.20") == 2
    assert claim.figures["items"].count("1.10") == 2, "equal weighting beside its own step"
    shown = performance.step(slow["own"], "own_cnn").set_index(word("performance.columns.method"))
    assert shown.loc[word("performance.backward"), "K = 8"].startswith("1.20")
    before = by_kind(findings({**frames, "own": benchmarks.frame([])}))
    assert "backward" not in before, "it was not measured"


@pytest.mark.parametrize(
    ("changed", "mode", "level", "every"),
    [
        ({}, "nash_sequential", "parameters", 3),
        ({"nash_batched": 0.9}, "nash_batched", "parameters", 2),
        ({"nash_chunked": 1.04}, "nash_sequential", "parameters", 3),  # tied: less memory
        ({"nash_representation": 0.7}, "nash_sequential", "representation", 1),
        ({"nash_representation": 0.85}, "nash_sequential", "parameters", 3),  # saves too little
        ({"mean_loss": 1.0}, "nash_sequential", "parameters", 1),
    ],
)
def test_the_advice_flips_with_the_rows(
    changed: dict[str, float], mode: str, level: str, every: int
) -> None:
    found = performance.choices(step(**changed))
    places = [("mlp", 2), ("mlp", 8), ("transformer", 2), ("transformer", 8)]
    assert [(c["model"], c["K"]) for c in found] == places
    assert {(c["mode"], c["level"], c["every"]) for c in found} == {(mode, level, every)}
    assert {c["kept"] for c in found} <= {1, 2, 3}
    assert all(c["after"] <= performance.BUDGET + 1e-9 for c in found)
    shown = performance.advice(step(**changed))
    modes = shown[word("performance.columns.mode")]
    assert len(shown) == 4
    assert set(modes) == {f"{word(f'performance.{mode}')} ({mode.removeprefix('nash_')})"}


def test_the_other_advice_flips_too(frames: dict[str, pd.DataFrame]) -> None:
    found = by_kind(further(frames))
    assert {kind: own[0].outcome for kind, own in found.items()} == {
        "every": "listed",
        "share": "small",
        "batches": "up",
        "jobs": "up",
        "bfloat16": "untested",
    }
    assert found["batches"][0].figures["least"] == "16"
    assert found["jobs"][0].figures == {"speed": "1.82", "started": "1.65"}
    other = {**frames, "train": train(jobs=1.2), "solver": solver(newton=0.5)}
    found = by_kind(further(other))
    assert found["jobs"][0].outcome == "down" and found["share"][0].outcome == "large"
    alone = solver()
    alone = alone[(alone["part"] != "batched") | (alone["method"] != "newton")]
    slow = [row("batched", "newton", 0.06, 1.2, K=5, batch=N) for N in (1, 16)]
    batches = {**frames, "solver": pd.concat([alone, benchmarks.frame(slow)])}
    assert by_kind(further(batches))["batches"][0].outcome == "down"


@pytest.mark.parametrize(("ratio", "outcome"), [(0.5, "fast"), (14.0, "slow"), (1.1, "slow")])
def test_bfloat16_is_advised_by_its_price(ratio: float, outcome: str) -> None:
    claim = bfloat16(step(nash_bfloat16=ratio))
    assert claim.outcome == outcome and claim.figures["limit"] == f"{ratio:.2f}"
    assert claim.figures["times"] in claim.sentence()


def test_the_findings_follow_the_rows(frames: dict[str, pd.DataFrame]) -> None:
    found = by_kind(findings(frames))
    official, jd = word("performance.official"), word("performance.torchjd_nash")
    assert [c.figures["items"] for c in found["steps"]] == 2 * [f"{official} 2.9, {jd} 3.8"]
    assert [c.figures["items"] for c in found["memory"]] == ["3.00", "3.00"]
    assert found["targets"][0].outcome == "all"
    assert "nan" not in " ".join(sentences([*findings(frames), *further(frames)]))


def test_every_claim_has_a_sentence(
    frames: dict[str, pd.DataFrame], empty: dict[str, pd.DataFrame]
) -> None:
    for given in (frames, empty):
        found = [*findings(given), *further(given)]
        assert len(sentences(found)) == len(found) >= 2


def test_tables(frames: dict[str, pd.DataFrame], empty: dict[str, pd.DataFrame]) -> None:
    def column(key: str) -> str:
        return word(f"performance.columns.{key}")

    single = performance.single(frames["solver"]).set_index(column("solver"))
    newton, ccp = word("performance.newton"), word("performance.ccp")
    assert single.loc[newton, "K = 2"] == "20.0" and single.loc[ccp, "K = 40"] == "–"
    assert single.loc[ccp, column("over_newton")] == "200.0"
    assert performance.batched(frames["solver"]).shape == (2, 5)
    stress = performance.stress(frames["solver"]).set_index(column("solver"))
    assert list(stress.index) == [newton, ccp, "my_peer"]
    assert stress.loc["my_peer", column("silent")] == "40"
    shown = performance.step(frames["step"], "mlp").set_index(column("method"))
    assert shown.loc[word("performance.nash_sequential"), "K = 8"] == "1.05 [1.04, 1.06]"
    assert shown.loc[word("performance.nash_batched"), column("memory_mb")] == "240.0"
    ratios = performance.ratios(frames["train"])
    assert ratios.shape == (3, 2) and ratios.iloc[2, 1] == "3.00 [2.97, 3.03]"
    keys = [column("axis"), column("method")]
    grown = performance.scaling(frames["scale"]).set_index(keys)
    tasks, sequential = word("performance.axes.K"), word("performance.nash_sequential")
    assert grown.loc[(tasks, sequential), column("exponent")] == "1.00 ± 0.00"
    assert grown.loc[(tasks, word("performance.official")), column("stopped")] == "8"
    solves = grown.loc[(word("performance.axes.solver"), newton)]
    assert solves[column("exponent")] == "2.00 ± 0.00"
    made: list[Callable[[pd.DataFrame], pd.DataFrame]] = [
        performance.single,
        performance.batched,
        performance.stress,
        performance.loop,
        performance.ratios,
        performance.scaling,
        performance.advice,
    ]
    for table in made:
        assert table(empty["solver"]).to_numpy().tolist() == [[word("performance.absent")]]


def test_step_ratios_are_those_of_the_benchmark(frames: dict[str, pd.DataFrame]) -> None:
    found = benchmarks.step_ratios(frames).set_index(["data", "method"])["ratio"]
    expected = {"hard+equal": 1.0, "hard+nash": 2.5, "ple+equal": 3.0}
    assert found["yeast"].to_dict() == expected and len(found) == 3


def test_figures_are_drawn(frames: dict[str, pd.DataFrame], empty: dict[str, pd.DataFrame]) -> None:
    drawn = {"solver": "solver", "steps": "step", "loop": "train", "scaling": "scale"}
    for name, bench in drawn.items():
        for given in (frames, empty):
            figure = getattr(figures, name)(given[bench])
            figure.canvas.draw()  # a glyph that the font lacks is an error
            curves = sum(len(ax.lines) + len(ax.patches) for ax in figure.axes)
            assert curves > 3 if given is frames else curves == 0


def test_one_model_or_one_part_alone_is_enough(frames: dict[str, pd.DataFrame]) -> None:
    one = frames["step"][frames["step"]["part"] == "mlp"]
    assert figures.steps(one) and len(performance.advice(one)) == 2
    loop = frames["train"][frames["train"]["part"] == "loop"]
    bare = {**frames, "step": one[one["method"] == "limit"], "train": loop}
    assert figures.loop(bare["train"])
    assert "nan" not in " ".join(sentences([*findings(bare), *further(bare)]))
    assert {"untested", "reached"} == set(outcomes(bare).values())


def placed(frames: dict[str, pd.DataFrame], folder: Path) -> None:
    for name, frame in frames.items():
        texts = {f"{name}.csv": frame.to_csv(index=False), f"{name}.json": json.dumps(ORIGIN)}
        files.publish(folder, texts)


@pytest.mark.usefixtures("unpublished")
def test_the_files_are_read_and_their_origin_told(frames: dict[str, pd.DataFrame]) -> None:
    placed(frames, benchmarks.folder())
    read = benchmarks.frames()
    assert outcomes(read) == outcomes(frames)
    left_out = performance.missing(read).plain
    assert left_out.count("ccp_ecos is left out") == len(frames)
    stamp = performance.stamp().plain
    assert stamp.count("Some CPU @ 2 GHz (AVX2)") == len(frames) and "nash-mtl def5678" in stamp


@pytest.mark.usefixtures("unpublished")
def test_what_is_not_measured_is_said_and_the_rest_shown(frames: dict[str, pd.DataFrame]) -> None:
    read = benchmarks.frames()
    assert all(frame.empty for frame in read.values())
    said = performance.missing(read, "full").plain
    for name in benchmarks.BENCHES:
        assert said.count(f"mtlstudy bench {name} --profile full") == 1
    assert performance.stamp().plain == word("performance.no_stamp")
    placed({"step": frames["step"]}, benchmarks.folder())
    read = benchmarks.frames()
    assert outcomes(read)["mlp"] == "reached" and outcomes(read)["batch"] == "untested"
    said = performance.missing(read).plain
    assert said.count("mtlstudy bench") == 4 and "mtlstudy bench step" not in said


def test_publishing_copies_the_benchmarks(frames: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    assert publish.benchmarks(tmp_path / "nothing") == []
    placed(frames, benchmarks.folder())
    written = publish.benchmarks(tmp_path / "out")
    names = [f"{name}.{kind}" for name in benchmarks.BENCHES for kind in ("csv", "json")]
    assert sorted(path.name for path in written) == sorted(names)
    copied = (tmp_path / "out/step.csv").read_bytes()
    assert copied == (benchmarks.folder() / "step.csv").read_bytes()
