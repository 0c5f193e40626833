import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytest
from synthetic_frames import study

from mtlstudy.study import tables
from mtlstudy.errors import InputError
from mtlstudy.study import weightings as comparison
from mtlstudy.study.phrases import verdict

NASTY = pd.DataFrame({"a|b": ["<script>alert(1)</script>", "{{ evil }}", "line\nbreak | pipe"], "수": ["−1.0", "`x`", "*y*"]})


def test_strings_from_data_are_escaped_everywhere() -> None:
    bundle = tables.show(NASTY, "표 <b>", "tab-nasty")._repr_mimebundle_()
    for kind in ("text/markdown", "text/html"):
        assert "<script>" not in bundle[kind]
        assert "<b>" not in bundle[kind]
    markdown = bundle["text/markdown"]
    assert "{{" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(NASTY)
    assert all(line.replace("\\|", "").count("|") == 3 for line in rows)
    assert markdown.startswith("````{table} ")
    assert ":name: tab-nasty" in markdown


def test_a_name_that_is_no_label_is_refused() -> None:
    with pytest.raises(InputError, match="name = 'Tab x'"):
        tables.show(NASTY, "c", "Tab x")


def test_prose_escapes_values_not_the_template() -> None:
    said = tables.prose("**Δm** {x:+.1f}, {name}, {c[yeast][a]}", x=-4.04, name="<i>", c={"yeast": {"a": "a_b"}})
    assert said.markdown == "**Δm** −4.0, &lt;i&gt;, a\\_b"
    with pytest.raises(InputError, match="no value 'y'"):
        tables.prose("{y}", x=1)


@pytest.fixture(scope="module")
def parts() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return study(diverged=("yeast", "nash", 1))


def test_comparison_shows_every_method_and_every_cell(parts) -> None:  # type: ignore[no-untyped-def]
    numbers = comparison.aggregate(parts[0], parts[1])
    assert len(numbers) == 16
    for data in ("multi_mnist", "yeast"):
        for part in ("result", "cost"):
            shown = tables.comparison(numbers, data, part)
            assert len(shown) == 8
            assert not (shown == "").any(axis=None)
            assert not shown.map(lambda text: "nan" in text.lower()).any(axis=None)
    yeast = tables.comparison(numbers, "yeast").set_index("방법")
    assert "(2/3)" in yeast.loc["내쉬", "Δm (%) [구간]"]
    assert yeast.loc["내쉬", "발산"] == "1"
    assert tables.comparison(numbers, "yeast", "cost").set_index("방법").loc["내쉬", "풀리지 않음/게임"] == "0/900"
    with pytest.raises(InputError, match="no results"):
        tables.comparison(numbers, "mnist")
    with pytest.raises(InputError, match="part = 'all'"):
        tables.comparison(numbers, "yeast", "all")


def test_values_are_json_and_the_strings_are_the_numbers(parts) -> None:  # type: ignore[no-untyped-def]
    found = comparison.values(*parts)
    json.dumps(found, allow_nan=False)
    for data in ("multi_mnist", "yeast"):
        for method, raw in found["number"][data].items():
            shown = found[data][method]["delta_m"]
            assert shown == "기준" or shown.startswith(tables.number(raw["delta_m"], sign=True))
    assert found["limits"]["diverged"] == "1"
    assert found["limits"]["edge"] == "0"  # the synthetic frame has no tuning runs
    assert found["limits"]["level"] == "75"
    assert found["limits"]["smallest_p"] == "0.250"
    assert set(found["tests"]) == {"all", "multi_mnist", "yeast"}
    assert found["number"]["tests"]["all"]["nash_equal"]["n"] == 5  # six pairs, one diverged
    assert any("동일 노름" in line for line in found["findings"])


def test_best_is_chosen_on_validation_not_on_test(parts) -> None:  # type: ignore[no-untyped-def]
    frame = parts[0].copy()
    frame.loc[(frame["weighting"] == "static") & (frame["split"] == "test"), "value"] = 0.99
    assert comparison.best_hard(frame, "multi_mnist") == comparison.best_hard(parts[0], "multi_mnist") != "hard+static"
    frame.loc[(frame["weighting"] == "static") & (frame["split"] == "validation"), "value"] = 0.99
    assert comparison.best_hard(frame, "multi_mnist") == "hard+static"


