"""Notebooks are thin, their executed copies are whole, and executing them again gives the same
outputs (nbval)."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from mtlstudy.study import plan

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
REQUIRED = os.environ.get("MTLSTUDY_REQUIRE_BOOK") == "1"
PROFILE = os.environ.get("MTLSTUDY_PROFILE", plan.SHOWN)
WORKED = "own_model"
"""The one notebook that shows what a reader writes: a loop, a model, a function."""
LOOPS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While)


def code_of(source):
    return [cell for cell in jupytext.read(source).cells if cell.cell_type == "code"]


def executed(page):
    path = ROOT / "book" / "experiments" / f"{page}.ipynb"
    if not path.exists() and not REQUIRED:
        pytest.skip("not executed here yet: run `make book`")
    assert path.exists(), f"{path} is missing: the notebook was not executed"
    return path


def test_the_notebooks_are_those_of_the_plan():
    assert {source.stem for source in SOURCES} == set(plan.NOTEBOOKS.values())
    assert not list((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("source", [s for s in SOURCES if s.stem != WORKED], ids=lambda s: s.stem)
def test_a_notebook_is_thin(source):
    cells = code_of(source)
    code = "\n".join(cell.source for cell in cells)
    assert len(cells) <= 11 and len([line for line in code.splitlines() if line.strip()]) <= 60
    assert not [node for node in ast.walk(ast.parse(code)) if isinstance(node, LOOPS)]


@pytest.mark.parametrize("page", plan.NOTEBOOKS)
def test_a_notebook_declares_the_parameters_that_the_plan_gives_it(page):
    cells = code_of(ROOT / "notebooks" / f"{plan.NOTEBOOKS[page]}.py")
    (declaring,) = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    tree = ast.parse(declaring.source)
    names = {t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets}
    assert {"profile", *plan.PARAMETERS.get(page, {})} <= names


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_figures_are_numbered_captioned_and_described(source):
    for cell in code_of(source):
        if "figures." in cell.source and "import" not in cell.source:
            shown = cell.metadata["mystnb"]
            assert shown["figure"]["caption"] and len(shown["image"]["alt"]) > 10
            several = list(plan.NOTEBOOKS.values()).count(source.stem) > 1
            assert several or shown["figure"]["name"].startswith("fig-")  # unique in the book


@pytest.mark.book
@pytest.mark.parametrize("page", plan.NOTEBOOKS)
def test_every_code_cell_was_executed_in_order_without_error(page):
    notebook = nbformat.read(executed(page), as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    said = [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    assert not said, "a warning is a finding, not decoration"
    images = [o for o in outputs if {"image/png", "image/svg+xml"} & set(o.get("data", {}))]
    assert len(images) == sum("figure" in cell.metadata.get("mystnb", {}) for cell in cells) > 0


@pytest.mark.book
@pytest.mark.parametrize("page", plan.NOTEBOOKS)
def test_nbval_gives_the_same_outputs(page, tmp_path):
    """A kernel starts in its notebook's folder, which therefore looks like the checkout."""
    (tmp_path / f"{page}.ipynb").write_bytes(executed(page).read_bytes())
    for name in ("book", "runs", "_build"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = {**os.environ, "MTLSTUDY_BUILD": "_build"}
    environment.pop("MTLSTUDY_RUNS")
    options = ["--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", "-q", *options, "-o", "addopts="]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path / f"{page}.ipynb")],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout and "failed" not in done.stdout
