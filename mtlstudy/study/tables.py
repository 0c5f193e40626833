"""The study's numbers as tables and sentences: one frame -> Markdown (the book), HTML, plain text, csv (the paper).

Every string that comes from data is escaped. Negative numbers carry U+2212.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

import pandas as pd

from mtlstudy.errors import InputError
from mtlstudy.study.format import DATA, NONE, bracket, label, number
from mtlstudy.training.store import locked, root, write

COLUMNS = {
    "method": "방법", "delta_m_ci": "Δm (%) [구간]", "delta_m_tasks": "Δm 과제 평균 (%)", "mean_rank": "평균 순위",
    "negative_transfer": "부정 전이 (%)", "negative_certain": "그중 구간이 0 아래 (%)", "seeds": "시드",
    "diverged": "발산", "unsolved": "풀리지 않음/게임", "gap": "일반화 간격", "sd": "시드 표준편차",
    "parameters": "매개변수", "reduction": "감소율 (%)", "ms_per_step": "ms/단계", "seconds": "시간 (초)",
    "total_seconds": "탐색 포함 (초)",
    "cosine": "평균 코사인", "conflict": "충돌 비율 (%)", "lr": "학습률",
}  # fmt: skip
RESULT = ("method", "delta_m_ci", "delta_m_tasks", "mean_rank", "negative_transfer", "negative_certain", "seeds", "diverged")
COST = ("method", "parameters", "reduction", "ms_per_step", "seconds", "total_seconds", "lr", "unsolved", "gap", "sd", "cosine",
        "conflict")  # fmt: skip
PARTS = {"result": RESULT, "cost": COST}


def escape(text: object) -> str:
    """Text that Markdown (MyST) shows as it stands: punctuation escaped, HTML neutralised, one line.

    >>> escape("a|b <i> *c* {{d}}")
    'a\\\\|b &lt;i&gt; \\\\*c\\\\* \\\\{\\\\{d\\\\}\\\\}'
    """
    flat = html.escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]$|~^@#])", r"\\\1", flat)


class Table:
    """A table of strings that shows itself as MyST (numbered, with caption), HTML and plain text; see `show`."""

    def __init__(self, frame: pd.DataFrame, caption: str, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9-]+", name):
            raise InputError(f"name = {name!r}: allowed: lower-case letters, digits and -")
        self.frame, self.caption, self.name = frame.map(str), caption, name

    def markdown(self) -> str:
        """A MyST table directive with caption and label."""
        head = [escape(c) for c in self.frame]
        lines = [head, [":---"] + ["---:"] * (len(head) - 1)]
        lines += [[escape(v) for v in row] for row in self.frame.itertuples(index=False)]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"````{{table}} {escape(self.caption)}\n:name: {self.name}\n\n{body}\n````\n"

    def html(self) -> str:
        """A plain HTML table with its caption."""
        head = "".join(f'<th scope="col">{html.escape(str(c))}</th>' for c in self.frame)
        rows = ("".join(f"<td>{html.escape(v)}</td>" for v in row) for row in self.frame.itertuples(index=False))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><caption>{html.escape(self.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def plain(self) -> str:
        """Aligned columns for a terminal."""
        return f"{self.caption}\n{self.frame.to_string(index=False)}"

    def csv(self, path: Path) -> Path:
        """Write the strings as csv (UTF-8), as the paper's Typst source reads them."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.frame.to_csv(path, index=False, lineterminator="\n")
        return path

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/markdown": self.markdown(), "text/html": self.html(), "text/plain": self.plain()}


class Prose:
    """A computed sentence in Markdown; see `prose`."""

    def __init__(self, markdown: str, plain: str) -> None:
        self.markdown, self.plain = markdown, plain

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/markdown": self.markdown, "text/plain": self.plain}


class _Escaping(Formatter):
    def format_field(self, value: Any, spec: str) -> str:
        return escape(super().format_field(value, spec).replace("-", "−") if isinstance(value, float) else format(value, spec))


def prose(template: str, **values: Any) -> Prose:
    """A sentence with computed values: ``prose("Δm은 {x:.1f} %이다.", x=4.6)``; nested values as ``{c[yeast][nash]}``.

    The template is Markdown; every inserted value is escaped.

    Raises:
        InputError: a value is missing.
    """
    try:
        return Prose(_Escaping().vformat(template, (), values), template.format(**values))
    except (KeyError, IndexError, AttributeError) as missing:
        raise InputError(f"prose: no value {missing}; given: {', '.join(values) or 'none'}") from missing


def bullets(lines: Iterable[str]) -> Prose:
    """Computed sentences as a Markdown list, escaped."""
    given = list(lines)
    return Prose("\n".join(f"- {escape(line)}" for line in given), "\n".join(f"- {line}" for line in given))