def test_a_study_in_which_all_diverged_still_has_its_texts(parts) -> None:  # type: ignore[no-untyped-def]
    metrics, summary = parts[0].copy(), parts[1].copy()
    metrics.loc[metrics["sharing"] == "hard", ["status", "value"]] = ["diverged", float("nan")]
    summary.loc[summary["sharing"] == "hard", "status"] = "diverged"
    found = comparison.values(metrics, summary)
    assert any("발산" in line for line in found["findings"])
    assert found["limits"]["diverged"] == "42"


def test_one_data_set_alone_works(parts) -> None:  # type: ignore[no-untyped-def]
    one = [comparison.select(f, "yeast", "0-1") for f in parts]
    found = comparison.values(*one)
    assert set(found["tests"]) == {"yeast"}
    assert found["limits"]["seeds"] == "2"


def test_select_refuses_what_is_not_there(parts) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="did you mean 'yeast'"):
        comparison.select(parts[0], "yaest")
    with pytest.raises(InputError, match="seed = '7'"):
        comparison.select(parts[0], seeds="0,7")
    assert comparison.select(parts[0]).equals(parts[0])


def test_verdicts_follow_the_numbers() -> None:
    test = {
        "a": "hard+nash",
        "b": "hard+equal_norm",
        "n": 8,
        "difference": 2.0,
        "low": 1.0,
        "high": 3.0,
        "p_holm": 0.02,
        "smallest_p": 0.008,
    }
    assert "유의하게 높다" in verdict(test)
    assert "유의하게 낮다" in verdict(test | {"difference": -2.0, "low": -3.0, "high": -1.0})
    assert "유의하지 않다" in verdict(test | {"p_holm": 0.5})
    assert "말할 수 없다" in verdict(test | {"p_holm": 0.5, "low": -1.0})
    assert "남지 않았다" in verdict(test | {"n": 0})


def test_stamp_and_values_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTLSTUDY_RUNS", str(tmp_path / "runs"))
    with pytest.raises(InputError, match="profile = 'quick'"):
        tables.stamp("quick")
    path = tmp_path / "_build" / "results" / "quick" / "values.json"
    provenance = {"profile": "quick", "seeds": [0, 1, 2], "device": "CPU (x86_64)", "date": "2026-01-01", "commit": "abc",
                  "python": "3.11",
                  "torch": "2.13", "mtlstudy": "0.1"}  # fmt: skip
    tables.merge_values(path, "provenance", provenance)
    tables.merge_values(path, "toy", {"x": "−1"})
    assert "시드 0, 1, 2" in tables.stamp("quick").plain
    assert json.loads(path.read_text())["toy"] == {"x": "−1"}
    with pytest.raises(InputError, match="'device' is missing"):
        tables.stamp({"profile": "quick", "seeds": []})
    with pytest.raises(ValueError, match="JSON compliant"):
        tables.merge_values(path, "toy", {"x": float("nan")})
    assert json.loads(path.read_text())["toy"] == {"x": "−1"}


def test_csv_for_the_paper(tmp_path: Path) -> None:
    path = tables.show(NASTY, "c", "tab-x").csv(tmp_path / "deep" / "t.csv")
    assert pd.read_csv(path, dtype=str).equals(NASTY.astype(str).astype("str"))


def test_values_of_experiments_that_end_together_are_all_kept(tmp_path):
    """Tables are computed side by side; each puts its values into the same file."""
    path = tmp_path / "values.json"
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        list(pool.map(partial(_merge_many, path), ("solver", "toy", "comparison", "provenance")))
    found = json.loads(path.read_text(encoding="utf-8"))
    assert {name: found[name]["n"] for name in found} == dict.fromkeys(("solver", "toy", "comparison", "provenance"), 24)


def _merge_many(path, name):
    for n in range(25):
        tables.merge_values(path, name, {"n": n})
