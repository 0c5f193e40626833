"""Publishing: what was computed goes as it is to book/results/<profile>/ and the README; benchmarks to book/results/bench/."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from mtlstudy.training import store as runs
from mtlstudy.bench import record
from mtlstudy.errors import InputError
from mtlstudy.study.format import NONE, SHARINGS, bracket, number
from mtlstudy.study import results as base
from mtlstudy.study import weightings as comparison
from mtlstudy.study.solver_values import FAILED

README = Path("README.md")
BEGIN, END = "<!-- results: written by `mtlstudy publish` -->", "<!-- end of results -->"
ROWS = ("single_task+equal", "hard+equal", "hard+static", "hard+equal_norm", "hard+nash")


def publish(profile: str) -> list[Path]:
    """Copy the csv files, the provenance and the README's figure; write the README's table. The files that were written."""
    source, target = base.folder(profile), base.PUBLISHED / profile
    figure = source / "figures" / "delta_m.svg"
    if not (source / "values.json").exists() or not figure.exists():
        raise InputError(f"{source}: nothing computed yet; run `make book` first")
    target.mkdir(parents=True, exist_ok=True)
    written = [Path(shutil.copy(file, target)) for file in [*sorted(source.glob("*.csv")), figure]]
    origin = base.values(profile)["provenance"]
    runs.write(target / "provenance.json", runs.canonical(origin))
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    if not rest or END not in rest:
        raise InputError(f"README.md: the lines {BEGIN!r} and {END!r} are missing")
    runs.write(README, before + block(profile) + rest.partition(END)[2])
    return [*written, target / "provenance.json", README, *benchmarks(base.PUBLISHED / "bench")]


def benchmarks(target: Path) -> list[Path]:
    """Copy the csv and json of every benchmark that was measured here; what was published of the others stays."""
    measured = [file for kind in ("csv", "json") for file in sorted(record.folder().glob(f"*.{kind}"))]
    if measured:
        target.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy(file, target)) for file in measured]


def block(profile: str) -> str:
    """The README's results, markers included, from the published files alone."""
    folder = base.PUBLISHED / profile
    metrics, summary = pd.read_csv(folder / "comparison.csv"), pd.read_csv(folder / "comparison_runs.csv")
    origin = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    table = comparison.aggregate(metrics, summary).set_index(["data", "method"])
    sets = list(dict.fromkeys(table.index.get_level_values("data")))
    level = number(100 * table["level"].dropna().iloc[0], 0)
    head = ["method", *(f"Δm % on {data} [{level} % interval]" for data in sets), *(f"parameters, {data}" for data in sets)]
    lines = [head, ["---"] * len(head)]
    for method in ROWS:
        cells = [table.loc[(data, method)] for data in sets]
        delta = ["baseline" if method == ROWS[0] else change(cell) for cell in cells]
        lines.append([f"`{method}`", *delta, *(number(c["parameters"], 0) for c in cells)])
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    seeds = ", ".join(map(str, origin["seeds"]))
    note = (
        f"Profile {origin['profile']}, seeds {seeds}, {origin['device']}, {origin['date']}; Δm > 0 is better than single-task."
        " The other methods, all cells and the tests are in the book."
    )
    note = "\n".join([note, "", *found(folder), "", *structures(folder)])
    figure = f"![Δm of every method over single-task, by seed](book/results/{profile}/delta_m.svg)"
    return f"{BEGIN}\n{figure}\n\n{body}\n\n{note}\n{END}"


def change(row: "pd.Series[Any]") -> str:
    """Δm with its interval: ``+0.4 [−0.3, +1.2]``."""
    return f"{number(row['delta_m'], sign=True)} {bracket(row['low'], row['high'])}"


def structures(folder: Path) -> list[str]:
    """The sharing families under equal weighting, a row each: Δm with its interval, and parameters against single-task."""
    table = comparison.aggregate(pd.read_csv(folder / "sharing.csv"), pd.read_csv(folder / "sharing_runs.csv"))
    sets = list(dict.fromkeys(table["data"]))
    by = table.set_index(["data", "method"])
    head = ["sharing, equal weighting", *(f"Δm % on {data}" for data in sets), *(f"parameters %, {data}" for data in sets)]
    lines = [head, ["---"] * len(head)]
    for name in SHARINGS:
        at = [(data, f"{name}+equal") for data in sets]
        rows = [by.loc[key] if key in by.index else None for key in at]  # None: the family is not defined there
        if name != "single_task" and any(row is not None for row in rows):
            delta = [NONE if row is None else change(row) for row in rows]
            share = [NONE if row is None else number(100 - row["reduction"], 0) for row in rows]
            lines.append([f"`{name}`", *delta, *share])
    return ["| " + " | ".join(line) + " |" for line in lines]


def found(folder: Path) -> list[str]:
    """What the solver and toy experiments found, a line each, counted in their published tables."""
    cases, ends = pd.read_csv(folder / "solver.csv"), pd.read_csv(folder / "toy.csv")
    cases = cases[(cases["part"] == "recorded") & cases["solver"].isin(["newton", "ccp"])]
    failed = (~(cases["residual"] <= FAILED)).groupby(cases["solver"]).agg(["sum", "size"])
    reached = ends.groupby("method")["on_front"].agg(["sum", "size"])
    newton, ccp = failed.loc["newton"], failed.loc["ccp"]
    toy = ", ".join(f"`{name}` {row['sum']} of {row['size']}" for name, row in reached.sort_index().iterrows())
    return [
        f"- Gramians recorded in training: the exact solver failed on {newton['sum']} of {newton['size']}, the paper's procedure"
        f" on {ccp['sum']} of {ccp['size']} (residual above {FAILED:g} or no weights).",
        f"- The paper's toy problem, starts that end on the Pareto front: {toy}.",
    ]
