# The workflow from published results to book and paper: text and notebooks -> HTML and PDF.
# What is listed here comes from mtlstudy/study/plan.py. Training is `mtlstudy study`, by a pool of
# workers; the rule `cell` does the same for one method on one data set, as a job of a cluster.

import sys
from pathlib import Path

from mtlstudy import files
from mtlstudy.execute import executed
from mtlstudy.study import plan

PROFILE = config.get("profile", plan.SHOWN)
DEVICE = config.get("device", "auto")
PYTHON = sys.executable
PACKAGE = [str(p) for p in sorted(Path("mtlstudy").rglob("*.py")) if p.name not in ("cli.py", "new.py")]
COMPUTE = [p for p in PACKAGE if not {"study", "bench"} & {*Path(p).parts}]  # what a run depends on
STUDY = [p for p in PACKAGE if "bench" not in Path(p).parts]
PROFILES = {PROFILE, *(given["profile"] for given in plan.PARAMETERS.values() if "profile" in given)}
RESULTS = [str(p) for at in sorted(PROFILES) for p in sorted(Path("book/results", at).glob("*.*")) if p.suffix in (".csv", ".json")]
RELIABILITY = [str(p) for p in [Path("book/results/reliability.json")] if p.exists()]
BENCHES = [str(p) for p in sorted(Path("book/results/bench").glob("*.*"))]
WORDS = ["book/words.ko.yml", "book/claims.ko.yml"]
PAGES = [f"book/experiments/{page}.ipynb" for page in plan.NOTEBOOKS]
CHAPTERS = [
    "_config.yml", "_toc.yml", "book/metadata.yml", "book/references.bib", *WORDS,
    *(str(p) for pattern in ("*.md", "sharing/*.md", "_ext/*.py", "_static/**/*") for p in sorted(Path("book").glob(pattern)) if p.is_file()),
    "tests/laws/test_sharing_limits.py", "tests/test_trainers.py",  # quoted in chapters
]
TEXT = f"_build/text/{PROFILE}.json"
for built, read in {**dict.fromkeys(PAGES, executed), TEXT: files.result, "_build/recheck.json": files.result}.items():
    files.healed(read, Path(built))  # what was damaged since is moved aside, so that it is made anew


wildcard_constraints:
    page="[a-z_]+",
    cell=r"[a-z0-9_.]+",


localrules:
    all,


rule all:
    input:
        "_build/html/index.html",
        "_build/paper/kcc.pdf",


rule recheck:  # a sample of the published runs, trained again
    input:
        COMPUTE,
        RESULTS,
    output:
        "_build/recheck.json",
    priority: 20
    log:
        "_build/logs/recheck.log",
    shell:
        "{PYTHON:q} -m mtlstudy.cli recheck --profile {PROFILE} > {log} 2>&1 || (tail -20 {log}; exit 1)"


rule text:  # claims as sentences, numbers, provenance: what chapters and paper quote
    input:
        STUDY,
        WORDS,
        RESULTS,
        BENCHES,
        RELIABILITY,
        "_build/recheck.json",
    output:
        TEXT,
    log:
        "_build/logs/text.log",
    shell:
        "{PYTHON:q} -m mtlstudy.cli text --profile {PROFILE} > {log} 2>&1 || (tail -20 {log}; exit 1)"


rule notebook:
    input:
        STUDY,
        WORDS,
        RESULTS,
        source=lambda w: f"notebooks/{plan.NOTEBOOKS[w.page]}.py",
        benches=lambda w: BENCHES if w.page == "performance" else [],
    output:
        "book/experiments/{page}.ipynb",
    params:
        given=lambda w: " ".join(
            f"{k}={v}" for k, v in {"profile": PROFILE, **plan.PARAMETERS.get(w.page, {})}.items()
        ),
    priority: 10
    log:
        "_build/logs/notebook.{page}.log",
    shell:
        "{PYTHON:q} -m mtlstudy.execute {input.source} {output} {params.given}"
        " > {log} 2>&1 || (tail -20 {log}; exit 1)"


rule paper:
    input:
        TEXT,
        "book/metadata.yml",
        "book/references.bib",
        sorted(str(p) for p in Path("book/paper").glob("*.*")),
        "book/experiments/weightings.ipynb",  # draws the paper's figure
    output:
        "_build/paper/kcc.pdf",
        "_build/paper/kcc-review.pdf",
    log:
        "_build/logs/paper.log",
    shell:
        "{PYTHON:q} book/paper/build.py {PROFILE} > {log} 2>&1 || (tail -20 {log}; exit 1)"


rule book:
    input:
        CHAPTERS,
        PAGES,
        TEXT,
        "_build/recheck.json",
        "_build/paper/kcc.pdf",
    output:
        "_build/html/index.html",
    log:
        "_build/logs/book.log",
    shell:
        "MTLSTUDY_PROFILE={PROFILE} {PYTHON:q} -c 'from jupyter_book.cli.main import main; main()' build . -W --keep-going -n --all -q"
        " > {log} 2>&1 || (tail -50 {log}; rm -rf _build/.doctrees; exit 1)"  # what sphinx keeps may be damaged


rule study:  # every cell of the plan, as jobs of a cluster
    input:
        [f"_build/cells/{PROFILE}/{cell.name}" for cell in plan.cells(PROFILE)],


rule cell:  # tuning and reported runs of one method on one data set; finished runs are read
    input:
        COMPUTE,
    output:
        touch("_build/cells/" + PROFILE + "/{cell}"),
    threads: 1
    resources:
        mem_mb=8000 if DEVICE == "cuda" else 4000,
        runtime=60 if PROFILE == "quick" else 24 * 60,  # minutes
        gpu=1 if DEVICE == "cuda" else 0,
    log:
        "_build/logs/cell.{cell}." + PROFILE + ".log",
    shell:
        "{PYTHON:q} -m mtlstudy.cli study --profile {PROFILE} --cell {wildcards.cell} > {log} 2>&1"
