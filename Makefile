# Everything that Headwater needs on a fresh machine: Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint bench clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.headwater ## Start the platform and run a real pipeline on real data
	@$(BIN)/headwater demo

test: $(VENV)/.dev ## Run the test suite
	$(BIN)/pytest -m "not slow"

test-slow: $(VENV)/.dev ## Run everything: soaks, kills, peers, browsers
	$(BIN)/pytest

lint: $(VENV)/.dev ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev ## Measure against what users would pick instead; prints ratios
	$(BIN)/python -m benchmarks

# pip is what is written last: an environment without it is one whose making was cut short, and is made again.
$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headwater needs Python 3.11 or newer; this is %d.%d. Name another: make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "Creating the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.headwater: $(VENV)/bin/pip pyproject.toml requirements.lock hatch_build.py
	@echo "Installing Headwater (about half a minute the first time)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/pip pyproject.toml requirements.lock hatch_build.py
	@echo "Installing Headwater and what its tests need"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	@touch $@ $(VENV)/.headwater

clean: ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
