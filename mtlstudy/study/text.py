"""What chapters and paper quote, in one file: claims as sentences, numbers, provenance, protocol.

_build/text/<profile>.json = {"claims", "run", "provenance", "set"}; MyST and Typst read this alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mtlstudy import files
from mtlstudy.nash.reference import FAILED
from mtlstudy.study import (
    benchmarks,
    claims,
    comparison,
    overfitting,
    plan,
    recheck,
    results,
    solver,
    structure,
    toy,
    transfer,
)
from mtlstudy.study.claims import Claim
from mtlstudy.study.format import number, power
from mtlstudy.study.solver import SOLVERS
from mtlstudy.study.words import label, name, word
from mtlstudy.training import store
from mtlstudy.training.build import load

REPORTED = "weightings"
"""The comparison that the paper reports."""
KOREAN = "korean_sentences"
"""The comparison of hard sharing with single-task models that front page and paper quote."""
CONTROL = "nash_equal_norm"
"""Its declared comparison of bargaining with the control, on which conclusions rest."""
SCALE = ("label", "tasks", "train", "steps", "seeds")
"""What a text says of a data set's scale."""
VERDICTS = {"outside": recheck.OUTSIDE, "within": recheck.WITHIN, "same": recheck.SAME}
"""Outcome of a run trained again → what it is called there, the worst first."""


