"""The Korean tagging benchmark: three tasks learned on Kaist, tested there or on another domain, Google's treebank.

Source: this study, over the treebanks of `ud_korean`. Both must have the same labels: upos as it is; deprel without its subtype
(acl:relcl → acl), as the CoNLL shared tasks compare it (Zeman et al., 2017, K17-3001); xpos as the class of the first morpheme in
CLASSES, since Kaist's and Sejong's tag sets have no tag in common. Training and validation are the same for both tests, and no
training or validation sentence stands in either test.
"""

from typing import Literal

from mtlstudy.data._hub import pin
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import registry
from mtlstudy.data.tagged import GSD, KAIST, Columns, Sentences, Tagged, apart, first_tag, read, relations

CLASSES = {  # class of a morpheme → its tags in Kaist's set (small letters) and in Sejong's
    "noun": "ncn ncpa ncps NNG XR",
    "proper noun": "nq NNP",
    "bound noun": "nbn nbu NNB",
    "pronoun": "npp npd NP",
    "numeral": "nnc nno NR SN",
    "verb": "pvg pvd VV",
    "adjective": "paa pad VA VCN",
    "auxiliary": "px VX",
    "copula": "jp VCP",
    "adverb": "mag mad MAG",
    "conjunction": "maj MAJ",
    "determiner": "mma mmd MM",
    "interjection": "ii IC",
    "particle": "jca jcc jcj jcm jco jcr jcs jct jcv jxc jxf jxt JC JKB JKC JKG JKO JKQ JKS JKV JX",
    "affix or ending": "xp xsn xsv xsm ecc ecs ecx ef ep etm etn XPN XSN XSV XSA EC EF EP ETM ETN",
    "symbol": "sf sp sr sl su sd sy SF SP SS SE SO SW",
    "foreign": "f SL SH",
}
CLASS = {tag: name for name, tags in CLASSES.items() for tag in tags.split()}
COLUMNS: Columns = (
    ("upos", "upos", str),
    ("xpos", "xpos", lambda tag: CLASS.get(first_tag(tag), "")),
    ("deprel", "deprel", lambda relation: relation.split(":")[0]),
)


@registry.register("korean_tagging")
class KoreanTagging(Tagged):
    """Tasks upos, xpos (17 classes) and deprel, low to high, over the same words; the metric is the accuracy over words."""

    title = "한국어 태깅과 도메인 이동"
    licence = "CC BY-SA 4.0"
    citation = "Chun et al., LREC 2018; McDonald et al., ACL 2013; 이 연구"
    source = "Hugging Face universal_dependencies (ko_kaist_lrec2018, ko_gsd)"
    sources = (KAIST, GSD)
    hub_id, sha256 = KAIST.hub_id, pin(KAIST, GSD)
    notes = (
        "학습과 검증은 카이스트 말뭉치이고 test: gsd이면 다른 도메인에서 시험한다. 두 말뭉치의 형태소 표지 집합이 "
        "달라(카이스트, 세종) 첫 형태소를 17개 부류로 묶은 대응표를 쓰며, 의존 관계는 하위 유형을 뗀다. 주석 관례도 말뭉치마다 "
        "다르므로 도메인 이동의 손실에는 주석의 차이가 섞여 있다. 카이스트에 없는 레이블은 평가하지 않는다. 평가 문장과 같은 "
        "학습 문장은 뺀다. 허브의 사본과 같은지는 확인하지 못했고 내용의 검사합으로 고정한다."
    )

    class Options(Tagged.Options):
        """test: "kaist", or "gsd", out of domain; train: training sentences, drawn by seed (None: all); length: words a row (T);
        tokens: rare words by their "ending", or all as one unknown "word"; least: occurrences that give a word its own number."""

        test: Literal["kaist", "gsd"] = "kaist"

    @property
    def tasks(self) -> tuple[Task, ...]:
        return relations(17, len(CLASSES), 30)

    def sentences(self) -> tuple[Sentences, ...]:
        near, far = read(KAIST, "test", COLUMNS), read(GSD, "test", COLUMNS)
        train, validation, *_ = apart(*(read(KAIST, split, COLUMNS) for split in ("train", "validation")), near, far)
        return train, validation, far if self.options.test == "gsd" else near
