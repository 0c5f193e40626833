"""The local Sphinx extension: values into text, escaping, Korean search. These need no built book."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT

PARTICLE = re.compile(r"\}\}\s?(은|는|이|가|을|를|와|과|로|으로|이다|였다|이며)(?=[\s.,)])")
CONF = """
import sys
sys.path.insert(0, {ext!r})
extensions = ["myst_nb", "mtlbook", "korean"]
language = "ko"
myst_enable_extensions = ["substitution", "dollarmath"]
nb_execution_mode = "off"
html_static_path = []
html_theme = "basic"
"""
META = "title_ko: 제목\ntitle_en: Title\nkeywords_ko: [가]\nkeywords_en: [a]\n"
META += "authors:\n- {name_ko: '저자 <b>', name_en: 'Author *x*', affiliation: '소속'}\n"


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("*.md")), ids=lambda p: p.stem)
def test_no_particle_follows_a_computed_number(page: Path) -> None:
    found = PARTICLE.search(page.read_text(encoding="utf-8"))
    assert not found, f"{page.name}: {found[0]!r}: the particle varies with the number"


def build(place: Path, text: str, values: dict[str, object]) -> tuple[int, str, str]:
    """Build one page with the extension: exit status, html, messages."""
    book, results = place / "src" / "book", place / "_build" / "results" / "quick"
    book.mkdir(parents=True)
    results.mkdir(parents=True)
    (results / "values.json").write_text(json.dumps(values), encoding="utf-8")
    (book / "metadata.yml").write_text(META, encoding="utf-8")
    (place / "src/conf.py").write_text(CONF.format(ext=str(ROOT / "book/_ext")), encoding="utf-8")
    (place / "src/index.md").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(place / "src"), str(place / "out")]
    done = subprocess.run(
        command, cwd=place, capture_output=True, text=True,
        env={**os.environ, "MTLSTUDY_RUNS": "runs", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    page = place / "out/index.html"
    return done.returncode, page.read_text(encoding="utf-8") if page.exists() else "", done.stderr


def test_values_reach_the_text_escaped(tmp_path: Path) -> None:
    values = {"a": {"hard+nash": {"delta_m": "−1.2 | *x* <script>alert(1)</script> {{ b }}"}}, "seeds": [0, 1, 2], "n": 3,
              "sentences": ["첫 문장.", "둘째 *문장*."]}  # fmt: skip
    text = (
        '# 쪽\n\n값: {{ run.a["hard+nash"].delta_m }}; 시드 {{ run.seeds }}; 수 {{ run.n }}.\n\n'
        "저자 {{ meta.byline_ko }}, {{ meta.authors_en }}.\n\n"
        '{{ "- " + run.sentences | join("\\n- ") }}\n'
    )
    status, html, messages = build(tmp_path, text, values)
    assert status == 0, messages
    assert "−1.2 | *x* &lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html and "시드 0, 1, 2; 수 3" in html
    assert re.search(r"<li><p>첫 문장.</p></li>\s*<li><p>둘째 \*문장\*.</p></li>", html)
    assert "저자 &lt;b&gt; (소속)" in html and "Author *x*" in html
    assert "unpkg" not in html
    assert (tmp_path / "out/_static/fonts/NotoSansKR-Regular.woff").exists()


def test_a_missing_value_stops_the_build(tmp_path: Path) -> None:
    status, _, messages = build(tmp_path, "# 쪽\n\n값: {{ run.a.b }}.\n", {"a": {"c": "1"}})
    assert status != 0
    assert "Substitution error" in messages and "'b'" in messages


def test_search_words() -> None:
    from korean import SearchKorean

    split = SearchKorean({}).split
    assert {"공유", "공유는"} <= set(split("공유는 좋다"))
    assert {"매개", "변수", "매개변수", "공유"} <= set(split("매개변수공유를"))
    assert {"Nash", "는"} <= set(split("Nash는"))
    assert {"값", "값은"} <= set(split("값은"))


def test_cards_get_numbered_tables() -> None:
    from mtlbook import captioned

    card = "(data-x)=\n## 자료 (`x`)\n\n| 항목 | 내용 |\n|---|---|\n| 출처 | a |\n\n| 과제 | 종류 |\n|---|---|\n| t | b |\n"
    text = captioned(card, "x")
    assert text.count("```{table}") == 2 and "자료: 과제" in text and "(data-x)=" in text
