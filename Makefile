# For users: make demo, make test. The rest is for developers; make help lists it.
# Every target makes what it needs, once; nothing outside this directory and the caches of pip and uv changes
# (on Debian and Ubuntu python3-venv may be installed: tools/make_venv.sh).

PYTHON ?= python3
VENV ?= .venv
WHEELHOUSE ?= wheelhouse
DEMO ?= examples/demo.py
ARGS ?=

override VENV := $(abspath $(VENV))
BIN := $(VENV)/bin
UV := VIRTUAL_ENV=$(VENV) $(BIN)/uv
PACKAGES := $(sort $(patsubst %/pyproject.toml,%,$(wildcard packages/*/pyproject.toml)))
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
export PATH := $(BIN):$(PATH)
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test bench docs lint format types contracts wheels constraints changelog generated venv clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done
	@echo
	@echo "  variables: PYTHON=$(PYTHON) (>= 3.10)  VENV=$(notdir $(VENV))  ARGS= (passed on to pytest, bench, example)"

demo: $(STAMP) ## run the first example
	@test -f $(DEMO) || { echo "error: there is no example $(DEMO); choose another: make demo DEMO=FILE" >&2; exit 1; }
	@$(BIN)/python $(DEMO) $(ARGS)

test: $(STAMP) ## run all tests (some: make test ARGS='tests -k wheel')
	@$(BIN)/python -m pytest $(ARGS)

bench: $(STAMP) ## measure, and compare with the committed numbers
	@$(BIN)/python -m bench $(ARGS)

docs: $(DOCS_STAMP) ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs --quiet build --strict

lint: format types contracts ## ruff, mypy --strict, import contracts

format: $(STAMP) ## ruff check and ruff format --check
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || \
		{ echo "hint:  ruff format ." >&2; exit 1; }

types: $(STAMP) ## mypy --strict
	@$(BIN)/mypy --no-error-summary

contracts: $(STAMP) ## import contracts (.importlinter)
	@$(BIN)/lint-imports --no-logo

wheels: $(STAMP) ## build our wheels into wheelhouse/ (ALL=1: with every third-party wheel)
	@rm -rf $(WHEELHOUSE)
	@$(UV) build --quiet --wheel --all-packages --build-constraints constraints.txt --out-dir $(WHEELHOUSE)
	@rm -f $(WHEELHOUSE)/.gitignore
ifdef ALL
	@$(UV) pip install --quiet --constraints constraints.txt pip
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --constraint constraints.txt \
		--find-links $(WHEELHOUSE) --wheel-dir $(WHEELHOUSE) $(WHEELHOUSE)/*.whl
endif

constraints: $(STAMP) ## choose the newest third-party versions again (UPGRADE= keeps what is there)
	@tools/make_constraints.sh $(BIN)/uv

changelog: $(STAMP) ## print the changelog that the fragments make
	@$(BIN)/python -m tools.changelog

generated: $(STAMP) ## rewrite the committed numbers of tests/ratchets.toml, and the JSON schemas
	@$(BIN)/python -m tools.config_schemas
	@$(BIN)/python -m tools.ratchets

venv: $(STAMP) ## make the virtual environment

$(BIN)/uv:
	@tools/make_venv.sh $(PYTHON) $(VENV) constraints.txt

$(STAMP): $(BIN)/uv constraints.txt pyproject.toml $(wildcard packages/*/pyproject.toml) $(wildcard packages/*/scripts/*)
	@$(UV) pip install --quiet --compile-bytecode --constraints constraints.txt --build-constraints constraints.txt \
		$(addprefix --editable ,$(PACKAGES)) --group dev
	@touch $@

$(DOCS_STAMP): $(STAMP)
	@$(UV) pip install --quiet --constraints constraints.txt --group docs
	@touch $@

clean: ## remove the virtual environment, wheels, site and caches
	rm -rf $(VENV) $(WHEELHOUSE) site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
