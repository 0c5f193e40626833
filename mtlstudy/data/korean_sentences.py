"""The Korean sentence benchmark: five tasks over four collections of sentences, each task with its own: a multi-input problem.

Source: this study, over `nsmc`, `kor_hate`, `kor_3i4k` and `kor_sts`. Hate and bias are two tasks over the same comments, split
alike. One tokeniser is trained on the training texts of all four.
"""

from mtlstudy.data._hub import pin
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import Data, Split, Splits, registry
from mtlstudy.data.kor_3i4k import Kor3i4k
from mtlstudy.data.kor_hate import KorHate
from mtlstudy.data.kor_sts import KorSts
from mtlstudy.data.nsmc import Nsmc
from mtlstudy.data.sentences import Length, Sentences, answers, represent

MEMBERS: tuple[type[Sentences], ...] = (Nsmc, KorHate, Kor3i4k, KorSts)


@registry.register("korean_sentences")
class KoreanSentences(Data):
    """Tasks sentiment, hate, bias, intention and similarity; each with the metric of its own data set."""

    title = "한국어 문장 과제 모음"
    licence = "CC0 1.0(NSMC), CC BY-SA 4.0(나머지)"
    citation = "; ".join(member.citation for member in MEMBERS)
    source = "; ".join(member.source for member in MEMBERS)
    sources = tuple(source for member in MEMBERS for source in member.sources)
    sha256 = pin(*sources)
    notes = (
        "과제마다 입력이 따로 있는 다중 입력 문제이며 혐오와 편향 두 과제만 같은 댓글을 같은 분할로 쓴다. 토크나이저는 네 "
        "자료의 학습 글로 한 번 학습한다. 시험 글이나 검증 글과 같은 글은 그 자료의 학습에서 뺀다. 각 자료의 유의점이 그대로 "
        "적용된다. 기본값은 자료마다 학습 4,000개, 시험 2,000개 이하이다."
    )

    class Options(Sentences.Options):
        """Those of `Sentences`, `train` and `test` for each of the four; `length` is the same for all."""

        length: Length = 96

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(task for member in MEMBERS for task in member(self.options).tasks)

    def load(self, seed: int) -> Splits:
        members = [member(self.options) for member in MEMBERS]
        pools = [member.parts(seed) for member in members]
        inputs, self.vocabulary = represent(self.options, pools)
        found = [Split({}, {}) for _ in range(3)]
        for member, parts, xs in zip(members, pools, inputs, strict=True):
            for split, x, targets in zip(found, xs, answers(member.tasks, parts), strict=True):
                split.inputs.update(dict.fromkeys(targets, x))  # type: ignore[union-attr]
                split.targets.update(targets)
        return Splits(*found)
