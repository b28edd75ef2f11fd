# Each target does its own set-up in .venv; `make` alone lists them.
# PYTHON=python3.12 picks the interpreter that .venv is made with, BUDGET=10m a longer demo.

PYTHON ?= python3
BUDGET ?= 3m
BIN := .venv/bin
STAMP := .venv/.metaloop-setup
DOCS_STAMP := .venv/.metaloop-docs
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# Thousands of tests import and start the package: let Python keep what it has compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test check format docs clean distclean

help:
	@echo "make setup    everything into .venv, at the versions of constraints.txt"
	@echo "make demo     learn to learn characters ($(BUDGET)), then handwritten digits from 1 and 5 examples"
	@echo "make test     the quick tests (CI also runs: $(BIN)/python -m pytest -m long)"
	@echo "make check    ruff, mypy, import-linter, docstrings"
	@echo "make format   let ruff mend what it can"
	@echo "make docs     the pages as a site in build/site; any warning is an error"
	@echo "make clean    remove caches and builds; distclean: .venv too. Neither touches runs/"

setup: $(STAMP)
	@:

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
	  echo "metaloop needs Python 3.10 or newer, and '$(PYTHON)' is not installed; name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "metaloop needs Python 3.10 or newer, and '$(PYTHON)' is `$(PYTHON) --version 2>&1`; name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments; install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "setting up .venv (the first time takes minutes: torch is large)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

# A new folder each time, so that no earlier run is lost.
demo: setup
	@out=runs/demo; n=1; while [ -e "$$out" ]; do n=$$((n + 1)); out=runs/demo-$$n; done; \
	echo "$(BIN)/metaloop learn --budget $(BUDGET) --out $$out"; \
	$(BIN)/metaloop learn --budget $(BUDGET) --out "$$out"

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/check_docstrings.py

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Warnings are errors, and nothing may be fetched from another host by whoever reads the site.
docs: $(DOCS_STAMP)
	rm -rf build/site build/doctrees
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -d build/doctrees docs build/site
	$(BIN)/python tools/check_site.py build/site
	@echo "open build/site/index.html"

$(DOCS_STAMP): $(STAMP)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "the tools that build the site need Python 3.11 or newer, and .venv has an older one: make distclean, make docs PYTHON=python3.12" >&2; exit 1; }
	@$(PIP) --no-build-isolation --editable '.[docs]'
	@touch $@

clean:
	rm -rf build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests tools examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean
	rm -rf .venv
