# mtlstudy: `make book` builds everything from nothing; `make help` lists the rest.
PYTHON ?= python3
PROFILE ?= quick
DEVICE ?= auto
CORES ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)
BIN := .venv/bin
# one thread a process: results do not depend on the number of cores, and jobs do not fight over them
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
SNAKEMAKE = $(BIN)/snakemake --cores $(CORES) --resources gpu=1 --rerun-incomplete --rerun-triggers mtime --quiet rules host --config profile=$(PROFILE) device=$(DEVICE)

.PHONY: help book test lint serve lock publish clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: .venv/installed ## install, run the study's quick profile, execute the notebooks, build book and paper
	@$(BIN)/snakemake --unlock --cores 1 --quiet all 2>/dev/null || true
	@$(SNAKEMAKE)
	@echo "book:  file://$(CURDIR)/_build/html/index.html"
	@echo "paper: $(CURDIR)/_build/paper/kcc.pdf (for print), $(CURDIR)/_build/paper/kcc-review.pdf (for review)"

test: book ## unit tests, laws, doctests, book, nbval on the executed notebooks
	MTLSTUDY_REQUIRE_BOOK=1 $(BIN)/python -m pytest -n $(CORES) --dist loadfile tests mtlstudy

lint: .venv/installed ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check mtlstudy tests notebooks
	$(BIN)/mypy

serve: book ## serve the book on http://localhost:8000
	$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

publish: book ## copy the computed results to book/results and the README
	$(BIN)/mtlstudy publish --profile $(PROFILE)

lock: ## write requirements.lock anew from pyproject.toml's ranges
	rm -rf _build/lock && $(PYTHON) -m venv _build/lock
	_build/lock/bin/python -m pip install --quiet torch==2.13.0
	_build/lock/bin/python -m pip install --quiet '.[study,test]'
	@{ echo '# Written by `make lock` from the ranges in pyproject.toml. torch comes without its CUDA packages: pip adds them where it needs them.'; \
	  _build/lock/bin/python -m pip freeze --all --exclude mtlstudy --exclude pip --exclude wheel | grep -v -E '^(nvidia-|triton|cuda-)' | sed 's/+cpu$$//'; } > requirements.lock

clean: ## remove what was built (runs, the training results, stay; so does .venv)
	rm -rf _build book/experiments .snakemake
