"""Korean names of methods and data sets, and numbers for the eye. Negative numbers carry U+2212."""

import math
import re

NONE = "–"
WEIGHTINGS = {
    "equal": "균등 가중", "scale_invariant": "척도 불변", "uncertainty": "불확실성", "static": "고정 가중",
    "equal_norm": "동일 노름", "nash": "내쉬", "block_nash": "블록 내쉬",
}  # fmt: skip
SHARINGS = {
    "single_task": "단일 과제", "hard": "하드 공유", "partial": "부분 공유", "soft": "소프트 공유", "trace_norm": "자취 노름",
    "tensor_factorised": "텐서 분해", "cross_stitch": "교차 연결", "sluice": "수문망", "hierarchical": "계층 공유",
    "sparse": "희소 공유", "mmoe": "MMoE", "ple": "PLE", "recon": "Recon",
}  # fmt: skip
METRICS = {
    "accuracy": "정확도", "macro_f1": "매크로 F1", "auc": "AUC", "mae": "MAE",
    "pearson": "피어슨 상관", "spearman": "스피어만 상관",
}  # fmt: skip
DATA = {
    "multi_mnist": "MultiMNIST", "yeast": "Yeast", "synthetic": "합성 자료", "toy": "장난감 문제", "diabetes": "당뇨병 환자",
    "korean_sentences": "한국어 문장", "korean_tagging": "한국어 태깅",
}  # fmt: skip
TASKS = {
    "sentiment": "감성", "hate": "혐오", "bias": "편향", "intention": "의도", "similarity": "유사도",
    "upos": "품사(UPOS)", "xpos": "형태소 부류", "deprel": "의존 관계",
}  # fmt: skip
CLASSES = {  # task → class → its Korean name, in order
    "sentiment": {"negative": "부정", "positive": "긍정"},
    "hate": {"hate": "혐오", "offensive": "공격", "none": "없음"},
    "bias": {"none": "없음", "gender": "성별", "others": "기타"},
    "intention": {"fragment": "단편", "statement": "서술", "question": "질문", "command": "명령",
                  "rhetorical question": "수사 의문", "rhetorical command": "수사 명령", "intonation": "억양 의존"},
}  # fmt: skip


def label(method: str) -> str:
    """Korean name of a method ``sharing+weighting``; hard sharing is named by its weighting.

    >>> label("hard+nash"), label("single_task+equal"), label("mmoe+nash")
    ('내쉬', '단일 과제', 'MMoE · 내쉬')
    """
    sharing, _, weighting = method.partition("+")
    if not sharing:
        return NONE
    if sharing == "single_task":
        return SHARINGS[sharing]
    name = WEIGHTINGS.get(weighting, weighting)
    return name if sharing == "hard" else f"{SHARINGS.get(sharing, sharing)} · {name}"


def family(method: str) -> str:
    """Korean name of the sharing structure alone, where only structures are compared.

    >>> family("hard+equal"), family("ple+equal")
    ('하드 공유', 'PLE')
    """
    sharing = method.partition("+")[0]
    return SHARINGS.get(sharing, sharing) or NONE


def place(method: str) -> tuple[int, int, str]:
    """Where a method stands in tables and figures: by its sharing, then by its weighting; unknown ones last, by name."""
    sharing, _, weighting = method.partition("+")
    sharings, weightings = list(SHARINGS), list(WEIGHTINGS)
    return (
        sharings.index(sharing) if sharing in sharings else len(sharings),
        weightings.index(weighting) if weighting in weightings else len(weightings),
        method,
    )


def number(value: float, digits: int = 1, *, sign: bool = False) -> str:
    """A number for the eye: fixed digits, U+2212, thousands separated; – where there is none; no negative zero.

    >>> number(-4.04, 1), number(4.6, sign=True), number(-0.04, 1, sign=True), number(float("nan")), number(12345, 0)
    ('−4.0', '+4.6', '0.0', '–', '12,345')
    """
    if not math.isfinite(value):
        return NONE if math.isnan(value) else ("∞" if value > 0 else "−∞")
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    if not re.search("[1-9]", text):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def bracket(low: float, high: float, digits: int = 1) -> str:
    """An interval in brackets; – where there is none.

    >>> bracket(-1.25, 3.0)
    '[−1.2, +3.0]'
    """
    return f"[{number(low, digits, sign=True)}, {number(high, digits, sign=True)}]" if math.isfinite(low + high) else NONE
