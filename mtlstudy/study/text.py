"""What chapters and paper quote, in one file: claims as sentences, numbers, provenance, protocol.

_build/text/<profile>.json = {"claims", "run", "provenance", "set"}; MyST and Typst read this alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtlstudy.registry import entry
from mtlstudy.study import claims, comparison, plan, recheck, results, solver_values, toy_values
from mtlstudy.study.claims import Claim
from mtlstudy.study.format import number, power
from mtlstudy.study.solver import FAILED, SOLVERS
from mtlstudy.study.words import label, name
from mtlstudy.training import store

REPORTED = "weightings"
"""The comparison that the paper reports."""
CONTROL = "nash_equal_norm"
"""Its declared comparison of bargaining with the control, on which conclusions rest."""


def render(profile: str) -> Path:
    """Write the file of a profile; what is missing for it is computed.

    Raises:
        InputError: an unknown profile, a claim without a sentence, a missing word or figure.
    """
    found, models = results.load(REPORTED, profile), results.load("solver", profile)
    solved = results.computed("solver", profile)["solver"]
    compared = comparison.cited(found)
    said = claims.cited([*on_paper(compared), *solver_values.paper(models), on_recheck()])
    text = {
        "claims": {**said, REPORTED: {"verdict": compared.pop("verdict")}},
        "run": {
            "comparison": compared,
            "solver": solver_values.cited(solved, models),
            "toy": toy_values.cited(results.computed("toy", profile)["toy"]),
        },
        "provenance": results.provenance(found.runs, profile),
        "set": protocol(profile),
    }
    file = store.build_folder() / "text" / f"{profile}.json"
    store.write(file, json.dumps(text, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    return file


def on_paper(compared: Mapping[str, Any]) -> list[Claim]:
    """What the paper says of the control and of each data set's best and worst method."""
    tested = compared["tests"].get("all", {}).get(CONTROL, {"outcome": "untested"})["outcome"]
    outcome = {"above": "unclear", "below": "unclear"}.get(tested, tested)
    parts = ("abstract", "consequence", "conclusion")
    said = [Claim(f"paper_{part}", outcome, {}, f"paper.{part}") for part in parts]
    for data in plan.COMPARISONS[REPORTED].data:
        rows = compared.get(data, {})
        by_name = {row["method"]: row for row in rows.values() if isinstance(row, dict)}
        figures = {"data": name("data_short", data)}
        ends = {end: by_name.get(rows.get(end)) for end in ("highest", "lowest")}
        for end, row in ends.items():
            if row:
                figures |= {end: row["method"], f"{end}_delta": row["delta_m"]}
                figures[f"{end}_interval"] = row["interval"]
        if all(ends.values()):
            figures["reduction"] = rows[plan.HARD]["reduction"]
        kind = "ranked" if all(ends.values()) else "diverged"
        said.append(Claim("paper_ranks", kind, figures, f"paper.ranks.{data}"))
    return said


def on_recheck() -> Claim:
    """What came out of training a sample of the published runs again."""
    drawn = [row["verdict"] for row in recheck.read()["drawn"]]
    counts = {
        "drawn": number(len(drawn), 0),
        "same": number(drawn.count(recheck.SAME), 0),
        "within": number(drawn.count(recheck.WITHIN), 0),
        "outside": number(drawn.count(recheck.OUTSIDE), 0),
    }
    outcome = "same" if drawn else "untested"
    if recheck.WITHIN in drawn:
        outcome = "within"
    if recheck.OUTSIDE in drawn:
        outcome = "outside"
    return Claim("recheck", outcome, counts, "recheck.verdict")


def protocol(profile: str) -> dict[str, Any]:
    """What was set before any result, as strings: budgets, data sets, methods, comparisons."""
    budget, reported = plan.PROFILES[profile].budget, plan.COMPARISONS[REPORTED]
    low, high = budget.rates
    return {
        **budgets(profile),
        "lr_low": power(low),
        "lr_high": power(high),
        "failed": power(FAILED),
        "sets": [{"name": d, "label": name("data_short", d), **size(d)} for d in reported.data],
        "methods": [{"method": m, "label": label(m)} for m in reported.methods],
        "solvers": [{"name": s, "label": name("solver", s)} for s in SOLVERS],
        "declared": list(reported.declared),
        "profiles": {p: budgets(p) for p in plan.PROFILES} | {"lr": [f"{low:g}", f"{high:g}"]},
    }


def budgets(profile: str) -> dict[str, str]:
    """Steps, evaluations, candidates and seeds of a profile."""
    run, budget = plan.PROFILES[profile]
    numbers = {key: run[key] for key in ("steps", "evaluations")}
    numbers |= {key: getattr(budget, key) for key in ("trials", "tuning_seeds", "seeds")}
    dropouts = ", ".join(f"{dropout:g}" for dropout in budget.dropouts)
    return {key: number(value, 0) for key, value in numbers.items()} | {"dropouts": dropouts}


def size(data: str) -> dict[str, str]:
    """Tasks, inputs and examples of a single-input data set that comes with a package."""
    kind = entry("data", data)
    one = kind(kind.Options())
    splits = one.load(0)
    parts = ("train", "validation", "test")
    return {
        "tasks": number(len(one.tasks), 0),
        "inputs": " × ".join(str(n) for n in splits.train.form()),
        **{part: number(getattr(splits, part).sizes()[""], 0) for part in parts},
    }
