"""The built site in a real browser: every page, light and dark, wide and on a phone.

`make site-test` runs it. It needs Chromium (of the system, or $CHROMIUM) and the extra `site`;
where one is missing the tests are skipped, or fail with MTLSTUDY_REQUIRE_SITE=1.
"""

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import torch
import yaml

from mtlstudy.nash import coalition, nash_weights

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"], *(one["file"] for part in TOC["parts"] for one in part["chapters"])]
DARK = ("book/index", "book/method", "book/experiments/structure", "book/experiments/own_model")
"""The kinds of pages whose colours are looked at in the dark too; the phone sees all pages."""
VIEWS = (("light", 1300), ("dark", 1300), ("light", 390))
LARGEST = 1_000_000
"""Bytes of a page with its images."""
PAGE, EXPERIMENT = "book/sharing/hard", "book/experiments/weightings"

pytestmark = [pytest.mark.book, pytest.mark.site]


def needed(there: object, what: str) -> None:
    if not there and os.environ.get("MTLSTUDY_REQUIRE_SITE") == "1":
        pytest.fail(f"{what} is missing")
    if not there:
        pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where the site is served, on this machine."""
    needed((SITE / "book" / "index.html").exists(), f"the built book at {SITE}")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    needed(sync_playwright, "the extra site (pip install '.[site]')")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    needed(program, "Chromium (apt install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Any]:
    """A function that opens a page, and what went wrong since: console errors, failed requests,
    requests to other hosts."""
    contexts = []

    def go(name: str, scheme: str = "light", width: int = 1300, **options: Any) -> Any:
        size = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme, **options))
        page, wrong = contexts[-1].new_page(), list[str]()
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda r: wrong.append(f"failed: {r.url}"))
        page.on("response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status > 399 else 0)
        own = (address, "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(own) else wrong.append(r.url))
        page.goto(address + name + ("" if ".html" in name else ".html"))
        page.wait_for_load_state("networkidle")
        return page, wrong

    yield go
    for context in contexts:
        context.close()


def serious(page: Any) -> list[str]:
    """What axe finds serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound(name: str, opened: Any) -> None:
    for scheme, width in VIEWS:
        page, wrong = opened(name, scheme, width)
        assert not wrong, (scheme, width)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{scheme} {width}: scrolls sideways by {wide}"
        if width < 1000 or (scheme == "dark" and name in DARK):
            assert not serious(page), (scheme, width)


def test_no_page_is_heavy(address: str) -> None:
    for name in PAGES:
        file = SITE / f"{name}.html"
        text = file.read_text(encoding="utf-8")
        images = {part.split('"')[0] for part in text.split(' src="')[1:]}
        shown = [file.parent / one for one in images if one.endswith((".png", ".svg"))]
        assert len(text.encode()) + sum(one.stat().st_size for one in shown) < LARGEST, name


@pytest.mark.parametrize("part", ["\uae30\uc6b8", "\uad50\ucc28"])  # inside words of sentences
def test_search_finds_parts_of_words(part: str, opened: Any) -> None:
    page, wrong = opened(f"search.html?q={quote(part)}")
    page.wait_for_selector("#search-results li", timeout=10_000)
    assert page.locator("#search-results li").count() > 3 and not wrong


def test_tables_are_there_without_scripts(opened: Any) -> None:
    page, _ = opened(EXPERIMENT, java_script_enabled=False)
    table = page.locator("table.table").first
    assert table.is_visible() and table.locator("tbody tr").count() > 3


