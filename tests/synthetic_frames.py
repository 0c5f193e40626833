"""The one factory of results with known answers: `results` and, beside them, `baselines`."""

import warnings
from collections.abc import Callable, Collection, Sequence
from io import BytesIO

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtlstudy.study import plan
from mtlstudy.study.results import Results

TASKS = {
    "multi_mnist": {"left": "accuracy", "right": "accuracy"},
    "yeast": {f"class{i}": "auc" for i in range(1, 15)},
    "synthetic": {f"task{i}": "mae" for i in range(1, 7)},
    "korean_sentences": {
        "sentiment": "accuracy",
        "hate": "macro_f1",
        "bias": "macro_f1",
        "intention": "accuracy",
        "similarity": "spearman",
    },
    "korean_tagging": {"upos": "accuracy", "xpos": "accuracy", "deprel": "accuracy"},
}
COST = {"single_task": (600, 60e3), "hard": (150, 10e3), "sparse": (120, 60e3)}
"""Family → parameters and FLOPs; 300 and 30e3 for the others."""
LIFT = {"train": 0.1, "validation": 0.01, "test": 0.0}
"""Split → how much better every value is than on test."""
ORIGIN = {
    **{
        "device": "CPU",
        "processor": "Some CPU",
        "isa": "AVX2",
        "platform": "Linux",
        "date": "2026-01-02",
    },
    **{"commit": "0123456", "python": "3.11.2", "torch": "2.13.0", "mtlstudy": "0.1.0"},
}
RUN = {"dropout": 0.0, "steps": 100, "best_step": 90, "magnitude_ratio": 1.5, "weight_ratio": 2.0}
CLASSES = {"hate": ("hate", "offensive", "none"), "intention": ("fragment", "statement")}

Value = Callable[[str, str, str, int], float]
"""(data, method, task, seed) → test value; NaN for a run that diverged."""


def by_method(levels: dict[str, Sequence[float]]) -> Value:
    """The same value for every task: that of the method (or family) by seed, repeated."""
    found = {m if "+" in m else f"{m}+equal": values for m, values in levels.items()}
    return lambda data, method, task, seed: found[method][seed % len(found[method])]


def drift(data: str, method: str, task: str, seed: int) -> float:
    """Values that differ by method and seed, better the later the method stands in the plan (on
    Yeast worse)."""
    names = [task, data, method]
    noise = np.random.default_rng([seed, *(sum(map(ord, name)) for name in names)])
    place = plan.place(method)
    step = 0.004 * (place[0] + place[1]) * (-1 if data == "yeast" else 1)
    return 0.7 - 0.01 * list(TASKS[data]).index(task) + step + 0.01 * noise.standard_normal()