class Tables:
    """Several tables shown one under the other."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = list(tables)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        shown = [table._repr_mimebundle_() for table in self.tables]
        return {kind: "\n\n".join(one[kind] for one in shown) for kind in ("text/markdown", "text/html", "text/plain")}


def show(frame: pd.DataFrame, caption: str, name: str) -> Table:
    """A table that a notebook shows and the book numbers under ``name``.

    Raises:
        InputError: the name is no label.
    """
    return Table(frame, caption, name)


def comparison(numbers: pd.DataFrame, data: str, part: str = "result") -> pd.DataFrame:
    """One data set's rows of `experiments.comparison.aggregate` as strings under Korean headings: all methods, all cells.

    part="result": Δm (both definitions), interval, mean rank, negative transfer, seeds, diverged runs;
    part="cost": parameters, time, learning rate, unsolved bargaining steps, gap, spread, gradient conflict.
    """
    if part not in PARTS:
        raise InputError(f"part = {part!r}: allowed: {', '.join(PARTS)}")
    rows = [formatted(row) for row in records(numbers[numbers["data"] == data])]
    if not rows:
        raise InputError(f"data = {data!r}: no results; there are: {', '.join(sorted(set(numbers['data'])))}")
    return pd.DataFrame(rows)[list(PARTS[part])].rename(columns=COLUMNS)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries by column name."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def formatted(row: Mapping[str, Any]) -> dict[str, str]:
    """One row of `experiments.comparison.aggregate` as strings. A mean without all its seeds says so: ``+1.2 (2/3)``."""
    count = f" ({row['left']}/{row['seeds']})" if row["left"] < row["seeds"] else ""
    base = row["method"] == "single_task+equal"
    delta = "기준" if base else number(row["delta_m"], sign=True) + count
    return {
        "method": label(row["method"]),
        "delta_m": delta,
        "delta_m_ci": delta if base else f"{delta} {bracket(row['low'], row['high'])}",
        "delta_m_tasks": "기준" if base else number(row["delta_m_tasks"], sign=True) + count,
        "interval": NONE if base else bracket(row["low"], row["high"]),
        "mean_rank": number(row["mean_rank"], 2),
        **{k: NONE if base else number(row[k], 0) for k in ("negative_transfer", "negative_certain")},
        "reduction": number(row["reduction"], 1),
        **{k: number(row[k], 0) for k in ("seeds", "diverged", "parameters", "total_seconds")},
        "unsolved": f"{number(row['unsolved'], 0)}/{number(row['games'], 0)}" if row["games"] > 0 else NONE,
        **{k: number(row[k], 1) for k in ("ms_per_step", "seconds")},
        **{k: number(row[k], 3) for k in ("gap", "cosine")},
        "sd": number(row["sd"], 2),
        "conflict": number(100 * row["conflict"], 0),
        "lr": str(row["lr"]),
    }


def declared(frame: pd.DataFrame, name: Callable[[str], str] = label) -> pd.DataFrame:
    """`statistics.compare`'s rows (with a column ``data``) as strings under Korean headings; name: how methods are called."""
    rows = [
        {
            "자료": DATA.get(r["data"], "모든 자료" if r["data"] == "all" else r["data"]),
            "비교": f"{name(r['a'])} − {name(r['b'])}",
            "쌍": number(r["n"], 0),
            "차이 (%p)": number(r["difference"], sign=True),
            "구간": bracket(r["low"], r["high"]),
            "효과 크기": number(r["effect"], 2),
            "p": number(r["p"], 3),
            "Holm p": number(r["p_holm"], 3),
            "가능한 최소 p": number(r["smallest_p"], 3),
        }
        for r in records(frame)
    ]
    return pd.DataFrame(rows)


def stamp(profile: str | Mapping[str, Any]) -> Prose:
    """The provenance line under a notebook, of a profile's results (values.json) or of a provenance record itself.

    Raises:
        InputError: the profile has no results yet, or a key is missing.
    """
    if isinstance(profile, str):
        file = root().parent / "_build" / "results" / profile / "values.json"
        if not file.exists():
            raise InputError(f"profile = {profile!r}: no {file}; `mtlstudy table comparison --profile {profile}` makes it")
        provenance = json.loads(file.read_text(encoding="utf-8")).get("provenance", {})
    else:
        provenance = profile
    keys = ("profile", "seeds", "device", "date", "commit", "python", "torch", "mtlstudy")
    missing = [key for key in keys if key not in provenance]
    if missing:
        raise InputError(f"provenance: {missing[0]!r} is missing; needed: {', '.join(keys)}")
    text = {k: ", ".join(map(str, v)) if isinstance(v, Sequence) and not isinstance(v, str) else v for k, v in provenance.items()}
    return prose("*출처*: 프로필 {profile}, 시드 {seeds}, 장치 {device}, 날짜 {date}, 커밋 {commit}, "
                 "mtlstudy {mtlstudy}, torch {torch}, Python {python}.", **text)  # fmt: skip


def merge_values(path: Path, name: str, values: Mapping[str, Any]) -> Path:
    """Put one experiment's values into values.json, keeping the others, also those that another process puts there meanwhile."""
    with locked(path):
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        kept[name] = values
        write(path, json.dumps(kept, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n")
    return path
