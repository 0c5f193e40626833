# The one description of the study's workflow: runs -> tables -> notebooks -> book and paper.
# A job is all seeds of one (data, sharing, weighting); what it finished is kept in runs/, so a killed job goes on where it was.

import sys
from pathlib import Path

from mtlstudy.study import korean_settings as korean  # which of their data sets are on this machine
from mtlstudy.study.format import SHARINGS

PROFILE = config.get("profile", "quick")
DEVICE = config.get("device", "auto")
DATA = ["multi_mnist", "yeast"]
WEIGHTINGS = ["equal", "scale_invariant", "uncertainty", "static", "equal_norm", "nash", "block_nash"]
METHODS = ["single_task.equal", *(f"hard.{weighting}" for weighting in WEIGHTINGS)]
FAMILIES = [name for name in SHARINGS if name != "hierarchical"]  # on every data set; that one refuses tasks that have no levels
NOTEBOOKS = ["ten_minutes", "solver", "toy", "first_comparison", "sharing_comparison", "korean_sentences", "korean_tagging",
             "performance"]
TABLE_OF = {"solver": "solver", "toy": "toy", "first_comparison": "comparison", "sharing_comparison": "sharing",
            "korean_sentences": "korean", "korean_tagging": "korean"}

BENCHES = ["_build/bench", "book/results/bench"]  # what `mtlstudy bench` measured here, and what is published
RESULTS = f"_build/results/{PROFILE}"
PYTHON = sys.executable
BIN = Path(PYTHON).parent
MTLSTUDY = f"{PYTHON} -m mtlstudy.cli"
PACKAGE = [str(p) for p in sorted(Path("mtlstudy").rglob("*.py")) if p.name != "paper.py"]
SHOWN = {"cards.py", "diagrams.py", "execute.py", "figures.py", "frames.py", "labels.py", "layout.py", "lesson.py", "metrics.py", "new.py",
         "statistics.py", "style.py", "tables.py", "wiring.py"}
TRAINED = [p for p in PACKAGE if Path(p).name not in SHOWN and not {"experiments", "bench"} & {*Path(p).parts}]  # what a run can depend on
CHAPTERS = ["_config.yml", "_toc.yml", "book/metadata.yml", "book/references.bib",
            *map(str, sorted(Path("book").glob("*.md"))), *map(str, sorted(Path("book/sharing").glob("*.md"))),
            *map(str, sorted(Path("book/_ext").glob("*.py"))), "tests/laws/test_sharing_limits.py",  # quoted in a chapter
            *(str(p) for p in sorted(Path("book/_static").rglob("*")) if p.is_file())]
PAPER = ["book/metadata.yml", "book/references.bib", "mtlstudy/paper.py", *map(str, sorted(Path("book/paper").glob("*.*")))]


def record(data, method):
    return f"runs/studies/{data}.{method}.{PROFILE}.json"


STUDIES = [record(data, method) for data in DATA for method in METHODS]
CCP = [record(data, "hard.nash_ccp") for data in DATA]  # the customary procedure, trained as the exact solver was tuned
SHARED = [record(data, f"{family}.equal") for data in [*DATA, "synthetic"] for family in FAMILIES]
SHARED += [record("korean_tagging", f"{family}.equal") for family in [*FAMILIES, "hierarchical"] if "korean_tagging" in korean.here()]
OWN = {data: korean.arguments(data, PROFILE) for data in korean.here()}  # settings of their own
KOREAN = [record(data, method.replace("+", ".")) for data in OWN for method in korean.METHODS]
NEEDS = {"korean": KOREAN, "sharing": SHARED, "solver": [*CCP, *(record(data, "hard.nash") for data in DATA)], "toy": [],
         "comparison": STUDIES}


wildcard_constraints:
    data="[a-z0-9_]+",
    sharing="[a-z0-9_]+",
    weighting="[a-z0-9_]+",
    name="[a-z0-9_]+",


localrules:
    all,


rule all:
    input:
        "_build/html/index.html",
        "_build/paper/kcc.pdf",


rule run:  # all seeds of one (data, sharing, weighting): tuning and reported runs
    input:
        TRAINED,
        lambda w: record(w.data, "hard.nash") if w.weighting == "nash_ccp" else [],
    output:
        "runs/studies/{data}.{sharing}.{weighting}." + PROFILE + ".json",
    params:
        like=lambda w: "--like nash" if w.weighting == "nash_ccp" else "",
        own=lambda w: f"{OWN[w.data]} --name {w.data}.{w.sharing}.{w.weighting}.{PROFILE}" if w.data in OWN else "",
    threads: 1
    resources:
        mem_mb=8000 if DEVICE == "cuda" else 4000,
        runtime=60 if PROFILE == "quick" else 24 * 60,  # minutes
        gpu=1 if DEVICE == "cuda" else 0,
    priority: 10
    log:
        "_build/logs/run.{data}.{sharing}.{weighting}." + PROFILE + ".log",
    shell:
        MTLSTUDY + " run --data {wildcards.data} --sharing {wildcards.sharing} --weighting {wildcards.weighting}"
        " {params.like} {params.own} --profile " + PROFILE + " --device " + DEVICE + " > {log} 2>&1 && touch {output}"


rule table:
    input:
        PACKAGE,
        lambda w: NEEDS[w.name],
    output:
        RESULTS + "/{name}.json",
    priority: 20
    log:
        "_build/logs/table.{name}." + PROFILE + ".log",
    shell:
        MTLSTUDY + " table {wildcards.name} --profile " + PROFILE + " > {log} 2>&1 && touch {output}"


rule notebook:
    input:
        PACKAGE,
        source="notebooks/{name}.py",
        table=lambda w: RESULTS + f"/{TABLE_OF[w.name]}.json" if w.name in TABLE_OF else TRAINED,
        measured=lambda w: [str(p) for place in BENCHES for p in sorted(Path(place).glob("*.csv"))] if w.name == "performance" else [],
    output:
        "book/experiments/{name}.ipynb",
    log:
        "_build/logs/notebook.{name}.log",
    shell:
        "{PYTHON} -m mtlstudy.execute {input.source} {output} profile=" + PROFILE + " > {log} 2>&1"


rule book:
    input:
        PACKAGE,
        CHAPTERS,
        expand("book/experiments/{name}.ipynb", name=NOTEBOOKS),
        expand("notebooks/{name}.py", name=NOTEBOOKS),
        "_build/paper/kcc.pdf",
    output:
        "_build/html/index.html",
    log:
        "_build/logs/book.log",
    shell:
        "MTLSTUDY_PROFILE=" + PROFILE + " {BIN}/jupyter-book build . -W --keep-going -n --all -q > {log} 2>&1 || (tail -50 {log}; exit 1)"


rule paper:
    input:
        PAPER,
        "book/experiments/first_comparison.ipynb",  # draws the paper's figure
        expand(RESULTS + "/{name}.json", name=sorted(set(TABLE_OF.values()))),
    output:
        "_build/paper/kcc.pdf",
        "_build/paper/kcc-review.pdf",
    log:
        "_build/logs/paper.log",
    shell:
        "{PYTHON} -m mtlstudy.paper " + PROFILE + " > {log} 2>&1 || (tail -20 {log}; exit 1)"
