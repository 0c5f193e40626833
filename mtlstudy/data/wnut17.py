"""WNUT-17: named entities that are rare or new, in posts and comments; a label a token.

Source: Derczynski et al., *Results of the WNUT2017 Shared Task on Novel and Emerging Entity Recognition*, W-NUT 2017, doi
10.18653/v1/W17-4418. The 13 tags are O, and B and I of six kinds. 92–95 % of the tokens are O, so accuracy says nothing: the
metric is the macro F1 over the tags, O included. That is not the F1 over whole entities of the shared task. How words become
token numbers: see `mtlstudy.data.tagged`.
"""

from mtlstudy.data._hub import CONVERTED, Source, pin
from mtlstudy.models.tasks import Task
from mtlstudy.data.base import registry
from mtlstudy.data.tagged import Columns, Sentences, Tagged, apart, read

KINDS = ("corporation", "creative-work", "group", "location", "person", "product")
TAGS = ("O", *(f"{place}-{kind}" for kind in KINDS for place in "BI"))
FILE = Source(
    hub_id="leondz/wnut_17",
    config="default",
    revision=CONVERTED,
    splits={
        "train": "9104065deb8be6e729bedc51aa6cec7b5bfa67335392e7f15d5c49f308de1a22",
        "validation": "311eb538c3074923ff1cbd3ab72447f1985b11021d4ff60727c5bfe1d10d8084",
        "test": "09e0e293b490411991caf9d1d1b9fac99f5ee34376d7b27b64fd9591e579c2ea",
    },
    columns=("tokens", "ner_tags"),
    megabytes=1,
)
COLUMNS: Columns = (("ner", "ner_tags", TAGS.__getitem__),)


@registry.register("wnut17")
class Wnut17(Tagged):
    """One task, ner; the metric is the macro F1 over the 13 tags."""

    title = "WNUT-17 개체명"
    licence = "CC BY 4.0"
    citation = "Derczynski et al., W-NUT 2017"
    source = "Hugging Face leondz/wnut_17"
    sources = (FILE,)
    hub_id, sha256 = FILE.hub_id, pin(FILE)
    notes = (
        "토큰의 90% 이상이 O이므로 정확도가 아니라 표지별 F1의 평균을 지표로 삼는다. 개체 단위 F1이 아니므로 공유 과제의 "
        "수치와 비교하지 않는다. 과제가 하나뿐이다. 허브 식별자와 사본은 확인하지 못했고 내용의 검사합으로 고정한다."
    )

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (Task("ner", "multiclass", len(TAGS), metric="macro_f1"),)

    def sentences(self) -> tuple[Sentences, ...]:
        return apart(*(read(FILE, split, COLUMNS) for split in ("train", "validation", "test")))
