"""Diagrams show what the models are: colours and words agree with each family's own account of its
parameters."""

import re
from functools import cache
from itertools import combinations

import families
import pytest
import torch
import yaml
from diagrams import describe, diagram, example, tint
from laws.test_sharing_laws import BACKBONES, CASES, build
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch
from pages import ROOT
from wiring import wiring

from mtlstudy.errors import InputError
from mtlstudy.registry import entry, names
from mtlstudy.study.figures.style import save

FAMILIES, KINDS = names("sharing"), list(BACKBONES)
IN_TURN = [(name, KINDS[i % len(KINDS)]) for i, name in enumerate(FAMILIES)]
WORDS = {  # what the words on the drawn example must say
    "branched": ["layer1: 모든 과제가 공유", "layer3"],
    "cross_stitch": ["사본 3개", "α", "(단계 사이, 출력층 앞)"],
    "cosine_bipartition": ["layer1, layer2, layer3: 모든 과제가 공유"],
    "grouped": ["layer1, layer2, layer3: 과제마다 따로"],
    "hard": ["layer1, layer2, layer3: 모든 과제가 공유"],
    "hierarchical": ["layer2: task2, task3만 사용", "지름길", "task1: layer1, task2"],
    "ltb": ["layer1", "layer2", "layer3"],
    "mmoe": ["모든 과제가 쓰는 사본 3개", "따로 학습되는 부분(출력층 앞): 관문"],
    "nash_share": ["layer1, layer2, layer3: 모든 과제가 공유"],
    "partial": ["layer1, layer2: 모든 과제가 공유; layer3: 과제마다 따로"],
    "ple": [
        "모든 과제가 쓰는 사본 4개",
        "layer3: 모든 과제가 쓰는 사본 1개, 한 과제만 쓰는 사본 3개",
    ],
    "recon": ["과제마다 따로", "모든 과제가 공유"],
    "single_task": ["layer1, layer2, layer3: 과제마다 따로"],
    "sluice": ["α, β", "여러 단계의 출력", "벌점: 사본마다 따로"],
    "soft": ["과제마다 따로; 벌점: 사본들을 서로 묶음"],
    "sparse": ["모든 과제가 공유", "밀도 0."],
    "tag": ["layer1, layer2, layer3: 모든 과제가 공유"],  # three tasks, of which none is alone
    "tensor_factorised": ["가중치를 만드는 인자: 모든 과제가 공유"],
    "trace_norm": ["벌점: 사본들을 서로 묶음"],
}
model = cache(example)  # drawn and described many times, built once


def patches(figure):
    return [p for p in figure.axes[0].patches if p.get_gid()]


def colours(figure, kind, tasks):
    """(stage, name) → tasks whose colours its box has."""
    shades = {to_hex(tint(i)): task for i, task in enumerate(sorted(tasks))}
    found = {}
    for patch in patches(figure):
        what, *rest = patch.get_gid().split(":")
        if what == kind and len(rest) == 3:
            node = (int(rest[0]), rest[1])
            found.setdefault(node, set()).add(shades[to_hex(patch.get_facecolor())])
    return found


def declared(model):
    """Parameter → the tasks that the family says it serves."""
    serves = {}
    for use in model.usage():
        for p in use.parameters:
            serves.setdefault(p, set()).update(use.tasks)
    return serves


@pytest.mark.parametrize(("name", "kind"), IN_TURN)
def test_colours_are_the_tasks_that_the_family_names(name, kind):
    model, x, _ = build(name, kind)
    figure, serves = diagram(model, x), declared(model)
    shown = colours(figure, "copy", "abc")
    for l, stage in enumerate(model.stages):
        for copy, module in stage.items():
            expected = set().union(*(serves[p] for p in module.parameters()))
            assert shown[l, copy] == (expected or {copy}), f"{name} {kind}: {copy} of stage {l}"
    heads = {(len(model.stages), task.name): {task.name} for task in model.tasks}
    assert colours(figure, "head", "abc") == heads


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_autograd_finds_is_what_the_family_says(name, kind):
    model, x, _ = build(name, kind)
    parameters = {p: n for n, p in model.named_parameters()}
    said = {parameters[p]: tasks for p, tasks in declared(model).items()}
    reach = wiring(model, x).reach
    assert {n: tasks for n, tasks in reach.items() if not n.startswith("heads.")} == said


@pytest.mark.parametrize("name", FAMILIES)
def test_no_boxes_overlap_and_the_picture_holds_them(name):
    figure = diagram(model(name))
    ax = figure.axes[0]
    boxes = [p for p in patches(figure) if isinstance(p, FancyBboxPatch)]
    corners = [(b.get_x(), b.get_y(), b.get_width(), b.get_height()) for b in boxes]
    places = [(x, y, x + width, y + height) for x, y, width, height in corners]
    for (a, b, c, d), (e, f, g, h) in combinations(places, 2):
        assert c <= e or g <= a or d <= f or h <= b
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert all(left <= a and c <= right and low <= b and d <= high for a, b, c, d in places)
    assert len(boxes) >= 5


@pytest.mark.parametrize("name", FAMILIES)
def test_the_words_say_what_is_so(name):
    said = describe(model(name))
    assert all(word in said for word in WORDS[name]), said


