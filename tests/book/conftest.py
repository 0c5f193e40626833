"""The built site and its pages, parsed once."""

import os
from pathlib import Path

import pytest
import yaml
from pages import ROOT, Node, parse

HERE = Path(__file__).parent
SITE = ROOT / "_build" / "html"


@pytest.fixture(scope="session")
def site() -> Path:
    """The built book. Without it the tests are skipped, or fail where MTLSTUDY_REQUIRE_BOOK=1."""
    if not (SITE / "book" / "index.html").exists():
        reason = f"no built book at {SITE}: run `make book` first"
        if os.environ.get("MTLSTUDY_REQUIRE_BOOK") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return SITE


@pytest.fixture(scope="session")
def toc() -> list[str]:
    """The pages of _toc.yml."""
    table = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [
        table["root"],
        *(chapter["file"] for part in table["parts"] for chapter in part["chapters"]),
    ]


@pytest.fixture(scope="session")
def pages(site: Path, toc: list[str]) -> dict[str, Node]:
    """The parsed pages by name."""
    return {name: parse(site / f"{name}.html") for name in toc}


@pytest.fixture(scope="session")
def articles(pages: dict[str, Node]) -> dict[str, Node]:
    """The article of each page: what was written, without navigation."""
    return {
        name: next(n for n in page.all("article") if n.has("bd-article"))
        for name, page in pages.items()
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the built book is marked so; `make check` leaves it out."""
    for item in items:
        if item.path.parent == HERE and "site" in getattr(item, "fixturenames", ()):
            item.add_marker("book")
