"""A small study with known answers: two data sets, eight methods, three seeds."""

import numpy as np
import pandas as pd

WEIGHTINGS = ("equal", "scale_invariant", "uncertainty", "static", "equal_norm", "nash", "block_nash")
METHODS = [("single_task", "equal"), *(("hard", w) for w in WEIGHTINGS)]
DATA = {"multi_mnist": ["left", "right"], "yeast": [f"class{i}" for i in range(1, 15)]}


def study(seeds: int = 3, diverged: tuple[str, str, int] | None = None) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(metrics, summary, weights); diverged = (data, weighting, seed) of a hard run."""
    rng = np.random.default_rng(1)
    rows, runs, weights = [], [], []
    for data, tasks in DATA.items():
        for k, (sharing, weighting) in enumerate(METHODS):
            for seed in range(seeds):
                out = diverged == (data, weighting, seed) and sharing == "hard"
                status = "diverged" if out else "done"
                head = {"data": data, "sharing": sharing, "weighting": weighting, "seed": seed, "role": "final", "status": status}
                for t, task in enumerate(tasks):
                    level = 0.8 - 0.01 * t + 0.004 * k * (1 if data == "multi_mnist" else -1)
                    for split, lift in (("train", 0.05), ("validation", 0.01), ("test", 0.0)):
                        value = np.nan if out else level + lift + 0.01 * rng.standard_normal()
                        metric = "accuracy" if data == "multi_mnist" else "auc"
                        rows.append({**head, "task": task, "metric": metric, "higher_is_better": True, "split": split,
                                     "value": value})  # fmt: skip
                single = sharing == "single_task"
                runs.append({**head, "lr": 0.003, "device": "cpu", "steps": 300, "best_step": 270, "run_id": f"{len(runs):016x}",
                             "parameters": 20000 * len(tasks) if single else 25000, "seconds": 4.0 + k, "ms_per_step": 5.0 + k,
                             "cosine": np.nan if single else 0.1 * rng.standard_normal() + 0.1,
                             "conflict": np.nan if single else rng.uniform(0.2, 0.5), "magnitude_ratio": 1.5,
                             "unsolved": 0, "games": 300 if "nash" in weighting else 0,
                             "diverged_step": 120 if out else np.nan})  # fmt: skip
                if sharing == "hard" and weighting in ("equal_norm", "nash", "block_nash"):
                    for step in range(0, 300, 30):
                        draw = np.exp(0.4 * rng.standard_normal(len(tasks)))
                        weights += [{"data": data, "sharing": sharing, "weighting": weighting, "seed": seed, "step": step,
                                     "block": "trunk", "task": task, "weight": w, "status": "SOLVED"}
                                    for task, w in zip(tasks, draw / draw.mean(), strict=True)]  # fmt: skip
    return pd.DataFrame(rows), pd.DataFrame(runs), pd.DataFrame(weights)


def curves() -> pd.DataFrame:
    """Learning curves of every method on both data sets."""
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        [{"data": data, "sharing": sharing, "weighting": weighting, "seed": seed, "step": step, "split": "validation",
          "task": task, "loss": 1.0, "value": 0.8 - 0.3 * np.exp(-step / 80) + 0.01 * rng.standard_normal()}
         for data, tasks in DATA.items() for sharing, weighting in METHODS for seed in range(3) for step in range(30, 301, 30)
         for task in tasks]
    )  # fmt: skip
