"""The Korean experiments: baselines by hand, settings, tables and sentences from made-up values, and life without the data."""

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import jupytext
import numpy as np
import pandas as pd
import pytest
import torch

import mtlstudy as ms
from mtlstudy.study import frames
from mtlstudy.training.loop import tune as tuning
from mtlstudy.training.config import RunConfig
from mtlstudy.data.sentences import Texts
from mtlstudy.data.tagged import Sentences
from mtlstudy.errors import InputError
from mtlstudy.study import results as base
from mtlstudy.study import korean
from mtlstudy.study import korean_baselines
from mtlstudy.study import korean_outputs
from mtlstudy.study import korean_settings
from mtlstudy.study import korean_values
from mtlstudy.training.settings import parse_settings
from mtlstudy.registry import entry
from mtlstudy.models.tasks import Task

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
HERE = korean_settings.here()
needs = {data: pytest.mark.skipif(data not in HERE, reason=f"MTLSTUDY_DATA has not all of {data}")
         for data in korean_settings.DATA_SETS}  # fmt: skip
DROP = {"single_task": 0.0, "hard": 0.1}


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any of the files."""
    for name in ("MTLSTUDY_CACHE", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.delenv("MTLSTUDY_DATA", raising=False)
    return tmp_path


@pytest.fixture
def made() -> dict[str, pd.DataFrame]:
    """All frames, set by hand: a neural score of 0.6 (0.5 for hate), hard sharing 0.1 less; a simple baseline of 0.55."""
    found: dict[str, list[dict[str, object]]] = {name: [] for name in korean.TABLES}
    for data in korean_settings.DATA_SETS:
        config = korean_settings.config(data, "hard+equal", "quick")
        for method in korean_settings.METHODS:
            sharing, weighting = method.split("+")
            for seed in range(3):
                head = {"data": data, "sharing": sharing, "weighting": weighting, "seed": seed}
                mine = {**head, "role": "final", "status": "done"}
                for task in config.tasks:
                    value = (0.5 if task.name == "hate" else 0.6) - DROP[sharing] + 0.01 * seed
                    measured = {**mine, "task": task.name, "metric": task.metric, "higher_is_better": True, "value": value}
                    found["korean"] += [{**measured, "split": split} for split in ("train", "validation", "test")]
                    found["korean_curves"] += [{**head, "step": step, "split": split, "task": task.name, "loss": 1.0,
                                                "value": value - 0.2 / step + (0.1 if split == "train" else 0)}
                                               for step in (1, 2, 4) for split in ("train", "validation")]  # fmt: skip
                    if data == "korean_tagging" or task.metric == "spearman":
                        test, metric = ("gsd", task.metric) if data == "korean_tagging" else ("test", "pearson")
                        found["korean_further"].append({**head, "test": test, "task": task.name, "metric": metric,
                                                        "value": value - 0.3})  # fmt: skip
                    if task.kind == "multiclass" and seed == 0:
                        names = korean_outputs.CLASSES.get(task.name, ["ADJ", "NOUN", "VERB"])
                        found["korean_confusion"] += [{**head, "task": task.name, "true": a, "predicted": b,
                                                       "count": 3 if a == b else 1} for a in names for b in names]  # fmt: skip
                found["korean_runs"].append({**mine, "lr": 0.01, "dropout": 0.0, "device": "CPU", "steps": 250, "best_step": 250,
                                             "parameters": 10, "seconds": 1.0, "search_seconds": 0.0, "ms_per_step": 5.0,
                                             "games": 250 if weighting == "nash" else 0, "unsolved": 0, "run_id": "a",
                                             "cosine": np.nan if sharing == "single_task" else 0.25,
                                             "conflict": np.nan if sharing == "single_task" else 0.125})  # fmt: skip
        for task in config.tasks:
            simple = "word" if data == "korean_tagging" else "cosine" if task.metric == "spearman" else "tfidf"
            for test in ("test", "gsd")[: 2 if data == "korean_tagging" else 1]:
                for seed in range(3):
                    row = {"data": data, "test": test, "task": task.name, "metric": task.metric, "seed": seed, "examples": 3000,
                           "how": ""}  # fmt: skip
                    found["korean_baselines"].append({**row, "baseline": simple, "value": 0.55 if test == "test" else 0.25})
                    if simple != "cosine":
                        found["korean_baselines"].append({**row, "baseline": "majority", "value": 0.2})
    columns = ["data", "source", "split", "megabytes", "said"]
    frames = {name: pd.DataFrame(rows, columns=None if rows else columns) for name, rows in found.items()}
    return {**frames, "korean_confusion": frames["korean_confusion"].drop(columns="seed")}


def test_most_frequent_tag_by_hand() -> None:
    train = Sentences([["a", "b", "a"], ["a", "c", "d"]], {"t": [["N", "V", "N"], ["V", "V", ""]]})
    overall, by_word = korean_baselines.frequent(train, "t")
    assert overall == "V" and by_word == {"a": "N", "b": "V", "c": "V"}, "d has no label"
    words, tags = [["a", "b", "new", "new", "a"]], [["N", "V", "V", "N", "Z"]]
    assert korean_baselines.agreement(words, tags, by_word, overall, {"N", "V"}) == 3 / 4, "Z is unknown to training: not counted"
    assert korean_baselines.agreement(words, tags, {}, overall, {"N", "V"}) == 2 / 4
    tie = Sentences([["a", "a"]], {"t": [["Z", "B"]]})
    assert korean_baselines.frequent(tie, "t") == ("B", {"a": "B"})


def test_tfidf_learns_what_it_can_and_majority_is_majority() -> None:
    liked, disliked = ["좋아요 정말", "정말 좋아"] * 5, ["싫어요 정말", "정말 싫어"] * 4
    train = Texts([*liked, *disliked], None, {"s": torch.tensor([1] * 10 + [0] * 8)})
    test = Texts(["아주 좋아", "아주 싫어"], None, {"s": torch.tensor([1, 0])})
    task = Task("s", "multiclass", 2)
    guess = korean_baselines.logistic(train, "s", 10.0).predict(test.first)
    assert guess.tolist() == [1, 0] and korean_baselines.score(task, guess, test) == 1
    assert korean_baselines.score(task, np.array([1, 1]), test) == 0.5
    f1 = Task("s", "multiclass", 2, "macro_f1")
    assert korean_baselines.score(f1, np.array([1, 1]), test) == pytest.approx((2 / 3 + 0) / 2)
    assert korean_baselines.tuned(task, train, test) == 1.0, "of equally good ones the first"


def test_the_cosine_of_pairs_by_hand() -> None:
    pairs = Texts(["가나다", "가나다"], ["가나다", "라마바"], {"y": torch.zeros(2)})
    assert korean_baselines.cosine(Texts(["가나다 라마바"] * 2, ["가나다"] * 2, {}), pairs).tolist() == pytest.approx([1, 0])


def test_the_command_line_trains_the_very_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for profile in ms.PROFILES:
        for data in korean_settings.DATA_SETS:
            given = parse_settings(korean_settings.arguments(data, profile).replace("--set ", "").split())
            config = korean_settings.config(data, "hard+nash", profile)
            assert RunConfig(data=data, weighting="nash", profile=profile, **given) == config
            assert tuning.candidates(config, list(given)) == tuning.candidates(config)
            name = f"{data}.hard.nash.{profile}"
            assert name in korean.studies(profile) and frames.standard({"name": name, "config": config.model_dump()})


def test_scores_against_baselines_and_the_sentence_that_follows(made: dict[str, pd.DataFrame]) -> None:
    frame, further, baselines = (made[name] for name in ("korean", "korean_further", "korean_baselines"))
    table = korean_values.against(frame, further, baselines, "korean_sentences").set_index("task")
    assert table.loc["hate", "difference"].mean == pytest.approx(0.51 - 0.55) and table.loc["hate", "simple"] == "tfidf"
    assert table.loc["bias", "difference"].mean == pytest.approx(0.61 - 0.55) and table.loc["similarity", "simple"] == "cosine"
    shown = korean.sanity(frame, further, baselines, "korean_sentences").set_index("과제")
    assert shown.loc["혐오", "차이 (%p)"] == "−4.0" and shown.loc["혐오", "다수 범주"] == "0.200"
    assert shown.loc["유사도", "다수 범주"] == "–", "a constant has no correlation"
    found = korean.values(*made.values())
    lines = "\n".join(found["korean_sentences"]["findings"])
    assert "낮은 과제: 혐오. 그중 짝지은 차이의 구간 전체가 0 아래인 과제: 혐오." in lines
    assert "과제마다 예 3,000개, 250단계" in lines and "3개 가운데 3개" in lines and "평균 0.100" in lines
    assert "평균 코사인: 0.250, 코사인이 음수인 과제 쌍: 12.5 %" in lines and "하드 공유(균등) 대 단일 과제" in lines
    tagging = "\n".join(found["korean_tagging"]["findings"])
    assert "낮은 과제: 없음" in tagging and "품사(UPOS): 단일 과제 −30.0; 하드 공유(균등) −30.0" in tagging
    assert "nan" not in json.dumps(found, ensure_ascii=False, allow_nan=False).lower()


def test_no_explanation_where_nothing_is_lost(made: dict[str, pd.DataFrame]) -> None:
    made["korean_baselines"]["value"] = 0.1
    assert not [line for line in korean.values(*made.values())["korean_sentences"]["findings"] if "무작위로" in line]


def test_a_diverged_run_is_shown_as_missing(made: dict[str, pd.DataFrame]) -> None:
    for name in ("korean", "korean_runs"):
        at = (made[name]["sharing"] == "single_task") & (made[name]["seed"] == 1)
        made[name].loc[at, "status"] = "diverged"
    found = korean.values(*made.values())["korean_tagging"]
    assert json.dumps(found, allow_nan=False) and any("발산: 1개" in line for line in found["findings"])


def test_every_figure_is_drawn_in_korean(made: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    drawn = korean.figures
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data, tasks in (("korean_sentences", "hate,intention"), ("korean_tagging", "upos")):
            own = {name: korean.of(frame, data, "0-2") for name, frame in made.items()}
            every = [
                drawn.scores(own["korean"], own["korean_further"], own["korean_baselines"]),
                drawn.curves(own["korean_curves"]), drawn.confusion(own["korean_confusion"], tasks),
                drawn.conflict(own["korean_runs"]), drawn.nothing("없음"),
            ]  # fmt: skip
            for i, figure in enumerate(every):
                assert all(path.stat().st_size > 1000 for path in ms.figures.save(figure, tmp_path / f"{data}{i}"))


def test_the_confusion_table_has_all_classes_in_order(made: dict[str, pd.DataFrame]) -> None:
    own = made["korean_confusion"]
    own = own[(own["data"] == "korean_sentences") & (own["task"] == "hate") & (own["sharing"] == "hard")]
    table = korean.figures.crossed(own[own["true"] != "none"])
    assert list(table) == list(table.index) == ["hate", "offensive", "none"] and table.loc["none"].sum() == 0


def test_without_the_data_the_tables_are_empty_and_say_so(nowhere: Path) -> None:
    assert korean_settings.here() == [] and set(korean.present().values()) == {"missing"}
    assert all(base.table(name).empty for name in korean.TABLES[:-1])
    lost = base.table("korean_missing")
    assert set(lost["data"]) == set(korean_settings.DATA_SETS) and lost["said"].str.contains("MTLSTUDY_DATA").all()
    values = base.values()["korean"]
    assert values["korean_tagging"]["number"] == {} and "자료 없음" in values["korean_tagging"]["findings"][0]
    lines = values["korean_sentences"]["missing"]
    assert len(lines) == 4, "one a source"
    assert (
        "e9t/nsmc (default)의 train, test 분할" in lines[0]
        and "약 19 MB" in lines[0]
        and "mtlstudy data korean_sentences" in lines[0]
    )
    mark = json.loads((base.folder("quick") / "korean.json").read_text())["rests_on"]
    assert mark["data korean_tagging"] == "missing", "the tables are stale once the data are there"


def test_the_home_folder_is_not_shown(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: nowhere)
    lost = pd.DataFrame(korean_settings.missing())
    assert not [line for line in korean.missing(lost, "korean_sentences") if str(nowhere) in line]


def executed(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """A notebook's Markdown outputs and how many figures it has."""
    monkeypatch.setattr(ms.tables, "stamp", lambda profile: ms.tables.bullets(["출처"]))
    shown: list[str] = []
    drawn = 0
    scope: dict[str, object] = {"display": lambda *parts: shown.extend(p._repr_mimebundle_()["text/markdown"] for p in parts)}
    for cell in jupytext.read(NOTEBOOKS / f"{name}.py").cells:
        if cell.cell_type == "code":
            *body, last = cell.source.rstrip().split("\n")
            exec("\n".join([*body, last if last.startswith((" ", "display")) or " = " in last else f"found = {last}"]), scope)
            result = scope.pop("found", None)
            drawn += hasattr(result, "savefig")
            shown += [result._repr_mimebundle_()["text/markdown"]] if hasattr(result, "_repr_mimebundle_") else []
    return "\n".join(shown), drawn


