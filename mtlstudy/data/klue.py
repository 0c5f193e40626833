"""KLUE: Korean language understanding; one of its tasks at a time, by `config`.

Source: Park et al., *KLUE: Korean Language Understanding Evaluation*, NeurIPS 2021 (Datasets and
Benchmarks), arXiv 2105.09680. ynat: topic of a headline; nli, sts: pairs; re: relation of two
entities, read as "subject, object" and the sentence; ner: a tag a character; dp: part of speech (of
a word's first morpheme) and dependency relation, a label a word; heads are no labels and left out.
Test labels are not published, so the validation file is the test split, and a tenth of the training
file validates. What could not be seen is not pinned: all training files, ynat and re.
"""

from typing import Literal

import torch

from mtlstudy.data import tagged
from mtlstudy.data._hub import Source, rows
from mtlstudy.data._text import clean
from mtlstudy.data.base import Splits, divide, registry
from mtlstudy.data.sentences import Length, Sentences, Texts
from mtlstudy.errors import InputError
from mtlstudy.models.tasks import Task

LABELS = {  # of the tasks with a label a token
    "ner": "B-DT I-DT B-LC I-LC B-OG I-OG B-PS I-PS B-QT I-QT B-TI I-TI O",
    "pos": "NNG NNP NNB NP NR NA VV VA VX VCP VCN MMA MMD MMN MAG MAJ IC JC JKS JKC JKG JKO JKB "
    "JKV JKQ JX EP EF EC ETN ETM XPN XSN XSV XSA XR SF SP SS SE SO SL SH SW SN",
    "deprel": "NP NP_AJT NP_CMP NP_CNJ NP_MOD NP_OBJ NP_SBJ NP_SVJ VP VP_AJT VP_CMP VP_CNJ VP_MOD "
    "VP_OBJ VP_SBJ VNP VNP_AJT VNP_CMP VNP_CNJ VNP_MOD VNP_OBJ VNP_SBJ AP AP_AJT AP_CMP AP_MOD "
    "AP_SBJ X X_AJT X_CMP X_CNJ X_MOD X_OBJ X_SBJ DP IP L R",
}
NAMES = {task: names.split() for task, names in LABELS.items()}
TAGGED: dict[str, tuple[str, tagged.Columns]] = {  # those with a label a token: words and tags
    "ner": ("tokens", {"ner": ("ner_tags", NAMES["ner"].__getitem__)}),
    "dp": ("word_form", {"pos": ("pos", tagged.first_tag), "deprel": ("deprel", str)}),
}
TASKS: dict[str, tuple[Task, ...]] = {
    "ynat": (Task("topic", "multiclass", 7, "macro_f1"),),
    "nli": (Task("inference", "multiclass", 3),),
    "sts": (Task("similarity", "regression", metric="pearson"),),
    "ner": (Task("ner", "multiclass", len(NAMES["ner"]), "macro_f1"),),
    "dp": (
        Task("pos", "multiclass", len(NAMES["pos"]), level=0.5),
        Task("deprel", "multiclass", len(NAMES["deprel"])),
    ),
    "re": (Task("relation", "multiclass", 30, "macro_f1"),),
}
ENTITIES = {"subject_entity": "struct", "object_entity": "struct"}
COLUMNS = {  # and the megabytes of their files
    "ynat": ({"title": "text", "label": "int"}, 6),
    "nli": ({"premise": "text", "hypothesis": "text", "label": "int"}, 4),
    "sts": ({"sentence1": "text", "sentence2": "text", "labels": "struct"}, 2),
    "ner": ({"tokens": "text list", "ner_tags": "int list"}, 5),
    "dp": ({"word_form": "text list", "pos": "text list", "deprel": "text list"}, 3),
    "re": ({"sentence": "text", **ENTITIES, "label": "int"}, 7),
}
FILES = {config: Source("klue/klue", *some, config, "main") for config, some in COLUMNS.items()}


@registry.register("klue")
class Klue(Sentences):
    """The tasks of one of the configs ynat, nli, sts, re (a label a text or pair), ner and dp (a
    label a token)."""

    citation = "Park et al., NeurIPS 2021 Datasets and Benchmarks"
    sources = tuple(FILES.values())
    class_names = NAMES

    class Options(Sentences.Options):
        """Those of `Sentences`, and config: which of KLUE's tasks. ner and dp have a vocabulary of
        characters and of words (rare ones by their ending), whatever `tokens` is."""

        config: Literal["ynat", "nli", "sts", "re", "ner", "dp"] = "nli"
        length: Length = 128

    @property
    def tasks(self) -> tuple[Task, ...]:
        return TASKS[self.options.config]

    @property
    def tagging(self) -> bool:  # type: ignore[override]
        """Whether the config has a label a token."""
        return self.options.config in TAGGED

    def files(self) -> tuple[Source, ...]:
        return (FILES[self.options.config],)

    def read(self, split: str) -> Texts:
        (file,) = self.files()
        values = rows(file, "validation" if split == "test" else "train").to_pydict()
        texts = [values[name] for name in values if file.columns[name] == "text"]
        if self.options.config == "re":
            pairs = zip(*(values[name] for name in ENTITIES), strict=True)
            texts.insert(0, [f"{a['word']}, {b['word']}" for a, b in pairs])
        first, second = ([clean(text) for text in column] for column in (*texts, [])[:2])
        target = values.get("label") or [label["label"] for label in values["labels"]]
        return Texts(first, second or None, {self.tasks[0].name: torch.tensor(target)})

    def load(self, seed: int) -> Splits:
        return self._tagged(seed) if self.tagging else super().load(seed)

    def sentences(self, split: str) -> tagged.Sentences:
        """Those of a split of ner or dp, as its file has them."""
        config = self.options.config
        words, columns = TAGGED[config]
        return tagged.read(FILES[config], split, columns, words)

    def _tagged(self, seed: int) -> Splits:
        o, by_word = self.options, self.options.config == "dp"
        test = self.sentences("validation")
        known = self.sentences("train").without(test)
        held, rest = (part.tolist() for part in divide(len(known), [len(known) // 10], seed))
        validation = known.take(held[: o.test])
        known = known.take(rest).without(validation)
        train = known.sample(o.train or len(known), seed)
        parts = (train, validation, test.sample(o.test or len(test), 0))
        if o.features != "cnn":
            if not by_word or o.features == "vectors":
                what = f"features = {o.features!r} with config = {o.config!r}"
                raise InputError(f"data_options.{what}: allowed: cnn; for dp also encoder")
            return Splits(*(tagged.encoded(part, NAMES, o) for part in parts))
        numbers = tagged.Vocabulary(train.words, 5 if by_word else 2, by_ending=by_word)
        self.vocabulary = len(numbers)
        return Splits(*(tagged.tensors(part, numbers, NAMES, o.length) for part in parts))