def test_the_words_follow_the_model():
    said = describe(build("partial", "mlp", shared=1)[0])
    assert said == "layer1: 모든 과제가 공유; layer2: 과제마다 따로"
    assert describe(build("partial", "mlp", shared=2)[0]) == describe(build("hard", "mlp")[0])
    without = describe(build("soft", "mlp", strength=0.0)[0])
    assert "벌점" in without  # a penalty of weight 0 is still part of the model
    assert "지름길" not in describe(build("hierarchical", "mlp", shortcut=False)[0])


def test_mixing_and_penalties_are_drawn():
    gids = [p.get_gid() for p in patches(diagram(model("ple")))]
    assert {"mixer:관문(x)", "mixer:관문"} <= set(gids)
    drawn = {name: diagram(model(name)).axes[0] for name in ("soft", "sluice", "hard", "sparse")}
    texts = {name: [t.get_text() for t in ax.texts] for name, ax in drawn.items()}
    assert texts["soft"].count("벌점") == texts["sluice"].count("벌점") == 3
    assert "벌점" not in texts["hard"]
    assert sum(text.startswith("밀도 0.") for text in texts["sparse"]) == 9
    kinds = {"soft": "between", "trace_norm": "between", "sluice": "within", "hard": "none"}
    assert {name: set(wiring(model(name)).penalised) for name in kinds} == {
        name: {kind} for name, kind in kinds.items()
    }
    assert set(wiring(build("soft", "mlp", norm="l1")[0]).penalised) == {"between"}


def test_the_order_of_tasks_does_not_show():
    model, _, _ = build("hierarchical", "mlp")
    turned, _, _ = build("hierarchical", "mlp", tasks=model.tasks[::-1])
    assert describe(model) == describe(turned)


def test_files_are_the_same_bytes_and_nothing_random_is_touched(tmp_path):
    model, x, _ = build("mmoe", "text_cnn")
    model.train()
    state = torch.get_rng_state()
    one, other = (save(diagram(model, x), tmp_path / name) for name in ("a", "b"))
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(one, other, strict=True))
    assert torch.equal(state, torch.get_rng_state()) and model.training
    assert all(p.grad is None for p in model.parameters())


def test_an_input_is_needed_for_images_only():
    assert describe(build("hard", "text_cnn")[0])
    with pytest.raises(InputError, match="give two examples"):
        describe(build("hard", "cnn")[0])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_its_page(name):
    """With formula, diagram, the function itself, source, and a word on each option."""
    text = (ROOT / "book" / "sharing" / f"{name}.md").read_text(encoding="utf-8")
    front = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])
    assert set(front.get("options", {})) == set(entry("sharing", name).Options.model_fields)
    made = [f"% generated: {kind} {name}\n" for kind in ("diagram", "options")]
    for part in ("```{math}", f"mtlstudy/models/sharing/{name}.py", "{cite:p}", *made):
        assert part in text, f"{name}: {part}"
    assert {"shared", "parameters", "cite"} <= set(front)
    assert set(front) <= {"shared", "parameters", "cite", "options", "caption"}
    assert f"sharing/{name}" in (ROOT / "_toc.yml").read_text(encoding="utf-8")


def test_the_book_makes_its_tables_and_figures_from_the_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(families, "example", model)
    monkeypatch.setenv("MTLSTUDY_BUILD", str(tmp_path / "_build"))
    assert families.options(ROOT, "hard") == "이 구조에는 선택 사항이 없다."
    table = families.options(ROOT, "soft")
    strength = "벌점의 세기 $\\lambda$ | 실수 0 이상 1e+06 이하 | 0.001 | 0.0001, 0.001, 0.01 |"
    assert f"| `strength` | {strength}" in table and "| `l2`, `l1` | `l2` | – |" in table
    assert "과제마다 정수 1 이상" in families.options(ROOT, "hierarchical")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "sharing").symlink_to(ROOT / "book" / "sharing")
    (tmp_path / "_toc.yml").symlink_to(ROOT / "_toc.yml")
    every = families.overview(tmp_path)
    assert all(f"(`{name}`)" in every for name in FAMILIES)
    assert "{doc}`하드 공유 <sharing/hard>`" in every
    text = families.drawing(tmp_path, "partial")
    file = tmp_path / "book" / "_generated" / "partial.svg"
    first, changed = file.read_bytes(), file.stat().st_mtime_ns
    assert describe(example("partial")) in text and "/book/_generated/partial.svg" in text
    monkeypatch.setattr(families, "example", None)  # drawn once, until anything changes
    assert families.drawing(tmp_path, "partial") == text
    assert file.read_bytes() == first and file.stat().st_mtime_ns == changed
    file.unlink()
    families.drawing(tmp_path, "partial")
    assert file.read_bytes() == first


def test_the_first_chapter_has_its_diagram(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLSTUDY_BUILD", str(tmp_path / "_build"))
    families.ten_minutes(tmp_path)
    drawn = (tmp_path / "book/_generated/ten_minutes.svg").read_text(encoding="utf-8")
    boxes = [f'id="{gid}"' for gid in ("copy:0:shared:sex", "copy:0:shared:age", "head:1:age:age")]
    assert all(box in drawn for box in boxes)
