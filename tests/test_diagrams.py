"""Diagrams show what the models are: colours and words agree with each family's own account of its parameters."""

import re
from itertools import combinations

import pytest
import torch
import yaml
from laws.test_sharing_laws import CASES, build
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch
from pages import ROOT

from mtlstudy.models import sharing
from mtlstudy.diagrams import describe, diagram, example, sentence, tint
from mtlstudy.errors import InputError
from mtlstudy.study.figures.style import save
from mtlstudy.wiring import wiring

WORDS = {  # what the sentence on the drawn example must say
    "cross_stitch": ["사본 3개", "α", "단계 사이와 출력층 앞"],
    "hard": ["layer1, layer2, layer3 단계는 모든 과제가 공유한다."],
    "hierarchical": ["layer2 단계는 task2, task3 과제만 쓰고", "지름길", "task1: layer1, task2"],
    "mmoe": ["모든 과제가 쓰는 사본 3개", "출력층 앞에 학습되는 부분(관문)"],
    "partial": ["layer1, layer2 단계는 모든 과제가 공유하고, layer3 단계는 과제마다 따로 있다."],
    "ple": ["모든 과제가 쓰는 사본 4개", "layer3 단계는 모든 과제가 쓰는 사본 1개, 한 과제만 쓰는 사본 3개"],
    "recon": ["과제마다 따로 있", "모든 과제가 공유"],
    "single_task": ["layer1, layer2, layer3 단계는 과제마다 따로 있다."],
    "sluice": ["α, β", "여러 단계의 출력", "사본마다 따로 벌점"],
    "soft": ["과제마다 따로 있고, 사본들을 서로 묶는 벌점이 붙는다."],
    "sparse": ["모든 과제가 공유", "밀도 0."],
    "tensor_factorised": ["모든 과제가 공유하는 인자로 만들어진다."],
    "trace_norm": ["사본들을 서로 묶는 벌점이 붙는다."],
}


def patches(figure):
    return [p for p in figure.axes[0].patches if p.get_gid()]


def colours(figure, kind, tasks):
    """(stage, name) → tasks whose colours its box has."""
    names = {to_hex(tint(i)): task for i, task in enumerate(sorted(tasks))}
    found = {}
    for patch in patches(figure):
        what, *rest = patch.get_gid().split(":")
        if what == kind and len(rest) == 3:
            found.setdefault((int(rest[0]), rest[1]), set()).add(names[to_hex(patch.get_facecolor())])
    return found


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_colours_are_the_tasks_that_the_family_names(name, kind):
    model, x, _ = build(name, kind)
    figure = diagram(model, x)
    shown, tasks = colours(figure, "copy", "abc"), {t.name for t in model.tasks}
    serves = {}
    for use in model.usage():
        for p in use.parameters:
            serves.setdefault(p, set()).update(use.tasks)
    for l, stage in enumerate(model.stages):
        for copy, module in stage.items():
            expected = set().union(*(serves[p] for p in module.parameters()))
            assert shown[l, copy] == (expected or {copy}), f"{name} {kind}: {copy} of stage {l}"
    assert colours(figure, "head", "abc") == {(len(model.stages), task): {task} for task in tasks}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_autograd_finds_is_what_the_family_says(name, kind):
    model, x, _ = build(name, kind)
    facts, names = wiring(model, x), {p: n for n, p in model.named_parameters()}
    said = {}
    for use in model.usage():
        for p in use.parameters:
            said.setdefault(names[p], set()).update(use.tasks)
    assert {n: tasks for n, tasks in facts.reach.items() if not n.startswith("heads.")} == said


@pytest.mark.parametrize("name", sharing.names())
def test_no_boxes_overlap_and_the_picture_holds_them(name):
    figure = diagram(example(name))
    ax = figure.axes[0]
    boxes = [p for p in patches(figure) if isinstance(p, FancyBboxPatch)]
    places = [(b.get_x(), b.get_y(), b.get_x() + b.get_width(), b.get_y() + b.get_height()) for b in boxes]
    for (a, b, c, d), (e, f, g, h) in combinations(places, 2):
        assert c <= e or g <= a or d <= f or h <= b
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert all(left <= a and c <= right and low <= b and d <= high for a, b, c, d in places) and len(boxes) >= 5


