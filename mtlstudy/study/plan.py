"""THE list of the study: data sets, methods, comparisons declared in advance, budgets and seeds,
experiments and their notebooks. Everything else derives from it: what `make study` trains, the
workflow, the tables of README, book and paper, the tests.

To publish a further weighting is one name in `WEIGHTINGS`, a further family one in `FAMILIES`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mtlstudy.errors import InputError, unknown
from mtlstudy.registry import entry
from mtlstudy.training.config import RunConfig
from mtlstudy.training.tune import Budget

BASELINE = "single_task+equal"
HARD = "hard+equal"
WEIGHTINGS = (
    "equal",
    "scale_invariant",
    "uncertainty",
    "static",
    "equal_norm",
    "nash",
    "block_nash",
)
FAMILIES = (
    "single_task",
    "hard",
    "partial",
    "soft",
    "trace_norm",
    "tensor_factorised",
    "cross_stitch",
    "sluice",
    "hierarchical",
    "sparse",
    "mmoe",
    "ple",
    "recon",
)
STRUCTURES = ("grouped", "nash_share", "cosine_bipartition", "tag", "branched", "ltb")
"""Families that `structure` compares, on truths of its own."""


class Profile(NamedTuple):
    """How much work the study does: fields of every run, and the budget of tuning and seeds. live:
    a page trains what it lacks; otherwise it shows what is finished, and names the rest. data: the
    data sets it is for, none for all."""

    run: Mapping[str, Any]
    budget: Budget
    live: bool = True
    data: tuple[str, ...] = ()


FULL = Budget(
    trials=8,
    tuning_seeds=2,
    seeds=10,
    dropouts=(0.0, 0.3),
    schedules=("constant", "cosine"),
    rates=(3e-3, 1e-2),
    extend=2,
)
PROFILES: Mapping[str, Profile] = {
    "quick": Profile(
        {"steps": 250, "evaluations": 5, "mode": "sequential"},
        Budget(trials=3, tuning_seeds=1, seeds=3, dropouts=(0.0,)),
    ),
    "full": Profile({"steps": 2000, "evaluations": 20, "mode": "sequential"}, FULL, live=False),
    "encoder": Profile(  # two epochs of the top layers of a pretrained encoder
        {"steps": 250, "evaluations": 4, "mode": "sequential", "schedule": "cosine"},
        Budget(trials=2, tuning_seeds=1, seeds=3, dropouts=(0.1,), rates=(1e-4, 3e-4)),
        live=False,
        data=("korean_sentences", "korean_tagging"),
    ),
}
SHORTER = PROFILES["full"]._replace(run={**PROFILES["full"].run, "steps": 1000})
HEAVY = SHORTER._replace(budget=FULL._replace(seeds=5))
"""Of convolutional and token problems."""
FIXED = SHORTER._replace(budget=FULL._replace(dropouts=(0.3, 0.6), rates=(3e-4, 1e-3)))
"""Of fixed features of many dimensions, which an MLP has learned, and overfits, in fewer steps."""
SCALES: Mapping[str, Mapping[str, Profile]] = {  # by profile and data set, where it is another one
    "full": {
        **dict.fromkeys(("multi_mnist", "multi_fashion", "korean_tagging"), HEAVY),
        "korean_sentences": FIXED,
    },
}
FIELDS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {  # of a data set's runs, by profile
    "korean_sentences": {
        "quick": {
            "width": 24,
            "batch_size": 32,
            "data_options": {"train": 3000, "test": 1000, "length": 64},
        },
        "full": {
            "width": 128,
            "batch_size": 32,
            "data_options": {
                **{"features": "vectors", "length": 64},
                **{"pool": 22_000, "train": 4000, "test": 2000},
            },
        },
        "encoder": {
            "batch_size": 32,
            "data_options": {
                **{"features": "encoder", "layers": 2, "length": 64},
                **{"pool": 22_000, "train": 4000, "test": 2000},
            },
        },
    },
    "korean_tagging": {
        "quick": {"width": 32, "data_options": {"train": 4000}},
        "full": {"width": 32, "data_options": {"train": None}},
        "encoder": {
            "batch_size": 32,
            "data_options": {"features": "encoder", "layers": 2, "length": 64, "train": 4000},
        },
    },
}


class Comparison(NamedTuple):
    """Methods on data sets, tuned alike and paired by seed.

    declared: name → (a, b), the differences a − b that are tested; declared before any result. A
    pattern such as "hard+*" is the method of it that is best on validation. more: further data sets
    of the full profile.
    """

    data: tuple[str, ...]
    methods: tuple[str, ...]
    declared: Mapping[str, tuple[str, str]]
    more: tuple[str, ...] = ()


KOREAN = (BASELINE, HARD, "hard+nash")
KOREAN_DECLARED = {"hard_single": (HARD, BASELINE), "nash_equal": ("hard+nash", HARD)}
COMPARISONS: Mapping[str, Comparison] = {
    "weightings": Comparison(
        ("multi_mnist", "yeast"),
        (BASELINE, *(f"hard+{weighting}" for weighting in WEIGHTINGS)),
        {
            "nash_equal": ("hard+nash", HARD),
            "nash_equal_norm": ("hard+nash", "hard+equal_norm"),
            "best_single": ("hard+*", BASELINE),
        },
        ("korean_sentences",),
    ),
    "sharings": Comparison(
        ("multi_mnist", "yeast", "synthetic", "korean_tagging"),
        tuple(f"{family}+equal" for family in FAMILIES),
        {
            "hard_single": (HARD, BASELINE),
            "best_single": ("*+equal", BASELINE),
            "best_hard": ("*+equal", HARD),
        },
        ("korean_sentences", "multi_fashion", "adult", "tox21", "qm8", "diabetes"),
    ),
    "structures": Comparison(
        ("yeast",),
        (BASELINE, HARD, "nash_share+equal"),
        {
            "structure_hard": ("nash_share+equal", HARD),
            "structure_single": ("nash_share+equal", BASELINE),
        },
        ("korean_sentences",),
    ),
    "korean_sentences": Comparison(("korean_sentences",), KOREAN, KOREAN_DECLARED),
    "korean_tagging": Comparison(("korean_tagging",), KOREAN, KOREAN_DECLARED),
    "solver": Comparison(("multi_mnist", "yeast"), ("hard+nash", "hard+nash_ccp"), {}),
}
LIKE = {"hard+nash_ccp": "hard+nash"}
"""Method → the one whose tuned values it takes over in place of tuning."""
COMPUTED = ("solver", "toy", "baselines", "structure", "transfer", "overfitting", "mistakes")
"""What is computed beside runs, each a module of the study with `compute(profile)` and VERSION."""
NOTEBOOKS: Mapping[str, str] = {  # page of the book → the notebook that makes it
    "ten_minutes": "ten_minutes",
    "solver": "solver",
    "toy": "toy",
    "weightings": "weightings",
    "sharings": "sharings",
    "structure": "structure",
    "transfer": "transfer",
    "overfitting": "overfitting",
    "korean_sentences": "korean",
    "korean_tagging": "korean",
    "performance": "performance",
    "own_model": "own_model",
}
WORKED = ("ten_minutes", "own_model")
"""Notebooks whose code is what they show; that of the others is folded."""
SHOWN = "full"
"""The profile whose results README, chapters and paper quote; a page may name its own."""
PARAMETERS: Mapping[str, Mapping[str, str]] = {  # of a page's notebook
    "sharings": {"profile": "quick"},
    "solver": {"profile": "quick"},
    "toy": {"profile": "quick"},
    "korean_sentences": {"data": "korean_sentences"},
    "korean_tagging": {"data": "korean_tagging", "profile": "quick"},
}


def at(page: str, profile: str) -> str:
    """The profile of a page's results in a book of a profile."""
    return PARAMETERS.get(page, {}).get("profile", profile)


