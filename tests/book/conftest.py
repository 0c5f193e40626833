"""The built site and its pages, parsed once."""

import os
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "book" / "_ext"))
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Node:
    """An element: its tag, attributes, children (elements and text)."""

    tag: str
    attributes: dict[str, str]
    children: list["Node | str"] = field(default_factory=list)

    def all(self, tag: str) -> list["Node"]:
        """Every element below with this tag."""
        below = [child for child in self.children if isinstance(child, Node)]
        return [n for child in below for n in ([child] if child.tag == tag else []) + child.all(tag)]

    def text(self) -> str:
        """The text below, with white space made single."""
        return " ".join(self.raw().split())

    def raw(self) -> str:
        """The text below as it stands."""
        return "".join(c if isinstance(c, str) else c.raw() for c in self.children)

    def has(self, name: str) -> bool:
        """Whether it has this class."""
        return name in self.attributes.get("class", "").split()


class Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.stack = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {key: value or "" for key, value in attrs})
        self.stack[-1].children.append(node)
        if tag not in VOID:
            self.stack.append(node)

    def handle_endtag(self, tag: str) -> None:
        if any(node.tag == tag for node in self.stack[1:]):
            while self.stack.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.stack[-1].children.append(data)


def parse(path: Path) -> Node:
    parser = Parser()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser.stack[0]


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
    return [table["root"], *(chapter["file"] for part in table["parts"] for chapter in part["chapters"])]


@pytest.fixture(scope="session")
def pages(site: Path, toc: list[str]) -> dict[str, Node]:
    """The parsed pages by name."""
    return {name: parse(site / f"{name}.html") for name in toc}


@pytest.fixture(scope="session")
def articles(pages: dict[str, Node]) -> dict[str, Node]:
    """The article of each page: what was written, without navigation."""
    return {name: next(n for n in page.all("article") if n.has("bd-article")) for name, page in pages.items()}
