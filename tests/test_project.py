"""The project's own promises: one source of pins, a README that says what the results say,
no trace of anybody's machine."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from mtlstudy import files
from mtlstudy.study import plan, publish, readme, results
from mtlstudy.study.figures.comparison import delta_m
from mtlstudy.study.figures.style import keep
from mtlstudy.training import tune

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = {
    line.split("==")[0].lower().replace("_", "-"): Version(line.split("==")[1].split(";")[0])
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if "==" in line and not line.startswith("#")
}


def test_the_lock_fits_the_ranges():
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["study"], *extras["test"]]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(LOCK[requirement.name.lower()]), requirement
    assert LOCK["torch"] == Version("2.13.0")
    assert not [name for name in LOCK if name.startswith(("nvidia", "triton"))]


def test_every_bound_is_explained_and_conda_has_no_second_list():
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("test = [")].splitlines()
    bare = [s for s in block if re.match(r'\s+"[^"]*(==|<)', s) and "#" not in s]
    assert len(bare) <= 1, bare  # the slurm plugin follows snakemake
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = {"pip": ["-r requirements.lock", "-e ."]}
    assert environment["dependencies"] == ["python=3.11", "pip", pip]


def test_the_lock_names_no_host():
    assert "://" not in (ROOT / "requirements.lock").read_text()


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    """The README's block from what is published, of which nothing may be trained here."""

    def refuse(configs, *_, **__):
        names = sorted({f"{c.data}.{c.sharing}.{c.weighting}" for c in configs})
        pytest.fail(f"not published: {', '.join(names)}")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("MTLSTUDY_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setattr(tune, "train", refuse)
        results.published.cache_clear()
        results.refused.cache_clear()
        return readme.block(plan.SHOWN)


@pytest.mark.book
def test_the_readme_says_what_the_published_results_say(block):
    text = (ROOT / "README.md").read_text()
    assert text.partition(publish.BEGIN)[2].partition(publish.END)[0].strip() == block.strip()


@pytest.mark.book
def test_the_readmes_picture_is_drawn_from_the_published_results(monkeypatch):
    monkeypatch.chdir(ROOT)
    results.published.cache_clear()
    (svg, *_) = keep(delta_m(results.load("weightings", plan.SHOWN)), plan.SHOWN, "delta_m")
    assert svg.read_bytes() == (ROOT / "book/results" / plan.SHOWN / "delta_m.svg").read_bytes()


def test_every_row_of_the_readmes_tables_has_all_its_cells(block):
    """A family that is not defined on a data set leaves a dash, not a gap that shifts its other
    numbers."""
    lines = [line for line in block.splitlines() if line.startswith("| ")]
    heads = [line for line in lines if line.startswith("| ---")]
    widths = [line.count(" | ") for line in lines]
    assert len(heads) == 2 and len(set(widths)) == 2 and widths == sorted(widths)


def test_the_makefile_documents_itself_within_ten_targets():
    help_ = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = help_.stdout.splitlines()
    targets = {" ".join(line.split()[:2]) for line in lines}
    assert 5 <= len(lines) <= 10 and {"make book", "make test", "make check"} <= targets


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_of_a_page_exist(page):
    from mtlstudy.cli import app

    text, makefile = (ROOT / page).read_text(), (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z]+)\b(?=[` \n])", text)):
        assert re.search(rf"^{target}:", makefile, re.M), target
    commands = {c.name or c.callback.__name__.rstrip("_") for c in app.registered_commands}
    used = set(re.findall(r"(?:^|`|\$ |bin/)mtlstudy ([a-z]+)", text, re.M))
    assert used <= commands, used - commands


@pytest.mark.parametrize("pattern", [r"/[w]ork/", r"/[t]mp/", r"\.[l]ibrary"])
def test_no_trace_of_a_machine(pattern):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = [
        ROOT / name
        for name in listed.stdout.splitlines()
        if not name.startswith("book/_static/mathjax")
    ]
    if not files:
        pytest.skip("not a git checkout")
    found = [f for f in files if f.is_file() and re.search(pattern, f.read_text(errors="ignore"))]
    assert not found


def test_published_results_are_what_their_digests_say():
    folders = [ROOT / "book/results", *(ROOT / "book/results").glob("*/")]
    assert len(folders) > 2
    assert [fault for folder in folders for fault in files.faults(folder)] == []
