"""A plan so small that it is trained within a test, with nothing published yet."""

import shutil

import pytest

from mtlstudy.study import plan, publish, results
from mtlstudy.study.plan import Comparison, Profile
from mtlstudy.training import loop
from mtlstudy.training.tune import Budget

METHODS = ("single_task+equal", "hard+equal", "cross_stitch+nash", "hierarchical+equal")
"""A baseline, one whose tuned values another takes over, one that learns numbered parts, one that
is refused (these tasks have no levels)."""
README = f"# Title\n\n{publish.BEGIN}\nold\n{publish.END}\n\nEnd.\n"


def forget():
    results.published.cache_clear()
    results.refused.cache_clear()


@pytest.fixture
def tiny_plan(monkeypatch, tmp_path):
    """Comparison "tiny" on the data set "synthetic" in profile "quick", in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    methods = (*METHODS, "hard+uncertainty")
    declared = {"hard_single": ("hard+equal", "single_task+equal")}
    comparison = Comparison(("synthetic",), methods, declared)
    run = {"steps": 8, "evaluations": 2, "mode": "sequential"}
    profile = Profile(run, Budget(trials=2, tuning_seeds=1, seeds=2))
    monkeypatch.setattr(plan, "COMPARISONS", {"tiny": comparison})
    monkeypatch.setattr(plan, "PROFILES", {"quick": profile})
    fields = {"width": 8, "batch_size": 20, "data_options": {"tasks": 3, "train": 60}}
    monkeypatch.setattr(plan, "FIELDS", {"synthetic": {"quick": fields}})
    monkeypatch.setattr(plan, "LIKE", {"hard+uncertainty": "hard+equal"})
    monkeypatch.setattr(plan, "COMPUTED", ())
    monkeypatch.setattr(plan, "SHOWN", "quick")
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "published")
    (tmp_path / "README.md").write_text(README)
    monkeypatch.setattr("mtlstudy.study.readme.block", lambda profile: f"new of {profile}")
    monkeypatch.setattr("mtlstudy.study.readme.figure", lambda profile: publish.README)
    forget()
    yield plan
    forget()


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Where the tiny plan's runs and published tables are kept from test to test."""
    return tmp_path_factory.mktemp("once")


@pytest.fixture
def published(tiny_plan, once, monkeypatch, tmp_path):
    """All of the tiny plan, trained and published; a function that goes to an empty store."""
    if not any(once.iterdir()):
        results.load("tiny")
        publish.publish("quick")
        for name in ("runs", "published"):
            shutil.copytree(tmp_path / name, once / name)
    else:
        shutil.copytree(once, tmp_path, dirs_exist_ok=True)
        publish.README.write_text(publish.README.read_text().replace("\nold\n", "\nnew of quick\n"))
    return lambda name="empty": monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / name))


@pytest.fixture
def trained(monkeypatch):
    """The runs that were trained since, by run_id; clear it to count anew."""
    seen, run = [], loop.Training.run

    def counted(self, progress):
        seen.append(self.path.name)
        return run(self, progress)

    monkeypatch.setattr(loop.Training, "run", counted)
    return seen