@pytest.mark.parametrize("name", korean_settings.DATA_SETS)
def test_the_notebook_runs_with_results(name: str, made: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "table", lambda name, profile: made[name])
    text, drawn = executed(name, monkeypatch)
    assert drawn == 4 and "nan" not in text and "자료 없음" not in text and "필요한 자료가 모두 있다" in text
    assert "단순 기준선" in text and "Holm" in text and "출처" in text


@pytest.mark.parametrize("name", korean_settings.DATA_SETS)
def test_the_notebook_runs_without_the_data(name: str, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, drawn = executed(name, monkeypatch)
    assert drawn == 4 and text.count("자료 없음") >= 4 and "MTLSTUDY" in text and "nan" not in text
    assert "looked at" in text and "필요한 자료가 모두 있다" not in text


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two steps on a few examples."""
    few = {"korean_sentences": {"train": 60, "test": 40, "length": 16}, "korean_tagging": {"train": 60}}
    monkeypatch.setenv("MTLSTUDY_CACHE", str(tmp_path / "cache"))
    for module in (korean_settings, korean_baselines):
        monkeypatch.setattr(module, "EXAMPLES", {"quick": few})
    shortened = {name: {**model, "steps": 2, "width": 4} for name, model in korean_settings.MODEL.items()}
    monkeypatch.setattr(korean_settings, "MODEL", shortened)
    profile = ms.PROFILES["quick"].model_copy(update={"seeds": 1})
    for module in (tuning, korean_baselines):
        monkeypatch.setattr(module, "PROFILES", {"quick": profile})
    monkeypatch.setattr(tuning, "candidates", lambda config, fixed=(): [{"lr": 0.01}])


@pytest.mark.parametrize("data", [pytest.param(data, marks=mark) for data, mark in needs.items()])
def test_the_experiment_from_end_to_end(data: str, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(korean_settings, "here", lambda: [data])
    found = korean.run("quick")
    assert tuple(found) == korean.TABLES and not found["korean_missing"].shape[0]
    assert len(found["korean_runs"]) == 3 and found["korean"]["value"].notna().any()
    tests = found["korean_further"].groupby("test")["task"].nunique().to_dict()
    assert tests == ({"gsd": 3} if data == "korean_tagging" else {"test": 1})
    counts = found["korean_confusion"].groupby(["sharing", "weighting", "task"])["count"].sum()
    own = {task: n for (_, _, task), n in counts.items()}
    config = korean_settings.config(data, "hard+equal", "quick")
    splits = entry("data", data)(entry("data", data).Options(**config.data_options)).load(0)
    for task in config.tasks:
        if task.kind == "multiclass":
            assert own[task.name] == int((splits.test.targets[task.name] != -100).sum())
    diagonal = found["korean_confusion"].query("true == predicted and sharing == 'hard' and weighting == 'equal'")
    for task, n in diagonal.groupby("task")["count"].sum().items():  # what the run measured is what was counted
        value = found["korean"].query("task == @task and split == 'test' and sharing == 'hard' and weighting == 'equal'")
        if value["metric"].item() == "accuracy":
            assert n / own[str(task)] == pytest.approx(value["value"].item())
    size = found["korean_baselines"].groupby(["test", "task", "baseline"]).size()
    assert (size == 1).all() and len(size) == (12 if data == "korean_tagging" else 9)


@needs["korean_tagging"]
def test_the_baselines_see_the_words_that_the_models_see() -> None:
    options = {"train": 50}
    kind = entry("data", "korean_tagging")
    made = kind(kind.Options(**options))
    splits, (train, _, test) = made.load(3), made.sentences()
    names = korean_outputs.classes(made)
    assert {task.name: task.outputs for task in made.tasks} == {name: len(labels) for name, labels in names.items()}
    for task in made.tasks:
        known = set(names[task.name])
        assert int((splits.test.targets[task.name] != -100).sum()) == sum(
            tag in known for row in test.tags[task.name] for tag in row
        )
    kept = train.take(korean_baselines.divide(len(train.words), [50], 3)[0].tolist())
    assert int((splits.train.inputs != 0).sum()) == sum(map(len, kept.words))


@needs["korean_tagging"]
def test_a_checkpoint_that_is_not_the_runs_is_refused(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = tuning.study(korean_settings.config("korean_tagging", "hard+equal", "quick")).runs
    wrong = json.loads(json.dumps(run.record))
    wrong["results"]["test"]["upos"]["metric"] += 0.1
    with pytest.raises(InputError, match="the checkpoint gives accuracy"):
        list(korean_outputs._tested(SimpleNamespace(config=run.config, path=run.path, record=wrong)))  # type: ignore[arg-type]
    (run.path / "checkpoint.pt").unlink()
    with pytest.raises(InputError, match="is missing"):
        list(korean_outputs._tested(run))
