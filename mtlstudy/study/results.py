"""The results of a comparison as tidy frames: from the run store, from what is published, or
trained now.

A run is looked for by its identity in `runs/` first, then in book/results/<profile>/ (a row a run
and task), and only what is in neither is trained. So a book is built in minutes from what was
published, and a further data set or method trains just what it needs.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

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


class Results(NamedTuple):
    """The frames of one comparison; see `mtlstudy.study.rows` for the columns of those with a row a
    run. metrics: long, with a column ``split``; refused: data, sharing, reason; missing: data,
    source, split, megabytes, said."""

    metrics: pd.DataFrame
    runs: pd.DataFrame
    weights: pd.DataFrame
    curves: pd.DataFrame
    learned: pd.DataFrame
    further: pd.DataFrame
    confusion: pd.DataFrame
    refused: pd.DataFrame
    missing: pd.DataFrame
    profile: str
    comparison: str


@cache
def published(profile: str) -> Mapping[str, pd.DataFrame]:
    """The published tables of runs; empty ones where nothing is published yet."""
    folder, tables = PUBLISHED / profile, {}
    for name, columns in rows.TABLES.items():
        file = folder / f"{name}.csv"
        if not file.exists():
            tables[name] = pd.DataFrame(columns=list(columns))
            continue
        texts = [column for column in rows.TEXTS if column in columns]
        frame = pd.read_csv(
            file, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=""
        )
        tables[name] = frame.fillna(dict.fromkeys(texts, ""))
    return tables


def is_local(config: RunConfig) -> bool:
    """Whether the run store has the finished run; a faulty folder is none."""
    path = store.root() / config.run_id
    return (path / "DONE").exists() and store.fault(path) is None


def is_finished(config: RunConfig, profile: str) -> bool:
    """Whether the run is among the published ones or in the store."""
    return config.run_id in published_ids(profile) or is_local(config)


def published_ids(profile: str) -> set[str]:
    """The identities of the published runs."""
    return set(published(profile)["runs"]["run_id"])


def ensure(configs: Sequence[RunConfig], profile: str, jobs: int = 1) -> None:
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
    local: dict[str, list[dict[str, Any]]] = {name: [] for name in rows.TABLES}
    order: dict[str, RunConfig] = {config.run_id: config for config in configs}
    for run_id in order:
        run = store.load_run(store.root() / run_id)
        if run is not None:
            for name, lines in rows.of(run).items():
                local[name] += lines
    fresh = {line["run_id"] for line in local["runs"]}
    tables = {}
    for name, columns in rows.TABLES.items():
        old = published(profile)[name]
        old = old[old["run_id"].isin(order.keys() - fresh)]
        new = pd.DataFrame(local[name], columns=None if name in rows.WIDE else list(columns))
        parts = [part for part in (old, new) if len(part)]
        frame = pd.concat(parts, ignore_index=True) if parts else new.reindex(columns=columns)
        place = {run_id: i for i, run_id in enumerate(order)}
        frame = frame.sort_values("run_id", key=lambda ids: ids.map(place), kind="stable")
        head = pd.DataFrame(
            {
                "data": [order[i].data for i in frame["run_id"]],
                "sharing": [order[i].sharing for i in frame["run_id"]],
                "weighting": [order[i].weighting for i in frame["run_id"]],
                "seed": [order[i].seed for i in frame["run_id"]],
            },
            index=frame.index,
        )
        heads = [column for column in columns if column not in head]
        shares = sorted(str(column) for column in frame if column not in columns)
        rest = frame[[*heads, *shares]]
        tables[name] = pd.concat([head, rest], axis=1).reset_index(drop=True)
    return tables


class Resolved(NamedTuple):
    """A cell's runs: those of tuning, what was selected, and the reported ones."""

    tuning: list[RunConfig]
    selected: tune.Candidate
    reported: list[RunConfig]


def scores(configs: Sequence[RunConfig], profile: str) -> list[float]:
    """The validation score of every run, to the last bit as it was selected by."""
    runs = collect(configs, profile)["runs"].set_index("run_id")["score"]
    return [float(runs[config.run_id]) for config in configs]


