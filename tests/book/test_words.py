"""Words and sentences: what code asks for is there, what is there is asked for, and reads well."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from synthetic_frames import TASKS, baselines, by_method, results

from mtlstudy.errors import InputError
from mtlstudy.study import claims, comparison, korean, plan
from mtlstudy.study.claims import Claim
from mtlstudy.study.words import family, label, load, name, word

ROOT = Path(__file__).parents[2]
FILES = [
    file
    for place in ("mtlstudy", "book/_ext", "book/paper", "notebooks")
    for file in sorted((ROOT / place).rglob("*.py"))
]
PLAIN = ("axis", "column", "text", "page")
"""Sections of words.ko.yml whose every word must be asked for by code."""
ANY = r"[\w+ ]+"


@cache
def calls() -> list[ast.Call]:
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in FILES)
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


@cache
def constants() -> set[str]:
    """Every string in the code."""
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in FILES)
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def patterns(node: ast.expr) -> list[str]:
    """Regular expressions of the strings that an expression may give."""
    if isinstance(node, ast.Constant):
        return [re.escape(str(node.value))]
    if isinstance(node, ast.IfExp):
        return [*patterns(node.body), *patterns(node.orelse)]
    if isinstance(node, ast.JoinedStr):
        parts = (re.escape(p.value) if isinstance(p, ast.Constant) else ANY for p in node.values)
        return ["".join(map(str, parts))]
    return []


def asked(function: str, argument: int) -> list[str]:
    """Patterns of one argument of every call of a function."""
    found = []
    for call in calls():
        if getattr(call.func, "id", getattr(call.func, "attr", "")) == function:
            found += patterns(call.args[argument]) if len(call.args) > argument else []
    return found


def leaves(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, part in node.items():
            yield from leaves(part, f"{path}.{key}" if path else str(key))
    elif isinstance(node, str):
        yield path, node


@pytest.mark.parametrize("file", ["words.ko.yml", claims.FILE])
def test_no_section_is_there_twice_and_keys_are_words(file: str) -> None:
    text = (ROOT / "book" / file).read_text(encoding="utf-8")
    keys = re.findall(r"^([\w+]+):", text, re.M)
    assert len(keys) == len(set(keys)), "of two sections with one name yaml keeps the last"
    assert all(isinstance(key, str) for key in yaml.safe_load(text))


def test_every_word_that_code_asks_for_is_there() -> None:
    keys = [key for key, _ in leaves(load("words.ko.yml"))]
    wanted = asked("word", 0)
    assert len(wanted) > 30
    missing = [one for one in wanted if not any(re.fullmatch(one, key) for key in keys)]
    assert not missing


def test_every_plain_word_is_asked_for() -> None:
    wanted, strings = asked("word", 0), constants()
    for section in PLAIN:
        for key, _ in leaves({section: load("words.ko.yml")[section]}):
            direct = any(re.fullmatch(one, key) for one in wanted)
            rest = key.split(".", 1)[1]
            page = section == "page" and all(part in strings for part in rest.split("."))
            assert direct or key in strings or rest in strings or page, key


def test_every_claim_that_code_makes_has_a_sentence() -> None:
    sentences = load(claims.FILE)
    pairs = 0
    for call in calls():
        if getattr(call.func, "id", getattr(call.func, "attr", "")) == "Claim":
            for kind in patterns(call.args[0]):
                own = [one for one in sentences if re.fullmatch(kind, one)]
                assert own, f"no sentences of the kind {kind}"
                for outcome in patterns(call.args[1]):
                    pairs += 1
                    there = any(re.fullmatch(outcome, o) for one in own for o in sentences[one])
                    assert there or outcome == "none", f"{kind}: no sentence of {outcome}"
    assert pairs > 20


def test_every_sentence_belongs_to_a_claim() -> None:
    kinds, strings = asked("Claim", 0), constants()
    for kind, outcomes in load(claims.FILE).items():
        assert kind in strings or any(re.fullmatch(one, kind) for one in kinds), kind
        for outcome in outcomes:
            assert outcome in strings, f"{kind}.{outcome}"


def test_no_changing_particle_follows_a_figure() -> None:
    for key, sentence in leaves(load(claims.FILE)):
        wrong = re.search(r"\}(은|는|이|가|을|를|과|와|로|으로)(?=[\s,.;])", sentence)
        assert not wrong, f"{key}: {wrong}"


def test_what_the_plan_publishes_has_a_name() -> None:
    for section, names in (("weighting", plan.WEIGHTINGS), ("sharing", plan.FAMILIES)):
        assert all(word(f"{section}.{one}") for one in names)
    for one in plan.COMPARISONS.values():
        assert all(word(f"data_short.{data}") for data in one.data)
    assert all(word(f"metric.{metric}") for own in TASKS.values() for metric in own.values())
    assert label("hard+nash") == "내쉬" and label("single_task+equal") == "단일 과제"
    assert label("mmoe+nash") == "MMoE · 내쉬" and label("") == family("") == "–"
    assert family("hard+equal") == "하드 공유" and name("task", "other") == "other"


def test_a_claim_without_a_sentence_or_a_figure_stops_the_build() -> None:
    with pytest.raises(InputError, match="did you mean 'verdict'"):
        Claim("verdikt", "up", {}).sentence()
    with pytest.raises(InputError, match="did you mean 'down'"):
        Claim("verdict", "dawn", {}).sentence()
    with pytest.raises(InputError, match=r"verdict\.up: no figure 'a'"):
        Claim("verdict", "up", {"b": "x"}).sentence()


def test_findings_read_as_they_should() -> None:
    lines = "\n".join(claims.sentences(comparison.claims(results())))
    assert "MultiMNIST. Δm이 가장 높은 방법: " in lines
    assert "내쉬 대 동일 노름: " in lines and "대조군인 동일 노름" in lines
    levels = {"single_task": [0.5], "hard": [0.3], "ple": [0.4]}
    methods = [f"{one}+equal" for one in levels]
    made = results("sharings", by_method(levels), data=["synthetic"], methods=methods)
    assert "하드 공유 대 단일 과제만" in "\n".join(claims.sentences(comparison.claims(made)))


@pytest.mark.parametrize("data", ["korean_sentences", "korean_tagging"])
def test_korean_findings_read_as_they_should(data: str) -> None:
    def value(data: str, method: str, task: str, seed: int) -> float:
        return (0.5 if task == "hate" else 0.6) - 0.1 * method.startswith("hard") + 0.01 * seed

    said = "\n".join(claims.sentences(korean.claims(results(data, value), baselines())))
    if data == "korean_sentences":
        assert "낮은 과제: 혐오. 그중 짝지은 차이의 구간 전체가 0 아래인 과제: 혐오." in said
        assert "과제마다 예 3,000개, 100단계" in said and "3개 가운데 3개" in said
        assert "평균 코사인: 0.250, 코사인이 음수인 과제 쌍: 12.5 %" in said
        assert "하드 공유(균등) 대 단일 과제" in said
    else:
        assert "낮은 과제: 없음" in said
        assert "품사(UPOS): 단일 과제 −30.0; 하드 공유(균등) −30.0" in said


@pytest.mark.parametrize("page", ["korean_sentences", "korean_tagging"])
def test_a_page_of_a_shared_notebook_begins_with_its_title(page: str) -> None:
    assert re.match(
        r"# 한국어 .+\n\n\*\*물음\.\*\* ", load("words.ko.yml")["page"][page]["question"]
    )
