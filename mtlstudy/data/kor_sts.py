"""KorSTS: how alike two Korean sentences are, 0 to 5; the English STS benchmark in translation.

Source: Ham, Choe, Park, Choi & Soh, *KorNLI and KorSTS*, Findings of EMNLP 2020, arXiv 2004.03289; Cer et al., SemEval 2017,
arXiv 1708.00055. Training pairs are machine-translated, validation and test pairs corrected by hand. A pair is one sequence
with a separator between its sentences.
"""

from mtlstudy.data._hub import CONVERTED, Source, pin
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import registry
from mtlstudy.data.sentences import Length, Sentences

FILE = Source(
    hub_id="kakaobrain/kor_nlu",
    config="sts",
    revision=CONVERTED,
    splits={
        "train": "a135b025d41f42b42d808ecea9e3de654a0a68c350669708c2b4ba13a30379e6",
        "validation": "a0817b46ba5a3897632c8d5eca247b26b5102e12df93bbfc5a2921363b263e94",
        "test": "3780b805d23d75d1f7e06a3bf890c7cf3ba57cc39111507c1d3287968acf5e25",
    },
    columns={"sentence1": "text", "sentence2": "text", "score": "float"},
    megabytes=1,
)


@registry.register("kor_sts")
class KorSts(Sentences):
    """One task, similarity, standardised by the training pairs; the metric is Spearman's correlation."""

    title = "한국어 문장 유사도(KorSTS)"
    licence = "CC BY-SA 4.0"
    citation = "Ham et al., Findings of EMNLP 2020; Cer et al., SemEval 2017"
    source = "Hugging Face kakaobrain/kor_nlu (sts)"
    hub_id = FILE.hub_id
    sources = (FILE,)
    sha256 = pin(FILE)
    notes = (
        "학습 문장 쌍은 기계 번역이고 검증과 시험 쌍은 사람이 고친 것이다. 시험 쌍과 같은 검증 4쌍, 검증 쌍과 같은 학습 쌍은 "
        "뺀다. 두 문장을 구분 번호로 이은 하나의 열로 읽으며, 손실은 학습 쌍의 표준편차 단위이다. "
        "허브의 파일은 확인하지 못했다(내용의 검사합으로 고정한다)."
    )
    file, text, labels = FILE, ("sentence1", "sentence2"), {"similarity": "score"}
    brings_validation = True

    class Options(Sentences.Options):
        """Those of `Sentences`, with a longer `length`, as each example is a pair."""

        length: Length = 128

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (Task("similarity", "regression", metric="spearman"),)
