"""Execute a text notebook: python -m mtlstudy.execute notebooks/toy.py toy.ipynb profile=quick

jupytext turns it into a notebook, papermill executes that under a temporary name, and only one that
ran to its end is moved into place: a failing one never overwrites a good one, and is kept beside it
as ``toy.failed.ipynb``. A parameter that the notebook does not declare, or of another type than its
default, stops before anything runs (papermill itself only logs it). Where several pages are made of
one notebook, its first cell is the words ``page.<name of the target>.question``, and the one tagged
"about" those of ``about``. The code of a page is folded unless it is what the page shows
(`plan.WORKED`); a last cell says how to execute the page again.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from mtlstudy.errors import InputError, shown, unknown
from mtlstudy.files import Damaged, write
from mtlstudy.study import plan
from mtlstudy.study.words import load, word
from mtlstudy.training.settings import parse_value


def execute(source: Path, target: Path, parameters: Mapping[str, Any]) -> Path:
    """Run `source` with `parameters` and put the executed notebook at `target`.

    Raises:
        InputError: the source is missing or no text in UTF-8, the target cannot be written, or the
            notebook does not declare a parameter, or one of another type.
        papermill.PapermillExecutionError: a cell failed; `target` is left as it was.
    """
    import jupytext
    import papermill

    if not source.is_file():
        reason = "no such file; allowed: a text notebook such as notebooks/toy.py"
        raise InputError(f"notebook {source}: {reason}")
    try:
        notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt=source.suffix)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8; allowed: text in UTF-8"
        raise InputError(f"notebook {source}: {reason}") from None
    if target.is_dir() or any(folder.is_file() for folder in target.parents):
        raise InputError(f"target {target}: allowed: a file in a folder")
    declared = defaults(notebook, source)
    for name in parameters:
        if name not in declared:
            raise unknown(f"{source.name} parameter", name, declared)
    given = {name: typed(source, name, v, declared[name]) for name, v in parameters.items()}
    changed = {name: v for name, v in given.items() if repr(v) != repr(declared[name])}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["kernelspec"] = kernel
    dress(notebook, source, target, given)
    failed = target.with_suffix(".failed.ipynb")
    with TemporaryDirectory() as folder:
        draft, outcome = Path(folder) / f"{source.stem}.ipynb", Path(folder) / "executed.ipynb"
        jupytext.write(notebook, draft)
        how = {"kernel_name": "python3", "progress_bar": False, "log_output": True}
        try:
            papermill.execute_notebook(draft, outcome, changed, **how)
        except papermill.PapermillExecutionError:
            write(failed, outcome.read_bytes())
            raise
        made = json.loads(outcome.read_bytes())
        shows_code = source.stem in plan.WORKED
        write(target, sealed(made if shows_code else folded(made), target.stem))
    failed.unlink(missing_ok=True)
    return target


def dress(notebook: Any, source: Path, target: Path, given: Mapping[str, Any]) -> None:
    """The page's own words, and a last cell with the command that makes it again."""
    from nbformat import v4

    cells, make = notebook.cells, cast(Any, v4.new_markdown_cell)
    if words := load("words.ko.yml").get("page", {}).get(target.stem):
        cells[0].source = words["question"]
        for cell in cells:
            if "about" in cell.metadata.get("tags", []):
                cell.source = words["about"]
    parameters = " ".join(f"{name}={value}" for name, value in given.items())
    where = {"source": f"notebooks/{source.name}", "target": f"{target.stem}.ipynb"}
    cells.append(make(word("text.again", **where, parameters=parameters)))


def folded(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook whose code a page folds."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["metadata"]["tags"] = [*cell["metadata"].get("tags", []), "hide-input"]
    return notebook


def defaults(notebook: Any, source: Path) -> dict[str, Any]:
    """The parameters that a notebook declares with what they are; None where it is no literal."""
    cells = (c.source for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    found: dict[str, Any] = {}
    try:
        lines = ast.parse("\n".join(cells)).body
    except SyntaxError as error:
        raise InputError(f"notebook {source}: its parameters are no Python ({error.msg})") from None
    for line in lines:
        for name in getattr(line, "targets", [getattr(line, "target", None)]):
            if isinstance(name, ast.Name):
                text = ast.unparse(getattr(line, "value", None) or ast.Constant(None))
                value = parse_value(text)
                found[name.id] = None if value == text else value
    return found


def typed(source: Path, name: str, value: Any, default: Any) -> Any:
    """A parameter's value as it was given, or read from a text where the default is none."""
    if isinstance(value, str) and not isinstance(default, str):
        value = parse_value(value)
    kinds = (int, float) if type(default) is float else (type(default),)
    if default is not None and type(value) not in kinds:
        said = f"{source.name} parameter {name} = {shown(value)}"
        raise InputError(f"{said}: allowed: {kinds[-1].__name__}, such as {default!r}")
    return value


def main(arguments: list[str]) -> None:
    """The command line."""
    import papermill

    pairs = [text.partition("=") for text in arguments[2:]]
    if len(arguments) < 2 or not all(name and equals for name, equals, _ in pairs):
        usage = "python -m mtlstudy.execute SOURCE TARGET [parameter=value ...]"
        raise InputError(f"usage: {usage}")
    source, target = map(Path, arguments[:2])
    try:
        execute(source, target, {name: text for name, _, text in pairs})
    except papermill.PapermillExecutionError as error:
        kept = f"executed as far as that: {target.with_suffix('.failed.ipynb')}"
        why = " ".join(f"{error.ename}: {error.evalue}".split())
        raise InputError(f"notebook {source}: a cell failed ({why}); {kept}") from error


def sealed(notebook: dict[str, Any], name: str) -> str:
    """A notebook as text, with the digest of its name and all the rest among its metadata."""
    rest = {**notebook, "metadata": {**notebook["metadata"], "sha256": ""}}
    sha = hashlib.sha256(json.dumps([name, rest], sort_keys=True).encode()).hexdigest()
    rest["metadata"]["sha256"] = sha
    return json.dumps(rest, ensure_ascii=False, indent=1) + "\n"


def executed(file: Path) -> str | None:
    """The text of an executed notebook, None where there is none. `Damaged` where it is not what
    was executed."""
    try:
        text = file.read_bytes().decode()
        if sealed(json.loads(text), file.stem) == text:
            return text
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, LookupError):
        pass
    raise Damaged(file, "is not a notebook as it was executed (cut short, altered or foreign)")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f"mtlstudy: {error}")
