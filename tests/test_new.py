"""`mtlstudy new`: what it writes meets the laws as it is; what it cannot write is refused in one
line, and nothing is touched."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mtlstudy import new
from mtlstudy.cli import app
from mtlstudy.registry import PACKAGES, names

ROOT = Path(__file__).parents[1]
COUNT = "    count = {\n"
RUN_ALL = """
import json, sys
from mtlstudy.cli import app
for command in json.loads(sys.argv[1]):
    app(command, standalone_mode=False)
"""


@pytest.fixture
def checkout(tmp_path):
    """A copy of what a checkout has of the package and its laws."""
    for part in (Path("mtlstudy"), Path("tests") / "laws"):
        shutil.copytree(ROOT / part, tmp_path / part)
    for name in ("pyproject.toml", "tests/conftest.py", "tests/tiny_encoder.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def python(checkout, *arguments):
    """Run Python in a checkout, with its own package first."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_DISABLE_JIT": "1",  # a few steps do not earn back the compilation
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=checkout, env=environment, capture_output=True, text=True
    )


def call(*arguments):
    return CliRunner().invoke(app, ["new", *map(str, arguments)])


def written(kind, name="my_idea"):
    """The file of an entry, relative to its checkout."""
    return Path(*PACKAGES[kind].split("."), f"{name}.py")


def entries(checkout):
    return sorted((checkout / "mtlstudy").rglob("*.py"))


@pytest.mark.slow
def test_what_is_written_meets_the_laws(checkout):
    """With the steps that the command prints, followed to the letter."""
    laws, runs = [], []
    for kind in PACKAGES:
        done = call(kind, "my_idea", "--into", checkout)
        assert done.exit_code == 0 and f"{written(kind)} is written" in done.output
        if kind == "sharing":
            (line,) = re.findall(r'^ +("my_idea": .*,)$', done.output, re.M)
            law = checkout / "tests" / "laws" / "test_sharing_laws.py"
            assert law.read_text().count(COUNT) == 1
            law.write_text(law.read_text().replace(COUNT, f"{COUNT}        {line}\n"))
        laws += re.findall(r"^ +python -m pytest (\S+) -k (.*)$", done.output, re.M)
        runs += re.findall(r"^ +mtlstudy (run .*)$", done.output, re.M)
    files, chosen = zip(
        *laws, strict=True
    )  # one process for all three: each takes seconds to start
    only = " or ".join(choice.strip('"') for choice in chosen)
    shown = python(checkout, "-m", "pytest", *files, "-k", only, "-p", "no:cacheprovider")
    assert shown.returncode == 0, shown.stdout
    held = dict(re.findall(r"test_(\w+)_laws (\d+)", shown.stdout))
    assert int(held["sharing"]) >= 45 and int(held["weighting"]) >= 3 and int(held["data"]) >= 5
    written_files = [str(written(kind)) for kind in PACKAGES]
    for check in (["check"], ["format", "--check"]):
        assert python(checkout, "-m", "ruff", *check, *written_files).returncode == 0
    fields = ("steps=2", "evaluations=1", "lr=0.003", "data.train=20")
    small = [part for field in fields for part in ("--set", field)]
    commands = [[*shlex.split(run), "--seeds", "0", *small] for run in runs]
    shown = python(checkout, "-c", RUN_ALL, json.dumps(commands))
    assert shown.returncode == 0 and shown.stdout.count(" done ") == len(PACKAGES), shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sharings", "my_idea"), "kind = 'sharings' is unknown; did you mean 'sharing'?"),
        (("sharing", "MyIdea"), "name = 'MyIdea': allowed: lower-case"),
        (("sharing", "../my_idea"), "allowed: lower-case"),
        (("sharing", "lambda"), "no word of Python's own"),
        (("sharing", "none"), "no word of Python's own"),
        (("weighting", "tensor"), "no class that the file itself uses, as Tensor"),
        (("sharing", "hard"), "name = 'hard' is taken"),
        (("sharing", "base"), "name = 'base' is taken"),
        (("weighting", "pcgrad"), "name = 'pcgrad' is taken: an entry of weighting"),  # in a table
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, message, checkout):
    before = entries(checkout)
    result = call(*arguments, "--into", checkout)
    assert result.exit_code == 2 and message in result.output
    assert result.output.strip().count("\n") == 0 and entries(checkout) == before


def test_an_existing_file_is_not_overwritten(checkout):
    path = checkout / written("data")
    path.write_text("# mine\n")
    assert call("data", "my_idea", "--into", checkout).exit_code == 2
    assert path.read_text() == "# mine\n"


def test_a_place_that_is_no_checkout_or_cannot_be_written_to_is_named(checkout, tmp_path):
    empty = tmp_path / "empty"
    result = call("sharing", "my_idea", "--into", empty)
    assert result.exit_code == 2 and "is no checkout of the project" in result.output
    assert not empty.exists()
    (checkout / written("sharing")).symlink_to("/nowhere/my_idea.py")
    result = call("sharing", "my_idea", "--into", checkout)
    assert result.exit_code == 2
    assert "cannot be written (File exists); --into CHECKOUT" in result.output


def test_a_name_stands_in_every_place(checkout):
    assert call("weighting", "two_towers", "--into", checkout).exit_code == 0
    text = (checkout / written("weighting", "two_towers")).read_text()
    assert 'register("two_towers")' in text and "class TwoTowers(" in text
    assert "my_idea" not in text.lower() and "myidea" not in text.lower()


def test_every_kind_has_a_template_and_it_is_no_registered_name():
    templates = {
        path.name.removesuffix(".py.txt") for path in (new.PACKAGE / "templates").glob("*.py.txt")
    }
    assert templates == set(new.STEPS) and all("my_idea" not in names(kind) for kind in new.STEPS)
