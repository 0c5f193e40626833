"""The command line: mtlstudy list | run | status | table | publish | verify | bench | new."""

import logging
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mtlstudy.training import store as runs
from mtlstudy.study.benchmarks import BENCHMARKS
from mtlstudy.training.config import PROFILES, RunConfig
from mtlstudy.training.parallel import leads
from mtlstudy.errors import InputError
from mtlstudy.training.settings import parse_seeds, parse_settings
from mtlstudy.registry import entry, names

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Multi-task learning, compared honestly."
)
console = Console()


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Bad input is one line on stderr and exit code 2; a kill by the keyboard leaves a resumable run."""

    @wraps(command)
    def call(*args: Any, **kwargs: Any) -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        try:
            command(*args, **kwargs)
        except InputError as error:
            typer.echo(f"mtlstudy: {error}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("mtlstudy: stopped; the same command goes on from the last checkpoint", err=True)
            raise typer.Exit(130) from None

    return call


@app.command("list")
@guarded
def list_() -> None:
    """What is on the shelves: data sets, sharing architectures, weightings."""
    for kind in ("data", "sharing", "weighting"):
        own = ["kind"] if kind == "weighting" else []
        table = Table(kind, *own, "source", "options", title=None)
        for name in names(kind):
            cls = entry(kind, name)
            source, options = getattr(cls, "paper", None) or cls.citation, ", ".join(cls.Options.model_fields) or "–"
            table.add_row(name, *(getattr(cls, fact) for fact in own), source, options)
        console.print(table)
    table = Table("benchmark", "data sets", title=None)
    for name, sets in BENCHMARKS.items():
        table.add_row(name, ", ".join(sets))
    console.print(table)


@app.command()
@guarded
def run(
    data: Annotated[str, typer.Option(help="data set, or a benchmark of several")],
    sharing: Annotated[str, typer.Option(help="sharing architecture")] = "hard",
    weighting: Annotated[str, typer.Option(help="weighting")] = "equal",
    seeds: Annotated[str | None, typer.Option(help="reported seeds, such as 0-2; the profile's by default")] = None,
    profile: Annotated[str, typer.Option(help="quick or full")] = "quick",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", help="field=value; a field that is set is not tuned")] = None,
    like: Annotated[str | None, typer.Option(help="a weighting whose tuned values are taken over instead of tuning")] = None,
    name: Annotated[str | None, typer.Option(help="name of the study's record")] = None,
    jobs: Annotated[int, typer.Option(help="runs trained at once, each in a process of its own")] = 1,
) -> None:
    """Tune on the profile's budget, then train the reported seeds. Finished runs are read, killed ones resumed."""
    sets = BENCHMARKS.get(data, (data,))
    if len(sets) > 1 and name is not None:
        raise InputError(f"name = {name!r}: {data} is {len(sets)} studies; allowed with a single data set only")
    values = parse_settings(set_ or [])
    chosen = parse_seeds(seeds) if seeds is not None else list(range(PROFILES[profile].seeds))
    own = sorted(values.items()) + ([] if chosen == list(range(PROFILES[profile].seeds)) else [("seeds", seeds)])
    configs = [
        RunConfig(data=one, sharing=sharing, weighting=weighting, profile=profile, device=device, **values) for one in sets
    ]
    for config in configs:  # all are valid before the first is trained
        study_of(config, chosen, own, values, like, name, jobs)


def study_of(
    config: RunConfig,
    seeds: list[int],
    own: list[tuple[str, Any]],
    values: dict[str, Any],
    like: str | None,
    name: str | None,
    jobs: int,
) -> None:
    """One study, and its reported runs as a table. own: what differs from the profile's own study."""
    from mtlstudy.training.tune import study

    if own and name is None:  # the record of the profile's own study is not overwritten by a variation of it
        name = ".".join(
            [config.data, config.sharing, config.weighting, config.profile, *(f"{key}={value}" for key, value in own)]
        )
    taken = None if like is None else study(config.but(weighting=like, weighting_options={}), seeds, jobs=jobs).selected
    result = study(config, seeds, fixed=list(values), like=taken, name=name, jobs=jobs)
    table = Table("seed", "status", "validation", "test", "seconds", "run", title=f"{result.name}  {result.selected}")
    for finished in result.runs:
        scores = [mean_metric(finished, split) for split in ("validation", "test")]
        seconds = f"{finished.record['summary']['seconds']:.1f}"
        table.add_row(str(finished.config.seed), finished.status, *scores, seconds, finished.path.name)
    if leads():
        console.print(table)


