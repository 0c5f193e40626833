"""The notebooks of the comparisons run on any results, and without data."""

import ast
from pathlib import Path

import jupytext
import pandas as pd
import pytest
from matplotlib.figure import Figure
from synthetic_frames import baselines, nothing, results

from mtlstudy.study import frames, mistakes, plan
from mtlstudy.study import results as store
from mtlstudy.study.results import Results

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PAGES = [page for page in plan.COMPARISONS if page in plan.NOTEBOOKS and page != "solver"]
REFUSED = [(data, "hierarchical") for data in ("multi_mnist", "yeast", "synthetic")]
SAID = {  # what models of two tasks may say that they learned
    "cross_stitch": {"alpha": {"fc": [[0.9, 0.1], [0.2, 0.8]]}},
    "sluice": {"alpha": {"fc": [[1.0, 0.0], [0.0, 1.0]]}, "beta": {"a": [1.0], "b": [0.5]}},
    "mmoe": {"gates": {"a": [0.3, 0.7], "b": [0.5, 0.5]}},
    "ple": {"gates": {"a": [0.3, 0.7], "b": [0.5, 0.5]}},
    "sparse": {"overlap": [[1.0, 0.4], [0.4, 1.0]], "mask_bits": 12},
    "soft": {"distance": [[0.0, 0.4], [0.4, 0.0]]},
    "trace_norm": {"singular_values": {"w": [1.0, 0.5]}},
    "tensor_factorised": {"singular_values": {"w": [1.0, 0.0]}},
    "recon": {"scores": [3], "specific": ["fc"], "stages": ["fc"]},
}


def made(comparison: str) -> Results:
    head = {"data": "yeast", "weighting": "equal", "seed": 0}
    learned = [
        {**head, "sharing": sharing, **cell}
        for sharing, said in SAID.items()
        for cell in frames.cells(
            said if "singular_values" in said else {**said, "tasks": ["a", "b"]}
        )
    ]
    sharings = comparison == "sharings"
    return results(
        comparison, refused=REFUSED if sharings else [], learned=learned if sharings else []
    )


def run(page: str, found: Results, monkeypatch: pytest.MonkeyPatch, build: Path) -> tuple[str, int]:
    """The Markdown that a page shows, and how many figures."""
    monkeypatch.setenv("MTLSTUDY_BUILD", str(build))
    monkeypatch.setattr(store, "load", lambda comparison, *_, **__: found)
    wrong = [[page, "upos", kind, 9, 2, "a", "b", "c", "d"] for kind in mistakes.KINDS]
    frames = {"baselines": baselines(), "mistakes": pd.DataFrame(wrong, columns=mistakes.COLUMNS)}
    monkeypatch.setattr(store, "computed", lambda name, profile: frames)
    shown: list[object] = []
    scope = {"display": lambda *parts: shown.extend(parts)}
    for cell in jupytext.read(NOTEBOOKS / f"{plan.NOTEBOOKS[page]}.py").cells:
        if cell.cell_type != "code":
            continue
        *body, last = ast.parse(cell.source).body
        exec(compile(ast.Module(body, []), page, "exec"), scope)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), page, "eval"), scope))
        else:
            exec(compile(ast.Module([last], []), page, "exec"), scope)
        if "parameters" in cell.metadata.get("tags", []):
            scope |= plan.PARAMETERS.get(page, {})
    texts = [s._repr_mimebundle_()["text/markdown"] for s in shown if hasattr(s, "markdown")]
    tables = [t.markdown() for s in shown for t in getattr(s, "tables", [])]
    return "\n".join([*texts, *tables]), sum(isinstance(s, Figure) for s in shown)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_on_results(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text, drawn = run(page, made(page), monkeypatch, tmp_path)
    assert drawn == {"weightings": 4, "sharings": 7}.get(page, 4)
    assert "nan" not in text.lower() and "<b>" not in text and "AVX2" in text
    name = page.replace("_", "-")
    tables = text.count("{table}")
    assert tables == (5 if page.startswith("korean") else 2 * len(plan.COMPARISONS[page].data) + 1)
    if page.startswith("korean"):
        assert f":name: tab-{name}-quick-sanity" in text
    figure = tmp_path / "results" / "quick" / "figures" / "delta_m.pdf"
    assert figure.exists() == (page == "weightings")


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("korean")])
def test_a_page_runs_without_its_data(
    page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = {"data": page, "source": "somewhere", "split": "train", "megabytes": "7"}
    found = nothing(page, [{**row, "said": "looked at: MTLSTUDY\\_DATA"}])
    text, drawn = run(page, found, monkeypatch, tmp_path)
    assert drawn == 4 and "somewhere" in text and "nan" not in text
