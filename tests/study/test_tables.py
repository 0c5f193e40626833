import pandas as pd
import pytest
from synthetic_frames import ORIGIN

from mtlstudy.errors import InputError
from mtlstudy.study import tables
from mtlstudy.study.words import word

NASTY = pd.DataFrame(
    {
        "a|b": ["<script>alert(1)</script>", "{{ evil }}", "line\nbreak | pipe"],
        "é": ["−1.0", "`x`", "*y*"],
    }
)


def test_strings_from_data_are_escaped_everywhere() -> None:
    bundle = tables.show(NASTY, "c <b>", "tab-nasty")._repr_mimebundle_()
    for kind in ("text/markdown", "text/html"):
        assert "<script>" not in bundle[kind] and "<b>" not in bundle[kind]
    markdown = bundle["text/markdown"]
    assert "{{" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(NASTY)
    assert all(line.replace("\\|", "").count("|") == 3 for line in rows)
    assert markdown.startswith("````{table} ") and ":name: tab-nasty" in markdown


def test_several_tables_are_shown_one_under_the_other() -> None:
    two = tables.Tables(tables.show(NASTY, "c", f"tab-{i}") for i in range(2))
    markdown = two._repr_mimebundle_()["text/markdown"]
    assert markdown.index(":name: tab-0") < markdown.index(":name: tab-1")


def test_a_name_that_is_no_label_is_refused() -> None:
    with pytest.raises(InputError, match="name = 'Tab x'"):
        tables.show(NASTY, "c", "Tab x")


def test_prose_escapes_values_not_the_template() -> None:
    template = "**Δm** {x:+.1f}, {name}, {c[yeast][a]}"
    said = tables.prose(template, x=-4.04, name="<i>", c={"yeast": {"a": "a_b"}})
    assert said.markdown == "**Δm** −4.0, &lt;i&gt;, a\\_b"
    with pytest.raises(InputError, match="no value 'y'"):
        tables.prose("{y}", x=1)


def test_bullets_are_a_list() -> None:
    said = tables.bullets(["a_b", "c"])
    assert said.markdown == "- a\\_b\n- c" and said.plain == "- a_b\n- c"


def test_headings_come_from_the_words_and_no_rows_are_said_to_be_none() -> None:
    shown = tables.headed([{"seeds": "3", "method": "m", "more": "x"}], ("method", "seeds"))
    assert list(shown) == [word("column.method"), word("column.seeds")]
    assert shown.to_numpy().tolist() == [["m", "3"]]
    nothing = tables.headed([], ("method", "seeds"))
    assert nothing.to_numpy().tolist() == [[word("text.absent"), "–"]]
    with pytest.raises(InputError, match="did you mean 'seeds'"):
        tables.headed([{"seds": "3"}], ("seds",))


def test_the_stamp_names_machine_and_versions() -> None:
    said = tables.stamp({"profile": "quick", "seeds": [0, 1, 2], **ORIGIN})
    assert "0, 1, 2" in said.plain and "AVX2" in said.plain and "0123456" in said.plain
    assert said.plain.startswith("*")  # the template is Markdown
    with pytest.raises(InputError, match="no figure 'device'"):
        tables.stamp({"profile": "quick", "seeds": []})
