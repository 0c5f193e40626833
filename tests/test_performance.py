"""The chapter on performance: tables, figures and sentences follow the benchmarks' rows, and say where there are none."""

import json
import warnings
from pathlib import Path
from typing import Any

import jupytext
import pandas as pd
import pytest

import mtlstudy as ms
from mtlstudy.bench import BENCHES, record
from mtlstudy.study import performance_advice as rules
from mtlstudy.study import publish

performance = ms.experiments.performance
tables = performance.tables
NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "performance.py"
ORIGIN = {
    "profile": "quick", "device": "CPU (x86_64)", "cpu": "Some CPU @ 2 GHz", "cores": 2, "threads": 1, "date": "2026-01-02",
    "commit": "abc1234", "mtlstudy": "1.0", "torch": "2.13", "python": "3.11", "packages": {"torchjd": "0.18.0"},
    "peers": {"nash-mtl": "def5678"}, "notes": ["ccp_ecos is left out"],
}  # fmt: skip


def row(part: str, method: str, ms: float = 1.0, ratio: float = 1.0, **more: Any) -> dict[str, Any]:
    """A row of the schema whose quartiles lie 2 % apart."""
    spread = {f"{key}{end}": value * by for key, value in (("ms", ms), ("ratio", ratio))
              for end, by in (("", 1), ("_low", 0.99), ("_high", 1.01))}  # fmt: skip
    return {"part": part, "problem": part, "method": method, "repeats": 10, **spread, **more}


def solver(newton: float = 0.01, over: float = 200.0) -> pd.DataFrame:
    """newton: ms a task; over: how many times slower the procedure is."""
    rows = [row("single", "newton", newton * K, 1.0, K=K, residual=1e-15) for K in (2, 5, 8, 11, 40)]
    rows += [row("single", m, newton * K * r, r, K=K) for K in (2, 5, 8, 11)
             for m, r in (("newton_warm", 0.5), ("ccp", over), ("ccp_published", over / 2), ("torchjd", 2 * over),
                          ("my_peer", 90.0))]  # fmt: skip
    for N in (1, 16, 1024):
        rows += [row("batched", "newton", 0.05 / N**0.5, 1 / N**0.5 if N > 1 else 1.02, K=5, batch=N)]
        rows += [row("batched", "one_by_one", 0.05, K=5, batch=N)]
    rows += [row("stress", m, cases=100, failed=f, silent=s, residual=e)
             for m, f, s, e in (("newton", 0, 0, 1e-12), ("ccp", 30, 20, 5.0), ("my_peer", 40, 40, 7.0))]  # fmt: skip
    return record.frame(rows)


STEP = {"limit": 1.0, "mean_loss": 0.5, "nash_sequential": 1.05, "nash_batched": 1.5, "nash_chunked": 1.2,
        "nash_representation": 0.95, "nash_every_5": 0.61, "official": 3.0, "torchjd_nash": 4.0}  # fmt: skip


def step(**changed: float) -> pd.DataFrame:
    """Both models alike; changed: method → ratio to the limit."""
    ratios = {**STEP, **changed}
    memory = {"nash_batched": 30.0, "nash_chunked": 15.0}
    return record.frame(
        row(part, m, 2 * K * ratio, ratio, K=K, memory_mb=memory.get(m, 10.0) * K, residual=1e-14 if m != "official" else 0.2,
            failed=0, cases=5, silent=2 if m == "official" else 0)
        for part in ("mlp", "transformer") for K in (2, 8) for m, ratio in ratios.items()
    )  # fmt: skip


