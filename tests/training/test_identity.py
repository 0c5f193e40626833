"""A run's identity follows from what it means: its configuration, its data, the versions of its
parts; not from where the code stands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mtlstudy import InputError, RunConfig, fit, nash
from mtlstudy.data._hub import Source
from mtlstudy.registry import entry
from mtlstudy.training import identity, store

PACKAGE = Path(__file__).parents[2] / "mtlstudy"


def nash_run(**changes):
    return RunConfig(**{"data": "yeast", "sharing": "ple", "weighting": "nash", **changes})


def equal_run(**changes):
    return RunConfig(**{"data": "synthetic", **changes})


def test_a_default_spelled_out_is_the_same_run():
    same = nash_run(weighting_options={"update_every": 1}, lr=0.001)
    assert nash_run().run_id == same.run_id
    assert len(nash_run().run_id) == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"lr": 0.002},
        {"schedule": "cosine"},
        {"steps": 251},
        {"width": 65},
        {"data": "diabetes"},
        {"weighting": "equal"},
        {"weighting_options": {"update_every": 2}},
        {"sharing_options": {"own": 2}},
    ],
)
def test_whatever_determines_the_run_changes_it(changes):
    assert nash_run(**changes).run_id != nash_run().run_id


def test_the_device_does_not():
    values = nash_run().model_dump(mode="json")
    assert identity.run_id({**values, "device": "cuda"}) == identity.run_id(values)


def test_a_younger_field_names_the_runs_from_before_it_as_they_were():
    values = nash_run().model_dump(mode="json")
    before = {key: value for key, value in values.items() if key not in identity.LATER}
    assert identity.run_id(before) == nash_run().run_id
    record = {"config": before, "versions": identity.versions(values)}
    record["content"] = identity.content(values)
    assert identity.changes(record, values) == []
    assert identity.changes(record, {**values, "schedule": "cosine"}) == [
        "schedule: 'constant' then, 'cosine' now"
    ]


PARTS = {
    "sharing.ple": ("sharing", "ple"),
    "weighting.nash": ("weighting", "nash"),
    "data.yeast": ("data", "yeast"),
}


def raise_version(part, monkeypatch):
    if part == "training":
        monkeypatch.setattr(identity, "LOOP", identity.LOOP + 1)
    elif part == "solver":
        monkeypatch.setattr(nash, "VERSION", nash.VERSION + 1)
    else:
        cls = entry(*PARTS[part])
        monkeypatch.setattr(cls, "version", cls.version + 1)


@pytest.mark.parametrize("part", [*PARTS, "training", "solver"])
def test_a_version_raised_changes_the_runs_that_use_the_part(part, monkeypatch):
    one, other = nash_run(), equal_run()
    before = one.run_id, other.run_id
    record = {
        "config": one.model_dump(mode="json"),
        "versions": identity.versions(one.model_dump(mode="json")),
        "content": identity.content(one.model_dump(mode="json")),
    }
    assert part in record["versions"] and identity.changes(record, record["config"]) == []
    raise_version(part, monkeypatch)
    assert one.run_id != before[0]
    assert (other.run_id != before[1]) == (part == "training")
    (why,) = identity.changes(record, record["config"])
    old = record["versions"][part]
    assert why == f"{part}: version {old} then, {old + 1} now"


def test_changes_name_a_field_and_the_content_too(monkeypatch):
    values = nash_run().model_dump(mode="json")
    record = {
        "config": values,
        "versions": identity.versions(values),
        "content": identity.content(values),
    }
    monkeypatch.setattr(entry("data", "yeast"), "sha256", "0" * 64)
    changed = identity.changes(record, {**values, "width": 65, "device": "cuda"})
    assert changed == ["width: 64 then, 65 now", "the content of the data has changed"]


def test_a_stale_run_of_the_store_says_why(monkeypatch):
    run = fit(equal_run(steps=2, data_options={"train": 20}), progress=False)
    assert store.changes(run.record) == []
    monkeypatch.setattr(entry("sharing", "hard"), "version", 7)
    assert store.changes(run.record) == ["sharing.hard: version 1 then, 7 now"]


def test_the_content_of_embedded_data_is_its_digest(monkeypatch):
    before = nash_run().run_id
    monkeypatch.setattr(entry("data", "yeast"), "sha256", "0" * 64)
    assert nash_run().run_id != before


@pytest.fixture
def unpinned(tmp_path, monkeypatch):
    """A data set of one file without a pin; a function that writes the file."""
    pq = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    probe = Source("probe/probe", ("x",), 0.1, splits={"train": ""})
    monkeypatch.setattr(entry("data", "adult"), "sources", (probe,))
    monkeypatch.setenv("MTLSTUDY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MTLSTUDY_CACHE", str(tmp_path / "cache"))

    def write(*values):
        file = tmp_path / "data" / "probe--probe" / "default" / "train.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"x": list(values)}), file)

    return write


def test_three_contents_of_an_unpinned_file_are_three_runs(unpinned):
    config = RunConfig(data="adult")
    ids = []
    for values in ([1, 2, 3], [1, 2, 4], [1, 2, 3, 3], [1, 2, 3]):
        unpinned(*values)
        ids.append(config.run_id)
    assert len(set(ids)) == 3 and ids[0] == ids[3]


def test_an_unpinned_file_that_is_nowhere_is_named(unpinned):
    with pytest.raises(InputError, match="probe/probe") as error:
        _ = RunConfig(data="adult").run_id
    assert "\n" not in str(error.value)
    values = RunConfig(data="adult").model_dump(mode="json")
    record = {"config": values, "versions": identity.versions(values), "content": "of before"}
    (why,) = identity.changes(record, values)  # said, and no reason to stop
    assert why == str(error.value)


@pytest.mark.slow
def test_moving_and_commenting_code_changes_nothing(tmp_path):
    """A copy of the package in which a family, a weighting and a data set stand in other files."""
    code = "import mtlstudy as ms; print(ms.__file__, ms.RunConfig(data='diabetes').run_id)"

    def run(folder):
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    shutil.copytree(PACKAGE, tmp_path / "mtlstudy", ignore=shutil.ignore_patterns("__pycache__"))
    moved = tmp_path / "mtlstudy"
    (moved / "models/sharing/hard.py").rename(moved / "models/sharing/plain.py")
    (moved / "weighting/equal.py").rename(moved / "weighting/alike.py")
    (moved / "data/diabetes.py").rename(moved / "data/patients.py")
    for name in ("training/loop.py", "training/step.py", "gradients.py"):
        with (moved / name).open("a") as file:
            file.write("\n# a remark\nUNUSED = 1\n")
    file, run_id = run(tmp_path)
    assert file.startswith(str(tmp_path))
    assert run_id == RunConfig(data="diabetes").run_id