def column(page: Any, number: int) -> list[str]:
    cells = page.locator(f"table.table >> nth=0 >> tbody tr td:nth-child({number})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_a_table_sorts_by_number_and_back(opened: Any) -> None:
    page, wrong = opened(EXPERIMENT)
    heads = page.locator("table.table >> nth=0 >> thead th")
    at = next(i for i, text in enumerate(heads.all_inner_texts(), 1) if "\u0394m" in text)
    before = column(page, at)

    def numbers() -> list[float]:
        first = (text.replace("\u2212", "-").split(" ")[0] for text in column(page, at))
        return [float(text) for text in first if text.lstrip("+-")[:1].isdigit()]

    head = heads.nth(at - 1)
    head.locator("button").click()
    assert numbers() == sorted(numbers()) and len(numbers()) > 3
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").press("Enter")
    assert numbers() == sorted(numbers(), reverse=True)
    head.locator("button").press("Enter")
    assert column(page, at) == before and not wrong


def test_a_table_is_downloaded_as_it_is_read(opened: Any) -> None:
    page, _ = opened(EXPERIMENT)
    with page.expect_download() as waited:
        page.locator(".book-csv").first.click()
    lines = Path(waited.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 1 + len(column(page, 1)) and waited.value.suggested_filename[-4:] == ".csv"


def test_the_first_column_stays_on_a_phone(opened: Any) -> None:
    page, _ = opened(EXPERIMENT, "light", 390)
    cell = page.locator("table.table >> nth=0 >> tbody td").first
    before = cell.bounding_box()["x"]
    scrolled = page.locator(".pst-scrollable-table-container").first
    scrolled.evaluate("element => { element.scrollLeft = 200; }")
    assert scrolled.evaluate("element => element.scrollLeft") > 50
    assert abs(cell.bounding_box()["x"] - before) < 30


def test_code_opens_at_one_click(opened: Any) -> None:
    page, _ = opened(EXPERIMENT)
    code = page.locator("details.hide .highlight")
    assert code.count() > 3 and not code.last.is_visible()
    page.locator(".book-code").click()
    assert code.first.is_visible() and code.last.is_visible()
    page.locator(".book-code").click()
    assert not code.last.is_visible()


def test_what_one_can_touch_computes_what_the_package_computes(opened: Any) -> None:
    torch.manual_seed(0)
    page, wrong = opened("book/bargaining")
    for K in (2, 3, 3, 3):
        for J in torch.randn(10, K, 2, dtype=torch.float64) * 10.0 ** torch.randn(10, K, 1):
            said = page.evaluate("J => [Bargaining.nash(J), Bargaining.best(J)]", J.tolist())
            solution = nash_weights(J @ J.T)
            assert (said[0] is not None) == bool(solution.solved), J
            if said[0] is not None:
                assert torch.allclose(torch.tensor(said[0]).double(), solution.weights, rtol=1e-6)
            everyone = [(*c,) for n in range(1, K + 1) for c in combinations(range(K), n)]
            own = page.evaluate(
                "([J, c]) => c.map(m => Bargaining.value(J, m))", [J.tolist(), everyone]
            )
            assert own == pytest.approx(coalition.values(J @ J.T, everyone), abs=1e-6), J
            parts = coalition.exact(J @ J.T).coalitions
            assert sorted(map(tuple, said[1]["parts"])) == sorted(parts), J
    assert not wrong


def test_a_gradient_is_moved_by_keyboard_and_mouse(opened: Any) -> None:
    page, wrong = opened("book/bargaining")
    handle = page.locator("#bargaining circle").first
    before = handle.get_attribute("aria-valuetext")
    handle.press("ArrowUp")
    moved = handle.get_attribute("aria-valuetext")
    assert moved != before
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 60, box["y"] + 40, steps=3)
    page.mouse.up()
    assert handle.get_attribute("aria-valuetext") != moved
    page.get_by_label("\uc14b").check()
    assert page.locator("#bargaining circle").count() == 3
    assert page.locator("#bargaining-coalitions tbody tr").count() == 5 and not wrong


def test_the_policy_of_a_page_keeps_other_hosts_out(opened: Any) -> None:
    page, wrong = opened(PAGE)
    asked = "fetch('https://example.org/').then(() => 'let through', () => 'kept out')"
    assert page.evaluate(asked) == "kept out"
    assert any("Content Security Policy" in text for text in wrong)
