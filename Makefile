# Everything from a fresh clone: `make demo`, `make test`, `make lint`, `make clean`.
# Needs Python >= 3.10 and nothing else; PYTHON=python3.12 picks another one.
# LATEST=1 tries the newest versions that pyproject.toml allows, in an environment of its own.

PYTHON ?= python3
PYTEST_ARGS ?= -n 2
SHELL := /bin/bash

# Packages are installed by the hashes of requirements*.lock, torch by its version alone: which of its
# wheels is right depends on the machine. HASHES= does without, for an index that builds its own.
HASHES ?= 1

ifdef LATEST
VENV := build/venv-latest
PIN :=
HASHES :=
else
VENV := .venv
PIN := -c constraints.txt
endif

PY := $(VENV)/bin/python
# Two levels of quiet: only errors are printed.
INSTALL := $(PY) -m pip install -qq --disable-pip-version-check --no-input $(PIN)
# What is left for the second step: torch, what it brings, and the package itself.
LOCKED := $(if $(HASHES),$(PY) -m pip install -qq --disable-pip-version-check --no-input --no-deps --require-hashes -r,true)
# Small tensors lose time on thread hand-over; each test worker has one thread.
ONE_THREAD := OMP_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo test lint wheel docs clean lock sbom audit

help:
	@echo "make demo   install, upscale samples/ into out/demo, print a table and a picture's path"
	@echo "make test   install with the dev extras and run the test suite"
	@echo "make lint   ruff, mypy and the import contract"
	@echo "make wheel  build sdist and wheel into dist/, use the wheel from an environment of its own"
	@echo "make docs   build the documentation as a site into build/site"
	@echo "make lock   write requirements*.lock, the versions of constraints.txt with hashes"
	@echo "make sbom   write sbom.cdx.json (CycloneDX): libraries and weights"
	@echo "make audit  ask for known vulnerabilities of the pinned versions; needs a network"
	@echo "make clean  remove the environment, caches and out/"

demo: $(VENV)/.stamp-run
	@$(PY) benchmarks/demo.py samples out/demo

test: $(VENV)/.stamp-dev
	@$(ONE_THREAD) $(PY) -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.stamp-dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports

# FRESH=1 installs the libraries anew, too; else those of $(VENV) are used.
wheel: $(VENV)/.stamp-dev
	@$(ONE_THREAD) $(PY) .ci/wheel.py $(if $(FRESH),--fresh) dist

# The variable silences what the theme says of MkDocs 2, which nothing here allows.
docs: $(VENV)/.stamp-dev
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	@echo "build/site/index.html"

lock: | $(PY)
	@$(PY) -m pip install -qq --disable-pip-version-check uv
	@$(PY) .ci/lock.py
	@$(PY) .ci/sbom.py

sbom: | $(PY)
	@$(PY) .ci/sbom.py

# In an environment of its own: its packages are none of ours.
audit:
	@test -x build/venv-audit/bin/python || $(PYTHON) -m venv build/venv-audit
	@build/venv-audit/bin/python -m pip install -qq --disable-pip-version-check pip-audit || \
	  { echo "audit: NOTHING WAS CHECKED: pip-audit cannot be installed, is there a network?" >&2; exit 2; }
	@build/venv-audit/bin/python .ci/audit.py

clean:
	rm -rf .venv build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	rm -rf .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "make: Python 3.10 or newer is needed, got $$($(PYTHON) --version 2>&1);" \
	    "name one with: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

# A stamp is newer than what it was made from: a second call installs nothing.
$(VENV)/.stamp-run: pyproject.toml constraints.txt requirements.lock | $(PY)
	@echo "Installing monai-sr into $(VENV) (minutes the first time, quick afterwards) ..."
	@$(LOCKED) requirements.lock
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml constraints.txt requirements-dev.lock | $(PY)
	@echo "Installing monai-sr with dev extras into $(VENV) (minutes the first time) ..."
	@$(LOCKED) requirements-dev.lock
	@$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.stamp-run
