"""The book's own Sphinx extension: computed numbers into the text, generated pages, nothing from the network.

- `{{ run.… }}` is _build/results/<profile>/values.json, the profile being $MTLSTUDY_PROFILE or quick; `{{ meta.… }}` is
  book/metadata.yml, `{{ profiles.… }}` the study's profiles. A missing key is a warning, and so an error under -W.
- `% generated: KIND NAME` on a line is replaced by text made from the package and from the result files: data-cards, downloads,
  and for the chapters on sharing (see families.py) diagram, options and families.
- Scripts that sphinx-thebe would fetch from a CDN are dropped.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import families
import yaml
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError
from sphinx.util import logging

from mtlstudy import cards, data
from mtlstudy.training.config import PROFILES
from mtlstudy.study.results import folder
from mtlstudy.study.tables import escape
from mtlstudy.training.tune import LEARNING_RATES

log = logging.getLogger(__name__)
PROFILE = os.environ.get("MTLSTUDY_PROFILE", "quick")


def shown(value: Any) -> Any:
    """Values as the text shows them: strings escaped, lists of numbers joined, the rest as it is."""
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        numbers = all(isinstance(item, int | float) for item in value)
        return ", ".join(map(str, value)) if numbers else [shown(item) for item in value]
    return escape(value) if isinstance(value, str) else value


def metadata(source: Path) -> dict[str, Any]:
    """book/metadata.yml, with joined `authors_…` (names), `byline_…` (with affiliations) and `keywords_…` in both languages."""
    found = yaml.safe_load((source / "book/metadata.yml").read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ConfigError("book/metadata.yml is empty: it names title, authors and keywords")
    for language in ("ko", "en"):
        names = [author[f"name_{language}"] for author in found["authors"]]
        places = [author.get(f"affiliation_{language}", author.get("affiliation", "")) for author in found["authors"]]
        found[f"authors_{language}"] = ", ".join(names)
        found[f"byline_{language}"] = ", ".join(f"{a} ({b})" if b else a for a, b in zip(names, places, strict=True))
        found[f"keywords_{language}"] = ", ".join(found[f"keywords_{language}"])
    return found


def configure(app: Sphinx, config: Config) -> None:
    """Substitutions and titles."""
    source, values = Path(app.srcdir), folder(PROFILE) / "values.json"
    if not values.exists():
        raise ConfigError(f"{values} is missing: the results come first (make book computes them)")
    meta = metadata(source)
    found = {"meta": meta, "run": json.loads(values.read_text(encoding="utf-8"))}
    rates = [f"{rate:g}" for rate in LEARNING_RATES]
    found["profiles"] = {name: profile.model_dump() for name, profile in PROFILES.items()} | {"lr": rates}
    config.myst_substitutions = {**config.myst_substitutions, **shown(found)}
    config.html_title = config.project = meta["title_ko"]
    config.copyright = config.html_context["copyright"] = f"{meta['authors_ko']} · 코드 MIT, 글과 그림 CC BY 4.0"


def offline(app: Sphinx, config: Config) -> None:
    """Drop the listeners and files of sphinx-thebe: they add a script from a CDN and an error to every page."""
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")]
    for files in (app.registry.css_files, app.registry.js_files):
        files[:] = [one for one in files if "thebe" not in str(one[0])]


def captioned(card: str, name: str) -> str:
    """A data card with its bare tables as numbered ones: what it is, then its tasks."""
    title = re.search(r"^## (.+?)(?: \(`|$)", card, re.MULTILINE)
    captions = iter(("자료 카드", "과제"))

    def wrap(table: re.Match[str]) -> str:
        what = next(captions)
        return f"```{{table}} {title[1] if title else name}: {what}\n\n{table[0].strip()}\n```\n"

    return re.sub(r"(?:^\|.*\n)+", wrap, card, flags=re.MULTILINE)


def downloads(source: Path) -> str:
    """Links to the notebooks' sources, the csv tables of every profile and the paper; an empty kind is a warning."""
    kinds = {
        "노트북의 원천(jupytext)": sorted(source.glob("notebooks/*.py")),
        "실행된 노트북": sorted(source.glob("book/experiments/*.ipynb")),
        f"계산한 결과({PROFILE})": sorted(folder(PROFILE).resolve().glob("*.csv")),
        "논문(KCC 양식, PDF)": sorted(source.glob("_build/paper/*.pdf")),
        "참고문헌과 메타데이터": [source / "book/references.bib", source / "book/metadata.yml"],
    }
    for place in sorted(source.glob("book/results/*/")):
        kinds[f"공개한 결과({place.name})"] = sorted(place.glob("*.csv"))
    lines = []
    for kind, files in kinds.items():
        if not files:
            log.warning("downloads: nothing for %r; build it before the book", kind, type="mtlbook")
        lines += ["", f"## {kind}", ""]
        lines += [f"- {{download}}`{file.name} <{os.path.relpath(file, source / 'book')}>` ({size(file)})" for file in files]
    return "\n".join(lines) + "\n"


def size(file: Path) -> str:
    """File size for the eye."""
    kb = file.stat().st_size / 1024
    return f"{kb:,.0f} kB" if kb < 1024 else f"{kb / 1024:,.1f} MB"


GENERATED = re.compile(r"^% generated: ([a-z-]+)(?: (\w+))?$", re.MULTILINE)


def cards_of_all(source: Path, name: str) -> str:
    """Every data card."""
    return "\n".join(captioned(cards.card(one), one) for one in data.names())


KINDS = {
    "data-cards": cards_of_all, "downloads": lambda source, name: downloads(source), "diagram": families.drawn,
    "options": families.options, "families": families.overview,
}  # fmt: skip


def generate(app: Sphinx, name: str, content: list[str]) -> None:
    """Fill in the generated parts of a page; a kind that is not known is a warning."""

    def made(found: re.Match[str]) -> str:
        if found[1] not in KINDS:
            log.warning("%s: generated %r; allowed: %s", name, found[1], ", ".join(KINDS), type="mtlbook")
            return ""
        return KINDS[found[1]](Path(app.srcdir), found[2] or "")

    text = families.front(content[0])[1] if name.startswith("book/sharing/") else content[0]
    content[0] = GENERATED.sub(made, text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure)
    app.connect("config-inited", offline)
    app.connect("source-read", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
