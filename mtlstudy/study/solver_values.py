"""What the solver study says: its tables, its claims, and the numbers that the texts quote.

They read the frame of `solver.compute` and the runs of the comparison "solver". Times are ratios to
Newton on the same case, of one computation; no table has seconds.
"""

from typing import Any

import pandas as pd

from mtlstudy.study.claims import Claim, sentences
from mtlstudy.study.format import NONE, number, power
from mtlstudy.study.results import Results
from mtlstudy.study.solver import FAILED, SOLVED, SOLVERS, bound
from mtlstudy.study.words import name, word

COLUMNS = (
    *("cases", "failed", "failed_percent", "silent", "median", "worst", "agreement"),
    *("time", "iterations"),
)
LAWS = ("norm", "gain", "scale")
WEIGHTINGS = ("nash", "nash_ccp")


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """With three columns more. failed: a residual above 1e-3, or no weights; silent: failed though
    the status says solved; time: the seconds over Newton's on the same case."""
    failed = ~(frame["residual"] <= FAILED)
    silent = failed & frame["status"].isin(SOLVED)
    key = [frame["part"], frame["data"].fillna(""), frame["case"]]
    newton = frame["seconds"].where(frame["solver"] == "newton").groupby(key).transform("max")
    return frame.assign(failed=failed, silent=silent, time=frame["seconds"] / newton)


def common(frame: pd.DataFrame, part: str, data: str = "") -> pd.DataFrame:
    """The rows `judged` of one part, and one data set if named, that all solvers were given."""
    rows = judged(frame[frame["part"] == part])
    rows = rows[rows["data"] == data] if data else rows
    solvers = rows.groupby([rows["data"].fillna(""), "case"])["solver"].transform("nunique")
    return rows[solvers == len(SOLVERS)]


def counted(rows: pd.DataFrame) -> dict[str, str]:
    """One solver's rows as strings; the differences to the exact weights are over the cases that
    did not fail."""
    n, failed, silent = len(rows), rows["failed"].sum(), rows["silent"].sum()
    return {
        "cases": number(n, 0),
        "failed": number(failed, 0),
        "failed_percent": number(100 * failed / n if n else float("nan")),
        "silent": number(silent, 0),
        "silent_percent": number(100 * silent / n if n else float("nan")),
        "median": power(rows["residual"].median()),
        "worst": power(rows["residual"].max()),
        "agreement": power(rows.loc[~rows["failed"], "difference"].max()),
        "time": number(rows["time"].median()),
        "iterations": number(rows["iterations"].median(), 0),
    }


def by_solver(rows: pd.DataFrame) -> dict[str, dict[str, str]]:
    """`counted` of every solver."""
    return {solver: counted(rows[rows["solver"] == solver]) for solver in SOLVERS}


def solvers(frame: pd.DataFrame, part: str = "stress", data: str = "") -> pd.DataFrame:
    """Table: a row a solver. Only cases that all solvers were given count."""
    own = by_solver(common(frame, part, data)).items()
    rows = [{"solver": name("solver", solver), **cells} for solver, cells in own]
    return titled(pd.DataFrame(rows)[["solver", *COLUMNS]])


def families(frame: pd.DataFrame) -> pd.DataFrame:
    """Table: failures of every solver by family of stress Gramians, as "failed/cases"."""
    rows = []
    for family, own in common(frame, "stress").groupby("family", sort=False):
        cells = {solver: own.loc[own["solver"] == solver, "failed"] for solver in SOLVERS}
        rows.append(
            {
                word("solver.columns.family"): word(f"solver.families.{family}"),
                word("solver.columns.condition"): " ~ ".join(
                    power(value) for value in (own["condition"].min(), own["condition"].max())
                ),
                **{name("solver", s): f"{cell.sum()}/{len(cell)}" for s, cell in cells.items()},
            }
        )
    return pd.DataFrame(rows)


def statuses(frame: pd.DataFrame) -> pd.DataFrame:
    """Table: what the solvers themselves said of the stress cases on which they failed."""
    rows = common(frame, "stress")
    counts = rows[rows["failed"]].groupby(["solver", "status"], as_index=False).size()
    cells = [
        {"solver": name("solver", solver), "status": status, "failed": number(count, 0)}
        for solver, status, count in counts.to_numpy().tolist()
    ]
    return titled(pd.DataFrame(cells or [{"solver": NONE, "status": NONE, "failed": "0"}]))


def laws(frame: pd.DataFrame) -> pd.DataFrame:
    """Table: the largest error of the three laws over all stress cases of the exact solver."""
    rows = [
        {"law": word(f"solver.laws.{law}"), "error": power(newton(frame)[f"{law}_error"].max())}
        for law in LAWS
    ]
    return titled(pd.DataFrame(rows))


