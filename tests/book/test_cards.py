"""Data cards: what a file holds is shown as it is, and never as markup."""

import cards
import pyarrow as pa
import pytest

from mtlstudy.data import _hub as hub
from mtlstudy.registry import entry

EVIL = "<script>alert(1)</script> | **b** {{ x }} `c` $d$"


@pytest.fixture
def evil(monkeypatch):
    """A file whose text tries every markup."""
    table = pa.table({"document": [EVIL, "x" * 500], "label": [0, 1]})
    monkeypatch.setattr(hub, "rows", lambda source, split: table)
    return entry("data", "nsmc").sources[0]


def test_examples_are_escaped_and_cut(evil):
    text = "\n".join(cards._examples(evil))
    assert "<script" not in text and "&lt;script&gt;" in text
    assert not [markup for markup in ("**b**", "{{", "$d$", "`c`") if markup in text]
    assert "x" * cards.LONGEST + "…" in text and "x" * (cards.LONGEST + 1) not in text


def test_abusive_comments_are_not_shown(monkeypatch):
    table = {"comments": ["abusive", "gentle"], "hate": [0, 2], "bias": [1, 0]}
    monkeypatch.setattr(hub, "rows", lambda source, split: pa.table(table))
    text = "\n".join(cards._examples(entry("data", "kor_hate").sources[0]))
    assert "gentle" in text and "abusive" not in text


def test_a_set_that_is_not_here_has_a_card_that_says_so(monkeypatch):
    for name in ("MTLSTUDY_DATA", "MTLSTUDY_CACHE", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, "/nowhere")
    text = cards.card("nsmc")
    assert "이 기계에 없음" in text and "e9t/nsmc" in text and "sentiment" in text


@pytest.mark.parametrize("name", ["diabetes", "synthetic", "toy", "yeast"])
def test_a_card_has_numbered_tables_and_counts_what_was_read(name):
    text = cards.card(name)
    assert text.startswith(f"(data-{name})=\n## ") and text.count("```{table} ") == 2
    splits = entry("data", name)(entry("data", name).Options()).load(0)
    sizes = [part.sizes()[""] for part in (splits.train, splits.validation, splits.test)]
    assert " / ".join(f"{n:,}" for n in sizes) in text
    assert not [line for line in text.splitlines() if line.startswith("|") and "| |" in line]


def test_cards_are_counted_once(tmp_path, monkeypatch):
    import mtlbook

    counted = []
    monkeypatch.setenv("MTLSTUDY_BUILD", str(tmp_path))
    monkeypatch.setattr(mtlbook, "names", lambda kind: ["toy", "diabetes"])
    real = cards.card
    monkeypatch.setattr(cards, "card", lambda name: counted.append(name) or real(name))
    first = mtlbook.cards_of_all(tmp_path, "")
    assert mtlbook.cards_of_all(tmp_path, "") == first and counted == ["toy", "diabetes"]
    monkeypatch.setitem(mtlbook.load("words.ko.yml")["data"]["toy"], "title", "다른 제목")
    assert "다른 제목" in mtlbook.cards_of_all(tmp_path, "")
    assert counted == ["toy", "diabetes", "toy"] and len(list((tmp_path / "cards").iterdir())) == 2
