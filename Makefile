# Two commands do everything on a fresh machine: `make demo` and `make test`.
.DEFAULT_GOAL := help
VENV := .venv
BENCH := .venv-bench
# Each has a RabbitMQ node of its own; the tests wait more than they work.
WORKERS ?= 3
PYTHON := $(VENV)/bin/python
export UV_PROJECT_ENVIRONMENT := $(VENV)
# Trust whom this machine trusts: behind a company's proxy that is more than uv's own list.
export UV_SYSTEM_CERTS := 1

.PHONY: help demo test test-containers wheel test-wheel bench figures check lint types format clean

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

$(VENV)/.installed: pyproject.toml uv.lock
	@command -v python3 >/dev/null || { echo "Python 3.11 or later is needed: apt-get install python3 python3-venv"; exit 1; }
	@test -x $(PYTHON) || python3 -m venv $(VENV) || { echo "python3 -m venv failed: apt-get install python3-venv"; exit 1; }
	@test -x $(VENV)/bin/uv || $(VENV)/bin/pip install --quiet --disable-pip-version-check 'uv>=0.5'
	@$(VENV)/bin/uv sync --frozen --quiet --inexact
	@touch $@

demo: $(VENV)/.installed ## Play the whole story; URL=amqp://... over that RabbitMQ; COMPOSE=1 in running containers
	@$(PYTHON) -m examples.demo $(if $(URL),--url '$(URL)') $(if $(COMPOSE),--compose)

test: $(VENV)/.installed ## Run every test, on a private RabbitMQ node that is found, or installed
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-containers: $(VENV)/.installed ## Build and run compose.yaml, restart each of its containers; takes minutes
	PLEXICA_TEST_CONTAINERS=1 $(PYTHON) -m pytest tests/containers $(ARGS)

wheel: $(VENV)/.installed ## Build wheel and sdist into dist/
	rm -rf dist
	$(VENV)/bin/uv build --quiet --out-dir dist

test-wheel: wheel ## Install the wheel elsewhere and run the acceptance tests against it
	.ci/test-wheel

# Of its own: nameko brings a pytest plugin that patches sockets, which no test should meet.
$(BENCH)/.installed: pyproject.toml uv.lock $(VENV)/.installed
	@UV_PROJECT_ENVIRONMENT=$(BENCH) $(VENV)/bin/uv sync --frozen --quiet --python $(PYTHON) --group bench
	@touch $@

bench: $(BENCH)/.installed ## Measure the bus beside its peers, 4 minutes; ROUNDS=5 ONLY=ours,c,aio-pika JSON=file SVG=file
	@$(BENCH)/bin/python -m benchmarks.compare $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY)) \
	    $(if $(JSON),--json '$(JSON)') $(if $(SVG),--svg '$(SVG)') $(ARGS)

figures: $(BENCH)/.installed ## Take every figure of docs/performance.md anew, on a quiet machine; 20 minutes
	@mkdir -p docs/figures
	$(BENCH)/bin/python -m benchmarks.compare --rounds $(or $(ROUNDS),3) --json docs/figures/calls.json --svg docs/bench.svg
	$(BENCH)/bin/python -m benchmarks.growth --rounds $(or $(ROUNDS),3) --json docs/figures/growth.json
	$(BENCH)/bin/python -m benchmarks.profile --json docs/figures/profile.json
	$(BENCH)/bin/python -m benchmarks.page

check: lint types ## Lint and types

lint: $(VENV)/.installed ## ruff
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed ## mypy, strict
	$(VENV)/bin/mypy

format: $(VENV)/.installed ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

clean: ## Remove what was installed and cached
	rm -rf $(VENV) $(BENCH) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
