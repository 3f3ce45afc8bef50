# The workbench's housekeeping.  `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Debian's own Python first: one that a version manager put before it cannot see Debian's packages.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
BIN := .venv/bin
PIP := PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip --disable-pip-version-check

# --- for everyone ---------------------------------------------------------------------------------

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## make the Python environment in .venv; as root, install what live capture needs
	@tools/debian live

demo: setup ## replay every bundled trace: a table, charts, the notebook
	@$(BIN)/workbench demo

live: setup ## capture a real guest on this machine and replay it (root)
	@$(BIN)/workbench live

traces: setup ## capture the bundled traces again (root)
	@$(BIN)/python tools/make_traces.py

# --- for developers -------------------------------------------------------------------------------

test: lint types arch ## every check and test; this is what CI runs
	$(BIN)/pytest
	@echo "the model again, uncompiled, every line and branch of it:"
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest -q tests/model --cov --cov-report=term-missing:skip-covered
	@echo "the model again, with every array access checked:"
	NUMBA_BOUNDSCHECK=1 $(BIN)/pytest -q tests/model
	@$(MAKE) notebooks conformance

check: lint types arch ## the quick part of `make test`
	$(BIN)/pytest -q -m "not live"

lint: .venv/ready ## formatting and style
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet

types: .venv/ready ## types
	$(BIN)/mypy

arch: .venv/ready ## which room may import which
	$(BIN)/lint-imports

tidy: .venv/ready ## the house style, as tests
	$(BIN)/pytest -q tests/house

format: .venv/ready ## format the code, and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

conformance: .venv/ready ## 20,000 random programs on the model of the device and on QEMU's own
	@command -v qemu-system-x86_64 >/dev/null || [ -n "$${WORKBENCH_REQUIRE:-}" ] || \
	    { echo "no QEMU here: the model of the device is not held against it"; exit 0; }; \
	$(BIN)/workbench conform --count 20000 $${WORKBENCH_REQUIRE:+--require-coverage}

bench: .venv/ready .build/bench/ready ## how fast it is, as ratios to others measured in the same run
	@$(BIN)/python tools/bench.py

growth: .venv/ready ## how the cost of an event grows with events, guests, pages and settings
	@$(BIN)/python tools/bench_growth.py

cost: .venv/ready ## what a capture costs the guest it watches, and itself (root; up to two hours)
	@$(BIN)/python tools/bench_capture.py

.build/bench/ready:
	@rm -rf .build/bench && mkdir -p .build && $(PYTHON) -m venv .build/bench
	@.build/bench/bin/python -m pip --disable-pip-version-check install --quiet libcachesim==0.3.5 2> .build/bench/setup.log || \
	    { cat .build/bench/setup.log; exit 1; }
	@touch $@

notebooks: .venv/ready ## execute the notebooks, and keep them as HTML
	@rm -rf .build/notebooks
	$(BIN)/workbench notebooks --execute -o .build/notebooks

lab: .venv/ready ## the notebooks in JupyterLab, at the address it prints
	@$(BIN)/jupyter lab --config=tools/jupyter_lab/config.py notebooks

docs: .venv/ready ## the tables and pictures of the docs, anew
	$(BIN)/python tools/render_docs.py
	$(BIN)/python tools/draw_docs.py
	$(BIN)/python tools/draw_report.py

lock: ## resolve all dependencies anew into constraints.txt
	@rm -rf .build/lock && mkdir -p .build && $(PYTHON) -m venv .build/lock
	.build/lock/bin/python -m pip --disable-pip-version-check install --quiet '.[notebook,dev]'
	@{ echo "# Every package of .venv, with its exact version.  Made by \`make lock\`."; \
	   .build/lock/bin/python -m pip freeze --exclude balloon-workbench; } > constraints.txt
	@wc -l < constraints.txt

clean: ## remove everything that was made here
	rm -rf .venv .build dist demo-output live-output live-output.partial \
	    conform-corpus .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	    .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# hatchling comes first, because the constraints hold for it too: no build isolation.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || tools/debian python
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is too old: 3.11 or newer is needed; try make PYTHON=/path/to/python3"; exit 1; }
	@$(BIN)/python -c 'import pip' 2>/dev/null || \
	    { echo "making the Python environment in .venv (about a minute, once)"; \
	      rm -rf .venv; $(PYTHON) -m venv .venv; }
	@{ $(PIP) install hatchling editables && \
	   $(PIP) install --no-build-isolation --editable '.[notebook,dev]'; } > .venv/setup.log 2>&1 || \
	    { tail -n 20 .venv/setup.log; echo "the installation failed; all of it: .venv/setup.log"; exit 1; }
	@touch $@

.PHONY: help setup demo live traces test check lint types arch tidy format conformance bench growth cost notebooks lab docs lock clean
