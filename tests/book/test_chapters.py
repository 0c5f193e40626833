"""What chapters point to is there: functions quoted, pages linked, values named."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from pages import ROOT

from mtlstudy.study import plan
from mtlstudy.study.words import load

CHAPTERS = sorted([*(ROOT / "book").glob("*.md"), *(ROOT / "book/sharing").glob("*.md")])
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
PARTICLE = re.compile(r"\}\}\s?(은|는|이|가|을|를|와|과|로|으로|이다|였다|이며)(?=[\s.,)])")
QUOTED = re.compile(r"```\{literalinclude\} (\S+)\n(?::pyobject: (\S+))?")
VALUES = ("meta", "claims", "run", "provenance", "profiles", '"- "')


def named(page: Path) -> str:
    return page.relative_to(ROOT / "book").with_suffix("").as_posix()


def defined(file: Path) -> set[str]:
    """The functions and classes of a file, methods as Class.method."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
            found |= {f"{node.name}.{n.name}" for n in inner}
    return found


@pytest.mark.parametrize("page", CHAPTERS, ids=named)
def test_what_a_chapter_points_to_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path, name in QUOTED.findall(text):
        file = (page.parent / path).resolve()
        assert file.is_file(), path
        assert not name or name in defined(file), f"{path}: {name}"
    for path, start in re.findall(r"\{literalinclude\} (\S+)\n.*\n:start-at: '(.+)'", text):
        assert start in (page.parent / path).read_text(encoding="utf-8"), start
    for path in re.findall(r"`((?:mtlstudy|tests|profiles|book)/[\w/.-]+)`", text):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"\{doc\}`(?:[^`<]*<)?([\w/.]+)>?`", text):
        link = (page.parent / target).resolve().relative_to(ROOT).as_posix()
        assert link in PAGES, target
    for value in re.findall(r"\{\{ (.+?) \}\}", text):
        assert value.startswith(VALUES), value
    particle = PARTICLE.search(text)
    assert not particle, f"{particle and particle[0]!r}: the particle varies with the number"


def test_the_table_of_contents_holds_the_plans_pages_and_all_chapters() -> None:
    experiments = {f"book/experiments/{page}" for page in plan.NOTEBOOKS}
    assert {page for page in PAGES if "/experiments/" in page} == experiments
    chapters = {f"book/{named(page)}" for page in CHAPTERS}
    assert {page for page in PAGES if "/experiments/" not in page} == chapters


def test_no_particle_follows_a_figure_of_a_claim() -> None:
    """3은 but 2는: the particle varies with the number."""
    particle = re.compile(r"\{(\w+)\}(은|는|이|가|을|를|와|과|로|으로|였다)(?=[\s.,)])")
    found = []
    for kind, outcomes in load("claims.ko.yml").items():
        for outcome, sentence in outcomes.items():
            found += [f"{kind}.{outcome}: {m[0]}" for m in particle.finditer(sentence)]
    assert not found