def resolve(
    cell: Cell, seeds: Sequence[int] | None = None, *, jobs: int = 1, train: bool = True
) -> Resolved:
    """What a cell consists of; its tuning runs are trained first where they are missing.

    Raises:
        InputError: `train` is False and a tuning run is missing.
    """
    config, budget = cell.config, plan.PROFILES[cell.profile].budget
    seeds = range(budget.seeds) if seeds is None else seeds
    if cell.like is not None:
        other = resolve(cell.like, seeds, jobs=jobs, train=train)
        return Resolved([], other.selected, tune.reported(config, other.selected, seeds))
    groups = tune.tuning(config, budget)
    flat = [run for _, group in groups for run in group]
    if train:
        ensure(flat, cell.profile, jobs)
    elif not all(is_finished(run, cell.profile) for run in flat):
        raise InputError(f"{cell.name}: its tuning runs are not finished")
    if groups:
        values = iter(scores(flat, cell.profile))
        means = [mean([next(values) for _ in group]) for _, group in groups]
        selected = tune.select([each for each, _ in groups], means)
    else:
        selected = tune.candidates(config, budget)[0]
    return Resolved(flat, selected, tune.reported(config, selected, seeds))


def refusal(cell: Cell) -> str:
    """Why the sharing family makes no sense over these tasks, in its own words; "" where it does.

    Raises:
        InputError: the model cannot be built for another reason.
    """
    config, sharing = cell.config, cell.sharing
    if is_refused(cell):
        return refused(cell.profile)[cell.data, sharing]
    if not entry("data", cell.data).available():
        return ""  # what there is of it was trained elsewhere
    runs = published(cell.profile)["runs"]
    if ((runs["data"] == cell.data) & (runs["sharing"] == sharing)).any():
        return ""
    begin = f"sharing = {config.sharing!r}: "
    try:
        with torch.random.fork_rng():  # the caller's random numbers are left as they were
            build(config)
    except InputError as error:
        if not str(error).startswith(begin):
            raise
        return str(error).removeprefix(begin)
    return ""


@cache
def refused(profile: str) -> dict[tuple[str, str], str]:
    """The published refusals: (data, sharing) → reason."""
    file = PUBLISHED / profile / "refused.csv"
    frame = (
        pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["data", "sharing", "reason"])
    )
    columns = (frame[name].astype(str) for name in ("data", "sharing", "reason"))
    return {(data, sharing): reason for data, sharing, reason in zip(*columns, strict=True)}


def is_refused(cell: Cell) -> bool:
    """Whether it is published that the family makes no sense over the data set's tasks."""
    return (cell.data, cell.sharing) in refused(cell.profile)


def usable(cell: Cell) -> bool:
    """Whether a cell's runs can be had: its data are on this machine, or it is published."""
    if entry("data", cell.data).available() or is_refused(cell):
        return True
    try:
        resolved = resolve(cell, train=False)
    except InputError:
        return False
    return all(is_finished(config, cell.profile) for config in resolved.reported)


