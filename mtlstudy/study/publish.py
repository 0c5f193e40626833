"""Publishing: the rows of finished runs go to book/results/<profile>/, merged by run id; the
README's block and figure are written anew.

What is published stays, whatever this machine holds, unless it is dropped by name.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mtlstudy import files
from mtlstudy.errors import InputError, unknown
from mtlstudy.study import benchmarks as measured
from mtlstudy.study import plan, results, rows
from mtlstudy.training import store

README = Path("README.md")
BEGIN, END = "<!-- results: written by `mtlstudy publish` -->", "<!-- end of results -->"
ORDER = ["data", "sharing", "weighting", "role", "lr", "dropout", "options", "seed", "run_id"]


def publish(profile: str, drop: Sequence[str] = ()) -> list[Path]:
    """Merge what is finished here into what is published; the files that were written.

    drop: data sets, methods (``sharing+weighting``), run ids, or "stale" (rows that no cell of the
    plan names any more), whose rows are left out.

    Raises:
        InputError: an unknown profile, a name to drop that is not published, or a README without
            its markers.
    """
    cells = [cell for cell in plan.cells(profile) if results.usable(cell)]
    configs, refused = results.gather(cells, train=False)
    target = results.PUBLISHED / profile
    new, old = results.collect(configs, profile), results.published(profile)
    fresh = set(new["runs"]["run_id"])
    merged = {
        name: results.joined(old[name][~old[name]["run_id"].isin(fresh)], new[name])
        for name in rows.TABLES
    }
    runs = merged["runs"].sort_values(ORDER, kind="stable")
    left = runs[~dropped(runs, drop, fresh)]["run_id"]
    place = {run_id: i for i, run_id in enumerate(left)}
    texts = dict[str, str]()
    for name, columns in rows.TABLES.items():
        frame = merged[name][merged[name]["run_id"].isin(place)]
        frame = frame.sort_values("run_id", key=lambda ids: ids.map(place), kind="stable")
        shares = sorted(str(c) for c in frame if c not in (*columns, *results.KEYS))
        texts[f"{name}.csv"] = table(frame[[*columns, *shares]], name)
    refusals = dict(sorted((results.refused(profile) | refused).items()))
    texts["refused.csv"] = table(results.refused_frame(refusals), "refused")
    for name in plan.COMPUTED:
        texts |= results.built(name, profile)
    written = files.publish(target, texts) + benchmarks(results.PUBLISHED / "bench")
    results.published.cache_clear()
    results.refused.cache_clear()
    return [*written, *readme(plan.SHOWN)]


def dropped(runs: pd.DataFrame, names: Sequence[str], current: set[str]) -> "pd.Series[bool]":
    """Which rows of the runs are dropped by name."""
    method = runs["sharing"] + "+" + runs["weighting"]
    mask = pd.Series(False, index=runs.index)
    for name in names:
        if name == "stale":
            mask |= ~runs["run_id"].isin(current)
            continue
        hit = (runs["data"] == name) | (method == name) | (runs["run_id"] == name)
        if not hit.any():
            raise unknown("drop", name, {*runs["data"], *method, "stale"})
        mask |= hit
    return mask


def table(frame: pd.DataFrame, name: str) -> str:
    """A table as text; validation scores to the last bit, since selection reads them again."""
    digits = {"learned": "%.4g", "weights": "%.4g", "curves": "%.5g"}.get(name, "%.9g")
    if name == "runs":
        frame = frame.assign(score=[repr(float(score)) for score in frame["score"]])
    text: str = frame.to_csv(index=False, float_format=digits, lineterminator="\n")
    return text


def benchmarks(target: Path) -> list[Path]:
    """Copy the tables of every benchmark that was measured here; the others stay as published."""
    texts = dict[str, str]()
    for name in measured.BENCHES:
        texts |= measured.built(name)
    return files.publish(target, texts) if texts else []


def readme(profile: str) -> list[Path]:
    """Write the README's block and figure anew from what is published."""
    from mtlstudy.study.readme import block, figure

    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    if not rest or END not in rest:
        raise InputError(f"README.md: the lines {BEGIN!r} and {END!r} are missing")
    with store.empty():  # from the rounded rows alone, as everybody else reads them
        files.write(README, f"{before}{BEGIN}\n{block(profile)}\n{END}{rest.partition(END)[2]}")
        return [README, figure(profile)]
