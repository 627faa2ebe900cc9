# Every command a person types. `make` alone prints them.

UV_VERSION := 0.13.9
PYTHON ?= python3
# uv in a folder of the project: nothing is installed into the system.
UV := .tools/uv-$(UV_VERSION)/bin/uv
# The environments of this project are its own, whatever the shell has activated.
unexport VIRTUAL_ENV
unexport PYTHONPATH
# Bytecode is worth keeping: without it every start of Airflow or dbt takes seconds longer.
unexport PYTHONDONTWRITEBYTECODE

PROJECTS := . stack data_ingestion dbt airflow superset benchmarks
RUNNING := stack data_ingestion dbt airflow superset
ELT := stack/.venv/bin/elt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Print this list
	@awk 'BEGIN {FS = ":.*## "} \
	     /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	     /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Ends a recipe, unless FORCE=1 or somebody types yes.
SURE = [ -n "$(FORCE)" ] || { printf 'This removes the warehouse and all history. Type yes: '; \
    read answer && [ "$$answer" = yes ]; } || { echo 'nothing was removed'; exit 1; }

##@ The demo, without Docker

.PHONY: demo demo-up demo-down demo-reset demo-status
demo: install-all ## Start the stack, run the DAG on the sample, show what came of it
	@$(ELT) demo

demo-up: install-all ## Start the stack, and no more
	@$(ELT) up
	@$(ELT) status

demo-down: install-stack ## Stop it; data stays
	@$(ELT) down

demo-reset: install-stack ## Stop it and forget all its data, after asking (FORCE=1: without)
	@[ ! -e "$${STATE_DIR:-.state}" ] || { $(SURE); }
	@$(ELT) reset

demo-status: install-stack ## Show its processes, addresses and logins
	@$(ELT) status

##@ The stack in Docker

# Absolute, because the engine mounts it into the containers of tasks. Compose reads the rest of .env.
export DATA_FOLDER = $(abspath $(or $(DATA_DIR),$(shell sed -n 's/^DATA_DIR=//p' .env 2>/dev/null)))
# `make up DEV=1` takes DAGs and configuration from this folder instead of the image.
COMPOSE := docker compose $(if $(DEV),--file docker-compose.yaml --file docker-compose.dev.yaml)
IMAGES := elt/airflow elt/superset elt/data-ingestion elt/dbt

.PHONY: up down clean ps build build-all-images populate-db
up: install-stack ## Start the whole stack, building what is missing, and wait until it is healthy
	@$(ELT) docker-check
	@docker image inspect $(IMAGES:%=%:$(or $(IMAGE_TAG),latest)) >/dev/null 2>&1 || $(MAKE) --no-print-directory build
	@$(COMPOSE) up --detach --wait || { $(ELT) docker-explain; exit 1; }
	@$(ELT) addresses

down: ## Stop it; data stays
	@$(COMPOSE) --profile tasks down --remove-orphans

clean: ## Stop it and remove its data, after asking (FORCE=1: without)
	@$(SURE)
	@$(COMPOSE) --profile tasks down --remove-orphans --volumes

ps: ## Show its containers
	@$(COMPOSE) ps --all

build: env ## Build all images
	@$(COMPOSE) --profile tasks build

build-all-images: build

populate-db: install-stack ## Load the data folder in the loader's container, without Airflow
	@$(ELT) docker-check
	@$(COMPOSE) run --rm data-ingestion load

##@ Either of them

.PHONY: trigger logs
trigger: install-stack ## Run the DAG and watch it (FILE=name, FULL_REFRESH=1, BACKDATED=warn)
	@$(ELT) trigger $(if $(FILE),--file "$$FILE") $(if $(FULL_REFRESH),--full-refresh) \
	    $(if $(BACKDATED),--backdated-transactions "$$BACKDATED")

logs: install-stack ## Follow the logs of all processes, or of all containers
	@if [ -n "$$($(COMPOSE) ps --quiet 2>/dev/null)" ]; then $(COMPOSE) logs --follow --tail 20; \
	    else $(ELT) logs; fi

.PHONY: backup restore
backup: install-stack ## Dump the warehouse, Airflow's and Superset's databases into a folder
	@$(ELT) backup

