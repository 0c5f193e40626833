"""The book's own Sphinx extension: computed numbers into the text, generated parts, nothing from
the network.

- `{{ claims.… }}`, `{{ run.… }}`, `{{ provenance.… }}` and `{{ profiles.… }}` come from
  _build/text/<profile>.json (`mtlstudy text`), the profile being $MTLSTUDY_PROFILE or the one
  shown; `{{ meta.… }}` is book/metadata.yml. A missing key is a warning, and so an error under -W.
- `% generated: KIND NAME` on a line is replaced by text made from the package and from result
  files: data-cards, downloads, licences, recheck, and for the chapters on sharing (see families.py)
  diagram, options and families.
- Scripts that sphinx-thebe would fetch from a CDN are dropped, and the policy of every page lets
  nothing in from elsewhere.
"""

import json
import os
import re
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import cards
import families
import yaml
from cards import table
from kept import digest, kept
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError
from sphinx.util import logging

from mtlstudy import data
from mtlstudy.files import result
from mtlstudy.registry import entry, names
from mtlstudy.study import plan
from mtlstudy.study.format import NONE, number
from mtlstudy.study.tables import escape
from mtlstudy.study.words import label, load, name, word
from mtlstudy.training.store import build_folder

log = logging.getLogger(__name__)
PROFILE = os.environ.get("MTLSTUDY_PROFILE", plan.SHOWN)
LICENCE = "License :: "
POLICY = (
    "default-src 'self' file: data: blob:; script-src 'self' file: 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' file: 'unsafe-inline'; object-src 'none'; base-uri 'none'"
)
"""The theme writes scripts and styles into its pages, and its bundler evaluates a line to find the
global object; a book opened from a folder has no host."""
PARTS = ("claims", "run", "provenance", "set")


def shown(value: Any) -> Any:
    """Values as the text shows them: strings escaped, lists of numbers joined."""
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        numbers = all(isinstance(item, int | float) for item in value)
        return ", ".join(map(str, value)) if numbers else [shown(item) for item in value]
    return escape(value) if isinstance(value, str) else value


def metadata(source: Path) -> dict[str, Any]:
    """book/metadata.yml, with joined `authors_…` (names), `byline_…` (with affiliations) and
    `keywords_…` in both languages."""
    meta = yaml.safe_load((source / "book/metadata.yml").read_text(encoding="utf-8"))
    if not isinstance(meta, dict):
        raise ConfigError("book/metadata.yml is empty: it names title, authors and keywords")
    for language in ("ko", "en"):
        authors = [author[f"name_{language}"] for author in meta["authors"]]
        places = [
            author.get(f"affiliation_{language}", author.get("affiliation", ""))
            for author in meta["authors"]
        ]
        pairs = zip(authors, places, strict=True)
        meta[f"authors_{language}"] = ", ".join(authors)
        meta[f"byline_{language}"] = ", ".join(f"{a} ({b})" if b else a for a, b in pairs)
        meta[f"keywords_{language}"] = ", ".join(meta[f"keywords_{language}"])
    return meta


def rendered() -> dict[str, Any]:
    """What `mtlstudy text` wrote; a missing or partial file stops the build."""
    file = build_folder() / "text" / f"{PROFILE}.json"
    content = result(file)
    if content is None:
        raise ConfigError(f"{file} is missing: `mtlstudy text --profile {PROFILE}` writes it")
    text = json.loads(content)
    if missing := [part for part in PARTS if part not in text]:
        raise ConfigError(f"{file}: no {', '.join(missing)}; `mtlstudy text` writes it anew")
    return {part: text[part] for part in PARTS} | {"profiles": text["set"].get("profiles", {})}


def configure(app: Sphinx, config: Config) -> None:
    """Substitutions, titles, and the figure that a notebook shows."""
    source = Path(app.srcdir)
    meta = metadata(source)
    values = shown({"meta": meta, **rendered()})
    config.myst_substitutions = {**config.myst_substitutions, **values}
    config.html_title = config.project = meta["title_ko"]
    copyright = word("book.licence", authors=meta["authors_ko"])
    config.copyright = config.html_context["copyright"] = copyright
    config.html_context["default_mode"] = "auto"


def draw(app: Sphinx) -> None:
    """The figure that the first chapter, a notebook, shows."""
    if (Path(app.srcdir) / "book/experiments/ten_minutes.ipynb").exists():
        families.ten_minutes(Path(app.srcdir))


def offline(app: Sphinx, config: Config) -> None:
    """Drop the listeners and files of sphinx-thebe: they add a script from a CDN to every page."""
    for listeners in app.events.listeners.values():
        listeners[:] = [x for x in listeners if not x.handler.__module__.startswith("sphinx_thebe")]
    for files in (app.registry.css_files, app.registry.js_files):
        files[:] = [one for one in files if "thebe" not in str(one[0])]


