"""Shared fixtures: every test has a run store and a build folder of its own, one thread."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from mtlstudy.training.build import _load

torch.set_num_threads(1)
BOOK = ("tests/book/", *(f"tests/study/test_{x}" for x in ("figures", "pages", "korean_bench")))


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """An empty run store; the study's own runs and what was built are never touched by a test."""
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MTLSTUDY_BUILD", str(tmp_path / "build"))
    _load.cache_clear()  # data that another test loaded, and perhaps broke
    return tmp_path / "runs"


def pytest_collection_modifyitems(items):
    """What tests the book and its pages and figures carries the marker `book`."""
    for item in items:
        if item.nodeid.startswith(BOOK):
            item.add_marker("book")


def pytest_terminal_summary(terminalreporter):
    """How many cases of each law file were seen: a law that ran over nothing must not look like one
    that holds."""
    passed = Counter(
        Path(report.nodeid.split("::")[0]).stem
        for report in terminalreporter.stats.get("passed", [])
        if "laws/" in report.nodeid
    )
    if passed:
        held = ", ".join(f"{name} {n}" for name, n in sorted(passed.items()))
        terminalreporter.write_line(f"laws held: {held}")
