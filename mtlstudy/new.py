"""`mtlstudy new`: a file that is a small working method, to put one's own in its place.

The templates are package data, `mtlstudy/templates/<kind>.py.txt`, and read as the file that they
make: `my_idea` and `MyIdea` stand for the name. A file is written into a checkout of the project,
since the laws that it has to meet are there.
"""

import re
from keyword import iskeyword
from pathlib import Path

from mtlstudy.errors import InputError, unknown
from mtlstudy.registry import PACKAGES, names

PACKAGE = Path(__file__).parent
STEPS = {  # kind → the option that the example sets, and the tests that the file must pass
    "sharing": ("share=0.7", "-k my_idea"),
    "weighting": ("memory=0.9", '-k "my_idea or differ"'),
    "data": ("noise=0.5", "-k my_idea"),
}
COUNT = """\
   Count its parameters by hand, a line in `by_hand` of tests/laws/test_sharing_laws.py. As it is:
     "my_idea": trunk + 3 * stage[-1] + 3,
"""


def create(kind: str, name: str, into: Path | None = None) -> list[str]:
    """Write the file of a new entry into this checkout, or the one at `into`; what to say to its
    author, line by line.

    Raises `InputError` for an unknown kind, a name that cannot be used or is taken, and a place
    that is no checkout or cannot be written to. An existing file is left as it is.
    """
    if kind not in STEPS:
        raise unknown("kind", kind, STEPS)
    text = (PACKAGE / "templates" / f"{kind}.py.txt").read_text(encoding="utf-8")
    path = checked(kind, name, text, PACKAGE.parent if into is None else into)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(filled(text, name))
    except OSError as error:
        reason = f"{path} cannot be written ({error.strerror})"
        raise InputError(f"{reason}; --into CHECKOUT writes into another checkout") from None
    option, tests = STEPS[kind]
    data = "" if kind == "data" else "--data synthetic "
    steps = f"""\
{path} is written; it works as it is.
1. Put your idea in the place of the template's.
{COUNT if kind == "sharing" else ""}2. Run the laws; what does not meet one is declared there:
     python -m pytest tests/laws/test_{kind}_laws.py {tests}
3. Train (`mtlstudy list` names it; an option is set by --set {kind}.{option}):
     mtlstudy run {data}--{kind} my_idea"""
    return filled(steps, name).splitlines()


def checked(kind: str, name: str, text: str, root: Path) -> Path:
    """The path of a new entry in the checkout at `root`; `InputError` where it cannot be made."""
    path, cls = root.joinpath(*PACKAGES[kind].split("."), f"{name}.py"), title(name)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        allowed = "lower-case letters, digits and _, a letter first, such as my_idea"
    elif iskeyword(name) or iskeyword(cls):
        allowed = f"no word of Python's own; such as my_{name}"
    elif re.search(rf"\b{cls}\b", text.replace("MyIdea", "")):
        allowed = f"no class that the file itself uses, as {cls}; such as my_{name}"
    elif not (path.with_name("base.py").is_file() and (root / "tests" / "laws").is_dir()):
        reason = f"{root} is no checkout of the project (no tests/laws beside mtlstudy)"
        raise InputError(f"{reason}; --into CHECKOUT writes into one")
    elif path.exists() or name in names(kind):
        taken = path if path.exists() else f"an entry of {kind}"
        raise InputError(f"name = {name!r} is taken: {taken} has it")
    else:
        return path
    raise InputError(f"name = {name!r}: allowed: {allowed}")


def filled(text: str, name: str) -> str:
    """A template with the name in its place.

    >>> filled("class MyIdea: 'my_idea'", "two_towers")
    "class TwoTowers: 'two_towers'"
    """
    return text.replace("my_idea", name).replace("MyIdea", title(name))


def title(name: str) -> str:
    """The class of an entry: two_towers → TwoTowers."""
    return "".join(part.capitalize() for part in name.split("_"))