def render(profile: str) -> Path:
    """Write the file of a profile; what is missing for it is computed.

    Raises:
        InputError: an unknown profile, a claim without a sentence, a missing word or figure.
    """
    at = plan.at("solver", profile)
    found, models = results.load(REPORTED, profile), results.load("solver", at)
    solved = results.computed("solver", at)["solver"]
    judged = results.computed("structure", profile)["structure"]
    fewer = overfitting.judged(results.computed("overfitting", profile)["overfitting"])
    compared = comparison.cited(found)
    korean = results.load(KOREAN, profile)
    moved = transfer.found(results.computed("transfer", profile))
    tested = [*structure.judged(judged), on_recheck(profile), *transfer.paper(moved), *fewer]
    tested += comparison.verdicts(korean, comparison.declared(korean))
    sets = sorted_sets(found)
    said = claims.cited([*on_paper(compared, sets), *solver.paper(models), *tested])
    shown = [described(plan.Cell(data, plan.BASELINE, profile)) for data in sets]
    scales = [word("text.scale", **{key: one[key] for key in SCALE}) for one in shown]
    text = {
        "claims": {**said, REPORTED: {"verdict": compared.pop("verdict")}},
        "run": {
            "comparison": compared,
            "scales": scales,
            "solver": solver.cited(solved, models),
            "toy": toy.cited(results.computed("toy", plan.at("toy", profile))["toy"]),
            "structure": structure.cited(judged),
            "transfer": claims.sentences(moved),
            "overfitting": claims.sentences(fewer),
            "records": records_of(profile),
            "portable": claims.sentences(on_portable(profile)),
            "reliability": claims.sentences(on_reliability()),
        },
        "provenance": results.provenance(found.runs, profile),
        "set": protocol(profile, shown, sorted_sets(models)),
    }
    file = store.build_folder() / "text" / f"{profile}.json"
    written = json.dumps(text, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    files.publish(file.parent, {file.name: written})
    return file


def records_of(profile: str) -> dict[str, str]:
    """How many runs are published, of what, and how they ended."""
    runs = results.published(profile)["runs"]
    counts = {role: int((runs["role"] == role).sum()) for role in ("tune", "final")}
    counts |= {"diverged": int((runs["status"] == "diverged").sum())}
    counts |= {"cells": len(runs[["data", "sharing", "weighting"]].drop_duplicates())}
    counts |= {key: int(runs[key].sum()) for key in ("steps", "games", "unsolved")}
    return {key: number(value, 0) for key, value in counts.items()}


def sorted_sets(found: results.Results) -> list[str]:
    """The data sets that a comparison has results of, in the plan's order."""
    planned = plan.data_sets(found.comparison, found.profile)
    return [data for data in planned if data in set(found.metrics["data"])]


def on_paper(compared: Mapping[str, Any], sets: list[str]) -> list[Claim]:
    """What the paper says of the control and of each data set's best and worst method."""
    tested = compared["tests"].get("all", {}).get(CONTROL, {"outcome": "untested"})["outcome"]
    outcome = {"above": "unclear", "below": "unclear"}.get(tested, tested)
    parts = ("abstract", "consequence", "conclusion")
    said = [Claim(f"paper_{part}", outcome, {}, f"paper.{part}") for part in parts]
    for data in sets:
        rows = compared[data]
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


def on_recheck(profile: str) -> Claim:
    """What came out of training a sample of the published runs again."""
    counts = counted([row["verdict"] for row in recheck.read(profile)])
    worst = next((outcome for outcome in VERDICTS if counts[outcome] != "0"), "untested")
    return Claim("recheck", worst, counts, "recheck.verdict")


def on_portable(profile: str) -> list[Claim]:
    """How far the portable arithmetic moves published results, a data set each, and its price."""
    timed = benchmarks.part(benchmarks.frames()["train"], "arithmetic", method="portable")
    price, said = timed.set_index("problem")["ratio"], list[Claim]()
    columns = ["data", "verdict", "largest"]
    drawn = pd.DataFrame(recheck.read(profile, portable=True), columns=columns)
    for data, own in drawn.groupby("data", sort=True):
        off = own["largest"].astype(float)
        figures = {"data": name("data_short", str(data)), **counted(list(own["verdict"]))}
        figures |= {"median": number(off.median()), "largest": number(off.max())}
        if data in price:
            figures["price"] = number(price[data])
        said.append(Claim("portable", "timed" if data in price else "untimed", figures))
    return said or [Claim("portable", "untested", {})]


def on_reliability() -> list[Claim]:
    """What the reliability campaign counted, a part each; figures that are not whole are shown to
    one digit, small ones in powers of ten."""
    said, record = list[Claim](), files.result(recheck.RELIABILITY)
    parts = json.loads(record) if record else {}
    for part, counts in parts.items():
        figures = {"tried": counts["tried"], "failed": counts["failed"], **counts["details"]}
        shown = {
            key: value if isinstance(value, str) else figure(value)
            for key, value in figures.items()
        }
        said.append(Claim(f"reliability_{part}", "counted", {**shown, "date": counts["date"]}))
    return said or [Claim("reliability", "untested", {})]


def figure(value: float) -> str:
    """A count whole, another number to one digit, a small one in powers of ten."""
    if isinstance(value, int):
        return number(value, 0)
    return number(value) if value == 0 or abs(value) >= 0.1 else power(value)


def counted(verdicts: list[str]) -> dict[str, str]:
    """How many runs were drawn, and how many came out as what."""
    counts = {outcome: number(verdicts.count(one), 0) for outcome, one in VERDICTS.items()}
    return {"drawn": number(len(verdicts), 0), **counts}


def protocol(profile: str, sets: list[dict[str, str]], recorded: list[str]) -> dict[str, Any]:
    """What was set before any result, as strings: budgets, data sets, methods, comparisons.

    sets: `described`; recorded: those whose training gave Gramians to the comparison of solvers.
    """
    budget, reported = plan.PROFILES[profile].budget, plan.COMPARISONS[REPORTED]
    low, high = budget.rates
    return {
        **budgets(profile),
        "lr_low": power(low),
        "lr_high": power(high),
        "failed": power(FAILED),
        "sets": sets,
        "recorded": recorded,
        "methods": [{"method": m, "label": label(m)} for m in reported.methods],
        "solvers": [{"name": s, "label": name("solver", s)} for s in SOLVERS],
        "declared": list(reported.declared),
        "profiles": {p: budgets(p) for p in plan.PROFILES} | {"lr": [f"{low:g}", f"{high:g}"]},
    }


def budgets(profile: str) -> dict[str, str]:
    """Steps, evaluations, candidates and seeds of a profile."""
    run, budget = plan.PROFILES[profile][:2]
    numbers = {key: run[key] for key in ("steps", "evaluations")}
    numbers |= {key: getattr(budget, key) for key in ("trials", "tuning_seeds", "seeds")}
    dropouts = ", ".join(f"{dropout:g}" for dropout in budget.dropouts)
    return {key: number(value, 0) for key, value in numbers.items()} | {"dropouts": dropouts}


def described(cell: plan.Cell) -> dict[str, str]:
    """What a data set is to the study: its name, label and number of tasks, examples, steps and
    reported seeds. The examples are those of the splits where the data set comes with a package,
    and as many training examples as each task has where they are drawn."""
    c, scale = cell.config, cell.scale
    numbers = {"tasks": len(c.tasks), "steps": c.steps, "seeds": scale.budget.seeds}
    shown = {key: number(value, 0) for key, value in numbers.items()}
    shown |= {"name": cell.data, "label": name("data_short", cell.data)}
    if c.data_set().sources:
        return shown | {"train": number(c.data_options["train"], 0)}
    _, splits = load(c)
    sizes = {part: getattr(splits, part).sizes()[""] for part in ("train", "validation", "test")}
    return shown | {part: number(value, 0) for part, value in sizes.items()}