restore: install-stack ## Bring them back: FROM=backups/… (ONLY=warehouse; FORCE=1: without asking)
	@$(ELT) restore $(if $(ONLY),--only "$$ONLY") $(if $(FORCE),--force) "$$FROM"

##@ The data

.PHONY: psql check-data-raw check-data-staging dbt
psql: install-stack ## Open psql in the warehouse (CMD='select 1': one statement, ROLE=reporter: as that role)
	@$(ELT) psql $(if $(ROLE),--role "$$ROLE") $(if $(CMD),"$$CMD")

check-data-raw: ## Show what was loaded, and the first rows of raw.transactions
	@$(MAKE) --no-print-directory psql CMD='table raw._loads'
	@$(MAKE) --no-print-directory psql CMD='select * from raw.transactions order by _load_id, _source_line limit 10'

check-data-staging: ## Show the sums per account, and the first rows of staging.transactions
	@$(MAKE) --no-print-directory psql CMD='select account_number, count(*), sum(withdrawal_amount) as withdrawals, sum(deposit_amount) as deposits from staging.transactions group by 1 order by 1'
	@$(MAKE) --no-print-directory psql CMD='select * from staging.transactions order by transaction_date, transaction_id limit 10'

dbt: install-stack install-dbt ## Run dbt: CMD="docs generate", debug, compile, docs serve, …
	@$(ELT) dbt -- $(or $(CMD),--help)

.PHONY: dashboard-export
dashboard-export: install-stack ## Write what was arranged in Superset's pages back into superset/assets
	@$(ELT) dashboard-export

##@ Development

.PHONY: env install lock lint format test test-docker
env: ## Write .env with random secrets, once; add to it what it lacks
	@$(PYTHON) scripts/make_env.py

# One environment a component, made anew when its lock changes.
install: $(RUNNING:%=install-%)

# The same, two at a time.
.PHONY: install-all
install-all: env $(UV)
	@$(MAKE) --no-print-directory --jobs=2 install

.PHONY: $(PROJECTS:%=install-%)
$(PROJECTS:%=install-%): install-%: %/.venv/installed | env

%/.venv/installed: %/pyproject.toml %/uv.lock | $(UV)
	@echo "installing $(if $(filter .,$*),the tools,$*) …"
	@$(UV) sync --quiet --frozen --project $*
	@touch $@

$(UV):
	@$(PYTHON) scripts/get_uv.py $(UV_VERSION) .tools/uv-$(UV_VERSION)

lock: $(UV) ## Bring every lock file up to date with its pyproject.toml
	@for project in $(PROJECTS); do $(UV) lock --project $$project || exit; done

.PHONY: check-dependencies update
check-dependencies: install install-. install-benchmarks ## Look for known vulnerabilities in the locks, and list licences to be read
	@.venv/bin/python scripts/check_dependencies.py $(UV) $(PROJECTS)

update: $(UV) ## Move every lock to the newest versions that its pyproject.toml allows
	@for project in $(PROJECTS); do $(UV) lock --upgrade --project $$project || exit; done

