"""The lines of the package, without its benchmarks, that the tests run: on real data where
`MTLSTUDY_DATA` has it, and on the book where it is built.

Numba's compiled functions are run as Python once more, as nothing traces compiled code.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mtlstudy.errors import InputError
from reliability import Outcome

ROOT = Path(__file__).parents[2]
GOAL = 95
"""Percent of the lines."""
SETTINGS = """\
[run]
source = mtlstudy
omit = */mtlstudy/bench/*
parallel = true
patch = subprocess
data_file = {folder}/data
[report]
exclude_also =
    if TYPE_CHECKING:
"""
RUNS = (
    ({}, ["tests", "mtlstudy"]),
    ({"NUMBA_DISABLE_JIT": "1"}, ["tests/test_nash.py", "-k", "Numba"]),
)
"""Settings of the environment, and the tests under them."""


def run(count: int, seed: int) -> Outcome:
    """The first `count` of the runs; wrong where fewer lines than `GOAL` are run."""
    with TemporaryDirectory() as folder:
        settings = Path(folder, "settings")
        settings.write_text(SETTINGS.format(folder=folder))
        coverage = [sys.executable, "-m", "coverage"]
        for variables, tests in RUNS[:count]:
            pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
            command = [*coverage, "run", f"--rcfile={settings}", *pytest]
            ended = subprocess.run(
                command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True
            )
            if ended.returncode:
                print(ended.stdout[-5000:], ended.stderr[-2000:])
                raise InputError(f"{' '.join(pytest)}: failed")
        for step in (["combine", "-q"], ["json", "-q", "-o", f"{folder}/found.json"]):
            subprocess.run([*coverage, step[0], f"--rcfile={settings}", *step[1:]], check=True)
        found = json.loads(Path(folder, "found.json").read_text())
    for name, file in sorted(found["files"].items()):
        if file["summary"]["percent_covered"] < GOAL:
            lines = ", ".join(map(str, file["missing_lines"]))
            print(f"{file['summary']['percent_covered']:.0f} % of {name}; not {lines}", flush=True)
    every = [
        file["summary"] for file in found["files"].values() if file["summary"]["num_statements"]
    ]
    below = sum(summary["percent_covered"] < GOAL for summary in every)
    percent = found["totals"]["percent_covered"]
    details = {"percent": round(percent, 1), "modules": len(every), "below": below, "goal": GOAL}
    return Outcome(found["totals"]["num_statements"], int(percent < GOAL), details)