@pytest.mark.parametrize("name", sharing.names())
def test_the_sentence_says_what_is_so(name):
    said = describe(example(name))
    assert all(word in said for word in WORDS[name]), said
    assert said.count(".") - said.count("0.") == 1 and said.endswith("다.")


def test_the_sentence_follows_the_model():
    said = describe(build("partial", "mlp", shared=1)[0])
    assert said == "layer1 단계는 모든 과제가 공유하고, layer2 단계는 과제마다 따로 있다."
    assert describe(build("partial", "mlp", shared=2)[0]) == describe(build("hard", "mlp")[0])
    without = describe(build("soft", "mlp", strength=0.0)[0])
    assert "벌점" in without  # a penalty of weight 0 is still part of the model
    assert "지름길" not in describe(build("hierarchical", "mlp", shortcut=False)[0])
    assert sentence(["가 단계는 과제마다 따로 있다"]) == "가 단계는 과제마다 따로 있다."


def test_mixing_and_penalties_are_drawn():
    gids = [p.get_gid() for p in patches(diagram(example("ple")))]
    assert {"mixer:관문(x)", "mixer:관문"} <= set(gids)
    texts = {name: [t.get_text() for t in diagram(example(name)).axes[0].texts] for name in ("soft", "sluice", "hard", "sparse")}
    assert texts["soft"].count("벌점") == texts["sluice"].count("벌점") == 3 and "벌점" not in texts["hard"]
    assert sum(text.startswith("밀도 0.") for text in texts["sparse"]) == 9
    kinds = {name: set(wiring(example(name)).penalised) for name in ("soft", "trace_norm", "sluice", "hard")}
    assert kinds == {"soft": {"between"}, "trace_norm": {"between"}, "sluice": {"within"}, "hard": {"none"}}
    assert set(wiring(build("soft", "mlp", norm="l1")[0]).penalised) == {"between"}


def test_the_order_of_tasks_does_not_show():
    model, _, _ = build("hierarchical", "mlp")
    turned, _, _ = build("hierarchical", "mlp", tasks=model.tasks[::-1])
    assert describe(model) == describe(turned)


def test_files_are_the_same_bytes_and_nothing_random_is_touched(tmp_path):
    state = torch.get_rng_state()
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


@pytest.mark.parametrize("name", sharing.names())
def test_every_family_has_its_page(name):
    """With formula, diagram, the function itself, source, and a word on each option."""
    page = ROOT / "book" / "sharing" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    front = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])
    assert set(front.get("options", {})) == set(sharing.get(name).Options.model_fields)
    made = [f"% generated: {kind} {name}\n" for kind in ("diagram", "options")]
    for part in ("```{math}", f"mtlstudy/sharing/{name}.py", "{cite:p}", *made):
        assert part in text, f"{name}: {part}"
    assert set(front) == {"shared", "parameters", "cite"} | ({"options"} & set(front)) | ({"caption"} & set(front))
    assert f"sharing/{name}" in (ROOT / "_toc.yml").read_text(encoding="utf-8")
    particle = re.search(r"\}\}\s?(은|는|이|가|을|를|와|과|로|으로|이다|였다|이며)(?=[\s.,)])", text)
    assert not particle


def test_the_book_makes_its_tables_and_figures_from_the_classes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    import families

    assert families.options(ROOT, "hard") == "이 구조에는 선택 사항이 없다."
    table = families.options(ROOT, "soft")
    assert "| `strength` | 벌점의 세기 $\\lambda$ | 실수 0 이상 | 0.001 | 0.0001, 0.001, 0.01 |" in table
    assert "| `l2`, `l1` | `l2` | – |" in table and "과제마다 정수 1 이상" in families.options(ROOT, "hierarchical")
    every = families.overview(ROOT)
    assert all(f"(`{name}`)" in every for name in sharing.names()) and "{doc}`하드 공유 <sharing/hard>`" in every
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "sharing").symlink_to(ROOT / "book" / "sharing")
    text, file = families.drawn(tmp_path, "partial"), tmp_path / "book" / "_generated" / "partial.svg"
    first, changed = file.read_bytes(), file.stat().st_mtime_ns
    assert describe(example("partial")) in text and "/book/_generated/partial.svg" in text
    families.drawn(tmp_path, "partial")
    assert file.read_bytes() == first and file.stat().st_mtime_ns == changed and len(list(file.parent.iterdir())) == 1
