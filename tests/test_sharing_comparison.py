"""The comparison of sharing structures: numbers by hand, what was learned as a frame, refusals shown, figures, notebook."""

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import jupytext
import numpy as np
import pandas as pd
import pytest

import mtlstudy as ms
from mtlstudy.study import frames
from mtlstudy.study.figures import style
from mtlstudy.training.loop import tune as tuning
from mtlstudy.training.build import build
from mtlstudy.training.config import RunConfig
from mtlstudy.errors import InputError
from mtlstudy.study import results as base
from mtlstudy.study import weightings as comparison
from mtlstudy.study import compare as paired
from mtlstudy.study import sharings as sharing
from mtlstudy.study.figures import sharing as sharing_figures
from mtlstudy.study.figures import learned as sharing_learned
from mtlstudy.study import sharing_values
from mtlstudy.study.format import SHARINGS, family, place

TASKS = [f"task{i}" for i in range(1, 7)]
COST = {"single_task": (600, 60.0), "hard": (150, 10.0), "sparse": (120, 60.0)}


def study(levels: dict[str, list[float]], data: str = "synthetic", seeds: int = 3) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(metrics, runs): MAE of every task is the family's level of that seed; NaN is a diverged run."""
    rows, runs = [], []
    for name, values in levels.items():
        for seed in range(seeds):
            value = values[seed % len(values)]
            head = {"data": data, "sharing": name, "weighting": "equal", "seed": seed, "role": "final",
                    "status": "diverged" if np.isnan(value) else "done"}  # fmt: skip
            rows += [{**head, "task": task, "metric": "mae", "higher_is_better": False, "split": split, "value": value - lift}
                     for task in TASKS for split, lift in (("train", 0.1), ("validation", 0.0), ("test", 0.0))]  # fmt: skip
            parameters, flops = COST.get(name, (300, 30.0))
            searched = name in ("sparse", "recon")
            runs.append({**head, "lr": 0.003, "dropout": 0.0, "device": "CPU", "steps": 100, "best_step": 90,
                         "run_id": f"{len(runs)}", "parameters": parameters, "flops": 1000 * flops, "seconds": 2.0 + seed,
                         "ms_per_step": 5.0 + seed, "search_steps": 40 if searched else 0,
                         "search_seconds": 6.0 if searched else 0.0, "cosine": 0.1,
                         "conflict": 0.3, "magnitude_ratio": 1.5, "unsolved": 0, "games": 0,
                         "diverged_step": np.nan})  # fmt: skip
    return pd.DataFrame(rows), pd.DataFrame(runs)


def everything() -> tuple[pd.DataFrame, pd.DataFrame]:
    """All families but the hierarchical one on two data sets."""
    rng = np.random.default_rng(0)
    found = []
    for data in ("synthetic", "yeast"):
        levels = {name: list(0.5 + 0.05 * rng.random(3)) for name in SHARINGS if name != "hierarchical"}
        found.append(study(levels, data))
    return pd.concat([f for f, _ in found], ignore_index=True), pd.concat([s for _, s in found], ignore_index=True)


REFUSED = pd.DataFrame({"data": ["synthetic", "yeast"], "sharing": "hierarchical", "reason": "no levels <b>"})


@pytest.fixture(scope="module")
def learned() -> pd.DataFrame:
    """What freshly initialised models of every family give, on two data sets and seeds."""
    rows = []
    for data in ("synthetic", "yeast"):
        for name in set(SHARINGS) - {"hierarchical"}:
            for seed in (0, 1):
                config = RunConfig(data=data, sharing=name, seed=seed, width=8, steps=10)
                found = {"scores": [3, 1], "specific": [0]} if name == "recon" else None
                _, splits, model, _ = build(config, found)
                told = model.learned(splits.validation.first(20).inputs)
                head = {"data": data, "sharing": name, "weighting": "equal", "seed": seed}
                rows += [{**head, **cell} for cell in frames.cells(json.loads(json.dumps(told)))]
    return pd.DataFrame(rows)


