"""The command line: mtlstudy list | run | study | status | verify | data | … (see --help)."""

import logging
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mtlstudy import files
from mtlstudy.errors import InputError, unknown
from mtlstudy.registry import PACKAGES, entry, names
from mtlstudy.training import store
from mtlstudy.training.config import RunConfig
from mtlstudy.training.settings import parse_seeds, parse_settings

UsageError: Any = typer.BadParameter.__base__
"""What typer raises for a command or option that there is not."""


class Program(typer.core.TyperGroup):
    """Bad input is one line on stderr and exit code 2; a kill by the keyboard loses nothing."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **how: Any) -> Any:
        """Run a command; without any, say which there are."""
        if not how.get("standalone_mode", True):  # called by Python, which is told by exceptions
            return super().main(args, *rest, **how)
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        given = list(sys.argv[1:] if args is None else args)
        try:
            sys.exit(super().main(given or ["--help"], *rest, **{**how, "standalone_mode": False}))
        except InputError as error:
            said = str(error)
        except UsageError as error:
            said = " ".join(error.format_message().split())
        except OSError as error:
            if error.filename is None:
                raise
            said = f"{error.filename}: {error.strerror}"
        except (typer.Abort, KeyboardInterrupt):  # Ctrl-C before or after the command itself
            sys.exit(128 + signal.SIGINT)
        typer.echo(f"mtlstudy: {said}", err=True)
        sys.exit(2)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        before = signal.signal(signal.SIGTERM, stop)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as kill:
            again = "the same command goes on from the last checkpoint"
            typer.echo(f"mtlstudy: stopped; {again}", err=True)
            raise typer.Exit(128 + (kill.args[0] if kill.args else signal.SIGINT)) from None
        finally:
            signal.signal(signal.SIGTERM, before)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name."""
        if cmd_name not in self.commands and not cmd_name.startswith("-"):
            raise unknown("command", cmd_name, self.commands)
        return super().get_command(ctx, cmd_name)


def stop(number: int, _: Any) -> None:
    """End as at Ctrl-C: what is half written is removed."""
    raise KeyboardInterrupt(number)


