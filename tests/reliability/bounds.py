"""The quick tests once with the oldest packages that pyproject.toml allows: every dependency and
those of `study` and `test` at its lower bound, in an environment of their own.

torch is the one that is installed here: at its bound there is no build without CUDA's packages.
Needs a package index.
"""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

from reliability import Outcome
from reliability.suite import ROOT, tested


def run(count: int, seed: int) -> Outcome:
    """Install them and test."""
    held = oldest()
    with TemporaryDirectory() as folder:
        python = f"{folder}/bin/python"
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([*pip, *held], check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", ROOT], check=True)
        passed, failed = tested(python)
    for name in sorted(failed):
        print(name, flush=True)
    details = {"bounds": sum("==" in name for name in held) - 1, "torch": version("torch")}
    return Outcome(passed + len(failed), len(failed), details)


def oldest() -> list[str]:
    """Every dependency, held to its lower bound where it has one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    held = []
    for line in [*project["dependencies"], *extras["study"], *extras["test"]]:
        wanted = Requirement(line)
        bounds = [s.version for s in wanted.specifier if s.operator in (">=", "==")]
        if wanted.marker is None or wanted.marker.evaluate():
            lowest = [version("torch")] if wanted.name == "torch" else bounds
            held.append("==".join([wanted.name, *lowest]))
    return held
