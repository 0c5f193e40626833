"""Shared fixtures: every test has a run store of its own, and torch runs on one thread."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """An empty run store; the study's own runs are never touched by a test."""
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"
