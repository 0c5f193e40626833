"""Small faults put into the mathematics one at a time, in a copy of the package; which of them its
own tests see. `PYTHONPATH=tests python -m reliability.mutants COUNT SEED [GROUP]` names survivors.

A mutant has one operator, number or truth value changed, drawn over the files of a group by seed,
and is named by the first line of the statement then. Those that cannot be told from the original
are listed with the reason in `equivalent.toml` and left out.
"""

import ast
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from mtlstudy.errors import InputError
from reliability import Outcome

ROOT = Path(__file__).parents[2]
GROUPS = {
    "nash": {
        "nash/newton.py": "tests/test_nash.py",
        "nash/newton_cpu.py": "tests/test_nash.py -k Numba",
        "nash/coalition.py": "tests/test_coalition.py",
        "nash/reference.py": "tests/test_nash_reference.py",
        "nash/solution.py": "tests/test_nash.py",
    },
    "gradients": {"gradients.py": "tests/test_gradients.py"},
    "metrics": {"study/metrics.py": "tests/study/test_metrics.py tests/study/test_published.py"},
    "statistics": {"study/statistics.py": "tests/study/test_statistics.py"},
}
"""Every file and the tests that are to see its faults."""
GOAL = 90
"""Percent of a group's mutants that are to be seen."""
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And, ast.USub: ast.UAdd, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip
EQUIVALENT = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text("utf-8"))
"""File → mutant → why it is no other program."""
SERVER = """\
import os, signal, sys
import hypothesis, numba, pandas, pytest, scipy.stats, torch
for line in sys.stdin:
    child = os.fork()
    if not child:
        signal.alarm(300)
        sys.stdout = open(os.devnull, "w")
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *line.split()])
        os._exit(code)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Runs the tests named on a line in a process of their own and says how it ended; torch and the
like are imported once for all."""


class Mutant(NamedTuple):
    """The i-th of a file of the package; name: of the changed statement the first line."""

    file: str
    i: int
    name: str


def mutants(file: str) -> list[Mutant]:
    """All mutants of a file."""
    found = []
    for i, (node, statement) in enumerate(places(parsed(file))):
        before = {**vars(node)}
        change(node)
        found.append(Mutant(file, i, ast.unparse(statement).splitlines()[0]))
        vars(node).update(before)
    return found


def code(mutant: Mutant) -> str:
    """The whole file with the fault."""
    tree = parsed(mutant.file)
    change(list(places(tree))[mutant.i][0])
    return ast.unparse(tree)


def parsed(file: str) -> ast.Module:
    """A file of the package."""
    return ast.parse((ROOT / "mtlstudy" / file).read_text("utf-8"))


def places(tree: ast.AST) -> Iterator[tuple[Any, ast.stmt]]:
    """What can be changed: operators, numbers and truth values in the bodies of functions, each
    with its statement. What is hardly ever another program stays: the sign of a whole number (the
    dimensions −1 and +1 of a matrix are one), and zip's `strict`, which asserts."""
    inside: dict[ast.AST, ast.stmt] = {}
    for function in ast.walk(tree):  # from the outside in: the innermost statement is what stays
        for body in function.body if isinstance(function, ast.FunctionDef) else ():
            for statement in ast.walk(body):
                if isinstance(statement, ast.stmt):
                    inside |= dict.fromkeys(ast.walk(statement), statement)
    keywords = (node for node in ast.walk(tree) if isinstance(node, ast.keyword))
    asserts = {keyword.value for keyword in keywords if keyword.arg == "strict"}
    for node, statement in inside.items():
        operand = node.operand if isinstance(node, ast.UnaryOp) else None
        sign = isinstance(getattr(operand, "value", None), int)
        operator = getattr(node, "op", getattr(node, "ops", [None])[0])
        number = isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
        if (type(operator) in SWAPS or number) and not (sign or node in asserts):
            yield node, statement


def change(node: Any) -> None:
    """Put a fault into a node."""
    if isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1
    elif hasattr(node, "ops"):
        node.ops = [SWAPS[type(node.ops[0])](), *node.ops[1:]]
    else:
        node.op = SWAPS[type(node.op)]()


@contextmanager
def bench() -> Iterator[Callable[[str, str, str], bool]]:
    """A function: whether tests fail on the package with `code` for a file; a test that never ends
    fails, too."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("mtlstudy", "tests", "book", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        environment = {**os.environ, "PYTHONPATH": name, "NUMBA_CACHE_DIR": f"{name}/numba"}
        command = [sys.executable, "-c", SERVER]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, text=True
        ) as server:

            def fail(file: str, code: str, tests: str) -> bool:
                path = folder / "mtlstudy" / file
                path.write_text(code, encoding="utf-8")
                print(tests, file=server.stdin, flush=True)
                ended = int(server.stdout.readline())  # type: ignore[union-attr]
                shutil.copy(ROOT / "mtlstudy" / file, path)
                return ended != 0

            yield fail
            server.stdin.close()  # type: ignore[union-attr]


def run(count: int, seed: int, only: str = "") -> Outcome:
    """`count` mutants, as many of every group; wrong are the groups that miss `GOAL`."""
    draw, missed, details = random.Random(seed), 0, dict[str, float | str]()
    groups = {name: files for name, files in GROUPS.items() if only in name}
    tried = Counter[str]()
    with bench() as fail:
        for group, files in groups.items():
            for file, tests in files.items():
                if fail(file, (ROOT / "mtlstudy" / file).read_text("utf-8"), tests):
                    raise InputError(f"{tests}: fails on the package as it is")
            every = [m for file in files for m in mutants(file)]
            listed = {(file, name) for file in files for name in EQUIVALENT.get(file, {})}
            if stale := listed - {(m.file, m.name) for m in every}:
                raise InputError(f"equivalent.toml: {min(stale)} is no mutant; remove it")
            known = [m for m in every if m.name in EQUIVALENT.get(m.file, {})]
            left = [m for m in every if m not in known]
            for mutant in draw.sample(left, min(count // len(groups), len(left))):
                caught = fail(mutant.file, code(mutant), files[mutant.file])
                tried[group] += 1
                details[group] = int(details.get(group, 0)) + caught
                if not caught:
                    print(f"survived: {mutant.file}: {mutant.name}", flush=True)
            score = 100 * int(details[group]) / tried[group]
            missed += score < GOAL
            details |= {f"{group}_tried": tried[group]}
            details["equivalent"] = int(details.get("equivalent", 0)) + len(known)
            print(f"{group}: {details[group]} of {tried[group]} seen, of {len(every)}", flush=True)
    return Outcome(tried.total(), missed, {**details, "goal": GOAL})


if __name__ == "__main__":
    print(run(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4]))
