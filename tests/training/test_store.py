"""The run store: where it is, what of a folder is a run, and what is never touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mtlstudy import InputError, RunConfig, files, fit
from mtlstudy.training import store

TINY = {"data": "synthetic", "steps": 2, "data_options": {"train": 20, "tasks": 2}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "runs"), ("", "runs"), ("here/runs", "here/runs"), ("~/a b/runs", "{home}/a b/runs")],
)
@pytest.mark.parametrize("part", ["runs", "build"])
def test_where_it_is(value, expected, part, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    variable = {"runs": "MTLSTUDY_RUNS", "build": "MTLSTUDY_BUILD"}[part]
    monkeypatch.delenv(variable)
    if value is not None:
        monkeypatch.setenv(variable, value)
    place = {"runs": store.root, "build": store.build_folder}[part]()
    default = {"runs": "runs", "build": "_build"}[part]
    expected = expected.format(home=tmp_path) if value else default
    assert place == Path(expected)


def test_runs_are_the_folders_that_are_named_like_runs(store_with_others):
    run, others = store_with_others
    assert store.folders() == [run.path]
    assert all(other.exists() for other in others)


@pytest.fixture
def store_with_others():
    """A store that is a working directory as well: a run, and what is no run beside it."""
    run = fit(RunConfig(**TINY), progress=False)
    root = store.root()
    names = [".git", "quarantine", "notes", "0123456789ABCDEF", "0123456789abcdef0", "book"]
    for name in names:
        (root / name).mkdir()
        (root / name / "HEAD").write_text("mine")
    (root / "0123456789abcdef").write_text("a file of such a name")
    return run, [*(root / name / "HEAD" for name in names), root / "0123456789abcdef"]


@pytest.mark.slow
def test_an_empty_variable_never_makes_the_working_directory_the_store(tmp_path):
    """`verify --quarantine` in a checkout moves nothing of it."""
    for name in (".git", "book", "runs/0123456789abcdef"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "HEAD").write_text("mine")
    environment = {**os.environ, "MTLSTUDY_RUNS": ""}
    command = [sys.executable, "-m", "mtlstudy.cli", "verify", "--quarantine"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "1 runs checked, 1 faulty" in done.stdout and "not a run of this study" in done.stderr
    assert (tmp_path / ".git/HEAD").exists() and (tmp_path / "book/HEAD").exists()
    assert (tmp_path / "runs/quarantine/0123456789abcdef/HEAD").exists()


def altered(path, what):
    if what == "cut":
        file = path / "run.json"
        file.write_text(file.read_text()[:50])
    elif what == "renamed":
        path = path.rename(path.with_name("0" * 16))
    elif what == "missing":
        (path / "weights.jsonl").unlink()
    elif what == "edited":
        file = path / "metrics.jsonl"
        file.write_text(file.read_text().replace("1", "2", 1))
    elif what == "binary":
        (path / "run.json").write_bytes(b"\xff\xfe\x00")
    return path


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("cut", "cannot be read as a run"),
        ("binary", "cannot be read as a run"),
        ("renamed", "a run folder is named after its run"),
        ("missing", "is finished, but weights.jsonl is missing"),
        ("edited", "does not match the digest in DONE"),
    ],
)
def test_what_is_corrupt_is_named_in_one_line_and_never_read(what, said):
    run = fit(RunConfig(**TINY), progress=False)
    assert store.fault(run.path) is None
    path = altered(run.path, what)
    fault = store.fault(path)
    assert said in fault and "\n" not in fault
    with pytest.raises(InputError):
        store.load_run(path)
    assert files.aside(path).parent == store.root() / "quarantine"
    assert store.folders() == []


def test_nothing_is_lost_in_quarantine():
    for n in range(3):
        path = store.root() / ("0" * 16)
        path.mkdir(parents=True)
        (path / "n").write_text(str(n))
        files.aside(path)
    kept = sorted(file.read_text() for file in (store.root() / "quarantine").glob("*/n"))
    assert kept == ["0", "1", "2"]


def test_two_runs_with_equal_results_have_equal_digests(monkeypatch, tmp_path):
    first = fit(RunConfig(**TINY), progress=False)
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "again"))
    again, other = (fit(RunConfig(seed=seed, **TINY), progress=False) for seed in (0, 1))
    assert first.digest == again.digest != other.digest


@pytest.mark.parametrize("name", ["a b", "\ubc14\ud0d5 \ud654\uba74", "[x]*", "-x"])
def test_a_store_may_have_any_name(name, monkeypatch, tmp_path):
    whole = fit(RunConfig(**TINY), progress=False)
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / name / "runs"))
    run = fit(RunConfig(**TINY), progress=False)
    assert run.digest == whole.digest and store.folders() == [
        tmp_path / name / "runs" / run.path.name
    ]
