"""Korean Universal Dependencies: tags of words, of first morphemes, and dependency relations; a label a word.

Source: Chun, Han, Hwang & Choi, *Building Universal Dependency Treebanks in Korean*, LREC 2018 (L18-1347): the Kaist treebank
(Choi et al. 1994) in the annotation of that paper, and Google's (McDonald et al., ACL 2013, P13-2017). The tags of morphemes
(xpos) are composite, 1,975 of them in Kaist; the task is the first morpheme's, that of the stem. The two treebanks have different
tag sets there (Kaist's and Sejong's). How words become token numbers: see `mtlstudy.data.tagged`.
"""

from typing import Literal

from mtlstudy.data._hub import pin
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import registry
from mtlstudy.data.tagged import GSD, KAIST, Columns, Sentences, Tagged, apart, first_tag, read, relations

COLUMNS: Columns = (("upos", "upos", str), ("xpos", "xpos", first_tag), ("deprel", "deprel", str))
TREEBANKS = {"kaist_lrec2018": (KAIST, (17, 44, 30)), "gsd": (GSD, (16, 39, 28))}
"""Source, and labels of the three tasks in the training sentences."""


@registry.register("ud_korean")
class UdKorean(Tagged):
    """Tasks upos, xpos and deprel, low to high, over the same words; the metric is the accuracy over words."""

    title = "한국어 보편 의존 말뭉치(UD)"
    licence = "CC BY-SA 4.0"
    citation = "Chun et al., LREC 2018; Choi et al. 1994; McDonald et al., ACL 2013"
    source = "Hugging Face universal_dependencies (ko_kaist_lrec2018, ko_gsd)"
    sources = (KAIST, GSD)
    hub_id, sha256 = KAIST.hub_id, pin(KAIST, GSD)
    notes = (
        "카이스트 말뭉치는 LREC 2018의 주석이며 현재 UD 판과 섞지 않는다(의존 관계가 84%만 같다). 평가 문장과 같은 학습 "
        "문장(카이스트 7개), 시험 문장과 같은 검증 문장은 뺀다. xpos는 합성 표지의 첫 형태소 표지이다. 학습 문장에 없는 "
        "레이블은 평가하지 않는다(카이스트 시험의 clf 1개). 드문 어절은 어절 끝 음절로 나타낸다. 허브의 사본과 같은지는 "
        "확인하지 못했고 내용의 검사합으로 고정한다."
    )

    class Options(Tagged.Options):
        """treebank: "kaist_lrec2018" or "gsd"; train: training sentences, drawn by seed (None: all); length: words a row (T);
        tokens: rare words by their "ending", or all as one unknown "word"; least: occurrences that give a word its own number."""

        treebank: Literal["kaist_lrec2018", "gsd"] = "kaist_lrec2018"

    @property
    def tasks(self) -> tuple[Task, ...]:
        return relations(*TREEBANKS[self.options.treebank][1])

    def sentences(self) -> tuple[Sentences, ...]:
        source = TREEBANKS[self.options.treebank][0]
        return apart(*(read(source, split, COLUMNS) for split in ("train", "validation", "test")))