def train(loop: float = 1.05, jobs: float = 0.55, seeds: float = 0.4, difference: float = 1e-6) -> pd.DataFrame:
    rows = []
    for run in ("yeast equal", "multi_mnist nash"):
        rows += [row("loop", m, 2.0 * r, r, problem=run) for m, r in (("step", 1.0), ("loop_full", loop), ("loop_quick", 1.2))]
        shares = {"run": 1.0, "step": 0.8, "draw": 0.05, "evaluation": 0.1, "rest": 0.05}
        rows += [{"part": "shares", "problem": run, "method": m, "ms": 2 * r, "ratio": r} for m, r in shares.items()]
    rows += [row("jobs", m, 1000 * r, r, problem="multi_mnist nash") for m, r in (("jobs_1", 1.0), ("jobs_2", jobs))]
    for S in (1, 4):
        rows += [row("seeds", m, r, r, problem="yeast equal", batch=S, residual=difference)
                 for m, r in (("one_by_one", 1.0), ("together", seeds))]  # fmt: skip
    return record.frame(rows)


def scale() -> pd.DataFrame:
    rows = []
    for part, sizes in (("K", (2, 8, 32, 128)), ("length", (8, 16, 32, 64)), ("parameters", (1e4, 1e5, 1e6, 1e7))):
        for method, power in (("mean_loss", 0.5), ("nash_sequential", 1.0)):
            rows += [
                row(part, method, float(size) ** power, memory_mb=float(size), **{"K": 8, part: int(size)}) for size in sizes
            ]
    rows += [row("solver", "newton", float(K) ** 2, K=K) for K in (2, 8, 32, 128)]
    rows += [{"part": "K", "method": "official", "K": 8, "cases": 1, "failed": 1}]
    return record.frame(rows)


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    """All four benchmarks."""
    return {"solver": solver(), "step": step(), "train": train(), "scale": scale()}


@pytest.fixture
def empty() -> dict[str, pd.DataFrame]:
    """Nothing was measured."""
    return {name: record.frame([]) for name in BENCHES}


def verdicts(frames: dict[str, pd.DataFrame]) -> dict[str, str]:
    found = performance.targets(frames)
    return dict(zip(found["목표"], found["판정"], strict=True))


def test_the_targets_follow_the_rows(frames: dict[str, pd.DataFrame], empty: dict[str, pd.DataFrame]) -> None:
    assert set(verdicts(frames).values()) == {"이룸"} and len(verdicts(frames)) == 10
    assert set(verdicts(empty).values()) == {"재지 않음"}
    slow = {**frames, "solver": solver(newton=0.02, over=150), "train": train(loop=1.2, jobs=0.7)}
    missed = [text for text, verdict in verdicts(slow).items() if verdict == "이루지 못함"]
    assert missed == [
        *(f"풀이 하나의 시간, K = {K}" for K in (2, 11, 40)),
        "이 연구가 다시 짠 CCP의 시간 / 뉴턴의 시간",
        "학습 루프가 단계에 더하는 시간(full 프로필의 일정)", "두 작업을 함께 돌릴 때의 속도(프로세스를 띄운 뒤)",
    ]  # fmt: skip
    table = performance.targets(slow).set_index("목표")
    assert table.loc["이 연구가 다시 짠 CCP의 시간 / 뉴턴의 시간", "측정"] == "75.0 배", (
        "the nearest version of the procedure counts"
    )
    assert table.loc["학습 루프가 단계에 더하는 시간(full 프로필의 일정)", "측정"] == "20.0 %"
    assert table.loc["두 작업을 함께 돌릴 때의 속도(프로세스를 띄운 뒤)", "측정"] == "1.43 배"
    said = performance.values(slow)["findings"][0]
    assert "이룸 4개, 이루지 못함 6개" in said and all(text in said for text in missed)


