"""Imports go one way, importing the package is cheap, and Korean stands where it belongs."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mtlstudy"
BELOW = {"errors", "files", "registry"}
MATHS = {"nash", "gradients"}
ENTRIES = {"models", "weighting", "data"}
ALLOWED = {  # part → the parts that it may import
    "errors": set(),
    "files": {"errors"},
    "registry": {"errors"},
    "nash": BELOW,
    "gradients": BELOW,
    "models": BELOW | MATHS,
    "weighting": BELOW | MATHS,
    "data": BELOW | {"models"},
    "training": BELOW | MATHS | ENTRIES,
    "study": BELOW | MATHS | ENTRIES | {"training"},
    "bench": BELOW | MATHS | ENTRIES | {"training", "study", "api"},
    "api": BELOW | MATHS | {"models", "weighting"},
    "diagnosis": BELOW | MATHS | {"api"},
    "cli": BELOW | MATHS | ENTRIES | {"training", "study", "bench", "new", "diagnosis"},
    "execute": BELOW | {"training", "study"},
    "new": BELOW | {"training", "study"},
    "__init__": BELOW | MATHS | ENTRIES | {"training", "api", "diagnosis"},
}
NEIGHBOURS = {  # entries that rest on another entry's module, beside base and underscored ones
    "mtlstudy.weighting.block_nash": {"mtlstudy.weighting.nash"},
    "mtlstudy.models.sharing.cosine_bipartition": {"mtlstudy.models.sharing.nash_share"},
    "mtlstudy.weighting.nash_ccp": {"mtlstudy.weighting.nash"},
    "mtlstudy.data.klue": {"mtlstudy.data.sentences", "mtlstudy.data.tagged"},
    "mtlstudy.data.korean_sentences": {"mtlstudy.data.sentences"},
    "mtlstudy.data.korean_tagging": {"mtlstudy.data.tagged"},
}
KOREAN_TEXT = {"mtlstudy/data/_text.py"}
"""What processes Korean text, and so may hold letters of it."""
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")


def name(file):
    """A file's module."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imports(file):
    """The modules of the project that a file imports, wherever in it, the deepest that exist."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [w if w in FILES else node.module for w in whole]
        elif isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            continue
        yield from (target for target in targets if target.split(".")[0] == "mtlstudy")


def part(module):
    """The part of the package that a module belongs to."""
    return [*module.split("."), "__init__"][1]


@pytest.mark.parametrize("module", FILES)
def test_imports_go_one_way(module):
    for target in imports(FILES[module]):
        own, other = part(module), part(target)
        assert own == other or other in ALLOWED[own], f"{module} imports {target}"


def test_the_directions_have_no_circle_and_every_part_has_one():
    assert {part(module) for module in FILES} == set(ALLOWED)
    left = dict(ALLOWED)
    while left:
        free = [name for name, needs in left.items() if not needs & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


def test_only_the_command_line_imports_benchmarks():
    importers = {
        part(module)
        for module, file in FILES.items()
        if any(part(target) == "bench" for target in imports(file))
    }
    assert importers == {"bench", "cli"}


def test_entries_do_not_import_their_neighbours():
    used = {}
    for module, file in FILES.items():
        package, _, own = module.rpartition(".")
        registry = package in ("mtlstudy.data", "mtlstudy.models.sharing", "mtlstudy.weighting")
        if not registry or own.startswith("_") or own == "base":
            continue
        for target in imports(file):
            place, _, other = target.rpartition(".")
            if place == package and other != "base" and not other.startswith("_"):
                used.setdefault(module, set()).add(target)
    assert used == NEIGHBOURS


def test_notebooks_import_the_package_and_the_study_alone():
    sources = set((ROOT / "notebooks").glob("*.py")) - {ROOT / "notebooks" / "own_model.py"}
    assert len(sources) > 1  # the one that is left out shows what a reader writes
    for source in sources:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            found = []
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found = [f"{node.module}.{alias.name}" for alias in node.names]
            for target in found:
                assert target == "mtlstudy" or target.startswith("mtlstudy.study"), (source, target)


@pytest.mark.slow
def test_import_is_light_and_opens_no_socket():
    code = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise AssertionError('socket')\n"
        "socket.socket.__init__ = refuse\n"
        "import mtlstudy\n"
        "names = 'cvxpy pandas matplotlib seaborn torchjd jupyter_core sklearn numba datasets'\n"
        "heavy = set(names.split()) & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not [m for m in sys.modules if m.startswith(('mtlstudy.study', 'mtlstudy.bench'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_training_needs_no_jupyter_no_cvxpy_no_snakemake_and_no_numba(tmp_path):
    code = (
        "import sys\n"
        "missing = 'numba cvxpy jupyter_core ipykernel papermill snakemake matplotlib joblib'\n"
        "class Missing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in missing.split():\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from importlib import util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'numba' else found(name, *a)\n"
        "from mtlstudy import RunConfig, fit\n"
        "fit(RunConfig(data='synthetic', weighting='nash', steps=8), progress=False)\n"
    )
    where = {**os.environ, "MTLSTUDY_RUNS": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=where)
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads(next(tmp_path.glob("*/run.json")).read_text())
    assert record["summary"]["games"]["SOLVED"] == 8


def test_korean_stands_in_the_book_and_in_what_processes_korean_text():
    files = [*FILES.values(), *sorted((ROOT / "tests").rglob("*.py"))]
    found = {
        file.relative_to(ROOT).as_posix()
        for file in files
        if HANGUL.search(file.read_text(encoding="utf-8"))
    }
    in_the_book = {file for file in found if file.startswith("tests/book/")}
    assert found - in_the_book == KOREAN_TEXT
