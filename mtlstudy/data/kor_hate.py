"""Korean hate speech: comments under entertainment news, by hate and by social bias; the same comments for both tasks.

Source: Moon, Cho & Lee, *BEEP! Korean Corpus of Online News Comments for Toxic Speech Detection*, SocialNLP 2020, arXiv
2005.12503, 7,896 training comments and the 471 of the published development set as test. Its column contain_gender_bias says
the same as the bias "gender" in every row: it is redundant, and no task.
"""

from mtlstudy.data._hub import CONVERTED, Source, pin
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import registry
from mtlstudy.data.sentences import Sentences

FILE = Source(
    hub_id="inmoonlight/kor_hate",
    config="default",
    revision=CONVERTED,
    splits={
        "train": "97299803ee3f17064ce12fac4405f1ca68df4f174a0b30100f3039165ccca4b9",
        "test": "dc008fda2bc04315aacad49b09c01101ef7aaa07154988e2159484deb9114624",
    },
    columns={"comments": "text", "hate": "int", "bias": "int"},
    megabytes=1,
)


@registry.register("kor_hate")
class KorHate(Sentences):
    """Tasks hate (3 classes) and bias (3: none, gender, other); the metric is the macro F1."""

    title = "한국어 혐오 댓글(BEEP!)"
    licence = "CC BY-SA 4.0"
    citation = "Moon et al., SocialNLP 2020"
    source = "Hugging Face inmoonlight/kor_hate"
    hub_id = FILE.hub_id
    sources = (FILE,)
    sha256 = pin(FILE)
    notes = (
        "contain_gender_bias 열은 모든 행에서 bias가 성별인지와 같으므로 중복 과제로 보아 쓰지 않는다. 두 과제는 같은 댓글을 "
        "쓰며 분할은 댓글 단위이다. 시험 댓글이 471개뿐이어서 신뢰구간이 넓다. 검증 분할은 학습 파일의 1/10을 시드로 뽑은 "
        "것이다. 입력은 댓글뿐이고 기사 제목은 쓰지 않는다. 혐오 표현이 그대로 들어 있다. 허브 식별자는 확인하지 못했다(내용의 "
        "검사합으로 고정한다)."
    )
    file, text, labels = FILE, ("comments",), {"hate": "hate", "bias": "bias"}

    @property
    def tasks(self) -> tuple[Task, ...]:
        return Task("hate", "multiclass", 3, "macro_f1"), Task("bias", "multiclass", 3, "macro_f1")
