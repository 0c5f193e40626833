"""Nothing that is read is executed: no pickles, no YAML but the safe, no eval, no shell."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    file
    for folder in ("mtlstudy", "book", "notebooks")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if "_build" not in file.parts
]
FORBIDDEN = {
    *("eval", "exec", "os.system", "os.popen", "marshal.loads", "shelve.open"),
    *("pickle.load", "pickle.loads", "joblib.load", "dill.load", "pd.read_pickle", "np.fromfile"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
}
NEEDED = {"torch.load": ("weights_only", True)}
NOT_TRUE = {"allow_pickle", "shell", "trust_remote_code"}


def said(call):
    """The name of what is called, as it is written."""
    return ast.unparse(call.func)


def faults(text):
    """What a source does that could execute what it reads, a line each."""
    for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
        name, given = said(call), {k.arg: k.value for k in call.keywords}
        constants = {k: v.value for k, v in given.items() if isinstance(v, ast.Constant)}
        if name in FORBIDDEN:
            yield f"line {call.lineno}: {name}"
        if name in NEEDED and constants.get(NEEDED[name][0]) is not NEEDED[name][1]:
            yield f"line {call.lineno}: {name} without {NEEDED[name][0]}"
        for keyword in NOT_TRUE & given.keys():
            if constants.get(keyword, True) is not False:
                yield f"line {call.lineno}: {keyword}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_that_is_read_is_executed(file):
    assert list(faults(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "yaml.load(file)",
        "eval(text)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "np.load(file, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "pickle.load(file)",
    ],
)
def test_what_would_execute_is_found(text):
    assert len(list(faults(text))) == 1
