# Everything happens in .venv, made on the first run; nothing here needs root, and `demo` nothing that runs.
VENV := .venv
BIN := $(VENV)/bin

# TensorFlow has packages for these; the first one that is suitable is taken. PYTHON=... decides otherwise.
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(SUITABLE)' 2>/dev/null && echo "$$p" && break; done)

INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
DEMO := $(VENV)/.installed-all
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage check bench clean distclean

help: ## say what there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(DEMO) ## run everything once on the sample photographs (a minute and a half)
	@$(BIN)/python -m landmarq.demo

setup: $(DEV) ## make .venv with all that development needs

test: $(DEV) ## run all tests
	@$(BIN)/python -m pytest

coverage: $(DEV) ## run all tests and say which lines they don't reach
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered

check: $(DEV) ## lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## measure throughput and latency on this machine
	@$(BIN)/python -m benchmarks

clean: ## remove what was built and cached, and the demo's output
	rm -rf build dist demo-output htmlcov .coverage .coverage.* *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## and remove .venv
	rm -rf $(VENV)

# A stamp is as old as the installation it stands for; a changed pyproject.toml makes it again.
$(DEMO): pyproject.toml | $(BIN)/pip
	@echo "installing Landmarq into $(VENV) (the first time: TensorFlow, about 600 MB to download; several minutes)"
	@$(INSTALL) --editable '.[all]'
	@touch $@

$(DEV): pyproject.toml | $(BIN)/pip
	@echo "installing Landmarq and its development tools into $(VENV)" \
		"(the first time: TensorFlow, about 600 MB to download; several minutes)"
	@$(INSTALL) --editable '.[dev]'
	@touch $(DEMO) $@

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found (python3 is" \
		"$$(python3 -V 2>/dev/null || echo not there)): install one, or say PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c '$(SUITABLE)' || { echo "error: $(PYTHON) is $$("$(PYTHON)" -V 2>&1), Landmarq needs 3.11, 3.12" \
		"or 3.13: say PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "making $(VENV) with $$("$(PYTHON)" -V)"
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
