"""Data cards of the book, generated from the data sets themselves."""

from typing import Any

import torch
from torch import Tensor

from mtlstudy import data as shelf
from mtlstudy.data import _hub as hub
from mtlstudy.data._content import kind
from mtlstudy.data.base import Data, Splits
from mtlstudy.study.format import number
from mtlstudy.study.tables import escape
from mtlstudy.models.tasks import Task

EXAMPLES, LONGEST = 2, 80  # rows shown of a file, characters of a value
HARMLESS = {"hate": 2, "bias": 0}  # of abusive comments those are shown that the annotators found free of abuse


def card(name: str) -> str:
    """The data card as MyST text, from the class itself and its splits; every string from data is escaped.

    Of a set whose files are not on this machine the card says so and leaves out what only the files can tell.
    """
    cls = shelf.get(name)
    data = cls(cls.Options())
    rows = {
        "출처": escape(cls.source),
        "라이선스": escape(cls.licence),
        "인용": escape(cls.citation),
        **_origin(data),
        "검사합(sha256)": f"`{cls.sha256}`" if cls.sha256 else "생성 데이터: 소스가 곧 정의",
    }
    splits = data.load(0) if cls.available() else None
    rows |= _shape(data, splits) if splits else {"자료": "이 기계에 없음. 아래 표는 클래스의 정의만 옮긴 것이다."}
    rows["유의점"] = escape(cls.notes) or "–"
    lines = [f"({'data-' + name})=", f"## {escape(cls.title)} (`{name}`)", "", "| 항목 | 내용 |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in rows.items()]
    lines += ["", "| 과제 | 종류 | 지표 | 출력 수 | 학습 표본의 레이블 |", "|---|---|---|---|---|"]
    for task in data.tasks:
        balance = _balance(task, splits.train.targets[task.name]) if splits else "–"
        lines.append(f"| `{escape(task.name)}` | {task.kind} | {task.metric} | {task.outputs} | {balance} |")
    return "\n".join([*lines, *(_examples(data.sources[0]) if splits and data.sources else [])]) + "\n"


def _examples(source: hub.Source) -> list[str]:
    """Rows of a file as they are, cut to a length and escaped: a list in MyST."""
    table = hub.rows(source, next(iter(source.splits))).with_format("arrow")
    if "image" in [kind(field.type) for field in table.data.schema]:
        return []
    columns = [name for name in source.columns if kind(table.data.schema.field(name).type) != "struct"]
    picked: list[dict[str, Any]] = []
    for i in range(min(len(table), 1000)):
        row = {name: table[i][name][0].as_py() for name in columns}
        if all(row.get(name, value) == value for name, value in HARMLESS.items()) and len(picked) < EXAMPLES:
            picked.append(row)
    lines = ["", "파일의 예(길면 자름):", ""]
    for row in picked:
        lines.append("- " + ", ".join(f"`{name}` {_cut(value)}" for name, value in row.items()))
    return lines


def _cut(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return escape(text if len(text) <= LONGEST else text[:LONGEST] + "…")


def _origin(data: Data) -> dict[str, str]:
    """Hub ids, configurations, revisions and sizes of a hub set."""
    listed = [f"`{s.hub_id}` ({s.config}, {escape(s.revision)}, 약 {s.megabytes:g} MB)" for s in data.sources]
    return {"허브": ", ".join(listed)} if listed else {}


def _shape(data: Data, splits: Splits) -> dict[str, str]:
    """Examples of every split, duplicates across splits, form of the inputs; of texts the lengths as well."""
    parts = (splits.train, splits.validation, splits.test)
    pools = splits.train.sizes()
    sizes = {pool: " / ".join(f"{part.sizes()[pool]:,}" for part in parts) for pool in pools}
    text = ", ".join(f"{escape(pool)} {size}" if pool else size for pool, size in sizes.items())
    inputs = [part.inputs if isinstance(part.inputs, Tensor) else next(iter(part.inputs.values())) for part in parts]
    form = " × ".join(str(n) for n in splits.train.form())
    rows = {"학습 / 검증 / 시험": text}
    if data.vocabulary:
        tokens = (inputs[0] != 0).sum(1).double()
        middle, high = tokens.quantile(torch.tensor([0.5, 0.95], dtype=torch.float64)).tolist()
        rows["입력"] = f"토큰 번호 {form} (어휘 {data.vocabulary:,}; 길이 중앙값 {middle:.0f}, 95 % {high:.0f})"
    else:
        rows["입력"] = form
    rows["학습과 같은 시험 입력"] = f"{_common(inputs[0], inputs[2]):,}"
    return rows


def _common(train: Tensor, test: Tensor) -> int:
    """Test inputs that also stand in train."""
    seen = {row.numpy().tobytes() for row in train.flatten(1)}
    return sum(row.numpy().tobytes() in seen for row in test.flatten(1))


def _balance(task: Task, target: Tensor) -> str:
    if task.kind == "value":
        return "없음(출력이 곧 손실)"
    there = target != -100 if task.kind == "multiclass" else ~torch.isnan(target)
    missing = "" if task.kind == "multiclass" or there.all() else f", 결측 {float((~there).float().mean()):.1%}"
    target = target[there]
    if task.kind == "binary":
        return f"양성 {float((target > 0.5).float().mean()):.1%}{missing}"
    if task.kind == "multiclass":
        share = torch.bincount(target, minlength=task.outputs) / len(target)
        return f"부류별 {float(share.min()):.1%}–{float(share.max()):.1%}"
    return f"평균 {number(float(target.mean()), 2)}, 표준편차 {number(float(target.std()), 2)}{missing}"