app = typer.Typer(
    cls=Program,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Multi-task learning, compared honestly.",
)
console = Console()
Profile = Annotated[str, typer.Option(help="quick, full or encoder")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Jobs = Annotated[int, typer.Option(help="runs trained at once, each by a worker process")]


def show(columns: Iterable[str], rows: Iterable[Iterable[str]], title: str | None = None) -> None:
    """Print a table."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    console.print(table)


@app.callback()
def main(
    portable: Annotated[
        bool, typer.Option("--portable", help="the same bits on every x86-64 processor, slower")
    ] = False,
) -> None:
    """Choose the arithmetic: libraries read it from the environment when they are loaded."""
    if portable and not store.is_portable():
        command = [sys.executable, "-m", "mtlstudy.cli", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **store.PORTABLE})


@app.command("list")
def list_() -> None:
    """What there is: data sets, sharing architectures, weightings."""
    for kind in PACKAGES:
        needs = ["needs"] if kind == "weighting" else []
        rows = []
        for name in names(kind):
            cls = entry(kind, name)
            source = getattr(cls, "paper", None) or cls.citation
            options = ", ".join(cls.Options.model_fields) or "–"
            rows.append([name, *(getattr(cls, fact) for fact in needs), source, options])
        show([kind, *needs, "source", "options"], rows)


@app.command()
def run(
    data: Annotated[str, typer.Option(help="data set")],
    sharing: Annotated[str, typer.Option(help="sharing architecture")] = "hard",
    weighting: Annotated[str, typer.Option(help="weighting")] = "equal",
    seeds: Annotated[str | None, typer.Option(help="reported seeds, such as 0-2")] = None,
    profile: Profile = "quick",
    device: Device = "auto",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="field=value; what is set is not tuned")
    ] = None,
    like: Annotated[
        str | None, typer.Option(help="weighting whose tuned values are taken over")
    ] = None,
    jobs: Jobs = 1,
) -> None:
    """Tune on the profile's budget, then train the reported seeds. Finished runs are read, killed
    ones resumed."""
    from mtlstudy.study.plan import profile_named
    from mtlstudy.training import tune
    from mtlstudy.training.parallel import is_main_process

    plan = profile_named(profile)
    values = parse_settings(set_ or [])
    options = {"seed": "--seeds", **{kind: f"--{kind}" for kind in PACKAGES}}
    for name in sorted(options.keys() & values):
        raise InputError(f"--set {name}={values[name]}: allowed: {options[name]}")
    fields = {**plan.run, "device": device, **values}
    if "evaluations" not in values and isinstance(fields["steps"], int):
        fields["evaluations"] = max(min(fields["evaluations"], fields["steps"]), 1)
    config = RunConfig(data=data, sharing=sharing, weighting=weighting, **fields)
    chosen = None if seeds is None else parse_seeds(seeds)
    fixed, taken = list(values), None
    if like is not None:
        other = config.but(weighting=like, weighting_options={})
        taken = tune.study(other, plan.budget, chosen, fixed=fixed, jobs=jobs).selected
    result = tune.study(config, plan.budget, chosen, fixed=fixed, like=taken, jobs=jobs)
    if is_main_process():
        columns = ["seed", "status", "validation", "test", "run"]
        show(columns, map(outcome, result.runs), title=f"{result.selected}")


def outcome(run: store.Run) -> list[str]:
    """A run's row: its scores are the mean metric over the tasks."""
    if run.status == "done":
        splits = (run.record["results"][split].values() for split in ("validation", "test"))
        scores = [f"{sum(t['metric'] for t in split) / len(split):.4f}" for split in splits]
    else:
        scores = [f"step {run.record['diverged_step']}"] * 2
    return [str(run.config.seed), run.status, *scores, run.path.name]


@app.command()
def study(
    profile: Profile = "quick",
    comparison: Annotated[str, typer.Option(help="one of the plan's; all by default")] = "",
    cell: Annotated[str, typer.Option(help="one cell, such as yeast.hard.nash")] = "",
    jobs: Jobs = 1,
) -> None:
    """Train what the plan needs and neither the store nor the published results have."""
    from mtlstudy.study import plan, results

    cells = [c for c in plan.cells(profile, comparison) if cell in ("", c.name)]
    if not cells:
        raise unknown("cell", cell, [c.name for c in plan.cells(profile, comparison)])
    if not cell and not comparison:
        for name in plan.COMPUTED:
            results.computed(name, profile)
    for line in results.train(cells, jobs):
        typer.echo(line)


@app.command("data")
def data_(
    name: Annotated[str | None, typer.Argument(help="download this one; else a list")] = None,
) -> None:
    """Which data sets are on this machine; with a name, download it from the hub into the cache."""
    from mtlstudy.data import _hub

    if name is not None:
        _hub.fetch(*entry("data", name).sources)
    rows = []
    for one in names("data") if name is None else [name]:
        cls = entry("data", one)
        ids = ", ".join(dict.fromkeys(source.hub_id for source in cls.sources))
        size = f"{sum(source.megabytes for source in cls.sources):g}" if cls.sources else ""
        origin = ids or "comes with a package or is generated"
        rows.append([one, "yes" if cls.available() else "no", origin, size])
    show(["data", "on this machine", "hub", "MB"], rows)


@app.command()
def status(profile: Profile = "quick") -> None:
    """Every run of the store: done, diverged, resumable, stale (and why) or faulty; and how much of
    the plan is done."""
    from mtlstudy.study import results
    from mtlstudy.study.plan import profile_named

    profile_named(profile)
    show(["run", "what", "state", "why"], map(state, store.folders()))
    typer.echo(results.progress(profile))


def state(path: Path) -> list[str]:
    """A run folder's row."""
    if fault := store.fault(path):
        return [path.name, "", "faulty", fault]
    record = store.read(path)
    what = record["status"] if (path / "DONE").exists() else "resumable"
    why = "; ".join(store.changes(record))
    title = store.Run(path, record).config.title
    return [path.name, title, f"stale ({what})" if why else what, why]


@app.command()
def text(profile: Profile = "quick") -> None:
    """Render what the book and the paper quote: claims as sentences, numbers, provenance."""
    from mtlstudy.study.text import render

    typer.echo(render(profile))


@app.command()
def recheck(
    profile: Profile = "quick",
    seconds: Annotated[float, typer.Option(help="no run is begun after so much time")] = 90.0,
) -> None:
    """Train a sample of the published runs again, and write how they came out. With --portable: how
    far another arithmetic moves the results, for all runs within the time."""
    from mtlstudy.study import recheck as sample

    file = sample.recheck(profile, seconds)
    for row in sample.read(profile, store.is_portable()):
        typer.echo(f"{row['run_id']} {row['data']} {row['method']}: {row['verdict']}")
    typer.echo(file)


@app.command()
def publish(
    profile: Profile = "quick",
    drop: Annotated[
        list[str] | None, typer.Option(help="data set, method, run id or stale, left out")
    ] = None,
) -> None:
    """Merge the finished runs into book/results and write the README's table anew."""
    from mtlstudy.study.publish import publish as merge

    for path in merge(profile, drop or []):
        typer.echo(path)


@app.command()
def verify(
    quarantine: Annotated[
        bool, typer.Option(help="move what is corrupt or foreign to runs/quarantine")
    ] = False,
    profile: Annotated[str, typer.Option(help="the published profile to compare with")] = "quick",
) -> None:
    """Check every run against its seal, and the runs here against the published ones. Exit code 1
    where one is faulty, where results differ, and where there was nothing to compare."""
    from mtlstudy.study.plan import profile_named
    from mtlstudy.study.recheck import OUTSIDE, SAME, WITHIN, compare
    from mtlstudy.study.results import PUBLISHED

    profile_named(profile)
    paths = store.folders()
    faults = [(path, fault) for path in paths if (fault := store.fault(path))]
    for path, fault in faults:
        moved = f"; moved to {files.aside(path)}" if quarantine else ""
        typer.echo(fault + moved, err=True)
    typer.echo(f"{len(paths)} runs checked, {len(faults)} faulty")
    places = (PUBLISHED, PUBLISHED / profile, PUBLISHED / "bench")
    damaged = [fault for place in places for fault in files.faults(place)]
    for fault in damaged:
        typer.echo(f"{fault}; `git checkout` brings back what was published", err=True)
    if damaged:
        raise typer.Exit(1)
    compared = compare(profile)
    for row in compared[compared["verdict"] != SAME].itertuples():
        what = f"{row.run_id} {row.data} {row.method} seed {row.seed}"
        typer.echo(f"{what}: {row.verdict} (largest difference over the spread: {row.largest:.2g})")
    counts = compared["verdict"].value_counts()
    shown = ", ".join(f"{counts.get(v, 0)} {v}" for v in (SAME, WITHIN, OUTSIDE))
    typer.echo(f"{len(compared)} published runs compared: {shown}")
    if (faults and not quarantine) or not len(compared) or counts.get(SAME, 0) < len(compared):
        raise typer.Exit(1)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="solver, step, own, train or scale")],
    profile: Annotated[str, typer.Option(help="quick (minutes) or full (more rounds)")] = "quick",
    device: Device = "auto",
    peer: Annotated[
        list[Path] | None, typer.Option(help="a checkout of nash-mtl or LibMTL to time as well")
    ] = None,
) -> None:
    """Measure what a method costs beside its peers, as ratios within one run."""
    from mtlstudy.bench import record

    table, path, notes = record.measure(name, profile, device, peer or [])
    show(record.SHOWN, record.shown(table), title=f"{name}, {profile}")
    typer.echo("\n".join([*notes, str(path)]))


