"""The KCC paper: its form, both versions, and that every number and verdict of a result comes from
the rendered text."""

import json
import os
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import paper_text
import pytest
import yaml
from pages import ROOT
from pypdf import PdfReader
from pypdf.generic import ContentStream

from mtlstudy.errors import InputError
from mtlstudy.study.plan import SHOWN
from mtlstudy.study.words import load

META = yaml.safe_load((ROOT / "book/metadata.yml").read_text(encoding="utf-8"))
SENTENCES = (
    "정확한 풀이는 성능의 주장이 아니라 비교의 전제이다",
    "계수 𝑎 > 0은 다음을 만족한다",
    "정확한 풀이는 성능의 주장이 아니라 비교의 전제이다",
    "한계는 다음과 같다",
)
HEADINGS = (
    "요 약",
    "1. 서론",
    "2. 관련 연구",
    "3. 방법",
    "3.2 내쉬 협상의 정확한 해",
    "4. 실험",
    "4.1 풀이기 비교",
    "3.3 내쉬 공유: 분기, 협상, 병합",
    "4.2 가중 방식의 비교",
    "4.3 학습하는 동안 정하는 공유 구조",
    "5. 결론 및 한계",
    "참고 문헌",
)


def script() -> ModuleType:
    """book/paper/build.py, a script, as a module."""
    spec = spec_from_file_location("paper_build", ROOT / "book/paper/build.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


paper = script()


def flat(text: str) -> str:
    """Text without white space: lines break inside Korean words."""
    return re.sub(r"\s+", "", text)


def text(file: Path) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(file).pages)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A build folder with known contents."""
    paper_text.write(tmp_path / "_build", paper_text.text())
    return tmp_path / "_build"


def missing_glyphs(file: Path) -> int:
    """How many glyphs on the pages are glyph 0, the box that stands for a missing character."""
    reader, count, seen = PdfReader(file), 0, 0
    for page in reader.pages:
        two_bytes = False
        for operands, operator in ContentStream(page["/Contents"].get_object(), reader).operations:
            if operator == b"Tf":
                two_bytes = page["/Resources"]["/Font"][operands[0]]["/Subtype"] == "/Type0"
            strings = operands[0] if operator == b"TJ" else operands if operator == b"Tj" else []
            for string in strings:
                if two_bytes and hasattr(string, "original_bytes"):
                    raw = string.original_bytes
                    codes = [raw[i : i + 2] for i in range(0, len(raw), 2)]
                    seen, count = seen + len(codes), count + codes.count(b"\0\0")
    assert seen > 500
    return count


def test_both_versions_have_the_form_of_the_proceedings(built: Path) -> None:
    for review in (True, False):
        file = paper.compile(review, built=built)
        reader, page_text = PdfReader(file), flat(text(file))
        assert 2 <= len(reader.pages) <= 4
        assert [round(float(n)) for n in reader.pages[0].mediabox[2:]] == [595, 842]
        for expected in (*SENTENCES, *HEADINGS, META["title_ko"], META["title_en"]):
            assert flat(expected) in page_text, expected
        assert missing_glyphs(file) == 0
        words = set(re.findall(r"[A-Za-z]+|\?\?", text(file)))
        assert not {"None", "none", "nan", "NaN", "??"} & words


def test_the_review_version_names_nobody(built: Path) -> None:
    blind, printed = paper.compile(True, built=built), paper.compile(False, built=built)
    personal = [META["acknowledgement_ko"], "감사의 글"]
    personal += [author[key] for author in META["authors"] for key in author if key != "presenter"]
    for words in personal:
        assert flat(words) in flat(text(printed)), words
        assert flat(words) not in flat(text(blind)), words
    assert PdfReader(blind).metadata.author is None
    assert META["authors"][0]["name_ko"] in PdfReader(printed).metadata.author
    assert b"[\xec\xa0\x80\xec\x9e\x90" not in blind.read_bytes()


def leaves(node: Any, path: str = "") -> list[tuple[dict[str, Any], str, str]]:
    """Every string of nested dictionaries: its holder, key and dotted path; names are none."""
    if isinstance(node, list):
        return [leaf for i, item in enumerate(node) for leaf in leaves(item, f"{path}{i}.")]
    if not isinstance(node, dict):
        return []
    found = [(node, key, path + key) for key, value in node.items() if isinstance(value, str)]
    found = [leaf for leaf in found if leaf[1] not in ("name", "method")]
    return found + [leaf for key, value in node.items() for leaf in leaves(value, f"{path}{key}.")]


UNQUOTED = (
    "set.evaluations",
    "set.profiles",
    "set.seeds",
    "set.steps",
    "set.methods.0",
)  # what the chapters quote


def test_every_result_in_the_paper_comes_from_the_text(built: Path) -> None:
    """Each value that is quoted is changed by itself into a mark, and the mark is in the paper."""
    content = paper_text.text()
    places = leaves({part: content[part] for part in ("claims", "run", "provenance", "set")})
    places = [leaf for leaf in places if not leaf[2].startswith(UNQUOTED)]
    for i, (holder, key, _) in enumerate(places):
        holder[key] = f"Q{i}Z"
    paper_text.put(built, content)
    page_text = flat(text(paper.compile(True, built=built)))
    assert len(places) > 90
    assert not [path for i, (_, _, path) in enumerate(places) if f"Q{i}Z" not in page_text]
    assert not re.search(r"[−+]?\d+(\.\d+)?%p", page_text.partition("참고문헌")[0])


def test_the_source_holds_no_number_of_a_result() -> None:
    source = (ROOT / "book/paper/paper.typ").read_text(encoding="utf-8")
    lines = source.splitlines()
    prose = "\n".join(line for line in lines if re.match(r"[가-힣]|  [가-힣]|\(|#on", line))
    prose = re.sub(r"\$[^$]*\$|#ref\(<[^>]*>\);?|\(\d\)", "", prose)
    assert len(prose) > 3000
    assert not re.findall(r"\d+ ?(?:%|배|개|번|ms|단계)|\d\.\d", prose)
    particle = r"#[\w.]+(은|는|이|가|을|를|와|과|로)\s"
    assert not re.search(particle, source), "a particle would be read as part of the name"
    assert "#if " not in source and " else " not in source, "outcomes are decided in Python"


@pytest.mark.parametrize("outcome", ["up", "down", "unclear", "untested"])
def test_the_paper_says_what_the_outcome_allows(built: Path, outcome: str) -> None:
    paper_text.put(built, paper_text.text(outcome))
    page_text = flat(text(paper.compile(True, built=built)))
    for part in ("abstract", "consequence", "conclusion"):
        sentences = load("claims.ko.yml")[f"paper_{part}"]
        assert flat(sentences[outcome]) in page_text
        for other, sentence in sentences.items():
            if sentence != sentences[outcome]:
                assert flat(sentence) not in page_text, (part, other)


@pytest.mark.parametrize(
    "path", ["claims.paper.abstract", "claims.weightings.verdict", "run.comparison.limits"]
)
def test_a_claim_or_number_that_is_not_there_stops_the_paper(built: Path, path: str) -> None:
    import typst

    content = paper_text.text()
    *parents, last = path.split(".")
    holder = content
    for key in parents:
        holder = holder[key]
    del holder[last]
    paper_text.put(built, content)
    with pytest.raises(typst.TypstError, match=last):
        paper.compile(True, built=built)


def test_what_is_compared_comes_from_the_plan(built: Path) -> None:
    content = paper_text.text()
    content["set"]["methods"].append({"method": "hard+new", "label": "새로운가중"})
    paper_text.put(built, content)
    page_text = flat(text(paper.compile(True, built=built)))
    assert page_text.count("새로운가중") == 1 and "가중방식8가지" in page_text


def test_the_longest_values_fit(built: Path) -> None:
    content = paper_text.text()
    for judge in content["run"]["structure"]["judges"].values():
        for row in judge["arms"].values():
            row |= {"delta_m_ci": "−121.3 [−155.5, −100.2]", "size": "1,100", "cost": "11.22"}
    verdicts = content["claims"]["weightings"]["verdict"]["all"]
    for name, sentence in verdicts.items():
        verdicts[name] = sentence.ljust(110, "가")
    paper_text.put(built, content)
    file = paper.compile(False, built=built)
    assert len(PdfReader(file).pages) <= 4
    whole = re.findall(r"−121\.3 \[−155\.5, −100\.2\]", text(file))
    assert len(whole) == 2 * len(paper_text.ARMS)  # none is broken over lines


def test_same_results_same_bytes(built: Path) -> None:
    first = paper.compile(False, built=built).read_bytes()
    assert paper.compile(False, built=built).read_bytes() == first
    assert b"CreationDate" not in first


def test_a_missing_glyph_is_seen(built: Path) -> None:
    content = paper_text.text()
    content["set"]["sets"][1]["label"] = "Yeast\U0001f600"
    paper_text.put(built, content)
    assert missing_glyphs(paper.compile(True, built=built)) > 0


def test_what_is_missing_is_named(built: Path) -> None:
    figure = built / f"results/{SHOWN}/figures/delta_m.pdf"
    figure.unlink()
    with pytest.raises(InputError, match=r"delta_m\.pdf is missing"):
        paper.compile(True, built=built)
    figure.write_text("")
    paper_text.put(built, {"set": {}})
    with pytest.raises(InputError, match="no claims, run, provenance"):
        paper.compile(True, built=built)
    with pytest.raises(InputError, match="did you mean 'quick'"):
        paper.compile(True, "quikc", built=built)


def test_citation_and_metadata_agree() -> None:
    written = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert written == paper.citation(ROOT / "book/metadata.yml")
    cited = yaml.safe_load(written)
    assert cited["cff-version"] == "1.2.0"
    assert META["title_en"] in cited["title"]
    assert [a["name"] for a in cited["authors"]] == [a["name_en"] for a in META["authors"]]


def test_licences() -> None:
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert "CC BY 4.0" in (ROOT / "LICENSE-text").read_text()


def test_the_built_paper_is_the_studys() -> None:
    """Of what `make book` made: the real values, in both versions."""
    made, profile = ROOT / "_build/paper", os.environ.get("MTLSTUDY_PROFILE", SHOWN)
    source = ROOT / f"_build/text/{profile}.json"
    required = os.environ.get("MTLSTUDY_REQUIRE_BOOK") == "1"
    if not ((made / "kcc.pdf").exists() and source.exists()) and not required:
        pytest.skip("no built paper: run `make book` first")
    content = json.loads(source.read_text(encoding="utf-8"))
    for name in ("kcc.pdf", "kcc-review.pdf"):
        page_text = flat(text(made / name))
        assert 2 <= len(PdfReader(made / name).pages) <= 4
        assert missing_glyphs(made / name) == 0
        judges = content["run"]["structure"]["judges"]
        cell = judges["two_groups"]["arms"]["nash_share"]["delta_m_ci"]
        assert flat(cell) in page_text
        verdict = content["claims"]["weightings"]["verdict"]["all"]["nash_equal_norm"]
        assert flat(verdict) in page_text
