"""The README's block of results, in English, from what is published."""

import shutil
from pathlib import Path
from typing import Any

from mtlstudy.nash.reference import FAILED
from mtlstudy.study import comparison, plan, results, structure
from mtlstudy.study.figures.comparison import delta_m
from mtlstudy.study.figures.style import keep
from mtlstudy.study.format import NONE, bracket, number
from mtlstudy.study.results import Results
from mtlstudy.study.tables import records

SHOWN = ("hard+equal", "hard+static", "hard+equal_norm", "hard+nash")
"""The weightings of the README's table; the book has all of them."""


def block(profile: str) -> str:
    """Figure, tables and findings."""
    weightings, sharings = (
        results.load(one, plan.at(one, profile)) for one in ("weightings", "sharings")
    )
    families = plan.COMPARISONS["sharings"].methods[1:]
    parts = [
        [f"![Δm of every method over single-task, by seed](book/results/{profile}/delta_m.svg)"],
        table(weightings, "method", SHOWN),
        [origin(weightings)],
        table(sharings, "sharing, equal weighting", families),
        [f"{origin(sharings)} Δm > 0 is better than single-task; all cells and tests: the book."],
        findings(profile),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts)


def origin(found: Results) -> str:
    """Under what the results of a table were made."""
    made = results.provenance(found.runs, found.profile)
    seeds, dates = made["seeds"], made["date"].split(", ")
    when = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    return (
        f"Profile {found.profile}, at most {len(seeds)} seeds a cell, {made['device']}"
        f" ({made['isa']}), {when}."
    )


def table(found: Results, head: str, methods: tuple[str, ...]) -> list[str]:
    """Δm with its interval, and parameters in percent of single-task, a row a method."""
    rows = {(row["data"], row["method"]): row for row in records(comparison.aggregate(found))}
    sets = list(dict.fromkeys(data for data, _ in rows))
    lines = [[head, *(f"Δm % on {d}" for d in sets), *(f"size %, {d}" for d in sets)]]
    lines.append(["---"] * len(lines[0]))
    for method in methods:
        cells: list[dict[str, Any] | None] = [rows.get((data, method)) for data in sets]
        if not any(cells):
            continue
        delta = [NONE if row is None else change(row) for row in cells]
        share = [NONE if row is None else number(100 - row["reduction"], 0) for row in cells]
        lines.append(
            [f"`{method.removesuffix('+equal') if head[0] == 's' else method}`", *delta, *share]
        )
    return ["| " + " | ".join(line) + " |" for line in lines]


def change(row: dict[str, Any]) -> str:
    """Δm with its interval: ``+0.4 [−0.3, +1.2]``."""
    return f"{number(row['delta_m'], sign=True)} {bracket(row['low'], row['high'])}"


def findings(profile: str) -> list[str]:
    """What the solver and toy experiments found, counted in their tables."""
    cases = results.computed("solver", plan.at("solver", profile))["solver"]
    cases = cases[(cases["part"] == "recorded") & cases["solver"].isin(["newton", "ccp"])]
    missed = ~(cases["residual"] <= FAILED)
    failed = missed.groupby(cases["solver"]).agg(["sum", "size"])
    ends = results.computed("toy", plan.at("toy", profile))["toy"]
    reached = ends.groupby("method")["on_front"].agg(["sum", "size"]).sort_index()
    toy = ", ".join(f"`{name}` {row['sum']} of {row['size']}" for name, row in reached.iterrows())
    newton, ccp = failed.loc["newton"], failed.loc["ccp"]
    return [
        f"- Gramians recorded in training: the exact solver failed on {newton['sum']} of"
        f" {newton['size']}, the paper's procedure on {ccp['sum']} of {ccp['size']}.",
        f"- The paper's toy problem, starts that end on the Pareto front: {toy}.",
        f"- {structures(profile)}",
    ]


def structures(profile: str) -> str:
    """What the structure experiment found, a clause a judge."""
    frame = results.computed("structure", profile)["structure"]
    table = structure.summary(frame).set_index(["judge", "arm"])["delta_m"]
    said = []
    for judge in frame["judge"].unique():
        own = {arm: number(value, sign=True) for arm, value in table[judge].items()}
        others = {"hard": "hard", "true groups": "oracle", "members permuted": "permuted"}
        others["hard with as many parameters"] = "hard_equal_parameters"
        shown = [f"{text} {own[arm]}" for text, arm in others.items() if arm in own]
        said.append(f"`{judge}` {own['nash_share']} ({', '.join(shown)})")
    seeds = frame["seed"].nunique()
    about = f"Structure learned while training (`nash_share`, {seeds} seeds), Δm % over single-task"
    return f"{about}: {'; '.join(said)}."


def figure(profile: str) -> Path:
    """Draw the README's figure from what is published, and put it beside the tables."""
    drawn = keep(delta_m(results.load("weightings", profile)), profile, "delta_m")
    svg = next(file for file in drawn if file.suffix == ".svg")
    return Path(shutil.copy(svg, results.PUBLISHED / profile))
