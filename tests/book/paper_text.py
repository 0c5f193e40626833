"""A rendered text file with known contents, as chapters and paper read it, and the figure."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from mtlstudy import files
from mtlstudy.study.claims import Claim, cited
from mtlstudy.study.plan import SHOWN

DATA = ("multi_mnist", "yeast")
METHODS = (
    "single_task+equal",
    "hard+equal",
    "hard+scale_invariant",
    "hard+uncertainty",
    "hard+static",
    "hard+equal_norm",
    "hard+nash",
    "hard+block_nash",
)
SOLVERS = ("newton", "conic", "ccp", "ccp_published")
ARMS = (
    "hard",
    "oracle",
    "nash_share",
    "permuted",
    "warm_split",
    "hard_equal_parameters",
    "hard_equal_cost",
)
DECLARED = ("nash_equal", "nash_equal_norm", "best_single")
LABELS = {"multi_mnist": "MultiMNIST", "yeast": "Yeast"}
BUDGET = {"evaluations": "5", "seeds": "3", "steps": "250", "trials": "3", "tuning_seeds": "1"}


def claims(outcome: str = "unclear") -> dict[str, Any]:
    """The sentences that chapters and paper cite."""
    test = {"a": "내쉬", "b": "동일 노름", "difference": "+0.1", "p_holm": "0.500", "n": "6"}
    test |= {"interval": "[−0.3, +1.2]", "detectable": "0.9"}
    found = [Claim("verdict", "unclear", test, f"weightings.verdict.all.{n}") for n in DECLARED]
    found.append(Claim("verdict", "unclear", test, "verdict.korean_sentences.hard_single"))
    judged = ("two_groups.hard", "two_groups.permuted", "two_groups.parameters")
    for name in (*judged, "one_teacher.hard"):
        found.append(Claim("verdict", "unclear", test, f"structure.{name}"))
    counts = {key: "1" for key in ("tests", "up", "down", "lowest", "highest")}
    found.append(Claim("paper_known", "counted", counts, "paper.known"))
    pairs = {**counts, "data": "한국어 문장"}
    found.append(Claim("paper_alone", "counted", pairs, "paper.alone.korean_sentences"))
    size = {**test, "data": "Yeast", "method": "하드 공유"}
    for data in ("yeast", "korean_sentences"):
        found.append(Claim("overfitting_size", "unclear", size, f"overfitting_size.{data}.hard"))
    parts = ("abstract", "consequence", "conclusion")
    found += [Claim(f"paper_{part}", outcome, {}, f"paper.{part}") for part in parts]
    ends = {
        f"{end}{part}": "1.0" for end in ("highest", "lowest") for part in ("_delta", "_interval")
    }
    ends |= {"highest": "내쉬", "lowest": "균등 가중", "reduction": "49.4"}
    trained = {"mean": "+0.05", "largest": "0.60", "games": "900", "unsolved": "21"}
    for name in DATA:
        figures = {"data": LABELS[name]}
        found.append(Claim("paper_ranks", "ranked", figures | ends, f"paper.ranks.{name}"))
        found.append(
            Claim("paper_trained", "different", figures | trained, f"paper.trained.{name}")
        )
    return cited(found)


def text(outcome: str = "unclear") -> dict[str, Any]:
    """What the paper reads, and nothing besides."""
    solver = {"failed_percent": "2.5", "silent_percent": "1.5", "time": "310.2"}
    whole = {"cases": "120", "failed": "3", "worst": "3.1 × 10⁻¹⁴"}
    ranges = {"K_min": "2", "K_max": "40", "condition_min": "1.0", "condition_max": "1.0 × 10¹²"}
    stress = {name: dict(solver) for name in SOLVERS}
    stress["newton"]["cases"] = "90"
    recorded = {name: {s: {"failed_percent": "0.5"} for s in SOLVERS} for name in DATA}
    comparison: dict[str, Any] = {}
    limits = {"interval": "짝지은 시드의 최솟값과 최댓값", "edge": "3", "cells": "24"}
    limits |= {"runs": "48", "diverged": "0", "games": "900", "unsolved": "1"}
    one = {"difference": "+0.1", "p_holm": "0.500"}
    tests = {"all": {"nash_equal_norm": one}}
    size = {"tasks": "2", "train": "900", "steps": "2,000", "seeds": "10"}
    cells = {"delta_m_ci": "+36.0 [+30.0, +41.2]", "size": "28", "cost": "0.59"}
    judges: dict[str, Any] = {
        "two_groups": {
            "label": "두 집단",
            "arms": {arm: {**cells, "arm": arm, "ari": "0.91"} for arm in ARMS},
            "tests": {name: dict(one) for name in ("hard", "permuted", "parameters")},
        },
        "one_teacher": {"label": "교사 하나", "arms": {arm: dict(cells) for arm in ARMS}},
    }
    return {
        "claims": claims(outcome),
        "run": {
            "comparison": {**comparison, "tests": tests, "limits": limits},
            "solver": {"stress": stress | ranges | {"newton_all": whole}, "recorded": recorded},
            "structure": {"judges": judges, "seeds": [0, 1, 2]},
        },
        "provenance": {
            "profile": "quick",
            "seeds": [0, 1, 2],
            "device": "CPU",
            "date": "2026-01-02",
            "torch": "2.13.0",
            "python": "3.11.2",
        },
        "set": {
            **BUDGET,
            "lr_low": "3.0 × 10⁻⁴",
            "lr_high": "1.0 × 10⁻²",
            "failed": "1.0 × 10⁻³",
            "sets": [{"name": name, "label": LABELS[name], **size} for name in DATA],
            "recorded": [*DATA],
            "methods": [{"method": m, "label": m.partition("+")[2]} for m in METHODS],
            "solvers": [{"name": name, "label": name.upper()} for name in SOLVERS],
            "declared": list(DECLARED),
            "profiles": {"quick": BUDGET, "full": BUDGET, "lr": ["0.0003", "0.01"]},
        },
    }


def write(built: Path, content: dict[str, Any]) -> Path:
    """Write text and figure of the profile shown into a build folder; the path of the text."""
    figure, ax = plt.subplots(figsize=(7, 2.4))
    ax.plot([0, 1], [0, 1])
    file = built / f"results/{SHOWN}/figures/delta_m.pdf"
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"CreationDate": None})
    plt.close(figure)
    return put(built, content)


def put(built: Path, content: dict[str, Any]) -> Path:
    """Write the text alone."""
    file = built / f"text/{SHOWN}.json"
    files.publish(file.parent, {file.name: json.dumps(content, ensure_ascii=False)})
    return file