def load(
    comparison: str, profile: str = "quick", data: str = "", methods: str = "", seeds: str = ""
) -> Results:
    """The results of a comparison of the plan; what is missing is trained.

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
    senseless, configs = [], list[RunConfig]()
    for cell in chosen:
        if reason := refusal(cell):
            senseless.append({"data": cell.data, "sharing": cell.sharing, "reason": reason})
            continue
        resolved = resolve(cell, numbers)
        ensure(resolved.reported, profile)
        configs += [*resolved.tuning, *resolved.reported]
    tables = collect(configs, profile)
    lost = [
        name for name in plan.data_sets(comparison, data) if name not in {c.data for c in chosen}
    ]
    return Results(
        rows.melted_metrics(tables["metrics"], tables["runs"]),
        tables["runs"],
        rows.melted(tables["weights"], "weight"),
        rows.melted(tables["curves"], "value"),
        tables["learned"],
        tables["further"],
        tables["confusion"],
        pd.DataFrame(senseless, columns=["data", "sharing", "reason"]),
        pd.DataFrame(missing(lost), columns=["data", "source", "split", "megabytes", "said"]),
        profile,
        comparison,
    )


def missing(data_sets: Sequence[str]) -> list[dict[str, str]]:
    """A record a split that is nowhere: data, source, split, megabytes of the source's download,
    and what the loader says."""
    return [
        {
            "data": name,
            "source": str(source),
            "split": split,
            "megabytes": f"{source.megabytes:g}",
            "said": said,
        }
        for name in data_sets
        for source, split, said in hub.missing(*entry("data", name).sources)
    ]


def gramians(data: str, profile: str, weighting: str = "nash") -> list[Tensor]:
    """Recorded Gramians of the reported hard-sharing runs, summed over blocks, in training order: a
    tensor (steps, K, K) a seed. Runs that are not in the store are trained."""
    resolved = resolve(Cell(data, f"hard+{weighting}", profile))
    recorded = []
    for run in tune.train(resolved.reported, progress=False):
        lines = [line["gramian"] for line in run.observations() if line["gramian"]]
        recorded.append(torch.tensor(lines, dtype=torch.float64).sum(1))
    return recorded


def computed(name: str, profile: str) -> dict[str, pd.DataFrame]:
    """The tables of what is computed beside runs (`plan.COMPUTED`): those built here, then those
    published, of the module's present VERSION; computed anew otherwise.

    Raises:
        InputError: an unknown name.
    """
    folder, made = _computed(name, profile)
    return {table: pd.read_csv(folder / f"{table}.csv") for table in made["tables"]}


def origin(name: str, profile: str) -> dict[str, Any]:
    """Under what the tables of `computed` were made, for `tables.stamp`; they have no seeds."""
    return {"profile": profile, "seeds": "–", **_computed(name, profile)[1]["provenance"]}


def _computed(name: str, profile: str) -> tuple[Path, dict[str, Any]]:
    """Where the tables lie, and their record; they are computed if they are nowhere."""
    if name not in plan.COMPUTED:
        raise unknown("computed", name, plan.COMPUTED)
    module = import_module(f"mtlstudy.study.{name}")
    built = store.build_folder() / "results" / profile
    for folder in (built, PUBLISHED / profile):
        file = folder / f"{name}.json"
        if file.exists():
            made: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            if made["version"] == module.VERSION:
                return folder, made
    frames: dict[str, pd.DataFrame] = module.compute(profile)
    for table, frame in frames.items():
        text = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        store.write(built / f"{table}.csv", text)
    made = {"version": module.VERSION, "tables": sorted(frames)}
    made["provenance"] = store.provenance("cpu")
    store.write(built / f"{name}.json", store.canonical(made))
    return built, made


def provenance(runs: pd.DataFrame, profile: str) -> dict[str, Any]:
    """Under what some runs were made, for `tables.stamp`: profile, seeds, and what they differ in
    joined by commas."""
    final = runs[runs["role"] == "final"] if "role" in runs else runs
    names = rows.ORIGIN
    joined = {n: ", ".join(sorted(set(final[n].dropna().astype(str)))) for n in names}
    return {"profile": profile, "seeds": sorted({int(seed) for seed in final["seed"]}), **joined}


def train(cells: Sequence[Cell], jobs: int = 1) -> list[str]:
    """Train what cells of the plan lack, a data set after another: tuning, then reported seeds; a
    line a data set. Data sets that are not on this machine are left out, and said so.

    Raises:
        InputError: jobs < 1, a corrupt run folder, or a worker that died.
    """
    lines = []
    for name in dict.fromkeys(cell.data for cell in cells):
        group = [cell for cell in cells if cell.data == name]
        if not entry("data", name).available():
            lines.append(f"{name}: its files are not on this machine (`mtlstudy data {name}`)")
            continue
        group = [cell for cell in group if not refusal(cell)]
        profile = group[0].profile
        budget = plan.PROFILES[profile].budget
        tried = [run for cell in group if cell.like is None
                 for _, runs in tune.tuning(cell.config, budget) for run in runs]  # fmt: skip
        ensure(sorted(tried, key=lambda c: c.seed), profile, jobs)
        final = [run for cell in group for run in resolve(cell, jobs=jobs).reported]
        ensure(sorted(final, key=lambda c: c.seed), profile, jobs)
        lines.append(f"{name}: {len(group)} methods, {len(tried)} + {len(final)} runs are there")
    return lines


def progress(profile: str) -> str:
    """How much of the plan is done, in a line."""
    done, total, cells = 0, 0, plan.cells(profile)
    budget = plan.PROFILES[profile].budget
    for cell in cells:
        if is_refused(cell):
            continue
        groups = [] if cell.like else tune.tuning(cell.config, budget)
        runs = [run for _, group in groups for run in group]
        total += len(runs) + budget.seeds
        with suppress(InputError):  # not tuned yet
            runs += resolve(cell, train=False).reported
        done += sum(is_finished(run, profile) for run in runs)
    return f"profile {profile}: {done} of {total} runs done, in the store or published"
