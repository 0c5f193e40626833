"""A results folder with known contents, as the paper reads it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from synthetic_frames import DATA, study

from mtlstudy.study.figures import comparison as figures
from mtlstudy.study import weightings as comparison
from mtlstudy.study import solver_values

SPEED = {"newton": 2e-4, "conic": 5e-3, "ccp": 8e-2, "ccp_published": 4e-2}
ORIGIN = {"profile": "quick", "seeds": [0, 1, 2], "device": "cpu", "date": "2026-01-02", "commit": "0123456", "python": "3.11.2",
          "torch": "2.13.0", "mtlstudy": "0.1.0", "platform": "Linux"}  # fmt: skip


def solver() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stress and recorded cases by four solvers, and models trained with exact weights and with the procedure's."""
    rng, rows = np.random.default_rng(3), []
    for part, data in (("stress", ""), *(("recorded", name) for name in DATA)):
        for case in range(40):
            K = 2 + case % 4
            for name, seconds in SPEED.items():
                far = name.startswith("ccp") and case % 3 == 0
                rows.append({"part": part, "family": "mixed", "data": data, "case": case, "seed": 0, "level": 1.0, "K": K,
                             "condition": 10.0 ** (case % 8), "cosine_condition": 1e3, "scale": 1e4, "solver": name,
                             "status": "SOLVED" if name == "newton" else "optimal", "residual": 0.2 if far else 1e-13,
                             "seconds": seconds * rng.uniform(0.9, 1.1), "iterations": 5, "difference": 1e-6, "norm_error": 1e-13,
                             "gain_error": 1e-13, "scale_error": 1e-12})  # fmt: skip
    models = [
        {"data": data, "sharing": "hard", "weighting": weighting, "seed": seed, "status": "done", "task": task, "metric": "auc",
         "higher_is_better": True, "value": rng.uniform(0.6, 0.7), "games": 300, "unsolved": 7 * (weighting == "nash_ccp"),
         "ms_per_step": 8.0}
        for data, tasks in DATA.items() for weighting in ("nash", "nash_ccp") for seed in range(3) for task in tasks
    ]  # fmt: skip
    return pd.DataFrame(rows), pd.DataFrame(models)


def place(folder: Path, diverged: tuple[str, str, int] | None = None) -> Path:
    """Write values.json and figures/delta_m.* into a folder; the path of values.json."""
    metrics, summary, weights = study(diverged=diverged)
    values = {"comparison": comparison.values(metrics, summary, weights), "solver": solver_values.values(*solver()),
              "provenance": ORIGIN}  # fmt: skip
    figures.save(figures.delta_m(metrics), folder / "figures" / "delta_m")
    file = folder / "values.json"
    file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    return file
