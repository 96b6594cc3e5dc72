# Two commands for users: make demo, make test. The rest is for developers.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: test venv clean
venv: $(STAMP)

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(STAMP): $(BIN)/uv constraints.txt pyproject.toml $(wildcard packages/*/pyproject.toml)
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --constraints constraints.txt \
		$(foreach p,$(wildcard packages/*),--editable $(p)) --group dev
	touch $@

test: $(STAMP)
	$(BIN)/python -m pytest

clean:
	rm -rf $(VENV)
