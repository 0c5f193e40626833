"""3i4K: what a Korean utterance is meant as: fragment, statement, question, command, and three that need their intonation.

Source: Cho, Lee, Yoon & Kim, *Speech Intention Understanding in a Head-final Language*, 2018, arXiv 1811.04231. 619 test
utterances also stand in the training file, in 1,048 of its rows: those are dropped from training.
"""

from mtlstudy.data._hub import CONVERTED, Source, pin
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import registry
from mtlstudy.data.sentences import Length, Sentences

FILE = Source(
    hub_id="kor_3i4k",
    config="default",
    revision=CONVERTED,
    splits={
        "train": "38a6cdda3ccd412df0421fc51a34a17a919076c639c01f921f3918e6be88735d",
        "test": "9ac1d5f7b1dedd07ee9f587fe248b382d6c933b533216fb6de9b52d4cb073894",
    },
    columns={"text": "text", "label": "int"},
    megabytes=3,
)


@registry.register("kor_3i4k")
class Kor3i4k(Sentences):
    """One task, intention (7 classes); the metric is the accuracy."""

    title = "한국어 발화 의도(3i4K)"
    licence = "CC BY-SA 4.0"
    citation = "Cho et al., arXiv 1811.04231, 2018"
    source = "Hugging Face kor_3i4k"
    hub_id = FILE.hub_id
    sources = (FILE,)
    sha256 = pin(FILE)
    notes = (
        "시험 발화 619개가 학습 파일에도 있어 해당하는 학습 1,048행을 뺐다(문헌의 정확도보다 낮을 수 있다). 부류의 빈도가 크게 "
        "다르다. 검증 분할은 학습 파일의 1/10을 시드로 뽑은 것이다. 기본값은 학습 4,000개, 시험 2,000개이다."
    )
    file, text, labels = FILE, ("text",), {"intention": "label"}

    class Options(Sentences.Options):
        """Those of `Sentences`, with a shorter `length`: utterances are short (99 of 100 have at most 42 characters)."""

        length: Length = 32

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (Task("intention", "multiclass", 7),)
