"""NSMC: Naver's movie reviews, liked or not. 150,000 training and 50,000 test reviews.

Source: L. Park, *Naver sentiment movie corpus*, 2016 (github.com/e9t/nsmc). 1,571 test reviews also stand in the training file,
in 3,512 of its rows: those are dropped from training. The label is a function of the rating (1–4 or 9–10): the rating is no
second task.
"""

from mtlstudy.data._hub import CONVERTED, Source, pin
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import registry
from mtlstudy.data.sentences import Sentences

FILE = Source(
    hub_id="e9t/nsmc",
    config="default",
    revision=CONVERTED,
    splits={
        "train": "61208c956d6e389fedc381bb98f71ccca6e5c92c60f99cfa5fbf10f5f6664d1f",
        "test": "2e9de682db646c46a3f505ff6040ddaa8364011559367ab647cf585d25e35c86",
    },
    columns={"document": "text", "label": "int"},
    megabytes=19,
)


@registry.register("nsmc")
class Nsmc(Sentences):
    """One task, sentiment: 0 disliked, 1 liked; the metric is the accuracy."""

    title = "네이버 영화평 감성(NSMC)"
    licence = "CC0 1.0(GitHub 저장소); 허브 카드에는 CC BY 2.0"
    citation = "Park, Naver Sentiment Movie Corpus, 2016"
    source = "Hugging Face e9t/nsmc"
    hub_id = FILE.hub_id
    sources = (FILE,)
    sha256 = pin(FILE)
    notes = (
        "시험 영화평 1,571개가 학습 파일에도 있어 해당하는 학습 3,512행을 뺐다. 레이블은 평점의 함수이므로 평점을 둘째 과제로 "
        "삼지 않는다. 검증 분할은 학습 파일의 1/10을 시드로 뽑은 것이다. 기본값은 학습 4,000개, 시험 2,000개이며 전체를 쓰려면 "
        "train과 test를 null로 둔다. 빈 글이 몇 개 있다."
    )
    file, text, labels = FILE, ("document",), {"sentiment": "label"}

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (Task("sentiment", "multiclass", 2),)