def test_every_number_by_hand() -> None:
    frame, runs = study({"single_task": [0.5], "hard": [0.4, 0.4, 0.7], "sparse": [0.6]})
    table = sharing.aggregate(frame, runs).set_index("method")
    assert list(table.index) == ["single_task+equal", "hard+equal", "sparse+equal"]
    hard, sparse = table.loc["hard+equal"], table.loc["sparse+equal"]
    assert hard["delta_m"] == pytest.approx((20 + 20 - 40) / 3) and sparse["delta_m"] == pytest.approx(-20)
    assert hard["reduction"] == pytest.approx(75) and sparse["reduction"] == pytest.approx(80)
    assert hard["negative_transfer"] == pytest.approx(100 / 3) and sparse["negative_transfer"] == 100
    assert hard["flops"] == 10_000 and hard["metric"] == "MAE 0.500" and hard["gap"] == pytest.approx(0.1)
    assert (hard["step_ratio"], hard["time_ratio"], hard["search"]) == (1, 1, 0)
    assert sparse["search"] == 40 and sparse["time_ratio"] == pytest.approx((3 + 6) / 3)  # medians over the seeds
    assert sparse["total_seconds"] == 2 + 3 + 4 + 3 * 6


def test_times_of_different_devices_are_not_compared() -> None:
    frame, runs = study({"single_task": [0.5], "hard": [0.4], "sparse": [0.6], "mmoe": [0.5]})
    runs.loc[runs["sharing"] == "sparse", "device"] = "GPU"
    runs.loc[(runs["sharing"] == "mmoe") & (runs["seed"] == 0), "device"] = "GPU"
    table = sharing.aggregate(frame, runs).set_index("method")
    assert table.loc[["sparse+equal", "mmoe+equal"], ["step_ratio", "time_ratio"]].isna().all(axis=None)
    assert table.loc["single_task+equal", "step_ratio"] == 1


def test_tables_show_all_families_and_the_refused_ones() -> None:
    frame, runs = everything()
    numbers = sharing.aggregate(frame, runs)
    for part in ("result", "cost"):
        shown = sharing.cells(numbers, REFUSED, "yeast", part).set_index("구조")
        assert list(shown.index) == list(SHARINGS.values())
        assert not (shown == "").any(axis=None) and not shown.map(lambda text: "nan" in text.lower()).any(axis=None)
        assert "정의되지 않음" in list(shown.loc["계층 공유"])
    (line,) = sharing.undefined(REFUSED)
    assert "계층 공유: 정의되지 않음 (합성 자료, Yeast)" in line and "no levels <b>" in line
    assert sharing.undefined(REFUSED[:0]) == ["정의되지 않은 조합: 없음."]


def test_a_refusal_is_told_from_another_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no order of levels" in sharing.refusal(RunConfig(data="synthetic", sharing="hierarchical"))
    assert sharing.refusal(RunConfig(data="synthetic", sharing="hard")) == ""

    def absent(config: RunConfig) -> None:
        raise InputError("yeast: the file is missing")

    monkeypatch.setattr(sharing, "build", absent)
    with pytest.raises(InputError, match="the file is missing"):
        sharing.refusal(RunConfig(data="yeast", sharing="hard"))


def test_only_declared_comparisons_and_each_once() -> None:
    frame, _ = study({"single_task": [0.5, 0.51], "hard": [0.4, 0.42], "ple": [0.3, 0.33]})
    assert sharing.declared(frame)["comparison"].tolist() == ["hard_single", "best_single", "best_hard"]
    assert set(sharing.declared(frame)["a"]) == {"hard+equal", "ple+equal"}
    frame, runs = study({"single_task": [0.5, 0.51], "hard": [0.3, 0.32], "ple": [0.4, 0.43]})
    assert sharing.declared(frame)["comparison"].tolist() == ["hard_single"]
    empty = pd.DataFrame(columns=["data", "sharing", "seed", "kind", "part", "row", "column", "value"])
    assert any("하드 공유 대 단일 과제만" in line for line in sharing.values(frame, runs, empty, REFUSED)["findings"])


