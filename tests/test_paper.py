"""The KCC paper: its form, both versions, and that every number of a result comes from the results."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from paper_results import place
from pypdf import PdfReader
from pypdf.generic import ContentStream

from mtlstudy import paper
from mtlstudy.errors import InputError

ROOT = Path(__file__).parents[1]
META = yaml.safe_load((ROOT / "book/metadata.yml").read_text(encoding="utf-8"))
SENTENCES = (
    "본 논문은 내쉬 협상 방정식을 감쇠 뉴턴법으로 정확히 푸는 풀이기",
    "계수 𝑎 > 0은 다음을 만족한다",
    "정확한 풀이는 성능의 주장이 아니라 비교의 전제이다",
    "한계는 다음과 같다",
)
HEADINGS = ("요 약", "1. 서론", "2. 관련 연구", "3. 방법", "3.2 내쉬 협상의 정확한 해", "4. 실험", "4.1 풀이기 비교",
            "4.2 첫 비교", "5. 결론 및 한계", "참고 문헌")  # fmt: skip


def flat(text: str) -> str:
    """Text without white space: lines break inside Korean words."""
    return re.sub(r"\s+", "", text)


def text(file: Path) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(file).pages)


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> Path:  # type: ignore[no-untyped-def]
    """A results folder with known contents, made once."""
    folder = tmp_path_factory.mktemp("paper")
    place(folder)
    return folder


@pytest.fixture
def results(known: Path, store: Path, monkeypatch) -> Path:  # type: ignore[no-untyped-def]
    """A copy of it where the paper looks."""
    monkeypatch.chdir(ROOT)
    return Path(shutil.copytree(known, store.parent / "_build/results/quick"))


def missing_glyphs(file: Path) -> int:
    """How many glyphs on the pages are glyph 0, the box that stands for a character that no font holds."""
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


def test_both_versions_have_the_form_of_the_proceedings(results: Path) -> None:
    for review in (True, False):
        file = paper.compile(review)
        reader, said = PdfReader(file), flat(text(file))
        assert 2 <= len(reader.pages) <= 4
        assert [round(float(n)) for n in reader.pages[0].mediabox[2:]] == [595, 842]
        for expected in (*SENTENCES, *HEADINGS, META["title_ko"], META["title_en"]):
            assert flat(expected) in said, expected
        assert missing_glyphs(file) == 0
        assert not {"None", "none", "nan", "NaN", "??"} & set(re.findall(r"[A-Za-z]+|\?\?", text(file)))


def test_the_review_version_names_nobody(results: Path) -> None:
    blind, printed = paper.compile(True), paper.compile(False)
    personal = [META["acknowledgement_ko"], "감사의 글"]
    personal += [author[key] for author in META["authors"] for key in author if key != "presenter"]
    for words in personal:
        assert flat(words) in flat(text(printed)), words
        assert flat(words) not in flat(text(blind)), words
    assert PdfReader(blind).metadata.author is None
    assert META["authors"][0]["name_ko"] in PdfReader(printed).metadata.author
    assert b"[\xec\xa0\x80\xec\x9e\x90" not in blind.read_bytes()


def test_every_result_in_the_paper_comes_from_the_results(results: Path) -> None:
    """Each value that is quoted is changed by itself into a mark, and the mark is in the paper."""
    file = results / "values.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    comparison, stress = values["comparison"], values["solver"]["stress"]
    places = [
        *((comparison[data][method], key)
          for data in ("multi_mnist", "yeast") for method in comparison[data] if "+" in method
          for key in ("delta_m_ci", "parameters", "ms_per_step", "unsolved")),
        *((stress[name], key) for name in ("newton", "conic", "ccp", "ccp_published")
          for key in ("failed_percent", "silent_percent", "ms")),
        *((stress, key) for key in ("K_min", "K_max", "condition_min", "condition_max", "ccp_slower", "published_slower")),
        *((stress["newton_all"], key) for key in ("cases", "failed", "worst")),
        *((values["solver"]["recorded"][data][name], "failed_percent")
          for data in ("multi_mnist", "yeast") for name in ("newton", "conic", "ccp", "ccp_published")),
        *((values["solver"]["trained"][data], key) for data in ("multi_mnist", "yeast") for key in ("mean", "largest")),
        *((comparison["verdict"]["all"], key) for key in ("nash_equal", "nash_equal_norm", "best_single")),
        *((comparison["tests"]["all"]["nash_equal_norm"], key) for key in ("difference", "p_holm")),
        *((comparison["limits"], key)
          for key in ("interval", "runs", "diverged", "games", "unsolved", "seeds", "level", "smallest_p")),
        *((values["provenance"], key) for key in ("profile", "device", "torch", "python", "date")),
    ]  # fmt: skip
    for i, (holder, key) in enumerate(places):
        holder[key] = f"Q{i}Z"
    file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    said = flat(text(paper.compile(True)))
    assert len(places) > 90
    assert not [key for i, (_, key) in enumerate(places) if f"Q{i}Z" not in said]
    assert not re.search(r"[−+]?\d+(\.\d+)?%p", said.partition("참고문헌")[0])


def test_the_source_holds_no_number_of_a_result() -> None:
    source = (ROOT / "book/paper/paper.typ").read_text(encoding="utf-8")
    prose = "\n".join(line for line in source.splitlines() if re.match(r"[가-힣]|  [가-힣]|\(|#on", line))
    prose = re.sub(r"\$[^$]*\$|#ref\(<[^>]*>\);?|\(\d\)", "", prose)
    assert len(prose) > 3000
    assert not re.findall(r"\d+ ?(?:%|배|개|번|ms|단계)|\d\.\d", prose)
    assert not re.search(r"#[\w.]+(은|는|이|가|을|를|와|과|로)\s", source), "a particle would be read as part of the name"


def outcome(results: Path, **control: float) -> str:
    file = results / "values.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    values["comparison"]["number"]["tests"]["all"]["nash_equal_norm"] |= control
    file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    return flat(text(paper.compile(True)))


@pytest.mark.parametrize(("difference", "p", "said"), [
    (2.0, 0.01, "내쉬 가중이 대조군을 유의하게 앞선다"), (-2.0, 0.01, "내쉬 가중이 대조군보다 유의하게 낮다"),
    (2.0, 0.2, "협상 고유의 이득이 있다고 말할 수 없다"), (2.0, None, "협상 고유의 이득이 있다고 말할 수 없다"),
])  # fmt: skip
def test_the_claim_follows_the_outcome(results: Path, difference: float, p: float | None, said: str) -> None:
    found = outcome(results, difference=difference, p_holm=p)  # type: ignore[arg-type]
    assert flat(said) in found
    ahead = "유의하게 앞섰다" if said.endswith("앞선다") else "유의하게 앞서지 못하였다"
    assert flat(ahead) in found


def test_a_diverged_method_is_shown(results: Path) -> None:
    place(results, diverged=("yeast", "nash", 1))
    assert "(2/3)" in text(paper.compile(False))


def test_the_longest_values_fit(results: Path) -> None:
    file = results / "values.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    comparison = values["comparison"]
    wide = {"delta_m_ci": "−12.3 (2/3) [−15.5, −10.2]", "parameters": "225,000", "ms_per_step": "123.4", "unsolved": "900/900"}
    for data in ("multi_mnist", "yeast"):
        for method in comparison[data]:
            if "+" in method:
                comparison[data][method] |= wide
    for name, sentence in comparison["verdict"]["all"].items():
        comparison["verdict"]["all"][name] = sentence.ljust(110, "가")
    file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    file = paper.compile(False)
    assert len(PdfReader(file).pages) <= 4
    assert len(re.findall(r"\(2/3\)[ \u00a0]\[−15\.5,[ \u00a0]−10\.2\]", text(file))) == 16  # none is broken over lines


def test_same_results_same_bytes(results: Path) -> None:
    first = paper.compile(False).read_bytes()
    assert paper.compile(False).read_bytes() == first
    assert b"CreationDate" not in first


def test_a_missing_glyph_is_seen(results: Path) -> None:
    file = results / "values.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"MultiMNIST"', '"Multi\U0001f600"'), encoding="utf-8")
    assert missing_glyphs(paper.compile(True)) > 0


def test_what_is_missing_is_named(results: Path) -> None:
    (results / "figures/delta_m.pdf").unlink()
    with pytest.raises(InputError, match=r"delta_m\.pdf is missing"):
        paper.compile(True)
    (results / "values.json").write_text("{}")
    (results / "figures/delta_m.pdf").write_text("")
    with pytest.raises(InputError, match="no comparison, provenance, solver"):
        paper.compile(True)
    with pytest.raises(InputError, match="did you mean 'quick'"):
        paper.compile(True, "quikc")


def test_citation_and_metadata_agree() -> None:
    assert (ROOT / "CITATION.cff").read_text(encoding="utf-8") == paper.citation(ROOT / "book/metadata.yml")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert META["title_en"] in cited["title"]
    assert [a["name"] for a in cited["authors"]] == [a["name_en"] for a in META["authors"]]


def test_licences() -> None:
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert "CC BY 4.0" in (ROOT / "LICENSE-text").read_text()


def test_the_built_paper_is_the_studys() -> None:
    """Of what `make book` made: the real values, in both versions."""
    made, values = ROOT / "_build/paper", ROOT / f"_build/results/{os.environ.get('MTLSTUDY_PROFILE', 'quick')}/values.json"
    if not ((made / "kcc.pdf").exists() and values.exists()) and os.environ.get("MTLSTUDY_REQUIRE_BOOK") != "1":
        pytest.skip("no built paper: run `make book` first")
    comparison = json.loads(values.read_text(encoding="utf-8"))["comparison"]
    for name in ("kcc.pdf", "kcc-review.pdf"):
        said = flat(text(made / name))
        assert 2 <= len(PdfReader(made / name).pages) <= 4
        assert missing_glyphs(made / name) == 0
        assert flat(comparison["yeast"]["hard+nash"]["delta_m_ci"]) in said
        assert flat(comparison["verdict"]["all"]["nash_equal_norm"]) in said
