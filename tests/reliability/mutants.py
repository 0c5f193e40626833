"""`python -m reliability.mutants COUNT [SEED [FILE]]`: small faults put into the mathematics one at
a time, in a copy of the package; which of them its own tests see.

A mutant has one comparison, sign, constant or truth value changed, drawn over `FILES` by seed.
Survivors are printed by file and line; some are equal to the original and cannot be seen.
"""

import ast
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
FILES = {
    "nash/newton.py": ["tests/test_nash.py"],
    "nash/newton_cpu.py": ["tests/test_nash.py", "-k", "Numba"],
    "nash/coalition.py": ["tests/test_coalition.py"],
    "gradients.py": ["tests/test_gradients.py"],
    "study/metrics.py": ["tests/study/test_metrics.py", "tests/study/test_published.py"],
    "study/statistics.py": ["tests/study/test_statistics.py"],
}
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And, ast.USub: ast.UAdd, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip


def places(tree):
    """What can be changed: operators, numbers and truth values in the bodies of functions."""
    for function in ast.walk(tree):
        for statement in function.body if isinstance(function, ast.FunctionDef) else ():
            for node in ast.walk(statement):
                operator = getattr(node, "op", getattr(node, "ops", [None])[0])
                number = isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
                if type(operator) in SWAPS or number:
                    yield node


def change(node):
    """Put a fault into a node."""
    if isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1
    elif hasattr(node, "ops"):
        node.ops[0] = SWAPS[type(node.ops[0])]()
    else:
        node.op = SWAPS[type(node.op)]()


def seen(folder, tests):
    """Whether the tests fail on the package in a folder; one that never ends is seen, too."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "NUMBA_CACHE_DIR": str(folder / "numba"),
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=300)
    except subprocess.TimeoutExpired:
        return True
    return run.returncode != 0


def main(count, seed=0, only=""):
    generator, killed = random.Random(seed), 0
    files = {name: tests for name, tests in FILES.items() if only in name}
    sizes = {name: len(list(places(parsed(name)))) for name in files}
    drawn = [(name, i) for name, size in sizes.items() for i in range(size)]
    drawn = generator.sample(drawn, min(count, len(drawn)))
    with TemporaryDirectory() as folder:
        folder = Path(folder)
        for part in ("mtlstudy", "tests", "book", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        for done, (name, i) in enumerate(drawn, start=1):
            tree = parsed(name)
            node = list(places(tree))[i]
            before = ast.unparse(node)
            change(node)
            after, file = ast.unparse(node), folder / "mtlstudy" / name
            file.write_text(ast.unparse(tree), encoding="utf-8")
            caught = seen(folder, files[name])
            killed += caught
            if not caught:
                print(f"survived: mtlstudy/{name}:{node.lineno}  {before}  →  {after}", flush=True)
            shutil.copy(ROOT / "mtlstudy" / name, file)
            print(
                f"{killed} of {done} seen, {len(drawn)} drawn of {sum(sizes.values())}", flush=True
            )


def parsed(name):
    return ast.parse((ROOT / "mtlstudy" / name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(int, sys.argv[2:3]), *sys.argv[3:4])
