"""The built book: every page is there, numbered, captioned, described, linked, offline."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from fontTools.ttLib import TTFont
from pages import ROOT, Node

SENTENCES = {
    "book/index": "협상의 해가 만족하는 방정식",
    "book/introduction": "공유에는 값이 따른다.",
    "book/related": "이 연구의 규약은 이 비판을 출발점으로 삼는다.",
    "book/method": "풀이는 언제나 이름 붙인 상태(status)로 끝난다.",
    "book/discussion": "정확한 풀이는 비교의 전제이지 그 자체로 성능의 주장이 아니다.",
    "book/reproduce": "무엇을 뽑을지는 커밋이 정하므로",
    "book/extending": "방법 하나는 파일 하나이다.",
    "book/sharing": "그림은 손으로 그리지 않고 모형에서 만든다.",
    "book/data_cards": "실제로 읽은 자료에서 센 것이다.",
    "book/downloads": "판 사이의 차이를 그대로 읽을 수 있다.",
    "book/references": "글에서 처음 인용된 차례로 적는다.",
    "book/abstract": "a damped Newton method solves it to rounding",
}
LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "embed": "src",
    "object": "data",
}
CDN = re.compile(
    r"https?://[\w.-]*(unpkg|jsdelivr|cdnjs|googleapis|gstatic|googletagmanager|cloudflare|mybinder)[\w.-]*"
)
PROSE = ("p", "li", "td", "h1", "h2", "h3", "figcaption", "caption")
SPEECH = "mathjax/tex-svg.js"  # names a CDN for its speech engine, which is not loaded (no menu)


def test_pages_are_those_of_the_table_of_contents(site: Path, toc: list[str]) -> None:
    built = {str(p.relative_to(site).with_suffix("")) for p in (site / "book").rglob("*.html")}
    assert built == set(toc)
    assert len(built) > 40


@pytest.mark.parametrize("name", SENTENCES)
def test_known_sentences(articles: dict[str, Node], name: str) -> None:
    assert SENTENCES[name] in articles[name].text()


def test_no_page_is_empty_or_holds_an_unresolved_reference(articles: dict[str, Node]) -> None:
    for name, article in articles.items():
        assert len(article.text()) > 80, name
        assert not [
            n
            for n in article.all("div") + article.all("span")
            if n.has("system-message") or n.has("problematic")
        ], name
        visible = " ".join(n.text() for tag in PROSE for n in article.all(tag))
        assert "{{" not in visible and "}}" not in visible, name
        assert not re.search(r"% generated|\{(ref|numref|doc|cite|eq)\}", visible), name


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[str, Node]) -> None:
    seen: set[Path] = set()
    for name, page in pages.items():
        for tag, attribute in LOADS.items():
            for node in page.all(tag):
                address = node.attributes.get(attribute, "")
                assert not re.match(r"(https?:)?//", address), f"{name}: {address}"
                if tag == "script" and address:
                    seen.add((site / name).parent / urlsplit(address).path)
                elif tag == "script":
                    assert not CDN.search(node.text()), f"{name}: {node.text()[:200]}"
        for node in page.all("link"):
            if node.attributes.get("rel") != "canonical":
                address = node.attributes.get("href", "")
                assert not re.match(r"(https?:)?//", address), f"{name}: {address}"
                if node.attributes.get("rel") == "stylesheet":
                    seen.add((site / name).parent / urlsplit(address).path)
    files = {p.resolve() for p in seen}
    assert len(files) > 5
    for file in files:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".css":
            assert not re.search(r"(@import\s+|url\()\s*[\"']?(https?:)?//", text), file
        elif not str(file).endswith(SPEECH):
            assert not CDN.search(text), f"{file}: {CDN.search(text)}"


def test_mathjax_and_its_licence_are_local(site: Path, pages: dict[str, Node]) -> None:
    assert (site / "_static" / SPEECH).stat().st_size > 1_000_000
    assert "Apache License" in (site / "_static/mathjax/LICENSE").read_text()
    assert any(
        SPEECH in node.attributes.get("src", "") for node in pages["book/method"].all("script")
    )
    assert "enableMenu" in (site / "book/method.html").read_text(encoding="utf-8")


def test_figures_are_numbered_captioned_and_described(articles: dict[str, Node]) -> None:
    count = 0
    for name, article in articles.items():
        framed = [image for figure in article.all("figure") for image in figure.all("img")]
        assert len(framed) == len(article.all("img")), f"{name}: an image without a figure"
        for figure in article.all("figure"):
            count += 1
            caption = " ".join(c.text() for c in figure.all("figcaption"))
            number = r"\d+" if name == "book/index" else r"\d+\.\d+"
            assert re.match(rf"그림 {number} \S.{{5,}}", caption), f"{name}: {caption!r}"
            for image in figure.all("img"):
                alt = image.attributes.get("alt", "")
                assert len(alt) > 10 and not alt.startswith(("_images", "../")), (
                    f"{name}: alt {alt!r}"
                )
    assert count >= 3


def test_tables_are_numbered_and_captioned(articles: dict[str, Node]) -> None:
    count = 0
    for name, article in articles.items():
        for table in article.all("table"):
            count += 1
            caption = " ".join(c.text() for c in table.all("caption"))
            assert re.match(r"표 \d+(\.\d+)? \S.{3,}", caption), f"{name}: {caption!r}"
    assert count >= 10


def test_listings_are_numbered(articles: dict[str, Node]) -> None:
    captions = [n.text() for n in articles["book/method"].all("div") if n.has("code-block-caption")]
    assert len(captions) >= 10
    assert all(re.match(r"코드 4\.\d+ ", caption) for caption in captions)


def test_internal_links_lead_somewhere(site: Path, pages: dict[str, Node]) -> None:
    anchors: dict[Path, set[str]] = {}
    count = 0
    for name, page in pages.items():
        for link in page.all("a"):
            parts = urlsplit(link.attributes.get("href", "#"))
            if parts.scheme or parts.netloc:
                continue
            here = site / f"{name}.html"
            target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
            assert target.exists(), f"{name}: {parts.path}"
            if parts.fragment and target.suffix == ".html":
                if target not in anchors:
                    anchors[target] = set(
                        re.findall(r'\bid="([^"]+)"', target.read_text(encoding="utf-8"))
                    )
                assert unquote(parts.fragment) in anchors[target], (
                    f"{name}: {parts.path}#{parts.fragment}"
                )
            count += 1
    assert count > 200


def test_downloads(articles: dict[str, Node]) -> None:
    files = {
        Path(urlsplit(a.attributes["href"]).path).name
        for a in articles["book/downloads"].all("a")
        if a.has("download")
    }
    assert {"solver.py", "toy.py", "weightings.py"} <= files
    assert any(f.endswith(".csv") for f in files) and any(f.endswith(".pdf") for f in files)


def test_numbers_come_with_their_origin(articles: dict[str, Node]) -> None:
    for name in ("index", "discussion", "downloads"):
        assert re.search(
            r"프로필 \w+, 시드 [\d, ]+, 장치 .+, 날짜 \d{4}-\d\d-\d\d",
            articles[f"book/{name}"].text(),
        ), name


def test_language_and_title(pages: dict[str, Node]) -> None:
    for name, page in pages.items():
        assert page.all("html")[0].attributes["lang"] == "ko", name
        assert re.search("[가-힣]", page.all("title")[0].text()), name


def test_fonts_hold_every_hangul_of_the_pages(site: Path, articles: dict[str, Node]) -> None:
    hangul = set(re.findall("[가-힣]", " ".join(article.text() for article in articles.values())))
    assert len(hangul) > 200
    for name in ("NotoSansKR-Regular", "NotoSerifKR-Regular"):
        with TTFont(site / "_static/fonts" / f"{name}.woff") as font:
            missing = hangul - {chr(code) for code in font.getBestCmap()}
        assert not missing, f"{name}: {''.join(sorted(missing))}"
    assert (site / "_static/fonts/LICENSE").exists()


def index(site: Path) -> dict[str, Any]:
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))


def found(site: Path, word: str) -> set[str]:
    """Pages that the search index holds for a word, in text or title."""
    terms = index(site)
    held = [terms[kind].get(word, []) for kind in ("terms", "titleterms")]
    return {
        terms["docnames"][n]
        for numbers in held
        for n in (numbers if isinstance(numbers, list) else [numbers])
    }


@pytest.mark.parametrize("word", ["공유", "협상", "기울기", "값", "매개변수"])
def test_search_finds_every_page_that_holds_a_word(
    site: Path, articles: dict[str, Node], word: str
) -> None:
    holds = {
        name
        for name, article in articles.items()
        if re.search(rf"{word}[은는이가을를의\s]", article.text())
    }
    assert holds and holds <= found(site, word)


def test_references_are_cited_and_listed(articles: dict[str, Node]) -> None:
    keys = re.findall(
        r"^@\w+\{(\w+),", (ROOT / "book/references.bib").read_text(encoding="utf-8"), re.MULTILINE
    )
    text = "".join(
        p.read_text(encoding="utf-8")
        for p in [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.py")]
    )
    cited = {
        key.strip()
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text)
        for key in group.split(",")
    }
    assert cited <= set(keys)
    listed = articles["book/references"].text()
    assert listed.count("[") >= len(cited)
    assert (
        "arXiv:2202.01017" in listed
        and " and " not in listed.split("arXiv:2202.01017")[0].rsplit("Navon", 1)[1].split(".")[0]
    )