def test_a_step_counts_by_its_best_way_and_its_worst_size(frames: dict[str, pd.DataFrame]) -> None:
    worse = step(nash_sequential=1.25)
    table = performance.targets({**frames, "step": worse}).set_index("목표")
    assert table.loc["Transformer의 내쉬 단계 / 한계", "판정"] == "이루지 못함"
    assert table.loc["MLP의 내쉬 단계 / 한계", "판정"] == "이룸", "chunked takes 1.20 there"
    assert table.loc["MLP의 내쉬 단계 / 한계", "조건"].endswith("몇 개씩")


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
def test_the_advice_flips_with_the_rows(changed: dict[str, float], mode: str, level: str, every: int) -> None:
    found = rules.choices(step(**changed))
    assert [(c.model, c.K) for c in found] == [("mlp", 2), ("mlp", 8), ("transformer", 2), ("transformer", 8)]
    assert {(c.mode, c.level, c.every) for c in found} == {(mode, level, every)} and {c.kept for c in found} <= {1, 2, 3}
    assert all(c.after <= rules.BUDGET + 1e-9 for c in found)
    shown = performance.advice(step(**changed))
    assert set(shown["매개변수 수준: 미분 방식"]) == {f"{tables.MODES[mode]} ({mode.removeprefix('nash_')})"} and len(shown) == 4


def test_the_other_advice_flips_too(frames: dict[str, pd.DataFrame]) -> None:
    text = "\n".join(performance.values(frames)["advice"])
    assert "시드의 수가 4 이상이면 빨라진다" in text and "비트는 같지 않다" in text
    assert "jobs = 2" in text and "행렬의 수가 16 이상이면 한 묶음으로" in text
    assert "풀이를 더 줄여도" in text and "차례로(K = 2, 8)" in text and "3단계마다(K = 2, 8)" in text
    other = {**frames, "train": train(seeds=1.1, jobs=1.2, difference=0.0), "solver": solver(newton=0.5)}
    text = "\n".join(performance.values(other)["advice"])
    assert "빨라지지 않는다" in text and "비트까지 같다" in text and "하나씩 돌린다" in text and "무시할 수 없는" in text


def test_the_findings_follow_the_rows(frames: dict[str, pd.DataFrame]) -> None:
    text = "\n".join(performance.values(frames)["findings"])
    assert "CCP 200.0배" in text and "my_peer 90.0배" in text and "CCP 30/100 (조용한 실패 20)" in text
    assert "관행의 절차 2.9배" in text and "관행의 절차 8번" in text and "3.00배" in text
    assert "평가 (10.0 %)" in text and "nan" not in text


def test_tables(frames: dict[str, pd.DataFrame], empty: dict[str, pd.DataFrame]) -> None:
    single = tables.single(frames["solver"]).set_index("풀이")
    assert single.loc["뉴턴", "K = 2"] == "20.0" and single.loc["CCP", "K = 40"] == "–"
    assert single.loc["CCP", "뉴턴에 대한 비"] == "200.0"
    assert tables.batched(frames["solver"]).shape == (2, 5)
    stress = tables.stress(frames["solver"]).set_index("풀이")
    assert list(stress.index) == ["뉴턴", "CCP", "my_peer"] and stress.loc["my_peer", "조용한 실패"] == "40"
    shown = tables.step(frames["step"], "mlp").set_index("방법")
    assert shown.loc["내쉬 (차례로)", "K = 8"] == "1.05 [1.04, 1.06]" and shown.loc["내쉬 (한꺼번에)", "메모리 (MB)"] == "240.0"
    grown = tables.scaling(frames["scale"]).set_index(["늘린 것", "방법"])
    assert grown.loc[("과제의 수 K", "내쉬 (차례로)"), "지수"] == "1.00 ± 0.00"
    assert grown.loc[("과제의 수 K", "관행의 절차"), "멈춘 크기"] == "8"
    assert grown.loc[("과제의 수 K (풀이만)", "뉴턴"), "지수"] == "2.00 ± 0.00"
    for table in (tables.single, tables.batched, tables.stress, tables.loop, tables.together, tables.scaling, performance.advice):
        assert table(empty["solver"]).to_numpy().tolist() == [["아직 재지 않았다"]]


