"""English Universal Dependencies: two kinds of word tags, and dependency relations; a label a word.

Source: Silveira et al., *A Gold Standard Dependency Corpus for English*, LREC 2014 (L14-1067): the English Web Treebank. xpos are
the tags of the Penn Treebank. How words become token numbers: see `mtlstudy.data.tagged`.
"""

from mtlstudy.data._hub import CONVERTED, Source, pin
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import registry
from mtlstudy.data.tagged import UD, UD_COLUMNS, Columns, Sentences, Tagged, apart, read, relations

EWT = Source(
    hub_id=UD,
    config="en_ewt",
    revision=CONVERTED,
    splits={
        "train": "0823aa823c292f87c1eb1357004e236385b99254391bfc1d26992a76a43816b0",
        "validation": "cb7586c0c82892341156cb4130b692dc3bb6016ddf398cfffd277ad625d2706f",
        "test": "01365b5d8249edc9a03bfdc87aa3fb42c0a6aee66c539b9d14eebf7eecf1e99c",
    },
    columns=UD_COLUMNS,
    megabytes=3,
)
COLUMNS: Columns = (("upos", "upos", str), ("xpos", "xpos", str), ("deprel", "deprel", str))


@registry.register("ud_english")
class UdEnglish(Tagged):
    """Tasks upos, xpos and deprel, low to high, over the same words; the metric is the accuracy over words."""

    title = "영어 보편 의존 말뭉치(UD English-EWT)"
    licence = "CC BY-SA 4.0"
    citation = "Silveira et al., LREC 2014"
    source = "Hugging Face universal_dependencies (en_ewt)"
    sources = (EWT,)
    hub_id, sha256 = EWT.hub_id, pin(EWT)
    notes = (
        "웹 문서의 짧은 문장이 되풀이되므로 평가 문장과 같은 학습 문장(351개)과 시험 문장과 같은 검증 문장(77개)을 뺐다. "
        "문헌의 수치보다 조금 낮아질 수 있다. 드문 단어는 단어 끝 글자와 대문자 여부로 나타낸다. 허브의 사본과 같은지는 "
        "확인하지 못했고 내용의 검사합으로 고정한다."
    )

    @property
    def tasks(self) -> tuple[Task, ...]:
        return relations(17, 49, 51)

    def sentences(self) -> tuple[Sentences, ...]:
        return apart(*(read(EWT, split, COLUMNS) for split in ("train", "validation", "test")))
