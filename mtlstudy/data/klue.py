"""KLUE: Korean language understanding; one of its tasks at a time, by `config`.

Source: Park et al., *KLUE: Korean Language Understanding Evaluation*, NeurIPS 2021 (Datasets and Benchmarks), arXiv 2105.09680.
ynat: topic of a headline; nli, sts: pairs; re: relation of two entities, read as "subject, object" and the sentence; ner: a tag
a character; dp: part of speech (of a word's first morpheme) and dependency relation, a label a word; heads are no labels and
left out. Test labels are not published, so the validation file is the test split, and a tenth of the training file validates.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import torch

from mtlstudy.data._hub import Source, pin, rows
from mtlstudy.models.tasks import Task
from mtlstudy.data._text import clean
from mtlstudy.data import tagged
from mtlstudy.data.base import Splits, divide, registry
from mtlstudy.data.sentences import Length, Sentences, Texts

MORPHEMES = {"N": "NG NP NB P R A", "V": "V A X CP CN", "M": "MA MD MN AG AJ", "I": "C", "J": "C KS KC KG KO KB KV KQ X"}
MORPHEMES |= {"E": "P F C TN TM", "X": "PN SN SV SA R", "S": "F P S E O L H W N"}
POS = [head + tail for head, tails in MORPHEMES.items() for tail in tails.split()]
FUNCTIONS = {"NP": "AJT CMP CNJ MOD OBJ SBJ SVJ", "VP": "AJT CMP CNJ MOD OBJ SBJ", "VNP": "AJT CMP CNJ MOD OBJ SBJ"}
FUNCTIONS |= {"AP": "AJT CMP MOD SBJ", "X": "AJT CMP CNJ MOD OBJ SBJ", "DP": "", "IP": "", "L": "", "R": ""}
RELATIONS = [name for part, ends in FUNCTIONS.items() for name in (part, *(f"{part}_{end}" for end in ends.split()))]
TAGS = [*(f"{place}-{name}" for name in ("DT", "LC", "OG", "PS", "QT", "TI") for place in "BI"), "O"]


def _file(config: str, sha256: str, megabytes: float, **columns: str) -> Source:
    return Source("klue/klue", config, "main", {"train": "", "validation": sha256}, columns, megabytes)


NLI = "8e5c37294951baa363c667eeedda1a6ca89e0d0757deefa46ada1d198645771c"
STS = "e369f0282a7912e51b79213cb30f76e83980c4a77c9cfd0bc7e5d0dc21c6a90d"
NER = "c48b5a47011bcd0b47c7047574617e57348a6aef708fe9fe08a48d445fb25ef9"
DP = "e2ed632c79e75e3b0ddb1a83cdae319cecfb7ee52f53bec6e8e698aa79a2909f"
FILES = {
    "ynat": _file("ynat", "", 6, title="text", label="int"),
    "nli": _file("nli", NLI, 4, premise="text", hypothesis="text", label="int"),
    "sts": _file("sts", STS, 2, sentence1="text", sentence2="text", labels="struct"),
    "ner": _file("ner", NER, 5, tokens="text list", ner_tags="int list"),
    "dp": _file("dp", DP, 3, word_form="text list", pos="text list", deprel="text list"),
    "re": _file("re", "", 7, sentence="text", subject_entity="struct", object_entity="struct", label="int"),
}
TASKS: Mapping[str, tuple[Task, ...]] = MappingProxyType(
    {
        "ynat": (Task("topic", "multiclass", 7, "macro_f1"),),
        "nli": (Task("inference", "multiclass", 3),),
        "sts": (Task("similarity", "regression", metric="pearson"),),
        "ner": (Task("ner", "multiclass", len(TAGS), "macro_f1"),),
        "dp": (Task("pos", "multiclass", len(POS), level=0.5), Task("deprel", "multiclass", len(RELATIONS))),
        "re": (Task("relation", "multiclass", 30, "macro_f1"),),
    }
)


@registry.register("klue")
class Klue(Sentences):
    """The tasks of one of the configs ynat, nli, sts, re (a label a text or pair), ner and dp (a label a token)."""

    title = "KLUE"
    licence = "CC BY-SA 4.0"
    citation = "Park et al., NeurIPS 2021 Datasets and Benchmarks"
    source = "Hugging Face klue/klue"
    hub_id = "klue/klue"
    sources = tuple(FILES.values())
    sha256 = pin(*sources)
    notes = (
        "시험 레이블이 공개되지 않아 검증 파일을 시험 분할로 쓰고 검증 분할은 학습 파일의 1/10을 시드로 뽑는다. sts의 "
        "binary-label은 유사도의 함수이므로 과제가 아니다. ner의 지표는 표지별 F1의 평균이고 re의 지표는 관계 없음을 포함한 "
        "F1의 평균이므로 공식 지표와 다르다. dp의 지배소는 다루지 않는다. 학습 파일 전부와 ynat, re의 파일은 내용을 확인하지 "
        "못해 검사합 없이 열과 자료형만 검사한다."
    )

    class Options(Sentences.Options):
        """Those of `Sentences`, and config: which of KLUE's tasks. ner and dp have a vocabulary of characters and of words (rare
        ones by their ending), whatever `tokens` is."""

        config: Literal["ynat", "nli", "sts", "re", "ner", "dp"] = "nli"
        length: Length = 128

    @property
    def tasks(self) -> tuple[Task, ...]:
        return TASKS[self.options.config]

    @property
    def tagging(self) -> bool:  # type: ignore[override]
        """Whether the config has a label a token."""
        return self.options.config in ("ner", "dp")

    def read(self, split: str) -> Texts:
        config = self.options.config
        table = rows(FILES[config], "validation" if split == "test" else "train").data

        def column(name: str) -> list[Any]:
            values: list[Any] = table.column(name).to_pylist()
            return values

        def texts(name: str) -> list[str]:
            return [clean(text) for text in column(name)]

        if config == "sts":
            score = torch.tensor([labels["label"] for labels in column("labels")])
            return Texts(texts("sentence1"), texts("sentence2"), {"similarity": score})
        labels = {self.tasks[0].name: torch.tensor(column("label"))}
        if config == "ynat":
            return Texts(texts("title"), None, labels)
        if config == "nli":
            return Texts(texts("premise"), texts("hypothesis"), labels)
        pairs = zip(column("subject_entity"), column("object_entity"), strict=True)
        return Texts([clean(f"{a['word']}, {b['word']}") for a, b in pairs], texts("sentence"), labels)

    def load(self, seed: int) -> Splits:
        return self._tagged(seed) if self.tagging else super().load(seed)

    def _tagged(self, seed: int) -> Splits:
        options, words = self.options, self.options.config == "dp"
        test, known = self._sentences("validation"), self._sentences("train").without(self._sentences("validation"))
        held, rest = (part.tolist() for part in divide(len(known.words), [len(known.words) // 10], seed))
        validation, known = known.take(held[: options.test]), known.take(rest)
        known = known.without(validation)
        train = known.take(divide(len(known.words), [min(options.train or len(known.words), len(known.words))], seed)[0].tolist())
        test = test.take(divide(len(test.words), [min(options.test or len(test.words), len(test.words))], 0)[0].tolist())
        numbers = tagged.Vocabulary(train.words, 5 if words else 2, by_ending=words)
        self.vocabulary = len(numbers)
        labels = {"pos": POS, "deprel": RELATIONS} if words else {"ner": TAGS}
        return Splits(*(tagged.tensors(part, numbers, labels, options.length) for part in (train, validation, test)))

    def _sentences(self, split: str) -> tagged.Sentences:
        table = rows(FILES[self.options.config], split).data.to_pydict()
        if self.options.config == "ner":
            return tagged.Sentences(table["tokens"], {"ner": [[TAGS[tag] for tag in tags] for tags in table["ner_tags"]]})
        pos = [[tagged.first_tag(tag) for tag in tags] for tags in table["pos"]]
        return tagged.Sentences(table["word_form"], {"pos": pos, "deprel": table["deprel"]})
