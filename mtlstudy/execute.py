"""Execute a text notebook: python -m mtlstudy.execute notebooks/toy.py toy.ipynb profile=quick

jupytext turns it into a notebook, papermill executes that under a temporary name, and only one that
ran to its end is moved into place: a failing one never overwrites a good one. A parameter that the
notebook does not declare stops before anything runs (papermill itself only logs it). Where several
pages are made of one notebook, its first cell is the words ``page.<name of the target>``.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mtlstudy.errors import InputError, unknown
from mtlstudy.study.words import load
from mtlstudy.training.settings import parse_settings
from mtlstudy.training.store import placed


def execute(source: Path, target: Path, parameters: dict[str, Any]) -> Path:
    """Run `source` with `parameters` and put the executed notebook at `target`.

    Raises:
        InputError: the source is missing, or it does not declare a parameter.
        papermill.PapermillExecutionError: a cell failed; `target` is left as it was.
    """
    import jupytext
    import papermill

    if not source.is_file():
        reason = "no such file; allowed: a text notebook such as notebooks/toy.py"
        raise InputError(f"notebook {source}: {reason}")
    with TemporaryDirectory() as folder:
        draft, executed = Path(folder) / f"{source.stem}.ipynb", Path(folder) / "executed.ipynb"
        notebook = jupytext.read(source)
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook.metadata["kernelspec"] = kernel
        if first := load("words.ko.yml").get("page", {}).get(target.stem):
            notebook.cells[0].source = first
        jupytext.write(notebook, draft)
        declared, changed = papermill.inspect_notebook(str(draft)), {}
        for name, value in parameters.items():
            if name not in declared:
                raise unknown(f"{source.name} parameter", name, declared)
            if repr(value) != repr(default(declared[name])):
                changed[name] = value
        papermill.execute_notebook(
            draft, executed, changed, kernel_name="python3", progress_bar=False, log_output=True
        )
        with placed(target) as part:
            part.write_bytes(executed.read_bytes())
    return target


def default(declared: Any) -> Any:
    """The value that a notebook's parameters cell gives (papermill reports its source text)."""
    return next(iter(parse_settings([f"x={declared['default']}"]).values()))


if __name__ == "__main__":
    try:
        if len(sys.argv) < 3:
            usage = "python -m mtlstudy.execute SOURCE TARGET [parameter=value ...]"
            raise InputError(f"usage: {usage}")
        execute(Path(sys.argv[1]), Path(sys.argv[2]), parse_settings(sys.argv[3:]))
    except InputError as error:
        sys.exit(f"mtlstudy: {error}")
