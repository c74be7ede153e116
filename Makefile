# Everything below needs Python 3.11 or newer and make, nothing else. Run `make` for the list.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.everwhen-setup

LOG   ?= sqlite:///.demo/log.db
STORE ?= sqlite:///.demo/store.db

RANDOM_SEED := $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')

# Without its bytecode every process would compile the package anew, and the tests start hundreds of them. What is
# installed is compiled when it is first imported: to compile all of it took a third of the setup.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo orders test axes mutants simulate torture torture-outbox verdicts check fuzz
.PHONY: bench bench-quick bench-time bench-rebuild bench-memory bench-outbox parts peers clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with all that development needs

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed and $(PYTHON) is not: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
		{ echo "$(PYTHON) cannot make virtual environments: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev,postgres]'
	@touch $@

demo: setup ## Run the example; LOG=kafka://HOST:PORT and STORE=postgresql+psycopg://... choose real parts
	@mkdir -p .demo
	$(BIN)/python -m examples.flights --log '$(LOG)' --store '$(STORE)'

orders: setup ## Run the service of examples/orders, its relay and its worker until Ctrl-C; PORT=8000
	$(BIN)/python -m examples.orders $(if $(PORT),--port $(PORT))

test: parts ## Run the tests; PYTEST_ADDOPTS='-k late -x' narrows them down
	.ci/in-memory $(BIN)/python -m pytest -n 3 --dist worksteal tests

axes: setup ## Compare many more random logs with the definition; LONGER=10 SEED=1
	@echo "seed $(or $(SEED),$(RANDOM_SEED))"
	EVERWHEN_TEST_LONGER=$(or $(LONGER),10) $(BIN)/python -m pytest -n 2 --dist worksteal \
		--hypothesis-seed=$(or $(SEED),$(RANDOM_SEED)) tests/axes tests/timeline

mutants: setup ## Plant bugs in copies of the sources; the tests must catch each
	$(BIN)/python -m tests.mutation.runner $(BUGS)

simulate: setup ## Let every call of a worker fail, on a log in memory and in no real time; HISTORIES=2000 SEED=1
	@$(BIN)/python -m tests.simulation --histories $(or $(HISTORIES),2000) $(if $(SEED),--seed $(SEED))

torture: setup ## Kill workers, servers, networks and check what is left; MINUTES=3 in all, SEED=1, REPORT=DIR
	@$(BIN)/python -m tests.torture --minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED)) $(if $(REPORT),--report $(REPORT))

torture-outbox: setup ## Kill relays while writers commit and roll back, on Kafka and PostgreSQL; TRANSACTIONS=100000 SEED=1
	@$(BIN)/python -m tests.outbox.torture $(if $(TRANSACTIONS),--transactions $(TRANSACTIONS)) $(if $(SEED),--seed $(SEED))

fuzz: setup ## Read hostile bytes for some minutes and compare with the specification; MINUTES=10
	@$(BIN)/python -m tests.event.hostile --minutes $(or $(MINUTES),10)

verdicts: setup ## Ask a real registry about generated pairs of schemas, and explain where it differs; PAIRS=5000
	@$(BIN)/python -m tests.registry.verdicts --pairs $(or $(PAIRS),5000)

check: setup ## Lint, format check, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy sdk/everwhen examples benchmarks tests
	$(BIN)/lint-imports

bench: parts peers ## Measure everything side by side, in 20 minutes, and write the page on it; FIGURES='publish_vs_raw'
	$(BIN)/python -m benchmarks $(FIGURES)

bench-quick: parts peers ## The same with few events, in three minutes: shows that it works, not how fast it is
	$(BIN)/python -m benchmarks --quick $(FIGURES)

# A peer that cannot be had is left out of the tables, with the reason.
peers: setup
	@$(BIN)/python -m benchmarks.peers

bench-time: setup ## Measure history in the wrong order, questions, and what the second time axis costs
	$(BIN)/python -m benchmarks.file_order --store sqlite --aircraft 1000
	$(BIN)/python -m benchmarks.file_order --store postgres --aircraft 1000
	$(BIN)/python -m benchmarks.asking --store sqlite --store postgres

bench-rebuild: setup ## Rebuild a year of flights under load, switch, kill, compare; EVENTS=661610
	$(BIN)/python -m benchmarks.rebuild $(if $(EVENTS),--events $(EVENTS))

bench-memory: setup ## Show that a worker's memory stays flat over millions of events; EVENTS=5000000
	$(BIN)/python -m benchmarks.memory $(if $(EVENTS),--events $(EVENTS))

bench-outbox: setup ## Measure publishing to an outbox and relaying to Kafka; EVENTS=100000
	$(BIN)/python -m benchmarks.outbox $(if $(EVENTS),--events $(EVENTS))

# Not a condition of the tests: where Kafka's jars cannot be had, they run on another broker and say so.
parts: setup ## Fetch the jars of Kafka and of the schema registry once, into the user's cache
	@$(BIN)/python -m everwhen.testing.parts fetch || echo "going on without all jars"

clean: ## Remove what the targets made, .venv too
	rm -rf $(VENV) .demo .orders .bench build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find sdk examples benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +
