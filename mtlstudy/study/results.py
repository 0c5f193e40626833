"""The results of a comparison as tidy frames: from the run store, from what is published, or
trained now.

A run is looked for by its identity in `runs/` first, then in book/results/<profile>/ (a row a run
and task), and only what is in neither is trained. So a book is built in minutes from what was
published, and a further data set or method trains just what it needs.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from mtlstudy import files
from mtlstudy.data import _hub as hub
from mtlstudy.errors import InputError, unknown
from mtlstudy.registry import entry
from mtlstudy.study import plan, rows
from mtlstudy.study.plan import Cell
from mtlstudy.training import store, tune
from mtlstudy.training.build import build
from mtlstudy.training.config import RunConfig
from mtlstudy.training.evaluation import mean
from mtlstudy.training.settings import parse_seeds

PUBLISHED = Path("book/results")
KEYS = ["data", "sharing", "weighting", "seed"]
REFUSED = ["data", "sharing", "reason"]


class Results(NamedTuple):
    """The frames of one comparison; see `mtlstudy.study.rows` for the columns of those with a row a
    run. metrics: long, with a column ``split``; refused: data, sharing, reason; missing: data,
    source, split, megabytes, said; left: data and method of what the plan has and nobody finished
    yet."""

    metrics: pd.DataFrame
    runs: pd.DataFrame
    weights: pd.DataFrame
    curves: pd.DataFrame
    learned: pd.DataFrame
    further: pd.DataFrame
    confusion: pd.DataFrame
    refused: pd.DataFrame
    missing: pd.DataFrame
    left: pd.DataFrame
    profile: str
    comparison: str


class Resolved(NamedTuple):
    """A cell's runs: those of tuning, what was selected, and the reported ones."""

    tuning: list[RunConfig]
    selected: tune.Candidate | None
    reported: list[RunConfig]


@cache
def published(profile: str) -> Mapping[str, pd.DataFrame]:
    """The published tables of runs; empty ones where nothing is published yet.

    Raises:
        Damaged: a file is not what was published.
    """
    tables = {}
    for name, columns in rows.TABLES.items():
        text = files.result(PUBLISHED / profile / f"{name}.csv")
        tables[name] = pd.DataFrame(columns=list(columns))
        if text is not None:
            texts = dict.fromkeys(set(rows.TEXTS).intersection(columns), str)
            frame = pd.read_csv(StringIO(text), dtype=texts, keep_default_na=False, na_values="")
            tables[name] = frame.fillna(dict.fromkeys(texts, ""))
    return tables


@cache
def refused(profile: str) -> dict[tuple[str, str], str]:
    """The published refusals: (data, sharing) → reason."""
    text = files.result(PUBLISHED / profile / "refused.csv")
    if text is None:
        return {}
    lines = pd.read_csv(StringIO(text), dtype=str)[REFUSED].itertuples(index=False)
    return {(data, sharing): reason for data, sharing, reason in lines}


def joined(*parts: pd.DataFrame) -> pd.DataFrame:
    """Rows of the same table one under the other; pandas would take dtypes from those without."""
    return pd.concat([part for part in parts if len(part)] or [parts[0]], ignore_index=True)


def is_finished(config: RunConfig, profile: str) -> bool:
    """Whether the run is published, or in the store and sound."""
    path = store.root() / config.run_id
    local = (path / "DONE").exists() and store.fault(path) is None
    return local or config.run_id in set(published(profile)["runs"]["run_id"])


def ensure(configs: Iterable[RunConfig], profile: str, jobs: int = 1) -> None:
    """Train what is neither in the store nor published, with a progress bar."""
    left = [config for config in configs if not is_finished(config, profile)]
    if jobs != 1:
        tune.train(left, jobs=jobs)
        return
    for config in tqdm(left, desc="training", disable=not left, leave=False):
        tune.train([config], progress=False)


def collect(configs: Iterable[RunConfig], profile: str) -> dict[str, pd.DataFrame]:
    """The tables of runs that are there, each with its run's method and seed; store before
    published. Those that are nowhere are left out."""
    order = {config.run_id: config for config in configs}
    runs = [store.finished(store.root() / run_id) for run_id in order]
    local = [rows.of(run) for run in runs if run is not None]
    elsewhere = order.keys() - {of["runs"][0]["run_id"] for of in local}
    head = [[run_id, *(getattr(c, key) for key in KEYS)] for run_id, c in order.items()]
    tables = {}
    for name, columns in rows.TABLES.items():
        old = published(profile)[name]
        old = old[old["run_id"].isin(elsewhere)]
        frame = joined(old, pd.DataFrame([line for of in local for line in of[name]]))
        shares = sorted(str(column) for column in frame if column not in columns)
        rest = [column for column in columns if column not in KEYS]
        heads = pd.DataFrame(head, columns=["run_id", *KEYS])
        tables[name] = heads.merge(frame.drop(columns=KEYS, errors="ignore"), on="run_id")
        tables[name] = tables[name][[*KEYS, *rest, *shares]]
    return tables


def tuning(cell: Cell) -> list[RunConfig]:
    """The tuning runs that a cell needs: its own, or those of the cell whose values it takes over.
    Where they lead beyond the grid (`tune.further`), as far as is known by what is finished."""
    return [run for _, group in _tried(cell.like or cell)[0] for run in group]


def _tried(cell: Cell) -> tuple[list[tuple[tune.Candidate, list[RunConfig]]], list[float] | None]:
    """A cell's candidates with their runs, and their scores where all are finished."""
    config, budget = cell.config, cell.scale.budget
    groups = tune.tuning(config, budget)
    while all(is_finished(run, cell.profile) for _, group in groups for run in group):
        scores = [mean([score(run, cell.profile) for run in group]) for _, group in groups]
        more = tune.further([each for each, _ in groups], scores, budget) if groups else None
        if more is None:
            return groups, scores
        groups += tune.tuning(config, budget, tried=[more])
    return groups, None


def is_tuned(cell: Cell) -> bool:
    """Whether the tuning runs that a cell needs are finished."""
    try:
        return _tried(cell.like or cell)[1] is not None
    except InputError:  # data without a pin that are not on this machine
        return False


def ensure_tuned(cells: Iterable[Cell], jobs: int = 1) -> None:
    """Train the tuning runs of cells of a profile, until each has its values."""
    left = [cell for cell in cells if not is_tuned(cell)]
    while left:
        runs = {run.run_id: run for cell in left for run in tuning(cell)}
        ensure(sorted(runs.values(), key=lambda c: c.seed), left[0].profile, jobs)
        left = [cell for cell in left if not is_tuned(cell)]


def score(config: RunConfig, profile: str) -> float:
    """The validation score of a finished run, to the last bit as it was selected by."""
    run = store.finished(store.root() / config.run_id)
    runs = published(profile)["runs"]
    return tune.score(run) if run else float(runs[runs["run_id"] == config.run_id]["score"].item())


def resolve(cell: Cell, seeds: Sequence[int] | None = None) -> Resolved:
    """What a cell whose tuning runs are finished consists of; it trains nothing. Where no candidate
    has a score, nothing is selected and nothing reported."""
    config, budget = cell.config, cell.scale.budget
    seeds = range(budget.seeds) if seeds is None else seeds
    groups, scores = ([], None) if cell.like else _tried(cell)
    flat = [run for _, group in groups for run in group]
    if cell.like is not None:
        selected = resolve(cell.like).selected
    elif not groups or scores is None:
        (selected,) = tune.candidates(config, budget)
    elif any(map(math.isfinite, scores)):
        selected = tune.select([each for each, _ in groups], scores)
    else:
        selected = None
    if selected is None:
        return Resolved(flat, None, [])
    return Resolved(flat, selected, tune.reported(config, selected, seeds))


def refusal(cell: Cell) -> str:
    """Why the sharing family makes no sense over these tasks, in its own words; "" where it does.

    Raises:
        InputError: the model cannot be built for another reason.
    """
    if reason := refused(cell.profile).get((cell.data, cell.sharing)):
        return reason
    runs = published(cell.profile)["runs"]
    trained = (runs["data"] == cell.data) & (runs["sharing"] == cell.sharing)
    if trained.any() or not entry("data", cell.data).available():
        return ""
    begin = f"sharing = {cell.sharing!r}: "
    try:
        with torch.random.fork_rng():  # the caller's random numbers are left as they were
            build(cell.config)
    except InputError as error:
        if not str(error).startswith(begin):
            raise
        return str(error).removeprefix(begin)
    return ""


def usable(cell: Cell) -> bool:
    """Whether a cell's runs can be had: its data are on this machine, or it is published."""
    if entry("data", cell.data).available() or (cell.data, cell.sharing) in refused(cell.profile):
        return True
    return is_reported(cell)


def gather(
    cells: Iterable[Cell], seeds: Sequence[int] | None = None, train: bool = True
) -> tuple[list[RunConfig], dict[tuple[str, str], str]]:
    """The configurations of usable cells, and (data, sharing) → reason of those that are refused.
    A cell whose tuning is not finished is tuned first, or left out."""
    configs, reasons = list[RunConfig](), dict[tuple[str, str], str]()
    for cell in cells:
        if reason := refusal(cell):
            reasons[cell.data, cell.sharing] = reason
            continue
        if train:
            ensure_tuned([cell])
        elif not is_tuned(cell):
            continue
        resolved = resolve(cell, seeds)
        configs += [*resolved.tuning, *resolved.reported]
    return configs, reasons


def refused_frame(reasons: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Refusals as a table with the columns `REFUSED`."""
    return pd.DataFrame([(*at, reason) for at, reason in reasons.items()], columns=REFUSED)


def load(
    comparison: str, profile: str = "quick", data: str = "", methods: str = "", seeds: str = ""
) -> Results:
    """The results of a comparison of the plan; what is missing is trained, or where the profile is
    not `live` left out, unless data, methods or seeds are given.

    data, methods: names with commas between, of the plan or any others ("diabetes",
    "hard+nash,mmoe+equal"), in place of the comparison's; seeds: "0-2" in place of the profile's.

    Raises:
        InputError: an unknown comparison, profile, data set, method or seed.
    """
    chosen = [cell for cell in plan.select(comparison, profile, data, methods) if usable(cell)]
    numbers = parse_seeds(seeds) if seeds else None
    if numbers is not None:  # refused before anything is trained
        for cell in chosen:
            tune.reported(cell.config, {}, numbers)
    asked = plan.PROFILES[profile].live or data or methods or seeds
    left = [] if asked else unfinished(chosen)
    chosen = [cell for cell in chosen if cell not in left]
    configs, reasons = gather(chosen, numbers)
    ensure(configs, profile)
    tables = collect(configs, profile)
    there = {cell.data for cell in [*chosen, *left]}
    return Results(
        rows.melted_metrics(tables["metrics"], tables["runs"]),
        tables["runs"],
        rows.melted(tables["weights"], "weight"),
        rows.melted(tables["curves"], "value"),
        tables["learned"],
        tables["further"],
        tables["confusion"],
        refused_frame(reasons),
        missing(n for n in plan.data_sets(comparison, profile, data) if n not in there),
        pd.DataFrame([(c.data, c.method) for c in left], columns=["data", "method"]),
        profile,
        comparison,
    )


def unfinished(cells: Sequence[Cell]) -> list[Cell]:
    """Those of some cells that are neither refused nor finished, as far as that is published or in
    the store, and all of a data set whose baseline is among them."""
    left = {
        cell
        for cell in cells
        if not ((cell.data, cell.sharing) in refused(cell.profile) or is_reported(cell))
    }
    without = {cell.data for cell in left if cell.method == plan.BASELINE}
    return [cell for cell in cells if cell in left or cell.data in without]


def is_reported(cell: Cell) -> bool:
    """Whether a cell's tuning and all its reported runs are finished."""
    return is_tuned(cell) and all(is_finished(c, cell.profile) for c in resolve(cell).reported)


def missing(data_sets: Iterable[str]) -> pd.DataFrame:
    """A row a split that is nowhere: data, source, split, megabytes of the source's download, and
    what the loader says."""
    lines = [
        (name, str(source), split, f"{source.megabytes:g}", said)
        for name in data_sets
        for source, split, said in hub.missing(*entry("data", name).sources)
    ]
    return pd.DataFrame(lines, columns=["data", "source", "split", "megabytes", "said"])


def gramians(data: str, profile: str) -> list[Tensor]:
    """Recorded Gramians of the reported runs of hard+nash, summed over blocks, in training order: a
    tensor (steps, K, K) a seed. Runs that are not in the store are trained."""
    cell = Cell(data, "hard+nash", profile)
    ensure_tuned([cell])
    recorded = []
    for run in tune.train(resolve(cell).reported, progress=False):
        lines = [line["gramian"] for line in run.observations() if line["gramian"]]
        recorded.append(torch.tensor(lines, dtype=torch.float64).sum(1))
    return recorded


def computed(name: str, profile: str) -> dict[str, pd.DataFrame]:
    """The tables of what is computed beside runs (`plan.COMPUTED`): those built here, then those
    published, of the module's present VERSION; computed anew otherwise.

    Raises:
        InputError: an unknown name.
    """
    texts = _computed(name, profile)[0]
    return {table: pd.read_csv(StringIO(text)) for table, text in texts.items()}


def published_tables(tables: Iterable[str], profile: str) -> dict[str, pd.DataFrame]:
    """Tables of what is computed, as they are published, whatever the VERSION; {} where one is
    missing."""
    texts = {table: files.result(PUBLISHED / profile / f"{table}.csv") for table in tables}
    whole = {table: text for table, text in texts.items() if text is not None}
    if len(whole) < len(texts):
        return {}
    return {t: pd.read_csv(StringIO(text), dtype={"run_id": str}) for t, text in whole.items()}


def origin(name: str, profile: str) -> dict[str, Any]:
    """Under what the tables of `computed` were made, for `tables.stamp`; they have no seeds."""
    return {"profile": profile, "seeds": "–", **_computed(name, profile)[1]["provenance"]}


def built(name: str, profile: str) -> dict[str, str]:
    """The files of what was computed here, by name; none where it was not, or one was damaged and
    is set aside."""
    read = partial(files.healed, files.result)
    return _files(name, store.build_folder() / "results" / profile, read)


def _files(
    name: str, folder: Path, read: Callable[[Path], str | None] = files.result
) -> dict[str, str]:
    """The record of what is computed, and its tables, by file name; none where one is missing."""
    texts = {f"{name}.json": read(folder / f"{name}.json")}
    if record := texts[f"{name}.json"]:
        tables = (f"{table}.csv" for table in json.loads(record)["tables"])
        texts |= {table: read(folder / table) for table in tables}
    whole = {file: text for file, text in texts.items() if text is not None}
    return whole if len(whole) == len(texts) else {}


def _computed(name: str, profile: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The tables as text, and their record; they are computed if they are nowhere."""
    if name not in plan.COMPUTED:
        raise unknown("computed", name, plan.COMPUTED)
    module = import_module(f"mtlstudy.study.{name}")
    for find in (built, lambda n, p: _files(n, PUBLISHED / p)):
        if texts := find(name, profile):
            made: dict[str, Any] = json.loads(texts[f"{name}.json"])
            if made["version"] == module.VERSION:
                return {table: texts[f"{table}.csv"] for table in made["tables"]}, made
    frames: dict[str, pd.DataFrame] = module.compute(profile)
    tables = {
        table: frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        for table, frame in frames.items()
    }
    made = {"version": module.VERSION, "tables": sorted(frames)}
    made["provenance"] = store.provenance("cpu")
    texts = {f"{table}.csv": text for table, text in tables.items()}
    texts[f"{name}.json"] = store.canonical(made)
    files.publish(store.build_folder() / "results" / profile, texts)
    return tables, made


def provenance(runs: pd.DataFrame, profile: str) -> dict[str, Any]:
    """Under what some runs were made, for `tables.stamp`: profile, seeds, and what they differ in
    joined by commas."""
    final = runs[runs["role"] == "final"]
    made = {n: ", ".join(sorted(set(final[n].dropna().astype(str)))) for n in rows.ORIGIN}
    return {"profile": profile, "seeds": sorted({int(seed) for seed in final["seed"]}), **made}


def train(cells: Sequence[Cell], jobs: int = 1) -> list[str]:
    """Train what cells of the plan lack, a data set after another: tuning, then reported seeds; a
    line a data set. Data sets that are not on this machine are left out, and said so.

    Raises:
        InputError: jobs < 1, a corrupt run folder, or a worker that died.
    """
    lines = []
    for name in dict.fromkeys(cell.data for cell in cells):
        if not entry("data", name).available():
            lines.append(f"{name}: its files are not on this machine (`mtlstudy data {name}`)")
            continue
        group = [cell for cell in cells if cell.data == name and not refusal(cell)]
        ensure_tuned(group, jobs)
        tried = {run.run_id for cell in group for run in tuning(cell)}
        final = [run for cell in group for run in resolve(cell).reported]
        ensure(sorted(final, key=lambda c: c.seed), cells[0].profile, jobs)
        lines.append(f"{name}: {len(group)} methods, {len(tried)} + {len(final)} runs are there")
        failed = [cell.config.method for cell in group if resolve(cell).selected is None]
        if failed:
            lines.append(f"{name}: no candidate has a score, nothing is reported: {failed}")
    return lines


def progress(profile: str) -> str:
    """How much of the plan is done, in a line."""
    done, total = 0, 0
    for cell in plan.cells(profile):
        if (cell.data, cell.sharing) in refused(profile):
            continue
        runs = [] if cell.like else tuning(cell)
        total += len(runs) + cell.scale.budget.seeds
        if is_tuned(cell):
            runs += resolve(cell).reported
        done += sum(is_finished(run, profile) for run in runs)
    return f"profile {profile}: {done} of {total} runs done, in the store or published"