def test_figures_are_drawn_in_korean(frames: dict[str, pd.DataFrame], empty: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    drawn = {"solver": "solver", "steps": "step", "loop": "train", "scaling": "scale"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, bench in drawn.items():
            for some, label in ((frames, "full"), (empty, "empty")):
                figure = getattr(performance.figures, name)(some[bench])
                assert all(path.stat().st_size > 1000 for path in ms.figures.save(figure, tmp_path / f"{name}_{label}"))


def test_one_model_or_one_part_alone_is_enough(frames: dict[str, pd.DataFrame]) -> None:
    one = frames["step"][frames["step"]["part"] == "mlp"]
    assert performance.figures.steps(one) and len(performance.advice(one)) == 2
    bare = {**frames, "step": one[one["method"] == "limit"], "train": frames["train"][frames["train"]["part"] == "loop"]}
    assert performance.figures.loop(bare["train"]) and "nan" not in str(performance.values(bare))
    assert "재지 않음" in verdicts(bare).values()


def placed(frames: dict[str, pd.DataFrame], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
        (folder / f"{name}.json").write_text(json.dumps(ORIGIN))


def executed(profile: str = "quick") -> tuple[str, int]:
    """The notebook's Markdown and how many figures it has."""
    shown: list[str] = []
    drawn = 0
    scope: dict[str, Any] = {"display": lambda *parts: shown.extend(p._repr_mimebundle_()["text/markdown"] for p in parts)}
    for cell in [cell for cell in jupytext.read(NOTEBOOK).cells if cell.cell_type == "code"]:
        code = cell.source.replace('"quick"', f'"{profile}"') if "parameters" in cell.metadata.get("tags", []) else cell.source
        wanted = code.startswith(("performance.figures", "ms.tables"))
        exec(f"found = {code}" if wanted else code, scope)
        found = scope.pop("found", None)
        drawn += hasattr(found, "savefig")
        shown += [found._repr_mimebundle_()["text/markdown"]] if hasattr(found, "_repr_mimebundle_") else []
    return "\n".join(shown), drawn


def test_the_notebook_runs_on_the_files(frames: dict[str, pd.DataFrame], store: Path) -> None:
    placed(frames, record.folder())
    text, drawn = executed()
    assert drawn == 4 and "nan" not in text and text.count("에서 뺀 것: ccp") == 4 and "아직 재지" not in text
    assert text.count("*출처*") == 4 and "Some CPU @ 2 GHz" in text.replace("\\", "") and "nash-mtl def5678" in text
    assert text.count("```{table}") == 10


def test_what_is_not_measured_is_said_and_the_rest_shown(
    frames: dict[str, pd.DataFrame], store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(record, "PUBLISHED", tmp_path / "nowhere")
    text, drawn = executed("full")
    assert drawn == 4 and "nan" not in text and "*출처*: 잰 벤치마크가 없다" in text
    assert all(text.count(f"mtlstudy bench {name} --profile full") == 1 for name in BENCHES)
    placed({"step": frames["step"]}, record.folder())
    text, _ = executed()
    lines = [line for line in text.splitlines() if "아직 재지 않았으므로" in line]
    assert len(lines) == 3 and not [line for line in lines if "벤치마크 step" in line] and text.count("*출처*") == 1
    assert "1.05" in text and "이룸" in text and "재지 않음" in text


def test_publishing_copies_the_benchmarks(frames: dict[str, pd.DataFrame], store: Path, tmp_path: Path) -> None:
    assert publish.benchmarks(tmp_path / "nothing") == [] and not (tmp_path / "nothing").exists()
    placed(frames, record.folder())
    written = publish.benchmarks(tmp_path / "out")
    assert sorted(path.name for path in written) == sorted(f"{name}.{kind}" for name in BENCHES for kind in ("csv", "json"))
    assert (tmp_path / "out/step.csv").read_bytes() == (record.folder() / "step.csv").read_bytes()
