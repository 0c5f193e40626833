"""Executing a text notebook: parameters are checked first, and a good page is never lost."""

import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

from mtlstudy.errors import InputError
from mtlstudy.execute import defaults, execute, main
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


def test_what_a_notebook_declares_is_read_by_value():
    cell = 'a = "x=y"\nb: str = "k=v"  # c = comment\nn, m = 1, 2\nd = -1.5\ne = ["#f"]\nf = open'
    notebook = jupytext.reads(f'# %% tags=["parameters"]\n{cell}\n', fmt="py")
    expected = {"a": "x=y", "b": "k=v", "d": -1.5, "e": ["#f"], "f": None}
    assert defaults(notebook, Path("x.py")) == expected


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("n=x", "page.py parameter n = 'x': allowed: int, such as 3"),
        ("n=3.5", "n = 3.5: allowed: int"),
        ("n=True", "n = True: allowed: int"),
        ("n", "usage: "),
        ("=3", "usage: "),
        ("nn=3", "page.py parameter = 'nn' is unknown; did you mean 'n'?"),
    ],
)
def test_a_parameter_of_another_type_stops_before_anything_runs(parameter, said, source, tmp_path):
    file = source("raise SystemExit")
    with pytest.raises(InputError) as error:
        main([str(file), str(tmp_path / "page.ipynb"), parameter])
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_source_or_target_that_is_none_is_named(source, tmp_path):
    file, korean = source("1"), tmp_path / "cp949.py"
    korean.write_bytes(NOTEBOOK.format(code='"\ud55c\uad6d\uc5b4"').encode("cp949"))
    (tmp_path / "folder.ipynb").mkdir()
    for arguments, said in (
        ((korean, tmp_path / "page.ipynb"), "cp949.py: byte 104 is not UTF-8"),
        ((tmp_path, tmp_path / "page.ipynb"), "no such file"),
        ((file, tmp_path / "folder.ipynb"), "allowed: a file in a folder"),
        ((file, file / "page.ipynb"), "allowed: a file in a folder"),
    ):
        with pytest.raises(InputError, match=said):
            execute(*arguments, {})


@pytest.mark.slow
def test_a_page_holds_what_ran_and_a_failing_one_never_overwrites_it(source, tmp_path, monkeypatch):
    import nbformat

    target = tmp_path / "page.ipynb"
    texts = {"page": {"page": {"question": "# Another", "about": "unread"}}}
    monkeypatch.setattr("mtlstudy.execute.load", lambda name: texts)
    execute(source("(profile, data, n)"), target, {"profile": "full", "n": 3})
    notebook = nbformat.read(target, as_version=4)
    assert notebook.cells[0].source == "# Another"
    shown = notebook.cells[-2].outputs[0]["data"]["text/plain"]
    assert shown == "('full', 'yeast,toy', 3)"
    again = "python -m mtlstudy.execute notebooks/page.py page.ipynb profile=full n=3"
    assert again in notebook.cells[-1].source
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 2 and all("hide-input" in cell.metadata["tags"] for cell in code)
    before = target.read_bytes()
    broken = source('raise RuntimeError("broken on purpose")')
    with pytest.raises(
        InputError, match=r"cell failed \(RuntimeError: broken on purpose\)"
    ) as error:
        main([str(broken), str(target), "data=0-2,7"])
    assert target.read_bytes() == before and str(tmp_path / "page.failed.ipynb") in str(error.value)
    kept = nbformat.read(tmp_path / "page.failed.ipynb", as_version=4)
    assert kept.cells[-2].outputs[0]["ename"] == "RuntimeError"
    execute(source("data"), target, {"data": "a=b"})
    last = nbformat.read(target, as_version=4).cells[-2]
    assert last.outputs[0]["data"]["text/plain"] == "'a=b'"
    assert {file.name for file in tmp_path.iterdir()} <= {"page.py", "page.ipynb", "runs", "build"}


def test_pages_of_one_notebook_have_beginnings_of_their_own():
    from mtlstudy.study import plan

    pages = {page for page, notebook in plan.NOTEBOOKS.items() if page != notebook}
    begun = set(words.load("words.ko.yml")["page"])
    assert begun <= set(plan.NOTEBOOKS) and pages <= begun | set(plan.COMPARISONS)