lint: install-. ## Check style, types of mistakes, and the SQL
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/yamllint --strict .
	.venv/bin/shellcheck .ci/run $(wildcard scripts/*.sh) tests/docker/engine tests/docker/images/postgres-entrypoint
	cd dbt && ../.venv/bin/sqlfluff lint models tests
	@for project in $(PROJECTS); do $(UV) lock --check --quiet --project $$project || exit; done

format: install-. ## Bring the code into the project's style
	.venv/bin/ruff check --fix
	.venv/bin/ruff format
	cd dbt && ../.venv/bin/sqlfluff fix models tests

# Two lanes for two cores: the end-to-end run mostly waits. Each brings its own Postgres.
test: install install-. ## Run all tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target \
	    test-components test-end-to-end test-faults-warehouse

.PHONY: test-components test-end-to-end test-faults-warehouse test-faults-stacks test-bad-input
# (A lane is one after the other: its make is told nothing of the other lane.)
test-components: install
	MAKEFLAGS= $(ELT) with-postgres -- $(MAKE) --no-print-directory \
	    test-stack test-data-ingestion test-dbt test-airflow test-superset

test-end-to-end: install install-. browser
	.venv/bin/pytest tests --ignore tests/docker --ignore tests/faults

test-faults-warehouse: install-. install-data_ingestion install-dbt faketime
	.venv/bin/pytest tests/faults

# What takes an engine is left out where there is none: its rows are then missing in the table.
FAULTS_OF_CONTAINERS = $(if $(shell docker info 2>/dev/null),$(wildcard tests/docker/*faults*.py))

test-faults-stacks: install install-.
	.venv/bin/pytest $(wildcard tests/test_faults_*.py) $(FAULTS_OF_CONTAINERS)

test-bad-input: install
	MAKEFLAGS= $(ELT) with-postgres -- $(MAKE) --no-print-directory test-data-ingestion test-dbt

# Two lanes again, and the figures of one are not lost by what fails in another.
.PHONY: test-faults
test-faults: export FAULTS := full
test-faults: export PYTEST_ADDOPTS += --verbose
test-faults: export RELIABILITY_RESULTS := $(abspath .state/reliability)
test-faults: install install-. faketime ## Hurt it in every way, in full, and write docs/reliability.md's tables
	@rm -rf $(RELIABILITY_RESULTS) && mkdir -p $(RELIABILITY_RESULTS)
	@$(MAKE) --no-print-directory --jobs=2 --keep-going \
	    test-faults-stacks test-faults-warehouse test-bad-input; ended=$$?; \
	    $(PYTHON) scripts/reliability.py $(RELIABILITY_RESULTS) && exit $$ended

.PHONY: browser faketime screenshots
browser:
	@scripts/get_chromium.sh

faketime:
	@scripts/get_faketime.sh

screenshots: install install-. browser ## Take the pictures of the README anew, of a stack of their own
	.venv/bin/pytest tests/test_browser.py --pictures docs/pictures

.PHONY: test-stack test-data-ingestion test-dbt test-airflow test-superset
test-stack: install-stack
	cd stack && .venv/bin/pytest

test-data-ingestion: install-data_ingestion
	cd data_ingestion && .venv/bin/pytest --numprocesses=2 --ignore tests/test_budget.py
	cd data_ingestion && .venv/bin/pytest tests/test_budget.py

test-dbt: install-dbt
	cd dbt && .venv/bin/pytest --numprocesses=2

test-airflow: install-airflow
	cd airflow && .venv/bin/pytest

test-superset: install-superset install-data_ingestion install-dbt install-stack
	cd superset && .venv/bin/pytest

.PHONY: budget
budget: install-stack install-data_ingestion ## Write anew what a load may cost, when a change was meant
	@cd data_ingestion && $(abspath $(ELT)) with-postgres -- .venv/bin/pytest --quiet --renew-budget tests/test_budget.py
	@git diff --stat -- data_ingestion/tests/budget.json

test-docker: install-stack install-data_ingestion install-. ## Run the tests of the stack in Docker; needs an engine
	.venv/bin/pytest tests/docker

##@ Measuring

# With OPTIONS nothing is published: OPTIONS="--rows 1000000 --rounds 3", OPTIONS=--help
BENCH := $(ELT) with-postgres -- benchmarks/.venv/bin/python benchmarks/bench.py
BENCH_NEEDS := install-stack install-data_ingestion install-dbt install-airflow install-superset install-benchmarks

.PHONY: bench bench-full
bench: $(BENCH_NEEDS) ## Measure the loader, its peers, dbt and the DAG: a quarter of an hour (OPTIONS=…: a try)
	@$(BENCH) $(or $(OPTIONS),--rows 116201 1000000 --limit 100 --transform 116201 1000000 --dag --publish bench)

bench-full: $(BENCH_NEEDS) ## The same with 10 M rows, and growth up to 20 M: an hour
	@$(BENCH) --rounds 3 --rows 116201 1000000 10000000 --limit 80 --growth 100000 20000000 \
	    --transform-rounds 1 --transform 100000 1000000 10000000 20000000 --dag --publish bench-full
