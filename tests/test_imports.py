"""Imports go one way, and importing the package is cheap."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "mtlstudy"
LEVELS = [
    [
        "errors", "bargaining", "nash", "nash_cpu", "nash_reference", "memory", "distributed", "clock", "gradients",
        "metrics", "statistics", "tasks", "layers", "backbones", "toy_problem",
    ],
    ["shelf", "benchmarks", "hub", "content", "tokens", "vectors", "config", "settings"],
    ["sharing", "weighting", "data"],
    [
        "runs", "building", "evaluation", "sampling", "step", "sharded", "modes", "searching", "selection", "training",
        "tuning", "frames",
    ],
    ["labels", "style", "layout", "wiring", "diagrams", "lesson", "cards", "figures", "tables", "experiments", "bench", "paper"],
    ["cli", "execute", "new"],
]  # fmt: skip
COMMON = {
    "weighting.nash",
    "weighting.torchjd",
    "data.pairs",
    "data.tagged",
    "data.molecules",
    "data.sentences",
    "data.nsmc",
    "data.kor_hate",
    "data.kor_3i4k",
    "data.kor_sts",
}  # what some entries rest on
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}


def imports(file):
    module = file.relative_to(PACKAGE).with_suffix("").parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = list(module[: len(module) - node.level])
            full = base + (node.module.split(".") if node.module else [])
            yield from ([full] if node.module else [[*full, alias.name] for alias in node.names])


def test_imports_go_one_way():
    seen = 0
    for file in sorted(PACKAGE.rglob("*.py")):
        own = file.relative_to(PACKAGE).with_suffix("").parts
        if own == ("__init__",):
            continue
        for target in imports(file):
            seen += 1
            assert LEVEL[target[0]] <= LEVEL[own[0]], f"{file} imports {'.'.join(target)}"
            shelf = (
                own[0] in ("sharing", "weighting", "data") and len(own) > 1 and own[0] == target[0]
            )
            if shelf and own[1] not in ("base", "__init__") and target[-1] != "base":
                assert ".".join((own[0], target[-1])) in COMMON, (
                    f"{file} imports its shelf neighbour {target}"
                )
    assert seen > 50


def test_every_module_has_a_level():
    modules = {p.stem if p.parent == PACKAGE else p.parent.name for p in PACKAGE.rglob("*.py")} - {
        "__init__",
        "mtlstudy",
    }
    assert modules == set(LEVEL)


def test_import_is_light_and_opens_no_socket():
    code = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise AssertionError('socket')\n"
        "socket.socket.__init__ = refuse\n"
        "import mtlstudy\n"
        "heavy = {'cvxpy', 'pandas', 'matplotlib', 'seaborn', 'torchjd', 'jupyter_core', 'sklearn', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_training_needs_no_jupyter_no_cvxpy_no_snakemake_and_no_numba(tmp_path):
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('numba', 'cvxpy', 'jupyter_core', 'ipykernel', 'papermill', 'snakemake'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from importlib import util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'numba' else found(name, *a)\n"
        "from mtlstudy.cli import app\n"
        "app(['run', '--data', 'synthetic', '--weighting', 'nash', '--set', 'steps=8'])\n"
    )
    where = {**os.environ, "MTLSTUDY_RUNS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=where
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (
        json.loads(next(tmp_path.glob("*/run.json")).read_text())["summary"]["games"]["SOLVED"] == 8
    )


def test_files_stay_small():
    sizes = {p.name: len(p.read_text().splitlines()) for p in PACKAGE.rglob("*.py")}
    assert max(sizes.values()) <= 300, sizes