def mean_metric(run: runs.Run, split: str) -> str:
    """The mean metric over tasks, for a glance."""
    if run.status != "done":
        return f"step {run.record['diverged_step']}"
    values = [task["metric"] for task in run.record["results"][split].values()]
    return f"{sum(values) / len(values):.4f}"


@app.command("data")
@guarded
def data_(name: Annotated[str | None, typer.Argument(help="download this one; without it: a list")] = None) -> None:
    """Which data sets are on this machine; with a name, download that one from the hub into the cache."""
    from mtlstudy.data import _hub as hub

    if name is not None:
        hub.fetch(*entry("data", name).sources)
    table = Table("data", "on this machine", "hub", "MB", title=None)
    for one in names("data") if name is None else [name]:
        cls = entry("data", one)
        ids = ", ".join(dict.fromkeys(source.hub_id for source in cls.sources))
        size = f"{sum(source.megabytes for source in cls.sources):g}" if cls.sources else ""
        table.add_row(one, "yes" if cls.available() else "no", ids or "comes with a package or is generated", size)
    console.print(table)


@app.command()
@guarded
def status() -> None:
    """Every run of the store: done, diverged, resumable, stale (and why, field by field) or faulty."""
    table = Table("run", "what", "state", "why")
    for path in runs.folders():
        fault = runs.fault(path)
        if fault:
            table.add_row(path.name, "", "faulty", fault)
            continue
        record = runs.read(path)
        config = RunConfig(**record["config"])
        what = f"{config.data} {config.sharing}+{config.weighting} seed {config.seed} lr {config.lr:g}"
        state = record["status"] if (path / "DONE").exists() else "resumable"
        why = "; ".join(runs.changes(record, config))
        table.add_row(path.name, what, f"stale ({state})" if why else state, why)
    console.print(table)


@app.command()
@guarded
def table(
    name: Annotated[str, typer.Argument(help="an experiment, such as solver, comparison or sharing")],
    profile: Annotated[str, typer.Option(help="quick or full")] = "quick",
) -> None:
    """Compute the csv of an experiment (missing runs are trained first) and the values that the texts quote."""
    from mtlstudy.study import results as base

    frame = base.table(name, profile)
    typer.echo(f"{base.folder(profile) / name}.csv: {len(frame)} rows")


@app.command()
@guarded
def publish(profile: Annotated[str, typer.Option(help="quick or full")] = "quick") -> None:
    """Copy the computed results to book/results and write the README's table anew: what is published is what was computed."""
    from mtlstudy.study.publish import publish as copy

    for path in copy(profile):
        typer.echo(path)


@app.command()
@guarded
def verify(
    quarantine: Annotated[bool, typer.Option(help="move what is corrupt or foreign to runs/quarantine")] = False,
    profile: Annotated[str, typer.Option(help="the published profile to compare with")] = "quick",
) -> None:
    """Check every run against its digest, and the recomputed results against the published ones. Exit code 1 where one fails."""
    faults = [(path, fault) for path in runs.folders() if (fault := runs.fault(path))]
    for path, fault in faults:
        typer.echo(fault + (f"; moved to {runs.quarantine(path)}" if quarantine else ""), err=True)
    typer.echo(f"{len(runs.folders())} runs checked, {len(faults)} faulty")
    from mtlstudy.study import results as base

    different = base.compare(profile)
    for line in different:
        typer.echo(line)
    if faults and not quarantine:
        raise typer.Exit(1)


@app.command()
@guarded
def bench(
    name: Annotated[str, typer.Argument(help="solver, step, train or scale")],
    profile: Annotated[str, typer.Option(help="quick (minutes) or full (more rounds and sizes)")] = "quick",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    peer: Annotated[list[Path] | None, typer.Option(help="a checkout of nash-mtl or LibMTL to time as well")] = None,
) -> None:
    """Measure what a method costs beside its peers, as ratios within one run, and write the csv."""
    from mtlstudy.bench import record

    table, path, notes = record.measure(name, profile, device, peer or [])
    shown = Table(*record.SHOWN, title=f"{name}, {profile}")
    for row in record.shown(table):
        shown.add_row(*row)
    console.print(shown)
    for note in notes:
        typer.echo(note)
    typer.echo(path)


@app.command()
@guarded
def new(
    kind: Annotated[str, typer.Argument(help="sharing, weighting or data")],
    name: Annotated[str, typer.Argument(help="its name, such as my_idea")],
    into: Annotated[Path | None, typer.Option(help="the checkout to write into; by default the one that runs this")] = None,
) -> None:
    """Write one file that is a small working method, to put your own in its place, and say what to do next."""
    from mtlstudy.new import create

    for line in create(kind, name, into):
        typer.echo(line)


if __name__ == "__main__":
    app()
