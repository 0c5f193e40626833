"""The quick tests on embedded data, time after time: a test that fails at times is no test."""

import os
import re
import subprocess
import sys
from pathlib import Path

from mtlstudy.errors import InputError
from reliability import Outcome

ROOT = Path(__file__).parents[2]
QUICK = ("-m", "not book and not slow", "tests", "mtlstudy")


def run(count: int, seed: int) -> Outcome:
    """`count` times; wrong are the times at which a test failed."""
    failed, flaky, passed = 0, set[str](), 0
    for _ in range(count):
        passed, names = tested(sys.executable)
        failed += bool(names)
        flaky |= names
    for name in sorted(flaky):
        print(name, flush=True)
    return Outcome(count, failed, {"tests": passed, "flaky": len(flaky)})


def tested(python: str) -> tuple[int, set[str]]:
    """How many of the quick tests passed, and which did not."""
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", *QUICK]
    environment = {key: value for key, value in os.environ.items() if key != "MTLSTUDY_DATA"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    passed = re.search(r"(\d+) passed", ended.stdout)
    if not passed:
        raise InputError(f"pytest: no test passed: {ended.stdout[-2000:]} {ended.stderr[-2000:]}")
    return int(passed[1]), set(re.findall(r"^(?:FAILED|ERROR) (\S+)", ended.stdout, re.M))
