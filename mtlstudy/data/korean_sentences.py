"""Korean sentences: four collections, and the benchmark over all of them: five tasks, each with its
own examples: a multi-input problem.

Sources: L. Park, *Naver sentiment movie corpus*, 2016 (github.com/e9t/nsmc); Moon, Cho & Lee,
*BEEP! Korean Corpus of Online News Comments for Toxic Speech Detection*, SocialNLP 2020, arXiv
2005.12503; Cho, Lee, Yoon & Kim, *Speech Intention Understanding in a Head-final Language*, 2018,
arXiv 1811.04231; Ham, Choe, Park, Choi & Soh, *KorNLI and KorSTS*, Findings of EMNLP 2020, arXiv
2004.03289, after Cer et al., SemEval 2017, arXiv 1708.00055. The benchmark is this study's.
"""

from collections.abc import Iterable

from torch import nn

from mtlstudy.data._hub import Source
from mtlstudy.data.base import Split, Splits, registry
from mtlstudy.data.sentences import Length, Sentences, together
from mtlstudy.models.tasks import Task


@registry.register("nsmc")
class Nsmc(Sentences):
    """Naver's movie reviews, liked or not; the metric is the accuracy.

    1,571 test reviews also stand in the training file, in 3,512 of its rows: those are dropped from
    training. The label is a function of the rating (1–4 or 9–10): the rating is no second task.
    """

    citation = "Park, Naver Sentiment Movie Corpus, 2016"
    sources = (Source("e9t/nsmc", {"document": "text", "label": "int"}, 19),)
    text, labels = ("document",), {"sentiment": "label"}
    tasks = (Task("sentiment", "multiclass", 2),)
    class_names = {"sentiment": ("negative", "positive")}


@registry.register("kor_hate")
class KorHate(Sentences):
    """Comments under entertainment news, by hate and by social bias; the same comments for both
    tasks; the metric is the macro F1.

    7,896 training comments, and the 471 of the published development set as test. The column
    contain_gender_bias says the same as the bias "gender" in every row: it is no task.
    """

    citation = "Moon et al., SocialNLP 2020"
    columns = {"comments": "text", "hate": "int", "bias": "int"}
    sources = (Source("inmoonlight/kor_hate", columns, 1),)
    text, labels = ("comments",), {"hate": "hate", "bias": "bias"}
    tasks = tuple(Task(name, "multiclass", 3, "macro_f1") for name in ("hate", "bias"))
    class_names = {"hate": ("hate", "offensive", "none"), "bias": ("none", "gender", "others")}


@registry.register("kor_3i4k")
class Kor3i4k(Sentences):
    """What an utterance is meant as; the metric is the accuracy.

    619 test utterances also stand in the training file, in 1,048 of its rows: those are dropped
    from training.
    """

    citation = "Cho et al., arXiv 1811.04231, 2018"
    sources = (Source("kor_3i4k", {"text": "text", "label": "int"}, 3),)
    text, labels = ("text",), {"intention": "label"}
    tasks = (Task("intention", "multiclass", 7),)
    class_names = {
        "intention": (
            *("fragment", "statement", "question", "command"),
            *("rhetorical question", "rhetorical command", "intonation"),
        )
    }

    class Options(Sentences.Options):
        """Those of `Sentences`; utterances are short (99 of 100 have at most 42 characters)."""

        length: Length = 32


@registry.register("kor_sts")
class KorSts(Sentences):
    """How alike two sentences are, 0 to 5, standardised by the training pairs: the English STS
    benchmark in translation; the metric is Spearman's correlation.

    Training pairs are machine-translated, validation and test pairs corrected by hand. A pair is
    one sequence with a separator between its sentences.
    """

    citation = "Ham et al., Findings of EMNLP 2020; Cer et al., SemEval 2017"
    columns = {"sentence1": "text", "sentence2": "text", "score": "float"}
    sources = (Source("kakaobrain/kor_nlu", columns, 1, "sts"),)
    text, labels = ("sentence1", "sentence2"), {"similarity": "score"}
    tasks = (Task("similarity", "regression", metric="spearman", also=("pearson",)),)
    brings_validation = True

    class Options(Sentences.Options):
        """Those of `Sentences`, with a longer `length`, as each example is a pair."""

        length: Length = 128


MEMBERS: tuple[type[Sentences], ...] = (Nsmc, KorHate, Kor3i4k, KorSts)


@registry.register("korean_sentences")
class KoreanSentences(Sentences):
    """Tasks sentiment, hate, bias, intention and similarity over `MEMBERS`, each with the metric of
    its own data set. Hate and bias are two tasks over the same comments, split alike. One tokeniser
    is trained on the training texts of all four."""

    citation = "; ".join(member.citation for member in MEMBERS)
    sources = tuple(source for member in MEMBERS for source in member.sources)
    class_names = {task: names for member in MEMBERS for task, names in member.class_names.items()}

    class Options(Sentences.Options):
        """Those of `Sentences`, `train` and `test` for each of the four."""

        length: Length = 96

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(task for member in MEMBERS for task in member(self.options).tasks)

    def heads(self, width: int) -> dict[str, nn.Module]:
        members = (member(self.options) for member in MEMBERS)
        return {task: head for one in members for task, head in one.heads(width).items()}

    def load(self, seed: int) -> Splits:
        members = [member(self.options) for member in MEMBERS]
        splits, self.vocabulary = together(members, seed)
        return Splits(*map(_multi_input, zip(*splits, strict=True)))


def _multi_input(splits: Iterable[Split]) -> Split:
    """One split of several, a pool a task."""
    labelled = [(task, s.pools()[""], y) for s in splits for task, y in s.targets.items()]
    return Split({task: x for task, x, _ in labelled}, {task: y for task, _, y in labelled})
