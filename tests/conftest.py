"""Shared fixtures: every test has a run store of its own, and torch runs on one thread."""

from collections import Counter
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """An empty run store; the study's own runs are never touched by a test."""
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def pytest_terminal_summary(terminalreporter):
    """How many cases of each law file were seen: a law that ran over nothing must not look like one that holds."""
    passed = Counter(Path(r.nodeid.split("::")[0]).stem for r in terminalreporter.stats.get("passed", []) if "laws/" in r.nodeid)
    if passed:
        terminalreporter.write_line("laws held: " + ", ".join(f"{name} {n}" for name, n in sorted(passed.items())))
