"""What the toy study says: its tables, its claims, and the numbers that the texts quote."""

from typing import Any

import pandas as pd

from mtlstudy.data.toy import SCALE, TOLERANCE, front
from mtlstudy.study import words
from mtlstudy.study.claims import Claim, sentences
from mtlstudy.study.format import number
from mtlstudy.study.tables import records
from mtlstudy.study.words import word

LATIN = {"pcgrad": "PCGrad", "cagrad": "CAGrad", "mgda": "MGDA"}


def name(method: str) -> str:
    """The name of a weighting.

    >>> name("cagrad")
    'CAGrad'
    """
    return LATIN.get(method) or words.name("weighting", method)


def point(*coordinates: float) -> str:
    """A point for the eye.

    >>> point(9.0, -1.0)
    '(9.00, −1.00)'
    """
    return f"({', '.join(number(value, 2) for value in coordinates)})"


def start(x1: float, x2: float) -> str:
    """A starting point in as few digits as it has.

    >>> start(-8.5, 9.0)
    '(−8.5, 9)'
    """
    return f"({x1:g}, {x2:g})".replace("-", "−")


def summary(ends: pd.DataFrame) -> pd.DataFrame:
    """One row a method, raw: starts, on_front, spread (%: the part of the front's width in x₁ that
    its ends on it span), worst gap (%), missed (the starts that did not arrive), games, unsolved,
    pareto_stationary, solved_every, steps."""
    edge = front()[0][:, 0]
    rows = []
    for method, own in ends.groupby("method", sort=False):
        reached, missed = own[own["on_front"]]["x1"], own[~own["on_front"]]
        rows.append(
            {
                "method": method,
                "starts": len(own),
                "on_front": len(reached),
                "spread": 100 * (reached.max() - reached.min()) / float(edge.max() - edge.min()),
                "worst": 100 * own["gap"].max(),
                "missed": ", ".join(map(start, missed["start_x1"], missed["start_x2"])),
                **own[["games", "unsolved", "pareto_stationary"]].sum().to_dict(),
                **own[["solved_every", "steps"]].max().to_dict(),
            }
        )
    return pd.DataFrame(rows)


def methods(ends: pd.DataFrame) -> pd.DataFrame:
    """Table: `summary`, a row a method."""
    rows = [
        {
            "method": name(row["method"]),
            "on_front": f"{row['on_front']}/{row['starts']}",
            "missed": row["missed"] or word("text.none"),
            **{key: number(row[key]) for key in ("spread", "worst")},
            **{key: number(row[key], 0) for key in ("steps", "solved_every")},
            "unsolved": f"{number(row['unsolved'], 0)}/{number(row['games'], 0)}",
        }
        for row in records(summary(ends))
    ]
    return pd.DataFrame(rows).rename(columns=lambda column: word(f"toy.columns.{column}"))


def points(ends: pd.DataFrame) -> pd.DataFrame:
    """Table: a row a start, a column a method: (ℓ₁, ℓ₂) where the path ended; * marks an end off
    the front."""
    shown: dict[str, dict[str, str]] = {}
    for row in records(ends):
        end = point(row["l1"], row["l2"]) + ("" if row["on_front"] else " *")
        shown.setdefault(start(row["start_x1"], row["start_x2"]), {})[name(row["method"])] = end
    return pd.DataFrame({word("toy.columns.start"): at, **own} for at, own in shown.items())


def cited(ends: pd.DataFrame) -> dict[str, Any]:
    """What the texts quote: the problem, and the findings."""
    edge = front()[0]
    held = [
        word("toy.held", method=name(row["method"]), every=row["solved_every"])
        for row in records(summary(ends))
        if row["solved_every"] > 1
    ]
    problem = {
        "steps": number(ends["steps"].max(), 0),
        "lr": f"{ends['lr'].max():g}",
        "starts": number(ends["start"].nunique(), 0),
        "scale": f"{SCALE:g}",
        "tolerance": number(100 * TOLERANCE, 0),
        "x2": number(float(edge[:, 1].mean()), 2),
        "x1_low": number(float(edge[:, 0].min()), 0),
        "x1_high": number(float(edge[:, 0].max()), 0),
        "held": ", ".join(held) or word("toy.none_held"),
    }
    return {"problem": problem, "findings": sentences(claims(ends))}


def claims(ends: pd.DataFrame) -> list[Claim]:
    """Who arrives, nash first; nash beside its control equal_norm; the games of nash."""
    rows = {row["method"]: row for row in records(summary(ends))}
    nash = rows["nash"]
    counts = ("games", "unsolved", "pareto_stationary")
    ahead = nash["on_front"] > rows["equal_norm"]["on_front"]
    return [
        *map(arrived, sorted(rows.values(), key=lambda row: row is not nash)),
        Claim("toy_control", "up" if ahead else "unclear", {}),
        Claim("toy_games", "counted", {key: number(nash[key], 0) for key in counts}),
    ]


def arrived(row: dict[str, Any]) -> Claim:
    """From how many starts a method, a row of `summary`, reaches the front."""
    several = "some" if row["on_front"] > 1 else "few"
    outcome = "all" if row["on_front"] == row["starts"] else several
    figures = {key: row[key] for key in ("starts", "on_front", "missed")}
    figures |= {"method": name(row["method"]), "spread": number(row["spread"])}
    return Claim("toy_arrived", outcome, figures)
