"""The local Sphinx extension: values into text, escaping, generated parts, Korean search. These
need no built book."""

import io
import json
import re
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from pages import ROOT
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.util.docutils import docutils_namespace

from mtlstudy import files
from mtlstudy.study.plan import SHOWN
from mtlstudy.study.tables import escape

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
EMPTY: dict[str, Any] = {"claims": {}, "run": {}, "provenance": {}, "set": {}}


def build(place: Path, page: str, content: dict[str, Any]) -> tuple[int, str, str]:
    """Build one page with the extension: exit status, html, messages."""
    source, text = place / "src", place / f"_build/text/{SHOWN}.json"
    (source / "book").mkdir(parents=True)
    files.publish(text.parent, {text.name: json.dumps(content)})
    (source / "book/metadata.yml").write_text(META, encoding="utf-8")
    (source / "conf.py").write_text(CONF.format(ext=str(ROOT / "book/_ext")), encoding="utf-8")
    (source / "index.md").write_text(page, encoding="utf-8")
    messages = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, docutils_namespace():
        patch.chdir(place)
        for name in ("MTLSTUDY_PROFILE", "MTLSTUDY_BUILD"):
            patch.delenv(name, raising=False)
        folders = (source, source, place / "out", place / "doctrees")
        try:
            strict = {"warning": messages, "warningiserror": True, "keep_going": True}
            app = Sphinx(*folders, "html", status=None, **strict)
            app.build()
            status = app.statuscode
        except SphinxError as error:
            status = 2
            messages.write(str(error))
    made = place / "out/index.html"
    return status, made.read_text(encoding="utf-8") if made.exists() else "", messages.getvalue()


def test_values_reach_the_text_escaped(tmp_path: Path) -> None:
    evil = "−1.2 | *x* <script>alert(1)</script> {{ b }}"
    run = {"a": {"hard+nash": {"delta_m": evil}}, "n": 3, "found": ["첫 문장.", "둘째 *문장*."]}
    content = {
        "claims": {"all": {"nash": "내쉬 대 균등: 차이가 *없다* (p = 0.5)."}},
        "run": run,
        "provenance": {"seeds": [0, 1, 2]},
        "set": {"profiles": {"quick": {"steps": 250, "dropouts": [0.0, 0.3]}, "lr": ["0.1", "1"]}},
    }
    page = (
        '# 쪽\n\n값: {{ run.a["hard+nash"].delta_m }}; 시드 {{ provenance.seeds }}; '
        "수 {{ run.n }}.\n\n{{ claims.all.nash }} {{ profiles.quick.steps }} 단계, 후보 "
        "{{ profiles.lr[1] }}, {{ profiles.quick.dropouts }}.\n\n"
        "저자 {{ meta.byline_ko }}, {{ meta.authors_en }}.\n\n"
        '{{ "- " + run.found | join("\\n- ") }}\n\n% generated: recheck\n'
    )
    status, html, messages = build(tmp_path, page, content)
    assert status == 0, messages
    assert "−1.2 | *x* &lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html and "시드 0, 1, 2; 수 3" in html
    assert "내쉬 대 균등: 차이가 *없다* (p = 0.5). 250 단계, 후보 1, 0.0, 0.3." in html
    assert re.search(r"<li><p>첫 문장.</p></li>\s*<li><p>둘째 \*문장\*.</p></li>", html)
    assert "저자 &lt;b&gt; (소속)" in html and "Author *x*" in html
    assert "공개된 실행을 다시 학습하지 않았다" in html
    assert "unpkg" not in html
    assert (tmp_path / "out/_static/fonts/NotoSansKR-Regular.woff").exists()


def test_a_claim_or_number_that_is_not_there_stops_the_build(tmp_path: Path) -> None:
    content = {**EMPTY, "claims": {"all": {}}, "run": {"a": {"c": "1"}}}
    page = "# 쪽\n\n판정: {{ claims.all.nash }}\n\n값: {{ run.a.b }}.\n\n% generated: nothing\n"
    status, _, messages = build(tmp_path, page, content)
    assert status != 0
    assert "Substitution error" in messages and "'nash'" in messages and "'b'" in messages
    assert "generated 'nothing'; allowed: data-cards, downloads, licences, recheck" in messages


def test_a_text_that_is_missing_or_partial_stops_the_build(tmp_path: Path) -> None:
    status, _, messages = build(tmp_path, "# 쪽\n", {"run": {}})
    assert status != 0 and "no claims, provenance, set; `mtlstudy text` writes it" in messages


def test_what_was_trained_again_is_a_table(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    import mtlbook

    monkeypatch.setenv("MTLSTUDY_BUILD", str(tmp_path))
    assert "다시 학습하지 않았다" in mtlbook.recheck(tmp_path, "")
    machines = {
        "published": {"processor": "One | two", "isa": "AVX512"},
        "here": {"processor": "Three", "isa": ""},
    }
    run = {"run_id": "0123456789abcdef", "data": "yeast", "method": "hard+nash", "seed": 2}
    drawn = [
        {**run, **machines, "verdict": "same bits", "largest": 0.0},
        {**run, **machines, "verdict": "within the spread of seeds", "largest": 0.347},
        {**run, **machines, "verdict": "outside it", "largest": None},
    ]
    record = {"commit": "abc1234", "profile": "quick", "drawn": drawn}
    files.publish(tmp_path, {"recheck.json": json.dumps(record)})
    text = mtlbook.recheck(tmp_path, "")
    assert "커밋 abc1234" in text and ":name: tab-recheck" in text
    row = "| `01234567` | Yeast | 내쉬 | 2 | {} | {} | One \\| two · AVX512 | Three |"
    cells = [("같은 비트", "0.00"), ("시드의 흔들림 안", "0.35"), ("시드의 흔들림 밖", "–")]
    assert all(row.format(*pair) in text for pair in cells)


def test_every_installed_package_has_its_licence(tmp_path: Path) -> None:
    import mtlbook

    lines = mtlbook.licences(tmp_path, "").splitlines()
    under = {line.split(" | ")[0].strip("| "): line for line in lines if line.startswith("| ")}
    installed = {one.metadata["Name"] for one in distributions()}
    assert all(any(escape(name) in line for line in under.values()) for name in installed)
    assert "mtlstudy 0.1.0" in under["MIT"] and len(under.get("–", "").split(",")) < 10


def test_search_words() -> None:
    from korean import SearchKorean

    split = SearchKorean({}).split
    assert {"공유", "공유는"} <= set(split("공유는 좋다"))
    assert {"매개", "변수", "매개변수", "공유"} <= set(split("매개변수공유를"))
    assert {"Nash", "는"} <= set(split("Nash는"))
    assert {"값", "값은"} <= set(split("값은"))
