# Two commands on a fresh machine: `make quickstart` and `make test`. Each does all of its set-up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD_INPUTS := pyproject.toml setup.py constraints.txt $(wildcard src/orfevre/kernels/*.[ch])

.PHONY: quickstart install check test test-slow benchmark clean

quickstart: install
	$(BIN)/orfevre run recipes/quickstart.toml
	@echo "Open work/quickstart/report.html in a browser."

install: $(VENV)/installed

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/pytest

test-slow: $(VENV)/installed-benchmark
	$(BIN)/pytest -m slow

benchmark: $(VENV)/installed-benchmark
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) work build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -prune -exec rm -rf {} +
	rm -f src/orfevre/kernels/*.so

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "orfevre needs Python 3.11 to 3.13; name one with make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python $(BUILD_INPUTS)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/bin/python $(BUILD_INPUTS)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/installed

$(VENV)/installed-benchmark: $(VENV)/bin/python $(BUILD_INPUTS)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,benchmark]'
	touch $@ $(VENV)/installed $(VENV)/installed-dev
