"""Korean for Sphinx: search that finds a word inside a sentence, the web fonts, the form of the
references, and the words that the Korean catalogues of Sphinx and its theme lack."""

import re
import shutil
from gettext import NullTranslations
from importlib.metadata import distribution
from pathlib import Path

from fontTools import subset
from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style as Unsorted
from pybtex.style.template import names, sentence
from sphinx.application import Sphinx
from sphinx.locale import translators
from sphinx.search.en import SearchEnglish

PACKAGE = "pylopdf-fonts-ko"  # Noto Sans KR and Noto Serif KR, SIL Open Font License 1.1
FONTS = ("NotoSansKR-Regular", "NotoSerifKR-Regular")
OTF = "pylopdf_fonts_ko/{}.otf"
LONGEST = 8
WORDS = {
    "Link to this heading": "이 제목의 주소",
    "Link to this image": "이 그림의 주소",
    "Link to this table": "이 표의 주소",
    "Link to this code": "이 코드의 주소",
    "Link to this equation": "이 식의 주소",
    "Link to this definition": "이 정의의 주소",
    "Link to this term": "이 용어의 주소",
    "previous page": "이전 장",
    "next page": "다음 장",
    "Color mode": "색 모드",
    "System Settings": "시스템 설정을 따름",
    "Light": "밝게",
    "Dark": "어둡게",
    "Skip to main content": "본문으로 건너뛰기",
    "Back to top": "맨 위로",
    "Main": "책의 차례",
    "Page": "장의 차례",
    "Version warning": "판 안내",
}


class SearchKorean(SearchEnglish):
    """Particles are written onto nouns (공유는, 공유를) and compounds without a space
    (매개변수공유), so every part of a Hangul word is indexed. Latin words are stemmed as in
    English, apart from the particle after them (Nash는 → nash)."""

    lang = "ko"
    language_name = "Korean"
    js_splitter_code = (
        "var splitQuery = (query) => "
        "query.match(/[가-힣]+|(?:(?![가-힣])[\\p{Letter}\\p{Number}_])+/gu) || [];\n"
    )

    def split(self, input: str) -> list[str]:
        """The words of a text, and the parts of its Hangul words."""
        parts = []
        for word in re.findall(r"[가-힣]+|[^\W가-힣]+", input):
            parts.append(word)
            if "가" <= word[0] <= "힣":
                for i in range(len(word)):
                    parts += [word[i:j] for j in range(i + 1, min(i + LONGEST, len(word)) + 1)]
        return parts


class KoreanStyle(Unsorted):
    """References in order of first use; authors with commas alone, as in Korean journals."""

    def format_names(self, role: str, as_sentence: bool = True):  # type: ignore[no-untyped-def]
        listed = names(role, sep=", ", sep2=", ", last_sep=", ")
        return sentence[listed] if as_sentence else listed


def fonts(app: Sphinx, exception: Exception | None) -> None:
    """Put the fonts beside the pages, cut down to the characters that the pages use."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [page.read_text(encoding="utf-8") for page in out.rglob("*.html")]
    text = "".join(sorted(set().union(*pages)))
    folder = out / "_static" / "fonts"
    folder.mkdir(parents=True, exist_ok=True)
    mark = out / ".fonts"  # the characters that the fonts hold
    for name in FONTS:
        cut, file = folder / f"{name}.woff", distribution(PACKAGE).locate_file(OTF.format(name))
        if cut.exists() and mark.exists() and mark.read_text(encoding="utf-8") == text:
            continue
        options = subset.Options(
            flavor="woff",
            layout_features=["kern", "locl", "ccmp"],
            drop_tables=["vmtx", "vhea", "VORG"],
        )
        font, subsetter = subset.load_font(str(file), options), subset.Subsetter(options)
        subsetter.populate(text=text)
        subsetter.subset(font)
        subset.save_font(font, str(cut), options)
    mark.write_text(text, encoding="utf-8")
    licence = next(f for f in distribution(PACKAGE).files or [] if f.name == "LICENSE")
    shutil.copyfile(str(licence.locate()), folder / "LICENSE")


class Untranslated(NullTranslations):
    """The fallback of the Korean catalogues."""

    def gettext(self, message: str) -> str:
        return WORDS.get(message, message)


def words(app: Sphinx) -> None:
    """Hang `WORDS` under every catalogue."""
    for translator in translators.values():
        translator.add_fallback(Untranslated())


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_search_language(SearchKorean)
    register_plugin("pybtex.style.formatting", "korean", KoreanStyle)
    app.add_css_file("book.css")
    app.connect("builder-inited", words)
    app.connect("build-finished", fonts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
