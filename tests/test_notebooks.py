"""Notebooks are thin, their executed copies are whole, and executing them again gives the same outputs (nbval)."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from mtlstudy.errors import InputError
from mtlstudy.execute import execute

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
REQUIRED = os.environ.get("MTLSTUDY_REQUIRE_BOOK") == "1"


def executed(source):
    path = ROOT / "book" / "experiments" / f"{source.stem}.ipynb"
    if not path.exists() and not REQUIRED:
        pytest.skip("not executed here yet: run `make book`")
    assert path.exists(), f"{path} is missing: the notebook was not executed"
    return path


def test_there_are_notebooks():
    names = "first_comparison korean_sentences korean_tagging performance sharing_comparison solver ten_minutes toy"
    assert [s.stem for s in SOURCES] == names.split()
    assert not list((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_a_notebook_is_thin(source):
    cells = [cell for cell in jupytext.read(source).cells if cell.cell_type == "code"]
    code = "\n".join(cell.source for cell in cells)
    tree = ast.parse(code)
    assert len(cells) <= 10 and len([line for line in code.splitlines() if line.strip()]) <= 60
    forbidden = (ast.FunctionDef, ast.ClassDef, ast.While, ast.AsyncFunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, forbidden)]
    modules = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert modules == {"mtlstudy"} and not [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    ]
    assert any("parameters" in cell.metadata.get("tags", []) for cell in cells)


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_figures_are_numbered_captioned_and_described(source):
    for cell in jupytext.read(source).cells:
        if cell.cell_type == "code" and "figures." in cell.source:
            shown = cell.metadata["mystnb"]
            assert (
                shown["figure"]["caption"]
                and shown["figure"]["name"].startswith("fig-")
                and len(shown["image"]["alt"]) > 10
            )


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_every_code_cell_was_executed_in_order_without_error(source):
    cells = [
        cell
        for cell in nbformat.read(executed(source), as_version=4).cells
        if cell.cell_type == "code"
    ]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"], (
        "a warning is a finding, not decoration"
    )
    images = [
        o
        for o in outputs
        if "image/png" in o.get("data", {}) or "image/svg+xml" in o.get("data", {})
    ]
    assert len(images) == sum("figure" in cell.metadata.get("mystnb", {}) for cell in cells) > 0


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_nbval_gives_the_same_outputs(source, tmp_path):
    """nbval runs in the notebook's own folder, so the run store is named absolutely."""
    environment = {**os.environ, "MTLSTUDY_RUNS": str(ROOT / "runs")}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--nbval",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    done = subprocess.run(
        [*command, "-o", "addopts=", "--rootdir", str(tmp_path), str(executed(source))],
        env=environment, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout and "failed" not in done.stdout


def test_a_misspelt_parameter_stops_before_anything_runs(tmp_path):
    target = tmp_path / "toy.ipynb"
    with pytest.raises(InputError, match="did you mean 'profile'"):
        execute(ROOT / "notebooks" / "toy.py", target, {"profil": "quick"})
    assert not target.exists()


def test_a_failing_notebook_never_overwrites_a_good_one(tmp_path):
    source, target = tmp_path / "bad.py", tmp_path / "bad.ipynb"
    source.write_text(
        '# %% tags=["parameters"]\nprofile = "quick"\n\n# %%\nraise RuntimeError("broken on purpose")\n'
    )
    target.write_text("good")
    with pytest.raises(Exception, match="broken on purpose"):
        execute(source, target, {})
    assert target.read_text() == "good"
