"""The Korean tagging benchmark: three tasks learned on Kaist, tested there or on another domain,
Google's treebank.

Source: this study, over the treebanks of `ud_korean`. Both must have the same labels: upos as it
is; deprel without its subtype (acl:relcl → acl), as the CoNLL shared tasks compare it (Zeman et
al., 2017, K17-3001); xpos as the class of the first morpheme in CLASSES, since Kaist's and Sejong's
tag sets have no tag in common. Training and validation are the same for both tests, and no training
or validation sentence stands in either test.
"""

from typing import Literal

from mtlstudy.data.base import Split, registry
from mtlstudy.data.tagged import GSD, KAIST, Sentences, Tagged, first_tag, relations

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


@registry.register("korean_tagging")
class KoreanTagging(Tagged):
    """Tasks upos, xpos (17 classes) and deprel, low to high, over the same words; the metric is the
    accuracy over words."""

    citation = "Chun et al., LREC 2018; McDonald et al., ACL 2013; this study"
    sources = (KAIST, GSD)
    columns = {
        "upos": ("upos", str),
        "xpos": ("xpos", lambda tag: CLASS.get(first_tag(tag), "")),
        "deprel": ("deprel", lambda relation: relation.split(":")[0]),
    }
    tasks = relations(17, len(CLASSES), 30)

    class Options(Tagged.Options):
        """Those of `Tagged`; test: "kaist", or "gsd", out of domain."""

        test: Literal["kaist", "gsd"] = "kaist"

    def sentences(self) -> tuple[Sentences, ...]:
        tests = (KAIST, "test"), (GSD, "test")
        known = (KAIST, "train"), (KAIST, "validation")
        train, validation, *_ = self.read(*known, *tests)
        return train, validation, *self.read(tests[self.options.test == "gsd"])

    def further(self, seed: int) -> dict[str, Split]:
        if self.options.test == "gsd":
            return {}
        other = type(self)(self.options.model_copy(update={"test": "gsd"}))
        return {"gsd": other.load(seed).test}
