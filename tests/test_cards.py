"""Data cards: what a file holds is shown as it is, and never as markup."""

import pytest

from mtlstudy.data import _hub as hub
from mtlstudy import cards
from mtlstudy.data import nsmc

EVIL = "<script>alert(1)</script> | **b** {{ x }} `c` $d$"


@pytest.fixture
def evil(monkeypatch):
    """A file whose text tries every markup."""
    from datasets import Dataset

    monkeypatch.setattr(hub, "rows", lambda source, split: Dataset.from_dict({"document": [EVIL, "x" * 500], "label": [0, 1]}))
    return nsmc.Nsmc.sources[0]


def test_examples_are_escaped_and_cut(evil):
    text = "\n".join(cards._examples(evil))
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "**b**" not in text and "{{" not in text and "$d$" not in text and "`c`" not in text
    assert "x" * cards.LONGEST + "…" in text and "x" * (cards.LONGEST + 1) not in text


def test_abusive_comments_are_not_shown(monkeypatch):
    from datasets import Dataset

    table = {"comments": ["abusive", "gentle"], "hate": [0, 2], "bias": [1, 0]}
    monkeypatch.setattr(hub, "rows", lambda source, split: Dataset.from_dict(table))
    source = hub.Source("a/b", "default", "main", {"train": ""}, ("comments", "hate", "bias"), 1)
    text = "\n".join(cards._examples(source))
    assert "gentle" in text and "abusive" not in text


def test_a_set_that_is_not_here_has_a_card_that_says_so(monkeypatch):
    for name in ("MTLSTUDY_DATA", "MTLSTUDY_CACHE", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, "/nowhere")
    text = cards.card("nsmc")
    assert "이 기계에 없음" in text and "e9t/nsmc" in text and "sentiment" in text