def test_the_best_has_runs_everywhere_and_never_is_the_baseline() -> None:
    one, two = study({"single_task": [0.2], "hard": [0.4], "mmoe": [0.5]}), study({"single_task": [0.2], "hard": [0.4]}, "yeast")
    frame = pd.concat([one[0], two[0], study({"hierarchical": [0.21]}, "yeast")[0]], ignore_index=True)
    assert paired.best(frame, "*+equal", "yeast") == "hierarchical+equal"
    assert paired.best(frame, "*+equal") == "hard+equal"
    assert comparison.best_hard(frame) == "hard+equal" and paired.best(frame, "nothing*") == ""


def test_learned_numbers_get_the_names_of_tasks_stages_and_experts(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "cross_stitch": {"alpha": {"conv": [[0.9, 0.1], [0.2, 0.8]]}, "tasks": ["a", "b"]},
        "sluice": {"alpha": {"conv": np.eye(4).tolist()}, "beta": {"a": [0.1, 0.9], "b": [0.2, 0.8]}, "stages": ["conv", "fc"],
                   "tasks": ["a", "b"]},
        "mmoe": {"gates": {"a": [0.3, 0.7]}, "spread": {"a": [0.0, 0.1]}, "experts": ["expert1", "expert2"]},
        "ple": {"gates": {"a": [0.5, 0.3, 0.2]}, "experts": {"a": ["own", "shared", "shared"]}},
        "sparse": {"density": {"a": 0.5}, "overlap": [[1.0, 0.4], [0.4, 1.0]], "tasks": ["a", "b"], "mask_bits": 12},
        "trace_norm": {"singular_values": {"conv.0.weight": [1.0, 0.5]}},
        "recon": {"scores": [3, 1], "specific": ["conv"], "stages": ["conv", "fc"]},
        "hard": {},
    }  # fmt: skip
    config = SimpleNamespace(data="d", weighting="equal", seed=0)
    runs = [SimpleNamespace(config=SimpleNamespace(**vars(config), sharing=n), record={"learned": v}) for n, v in told.items()]
    runs.append(SimpleNamespace(config=SimpleNamespace(**vars(config), sharing="hard"), record={}))  # a diverged run
    monkeypatch.setattr(frames, "current", lambda profile, roles: iter(runs))
    cells = frames.learned().set_index(["sharing", "kind", "part", "row", "column"])["value"].sort_index()
    assert cells["cross_stitch", "alpha", "conv", "b", "a"] == 0.2
    assert cells["sluice", "alpha", "conv", "a 2", "a 2"] == 1 and cells["sluice", "beta", "", "b", "fc"] == 0.8
    assert cells["mmoe", "gates", "", "a", "expert2"] == 0.7 and cells["ple", "gates", "", "a", "shared 2"] == 0.2
    assert cells["sparse", "mask_bits", "", "", ""] == 12 and cells["sparse", "density", "", "a", ""] == 0.5
    assert cells["trace_norm", "singular_values", "", "conv.0.weight", "2"] == 0.5
    assert cells["recon", "scores", "", "fc", ""] == 1 and cells["recon", "specific", "", "conv", ""] == 1
    assert cells.index.is_unique and len(cells) == 4 + 16 + 4 + 4 + 3 + 6 + 2 + 3


def test_learned_relations_are_held_against_the_true_groups() -> None:
    odd = [[1.0 if (i - j) % 2 == 0 else 0.2 for j in range(6)] for i in range(6)]
    rows = [{"data": data, "sharing": name, "seed": seed, **cell}
            for data in ("synthetic", "yeast") for name, kind in (("sparse", "overlap"), ("soft", "distance")) for seed in (0, 1)
            for cell in frames.cells({kind: odd, "tasks": TASKS})]  # fmt: skip
    found = sharing_values.recovered(pd.DataFrame(rows)).set_index("sharing")
    assert set(found["data"]) == {"synthetic"}  # nothing is known of the groups of yeast
    assert found["inside"].tolist() == [1, 1] and found["across"].tolist() == pytest.approx([0.2, 0.2])
    assert found.loc["sparse", "agree"] == 2 and found.loc["soft", "agree"] == 0  # a large distance is far


