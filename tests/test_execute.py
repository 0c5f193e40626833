"""Executing a text notebook: parameters are checked first, and a good page is never lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from mtlstudy.errors import InputError
from mtlstudy.execute import default, execute
from mtlstudy.study import words

ROOT = Path(__file__).parents[1]
NOTEBOOK = """\
# %% [markdown]
# # A title

# %% tags=["parameters"]
profile = "quick"
data = "yeast,toy"
n = 3

# %%
{code}
"""


@pytest.fixture
def source(tmp_path):
    def write(code):
        file = tmp_path / "page.py"
        file.write_text(NOTEBOOK.format(code=code))
        return file

    return write


def test_a_misspelt_parameter_stops_before_anything_runs(tmp_path):
    target = tmp_path / "toy.ipynb"
    with pytest.raises(InputError, match="did you mean 'profile'"):
        execute(ROOT / "notebooks" / "toy.py", target, {"profil": "quick"})
    assert not target.exists()


@pytest.mark.slow
def test_a_notebook_that_is_missing_is_named(tmp_path):
    command = [sys.executable, "-m", "mtlstudy.execute", "nowhere.py", str(tmp_path / "x.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("mtlstudy: notebook nowhere.py: no such")
    assert done.stderr.count("\n") == 1


def test_what_a_notebook_declares_is_compared_by_value():
    assert default({"default": '"quick"'}) == "quick" and default({"default": "3"}) == 3


@pytest.mark.slow
def test_a_page_holds_what_ran_and_a_failing_one_never_overwrites_it(source, tmp_path, monkeypatch):
    import nbformat

    target = tmp_path / "page.ipynb"
    monkeypatch.setattr("mtlstudy.execute.load", lambda name: {"page": {"page": "# Another"}})
    execute(source("(profile, data, n)"), target, {"profile": "full", "n": 3})
    notebook = nbformat.read(target, as_version=4)
    assert notebook.cells[0].source == "# Another"
    shown = notebook.cells[-1].outputs[0]["data"]["text/plain"]
    assert shown == "('full', 'yeast,toy', 3)"
    before = target.read_bytes()
    with pytest.raises(Exception, match="broken on purpose"):
        execute(source('raise RuntimeError("broken on purpose")'), target, {})
    assert target.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} <= {"page.py", "page.ipynb", "runs", "build"}


def test_pages_of_one_notebook_have_beginnings_of_their_own():
    from mtlstudy.study import plan

    pages = {page for page, notebook in plan.NOTEBOOKS.items() if page != notebook}
    begun = set(words.load("words.ko.yml")["page"])
    assert begun <= set(plan.NOTEBOOKS) and pages <= begun | set(plan.COMPARISONS)