def results(
    comparison: str = "weightings",
    value: Value = drift,
    *,
    data: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: int = 3,
    diverged: Collection[tuple[str, str, int]] = (),
    refused: Sequence[tuple[str, str]] = (),
    learned: Sequence[dict[str, object]] = (),
    missing: Sequence[dict[str, object]] = (),
    left: Sequence[dict[str, object]] = (),
) -> Results:
    """Results of a comparison of the plan, or of other data sets and methods.

    diverged: (data, method, seed); refused: (data, sharing); the last three are rows of frames.
    """
    data = data or plan.COMPARISONS[comparison].data
    methods = methods or plan.COMPARISONS[comparison].methods
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in Results._fields}
    for name, method, seed in [(d, m, s) for d in data for m in methods for s in range(seeds)]:
        sharing, weighting = method.split("+")
        if (name, sharing) in refused:
            continue
        lost = (name, method, seed) in diverged
        values = {task: value(name, method, task, seed) for task in TASKS[name]}
        lost |= any(np.isnan(one) for one in values.values())
        key = {"data": name, "sharing": sharing, "weighting": weighting, "seed": seed}
        head = {**key, "role": "final", "status": "diverged" if lost else "done"}
        for task, metric in TASKS[name].items():
            up = metric != "mae"
            row = {**head, "task": task, "metric": metric, "higher_is_better": up}
            for split, lift in LIFT.items():
                shown = np.nan if lost else values[task] + (lift if up else -lift)
                rows["metrics"].append({**row, "split": split, "value": shown})
                if split != "test":
                    curve = [shown - 0.2 / step for step in (1, 2, 4)]
                    rows["curves"] += [
                        {**key, "task": task, "split": split, "share": share, "value": one}
                        for share, one in zip((0.2, 0.6, 1.0), curve, strict=True)
                    ]
            if sharing == "hard" and weighting in ("equal_norm", "nash", "block_nash"):
                tenths = np.arange(10)
                draws = np.exp(0.4 * np.sin(tenths + len(task) + seed + len(weighting)))
                rows["weights"] += [
                    {**key, "task": task, "share": (tenth + 0.5) / 10, "weight": draw}
                    for tenth, draw in zip(tenths, draws, strict=True)
                ]
            other = ("gsd", metric) if name == "korean_tagging" else ("test", "pearson")
            if other[0] == "gsd" or metric == "spearman":
                more = {"test": other[0], "task": task, "metric": other[1]}
                rows["further"].append({**key, **more, "value": values[task] - 0.3})
            if metric in ("accuracy", "macro_f1") and method == "hard+equal":
                names = CLASSES.get(task, ("ADJ", "NOUN", "VERB"))
                rows["confusion"] += [
                    {**key, "task": task, "true": a, "predicted": b, "count": 1 + 2 * (a == b)}
                    for a in names
                    for b in names
                ]
        parameters, flops = COST.get(sharing, (300, 30e3))
        alone = sharing == "single_task"
        searched = 40 if sharing in ("sparse", "recon") else 0
        games = 100 if "nash" in weighting else 0
        rows["runs"].append(
            {
                **{**head, **RUN, **ORIGIN, "lr": 0.003, "score": 0.5},
                **{"parameters": parameters, "flops": flops, "search_steps": searched},
                **{"cosine": np.nan if alone else 0.25, "conflict": np.nan if alone else 0.125},
                **{"games": games, "unsolved": 0, "diverged_step": 50 if lost else np.nan},
                **{"digest": "d", "run_id": f"{len(rows['runs']):016x}"},
            }
        )
    rows["learned"] = list(learned)
    rows["missing"] = list(missing)
    rows["left"] = list(left)
    reason = "these tasks have no order of levels <b>"
    rows["refused"] = [{"data": d, "sharing": s, "reason": reason} for d, s in refused]
    columns = {
        "learned": ["data", "sharing", "seed", "kind", "part", "row", "column", "value"],
        "refused": ["data", "sharing", "reason"],
        "missing": ["data", "source", "split", "megabytes", "said"],
        "left": ["data", "method"],
    }
    frames = {
        name: pd.DataFrame(some, columns=columns.get(name) if not some else None)
        for name, some in rows.items()
        if name not in ("profile", "comparison")
    }
    return Results(**frames, profile="quick", comparison=comparison)


def render(*figures: Figure) -> None:
    """Draw figures to the last glyph; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in figures:
            figure.savefig(BytesIO(), format="svg")


def nothing(comparison: str, missing: Sequence[dict[str, object]] = ()) -> Results:
    """Results of a comparison whose data are missing: frames without rows."""
    full = results(comparison, seeds=1)
    empty = {name: frame[:0] for name, frame in full._asdict().items() if hasattr(frame, "iloc")}
    lost = {"missing": pd.DataFrame(missing)} if missing else {}
    return full._replace(**{**empty, **lost})


def baselines(value: float = 0.55, majority: float = 0.2, seeds: int = 3) -> pd.DataFrame:
    """Baselines of both Korean benchmarks: `value` for what reads the text (0.3 less on GSD)."""
    rows = []
    for data in ("korean_sentences", "korean_tagging"):
        for test in ("test", "gsd")[: 2 if data == "korean_tagging" else 1]:
            for task, metric in TASKS[data].items():
                simple = "cosine" if metric == "spearman" else "tfidf"
                simple = "word" if data == "korean_tagging" else simple
                given = {simple: value - 0.3 * (test == "gsd")}
                given |= {} if simple == "cosine" else {"majority": majority}
                head = {"data": data, "test": test, "task": task, "metric": metric}
                rows += [
                    {**head, "baseline": b, "seed": s, "value": v, "examples": 3000, "how": ""}
                    for b, v in given.items()
                    for s in range(seeds)
                ]
    return pd.DataFrame(rows)