@app.command()
def doctor(
    script: Annotated[str, typer.Argument(help="script.py:build, a function without arguments")],
    page: Annotated[Path | None, typer.Option(help="write the report as HTML here too")] = None,
) -> None:
    """Examine your own model: do its tasks conflict, is weighing them worth it, by what? build()
    returns the arguments of `mtlstudy.doctor`: model, losses_of, batches, and others by name."""
    from runpy import run_path

    from mtlstudy.diagnosis import doctor as examine

    file, _, name = script.partition(":")
    if not name or not Path(file).is_file():
        raise InputError(
            f"script = {script!r}: allowed: an existing file and a function, a.py:build"
        )
    build = run_path(file).get(name)
    if not callable(build):
        raise InputError(f"script = {script!r}: {file} has no function {name!r}")
    report = examine(**build())
    typer.echo(report)
    if page is not None:
        files.write(page, report.html())


@app.command()
def new(
    kind: Annotated[str, typer.Argument(help="sharing, weighting or data")],
    name: Annotated[str, typer.Argument(help="its name, such as my_idea")],
    into: Annotated[
        Path | None, typer.Option(help="the checkout to write into; by default this one")
    ] = None,
) -> None:
    """Write one file that is a small working method, to replace by your own."""
    from mtlstudy.new import create

    typer.echo("\n".join(create(kind, name, into)))


if __name__ == "__main__":
    app()
