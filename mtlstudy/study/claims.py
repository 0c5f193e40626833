"""What may be said: an outcome with its figures here, the sentence for it in book/claims.ko.yml.

A claim has a kind (``verdict``), an outcome of that kind (``up``) and figures; the file holds one
sentence a kind and outcome. A claim whose outcome has no sentence raises, so the build stops.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mtlstudy.errors import unknown
from mtlstudy.study.words import filled, load

FILE = "claims.ko.yml"


class Claim(NamedTuple):
    """kind and outcome: where the sentence stands; figures: what is filled in, as strings.

    id: by what name a chapter or the paper cites it, such as ``weighting.all.nash_equal``; claims
    that nobody cites have none.
    """

    kind: str
    outcome: str
    figures: Mapping[str, Any]
    id: str = ""

    def sentence(self) -> str:
        """The sentence. `InputError` where the kind or outcome has none, or a figure is missing."""
        sentences = load(FILE)
        if self.kind not in sentences:
            raise unknown(f"book/{FILE}: claim", self.kind, sentences)
        outcomes = sentences[self.kind]
        if self.outcome not in outcomes:
            raise unknown(f"book/{FILE}: outcome of {self.kind}", self.outcome, outcomes)
        return filled(f"{self.kind}.{self.outcome}", outcomes[self.outcome], dict(self.figures))


def sentences(claims: Iterable[Claim]) -> list[str]:
    """The sentences of some claims, in order; those of outcome "none" say nothing."""
    return [claim.sentence() for claim in claims if claim.outcome != "none"]


def cited(claims: Iterable[Claim]) -> dict[str, Any]:
    """The sentences of the claims that have an id, nested by its dots."""
    found: dict[str, Any] = {}
    for claim in claims:
        if claim.id:
            *path, last = claim.id.split(".")
            at = found
            for part in path:
                at = at.setdefault(part, {})
            at[last] = claim.sentence()
    return found
