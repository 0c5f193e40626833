"""Data cards of the book, generated from the data sets themselves."""

from html import escape

import torch
from torch import Tensor

from . import data as shelf
from .labels import number
from .tasks import Task


def card(name: str) -> str:
    """The data card as MyST text, from the class itself and its splits; every string from data is escaped."""
    cls = shelf.get(name)
    data = cls(cls.Options())
    splits = data.load(0)
    sizes = " / ".join(f"{len(s):,}" for s in (splits.train, splits.validation, splits.test))
    rows = {
        "출처": escape(cls.source),
        "라이선스": escape(cls.licence),
        "인용": escape(cls.citation),
        "검사합(sha256)": f"`{cls.sha256}`" if cls.sha256 else "생성 데이터: 소스가 곧 정의",
        "학습 / 검증 / 시험": sizes,
        "입력": " × ".join(str(n) for n in splits.train.inputs.shape[1:]),
        "유의점": escape(cls.notes) or "–",
    }
    lines = [f"({'data-' + name})=", f"## {escape(cls.title)} (`{name}`)", "", "| 항목 | 내용 |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in rows.items()]
    lines += ["", "| 과제 | 종류 | 지표 | 출력 수 | 학습 표본의 레이블 |", "|---|---|---|---|---|"]
    for task in data.tasks:
        balance = _balance(task, splits.train.targets[task.name])
        lines.append(f"| `{escape(task.name)}` | {task.kind} | {task.metric} | {task.outputs} | {balance} |")
    return "\n".join(lines) + "\n"


def _balance(task: Task, target: Tensor) -> str:
    if task.kind == "binary":
        return f"양성 {float((target > 0.5).float().mean()):.1%}"
    if task.kind == "multiclass":
        share = torch.bincount(target[target >= 0], minlength=task.outputs) / len(target)
        return f"부류별 {float(share.min()):.1%}–{float(share.max()):.1%}"
    if task.kind == "value":
        return "없음(출력이 곧 손실)"
    return f"평균 {number(float(target.mean()), 2)}, 표준편차 {number(float(target.std()), 2)}"