def test_figures_draw_every_glyph(learned: pd.DataFrame, tmp_path: Path) -> None:
    frame, runs = everything()
    lost = (frame["sharing"] == "mmoe") & (frame["seed"] == 1) & (frame["data"] == "yeast")
    frame.loc[lost, ["status", "value"]] = ["diverged", np.nan]
    frame = frame[~((frame["sharing"] == "ple") & (frame["data"] == "yeast"))]
    drawn = {
        "delta": sharing_figures.delta_m(frame), "cost": sharing_figures.cost(frame, runs),
        "cross": sharing_learned.mixing(learned), "sluice": sharing_learned.mixing(learned, "sluice"),
        "gates": sharing_learned.gates(learned), "relations": sharing_learned.relations(learned),
        "spectra": sharing_learned.spectra(learned),
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, figure in drawn.items():
            assert style.save(figure, tmp_path / name)[0].stat().st_size > 1000
    texts = " ".join(t.get_text() for ax in drawn["delta"].axes for t in [*ax.texts, *ax.get_yticklabels()])
    assert "발산 1/3" in texts and "정의되지 않음" in texts and "자취 노름" in texts
    with pytest.raises(InputError, match="no rows"):
        sharing_learned.mixing(learned, "hard")


def test_families_have_names_places_and_looks_of_their_own() -> None:
    assert set(SHARINGS) == set(ms.sharing.names()) - {"nash_share"}
    methods = [f"{name}+equal" for name in SHARINGS]
    assert style.ordered(methods[::-1]) == methods == sorted(methods, key=place)
    assert len({style.marker(m) for m in methods}) == len(methods) == len({style.colour(m) for m in methods})
    assert len({family(m) for m in methods}) == len(methods) and "hard+equal" in style.METHODS


def test_the_experiment_from_runs_to_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "DATA_SETS", ("synthetic",))
    monkeypatch.setattr(sharing, "FAMILIES", ("single_task", "hard", "hierarchical", "sparse", "cross_stitch"))

    def small(config: RunConfig) -> None:
        tuning.study(config.but(steps=6, evaluations=2, width=8), [0, 1], like={"lr": 0.01}, progress=False)

    monkeypatch.setattr(sharing, "study", small)
    found = sharing.run("quick")
    assert found["sharing_refused"][["data", "sharing"]].values.tolist() == [["synthetic", "hierarchical"]]
    assert len(found["sharing_runs"]) == 8 and found["sharing"]["value"].notna().all()
    assert found["sharing_runs"].groupby("sharing")["search_steps"].max()["sparse"] > 0
    assert set(found["sharing_learned"]["sharing"]) == {"sparse", "cross_stitch"}
    assert {"seconds", "search_seconds", "ms_per_step"} <= set(base.VOLATILE)
    json.dumps(sharing.values(*found.values()), allow_nan=False)
    assert "synthetic.sparse.equal.quick" in sharing.studies("quick")


def test_the_notebook_runs_on_any_results(learned: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    frame, runs = everything()
    held = {"sharing": frame, "sharing_runs": runs, "sharing_learned": learned, "sharing_refused": REFUSED}
    monkeypatch.setattr(base, "table", lambda name, profile: held[name])
    monkeypatch.setattr(ms.tables, "stamp", lambda profile: ms.tables.bullets(["출처"]))
    shown: list[str] = []
    scope: dict[str, object] = {"display": lambda *parts: shown.extend(p._repr_mimebundle_()["text/markdown"] for p in parts)}
    for cell in jupytext.read(Path(__file__).parents[1] / "notebooks" / "sharing_comparison.py").cells:
        if cell.cell_type == "code":
            exec(cell.source.replace("multi_mnist,yeast,synthetic", "yeast,synthetic"), scope)
    text = "\n".join(shown)
    assert "정의되지 않음" in text and "no levels &lt;b&gt;" in text and "<b>" not in text
    assert "은닉 집단" in text and "출처" in text and "nan" not in text