def trained(models: Results) -> pd.DataFrame:
    """Table: models trained with the exact weights and with the procedure's, by data set and task:
    means, and every paired difference."""
    rows = []
    for (data, task), values in tested(models).groupby(["data", "task"], sort=False):
        both = values.pivot(index="seed", columns="weighting", values="value")
        difference = 100 * (both["nash_ccp"] - both["nash"])
        rows.append(
            {
                "data": name("data_short", str(data)),
                "task": name("task", str(task)),
                "metric": name("metric", values["metric"].iloc[0]),
                "nash": number(100 * both["nash"].mean(), 2),
                "nash_ccp": number(100 * both["nash_ccp"].mean(), 2),
                "sd": number(100 * both["nash"].std(), 2),
                "differences": ", ".join(number(d, 2, sign=True) for d in difference),
            }
        )
    return titled(pd.DataFrame(rows))


def titled(frame: pd.DataFrame) -> pd.DataFrame:
    """Under the headings of the book."""
    return frame.rename(columns=lambda column: word(f"solver.columns.{column}"))


def newton(frame: pd.DataFrame) -> pd.DataFrame:
    """All stress cases of the exact solver, `judged`."""
    rows = judged(frame[frame["part"] == "stress"])
    return rows[rows["solver"] == "newton"]


def tested(models: Results) -> pd.DataFrame:
    """The test metrics of the reported hard+nash and hard+nash_ccp runs."""
    rows = models.metrics
    keep = rows["weighting"].isin(WEIGHTINGS) & (rows["role"] == "final")
    return rows[keep & (rows["split"] == "test") & (rows["sharing"] == "hard")]


def compared(models: Results) -> dict[str, tuple[str, dict[str, str]]]:
    """Data set → the models trained both ways: same, different or untested (no pair is left), and
    the differences over the pairs (task, seed) and the games of either way as strings."""
    runs, found = models.runs[models.runs["role"] == "final"], {}
    for data, values in tested(models).groupby("data", sort=False):
        both = values.pivot(index=["seed", "task"], columns="weighting", values="value")
        difference = 100 * (both["nash_ccp"] - both["nash"]).dropna()
        own = runs[runs["data"] == data].groupby("weighting")[["games", "unsolved"]].sum()
        games = {
            str(weighting): row.map(lambda n: number(n, 0)) for weighting, row in own.iterrows()
        }
        outcome = "different" if difference.any() else "same"
        figures = {
            "data": name("data_short", str(data)),
            "pairs": number(len(difference), 0),
            "mean": number(difference.mean(), 2, sign=True),
            "largest": number(difference.abs().max(), 2),
            **games["nash_ccp"],
            **games["nash"].add_prefix("exact_"),
        }
        found[str(data)] = (outcome if len(difference) else "untested", figures)
    return found


def cited(frame: pd.DataFrame, models: Results) -> dict[str, Any]:
    """What chapters and paper quote: stress, recorded (by data set), findings."""
    exact, recorded = newton(frame), frame.loc[frame["part"] == "recorded", "data"]
    return {
        "stress": {
            **by_solver(common(frame, "stress")),
            "newton_all": counted(exact),
            "K_min": number(exact["K"].min(), 0),
            "K_max": number(exact["K"].max(), 0),
            "condition_min": power(exact["condition"].min()),
            "condition_max": power(exact["condition"].max()),
            "scale_max": power(exact["scale"].max()),
        },
        "recorded": {d: by_solver(common(frame, "recorded", d)) for d in recorded.unique()},
        "findings": sentences(claims(frame, models)),
    }


def paper(models: Results) -> list[Claim]:
    """The claims that the paper cites, ``paper.trained.<data>``."""
    trained = compared(models).items()
    return [
        Claim("paper_trained", one, own, f"paper.trained.{data}") for data, (one, own) in trained
    ]


def claims(frame: pd.DataFrame, models: Results) -> list[Claim]:
    """What the numbers allow to be said, in the order in which it is said."""
    exact, stress = newton(frame), by_solver(common(frame, "stress"))
    above = int((exact["residual"] > bound(exact["cosine_condition"])).sum())
    sound = not above and not exact["failed"].any()
    whole = {**counted(exact), "above": number(above, 0)}

    def figures(key: str) -> dict[str, str]:
        return {solver: own[key] for solver, own in stress.items()}

    given = {"given": stress["newton"]["cases"]}
    time = common(frame, "stress").groupby("solver")["time"].median()["ccp"]
    found = [
        Claim("solver_exact", "solved" if sound else "failed", whole),
        Claim("solver_failed", "counted", figures("failed_percent") | given),
        Claim("solver_silent", "counted", figures("silent") | given),
        Claim("solver_time", "slower" if time > 1 else "faster", figures("time")),
    ]
    for data, own in frame[frame["part"] == "recorded"].groupby("data", sort=False):
        found.append(on_recorded(own, str(data)))
    return found + [Claim("solver_trained", *compared(models)[data]) for data in compared(models)]


def on_recorded(own: pd.DataFrame, data: str) -> Claim:
    """The claim on the Gramians recorded on one data set."""
    exact = own[own["solver"] == "newton"]
    failed = {s: cells["failed"] for s, cells in by_solver(common(own, "recorded")).items()}
    unsolvable = number((exact["status"] != "SOLVED").sum(), 0)
    figures = {"data": name("data_short", data), "cases": number(len(exact), 0)}
    return Claim("solver_recorded", "counted", figures | failed | {"unsolvable": unsolvable})
