"""`mtlstudy new`: a file that is a small working method, to put one's own in its place.

The templates are package data, `mtlstudy/templates/<kind>.py.txt`, and read as the file that they make: `my_idea` and `MyIdea`
stand for the name. A file is written into a checkout of the project alone, since the laws that it has to meet are there.
"""

import re
from keyword import iskeyword
from pathlib import Path

from mtlstudy.training import store as runs
from mtlstudy.errors import InputError, unknown
from mtlstudy.registry import names

PACKAGE = Path(__file__).parent

STEPS = {
    "sharing": """\
1. Put your idea in the place of the template's: docstring, Options, build, represent, usage.
2. Count its parameters by hand, a line in `count` of `by_hand` in tests/laws/test_sharing_laws.py. For the file as it is:
     "my_idea": trunk + 3 * stage[-1] + 3,
3. Run the laws:
     python -m pytest tests/laws/test_sharing_laws.py -k my_idea
4. Train it (`mtlstudy list` names it; an option is set by --set sharing.share=0.7):
     mtlstudy run --data synthetic --sharing my_idea""",
    "weighting": """\
1. Put your idea in the place of the template's: docstring, Options, buffers, forward.
2. Run the laws (where your method coincides with another in their case, they are told so, with the reason):
     python -m pytest tests/laws/test_weighting_laws.py -k "my_idea or differ"
3. Train it (`mtlstudy list` names it; an option is set by --set weighting.memory=0.9):
     mtlstudy run --data synthetic --weighting my_idea""",
    "data": """\
1. Put your data in the place of the template's: docstring, licence, citation, source, sha256, tasks, load.
2. Run the laws:
     python -m pytest tests/laws/test_data_laws.py -k my_idea
3. Train on it (`mtlstudy list` names it; an option is set by --set data.noise=0.5):
     mtlstudy run --data my_idea""",
}
"""Kind → what to do after the file is written."""


def create(kind: str, name: str, into: Path | None = None) -> list[str]:
    """Write the file of a new entry into this checkout, or the one at `into`; what to say to its author, line by line.

    Raises `InputError` for an unknown kind, a name that cannot be used or is taken, and a place that is no checkout or cannot be
    written to. An existing file is left as it is.
    """
    if kind not in STEPS:
        raise unknown("kind", kind, STEPS)
    text = (PACKAGE / "templates" / f"{kind}.py.txt").read_text(encoding="utf-8")
    path = checked(kind, name, text, PACKAGE.parent if into is None else into)
    try:
        runs.write(path, filled(text, name))
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); --into CHECKOUT writes into another checkout") from None
    return [f"{path} is written; it works as it is.", *filled(STEPS[kind], name).splitlines()]


def checked(kind: str, name: str, text: str, root: Path) -> Path:
    """The path of a new entry in the checkout at `root`; `InputError` where there cannot be one of that name."""
    path, cls = root / "mtlstudy" / kind / f"{name}.py", title(name)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"name = {name!r}: allowed: lower-case letters, digits and _, a letter first, such as my_idea")
    if iskeyword(name) or iskeyword(cls):
        raise InputError(f"name = {name!r}: a word of Python's own; choose another, such as my_{name}")
    if re.search(rf"\b{cls}\b", text.replace("MyIdea", "")):
        raise InputError(f"name = {name!r}: the class {cls} is used by the file itself; choose another, such as my_{name}")
    if not (path.with_name("base.py").is_file() and (root / "tests" / "laws").is_dir()):
        raise InputError(f"{root} is no checkout of the project (no tests/laws beside mtlstudy); --into CHECKOUT writes into one")
    if path.exists() or name in names(kind):
        raise InputError(f"name = {name!r} is taken: {path if path.exists() else f'an entry of {kind}'} has it")
    return path


def filled(text: str, name: str) -> str:
    """A template with the name in its place.

    >>> filled("class MyIdea: 'my_idea'", "two_towers")
    "class TwoTowers: 'two_towers'"
    """
    return text.replace("my_idea", name).replace("MyIdea", title(name))


def title(name: str) -> str:
    """The class of an entry: two_towers → TwoTowers."""
    return "".join(part.capitalize() for part in name.split("_"))