def guard(app: Sphinx, page: str, template: str, context: dict[str, Any], _: Any) -> None:
    """The content security policy of a page."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    context["metatags"] = policy + context.get("metatags", "")


def downloads(source: Path, _: str) -> str:
    """Links to the notebooks, the published csv tables and the paper; an empty kind is a
    warning."""
    kinds = {
        word("book.download.sources"): sorted(source.glob("notebooks/*.py")),
        word("book.download.notebooks"): sorted(source.glob("book/experiments/*.ipynb")),
        word("book.download.paper"): sorted((build_folder() / "paper").resolve().glob("*.pdf")),
        word("book.download.metadata"): [
            source / f"book/{f}" for f in ("references.bib", "metadata.yml")
        ],
    }
    for folder in sorted(source.glob("book/results/*/")):
        kinds[word("book.download.published", name=folder.name)] = sorted(folder.glob("*.csv"))
    lines = []
    for kind, files in kinds.items():
        if not files:
            log.warning("downloads: nothing for %r; build it before the book", kind, type="mtlbook")
        lines += ["", f"## {kind}", ""]
        for file in files:
            path = os.path.relpath(file, source / "book")
            lines.append(f"- {{download}}`{file.name} <{path}>` ({size(file)})")
    return "\n".join(lines) + "\n"


def size(file: Path) -> str:
    """File size for the eye."""
    kb = file.stat().st_size / 1024
    return f"{kb:,.0f} kB" if kb < 1024 else f"{kb / 1024:,.1f} MB"


def recheck(source: Path, _: str) -> str:
    """The published runs that were trained anew for this book, and whether they came out the
    same."""
    words, text = load("words.ko.yml")["book"]["recheck"], result(build_folder() / "recheck.json")
    found = json.loads(text) if text else {"drawn": []}
    if not found["drawn"]:
        return words["nothing"]
    verdicts = {
        "same bits": "same",
        "within the spread of seeds": "spread",
        "outside it": "outside",
    }
    rows = [
        [
            f"`{run['run_id'][:8]}`",
            escape(name("data_short", run["data"])),
            escape(label(run["method"])),
            str(run["seed"]),
            words[verdicts[run["verdict"]]],
            NONE if run["largest"] is None else number(run["largest"], 2),
            machine(run["published"]),
            machine(run["here"]),
        ]
        for run in found["drawn"]
    ]
    caption = words["caption"].format(commit=found["commit"])
    return table(caption, words["head"], rows, "tab-recheck", "lllrlrll")


def licences(source: Path, _: str) -> str:
    """Every installed package under the licence that its metadata names: an SPDX expression, the
    classifiers, or the first words of the field; of several versions the one that is imported."""
    words, by_licence = load("words.ko.yml")["book"]["licences"], dict[str, dict[str, str]]()
    first = {one.metadata["Name"]: one for one in reversed(list(distributions()))}
    for one in first.values():
        meta = one.metadata
        named = [c.rpartition(" :: ")[2] for c in meta.get_all("Classifier") or [] if LICENCE in c]
        free = next(iter((meta.get("License") or "").strip().splitlines()), "")[:60]
        licence = meta.get("License-Expression") or ", ".join(sorted(named)) or free or NONE
        by_licence.setdefault(licence, {})[meta["Name"]] = one.version
    rows = [
        [escape(licence), ", ".join(escape(f"{n} {v}") for n, v in sorted(packages.items()))]
        for licence, packages in sorted(by_licence.items())
    ]
    return table(words["caption"], words["head"], rows, "tab-licences", "ll")


def machine(where: dict[str, str]) -> str:
    """A processor and its instruction set."""
    return escape(" · ".join(where[key] for key in ("processor", "isa") if where.get(key)) or NONE)


def cards_of_all(source: Path, _: str) -> str:
    """Every data card; what was counted stays for the next build, until anything changes."""
    words, texts = load("words.ko.yml"), []
    code = digest([Path(cards.__file__), Path(data.__file__).parent])
    for one in names("data"):
        cls = entry("data", one)
        content = cls(cls.Options()).content() if cls.available() else ""
        rests_on = (code, content, words["card"], words["data"][one])
        texts.append(kept("cards", one, rests_on, lambda one=one: cards.card(one)))
    return "\n".join(texts)


GENERATED = re.compile(r"^% generated: ([a-z-]+)(?: (\w+))?$", re.MULTILINE)
KINDS = {
    "data-cards": cards_of_all,
    "downloads": downloads,
    "licences": licences,
    "recheck": recheck,
    "diagram": families.drawing,
    "options": families.options,
    "families": families.overview,
}


def generate(app: Sphinx, name: str, content: list[str]) -> None:
    """Fill in the generated parts of a page; a kind that is not known is a warning."""

    def made(line: re.Match[str]) -> str:
        if line[1] not in KINDS:
            allowed = ", ".join(KINDS)
            log.warning("%s: generated %r; allowed: %s", name, line[1], allowed, type="mtlbook")
            return ""
        return KINDS[line[1]](Path(app.srcdir), line[2] or "")

    text = families.front(content[0])[1] if name.startswith("book/sharing/") else content[0]
    content[0] = GENERATED.sub(made, text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure)
    app.connect("config-inited", offline)
    app.connect("builder-inited", draw)
    app.connect("source-read", generate)
    app.connect("html-page-context", guard)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