class Cell(NamedTuple):
    """All runs of one method on one data set: tuning candidates, then the reported seeds."""

    data: str
    method: str
    profile: str

    @property
    def name(self) -> str:
        """``data.sharing.weighting``, unique within a profile."""
        return f"{self.data}.{self.method.replace('+', '.')}"

    @property
    def sharing(self) -> str:
        """The sharing family of the method."""
        return self.method.partition("+")[0]

    @property
    def scale(self) -> Profile:
        """How much work is done on its data set."""
        return SCALES.get(self.profile, {}).get(self.data, PROFILES[self.profile])

    @property
    def config(self) -> RunConfig:
        """The configuration before tuning."""
        sharing, weighting = self.method.split("+")
        fields = {**self.scale.run, **FIELDS.get(self.data, {}).get(self.profile, {})}
        return RunConfig(data=self.data, sharing=sharing, weighting=weighting, **fields)

    @property
    def like(self) -> "Cell | None":
        """The cell whose tuned values this one takes over, None where it is tuned itself."""
        other = LIKE.get(self.method)
        return None if other is None else self._replace(method=other)


def cells(profile: str, comparison: str = "") -> list[Cell]:
    """Every cell of the plan once, or those of one comparison.

    Raises:
        InputError: an unknown profile or comparison.
    """
    names = [comparison] if comparison else COMPARISONS
    return list(dict.fromkeys(cell for name in names for cell in select(name, profile)))


def profile_named(name: str) -> Profile:
    """A profile; `InputError` with the nearest spelling for an unknown one."""
    if name not in PROFILES:
        raise unknown("profile", name, PROFILES)
    return PROFILES[name]


def select(comparison: str, profile: str, data: str = "", methods: str = "") -> list[Cell]:
    """The cells of a comparison, or of other data sets and methods, given with commas between.

    Raises:
        InputError: an unknown profile, comparison, data set or method.
    """
    profile_named(profile)
    if comparison not in COMPARISONS:
        raise unknown("comparison", comparison, COMPARISONS)
    chosen = _listed(methods, COMPARISONS[comparison].methods)
    for method in chosen:
        sharing, plus, weighting = method.partition("+")
        entry("sharing", sharing)
        if not plus:
            raise InputError(f"methods = {method!r}: allowed: sharing+weighting, such as hard+nash")
        entry("weighting", weighting)
    if methods and BASELINE not in chosen:
        chosen = [BASELINE, *chosen]  # what gains are relative to
    sets = data_sets(comparison, profile, data)
    return [Cell(one, method, profile) for one in sets for method in chosen]


def data_sets(comparison: str, profile: str, data: str = "") -> list[str]:
    """The data sets of a comparison in a profile, or those named. `InputError` for an unknown
    one."""
    one, of = COMPARISONS[comparison], PROFILES[profile]
    planned = one.data if of.live else one.data + one.more
    named = _listed(data, (name for name in planned if name in (of.data or planned)))
    for name in named:
        entry("data", name)
    return named


def place(method: str) -> tuple[int, int, str]:
    """Where a method stands in tables and figures: by sharing, then by weighting, then by name."""
    sharing, _, weighting = method.partition("+")
    first = FAMILIES.index(sharing) if sharing in FAMILIES else len(FAMILIES)
    second = WEIGHTINGS.index(weighting) if weighting in WEIGHTINGS else len(WEIGHTINGS)
    return first, second, method


def _listed(text: str, default: Iterable[str]) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()] or list(default)
