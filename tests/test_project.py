"""The project's own promises: one source of pins, a README that says what the results say, no trace of anybody's machine."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from mtlstudy.study import publish

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = {
    line.split("==")[0].lower().replace("_", "-"): Version(
        line.split("==")[1].split(";")[0].strip()
    )
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if "==" in line and not line.startswith("#")
}


def test_the_lock_fits_the_ranges():
    extras = PROJECT["optional-dependencies"]
    wanted = [
        Requirement(text) for text in [*PROJECT["dependencies"], *extras["study"], *extras["test"]]
    ]
    for requirement in wanted:
        assert requirement.specifier.contains(LOCK[requirement.name.lower()]), requirement
    assert LOCK["torch"] == Version("2.13.0") and not [
        name for name in LOCK if name.startswith(("nvidia", "triton"))
    ]


def test_every_bound_is_explained_and_conda_has_no_second_list():
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("test = [")]
    bare = [
        line
        for line in block.splitlines()
        if re.match(r'\s+"[^"]*(==|<)', line) and "#" not in line
    ]
    assert len(bare) <= 1, bare  # the slurm plugin follows snakemake
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["dependencies"] == [
        "python=3.11",
        "pip",
        {"pip": ["-r requirements.lock", "-e ."]},
    ]


def test_the_lock_names_no_host():
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_the_readme_says_what_the_published_results_say():
    text = (ROOT / "README.md").read_text()
    block = publish.BEGIN + text.partition(publish.BEGIN)[2].partition(publish.END)[0] + publish.END
    assert block == publish.block("quick")


def test_every_row_of_the_readmes_tables_has_all_its_cells():
    """A family that is not defined on a data set leaves a dash, not a gap that shifts its other numbers."""
    rows = [
        line.count(" | ") for line in publish.block("quick").splitlines() if line.startswith("| ")
    ]
    heads = [
        n for n, line in enumerate(publish.block("quick").splitlines()) if line.startswith("| ---")
    ]
    assert len(heads) == 2 and len(set(rows)) == 2 and rows == sorted(rows)


def test_the_makefile_documents_itself_within_ten_targets():
    lines = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert 5 <= len(lines) <= 10 and {"make book", "make test"} <= {
        " ".join(line.split()[:2]) for line in lines
    }


def test_the_readmes_commands_exist():
    text = (ROOT / "README.md").read_text()
    for target in set(re.findall(r"`?make ([a-z]+)", text)):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target


@pytest.mark.parametrize("pattern", [r"/work/", r"/tmp/", r"\.library"])
def test_no_trace_of_a_machine(pattern):
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    if not files:
        pytest.skip("not a git checkout")
    own = {"tests/test_project.py"}
    found = [f for f in files if f not in own and not f.startswith("book/_static/mathjax") and (ROOT / f).is_file()
             and re.search(pattern, (ROOT / f).read_text(errors="ignore"))]  # fmt: skip
    assert not found
