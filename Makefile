# Every command of the project. `make` prints the list.

# Only pyproject.toml declares uv's version. The image builds get the version as a build argument.
export UV_VERSION := $(shell sed -n 's/^required-version = "==\(.*\)"$$/\1/p' pyproject.toml)
PYTHON ?= python3
# uv lives in a folder of the project. Nothing is installed into the system.
UV := .tools/uv-$(UV_VERSION)/bin/uv
# An environment that the shell has activated must not replace the project's own.
unexport VIRTUAL_ENV
unexport PYTHONPATH
# Without compiled bytecode, Airflow and dbt take seconds longer to start.
unexport PYTHONDONTWRITEBYTECODE

# The folders with a uv.lock, and the components that make up the stack.
PROJECTS := . stack data_ingestion dbt airflow superset benchmarks
COMPONENTS := stack data_ingestion dbt airflow superset
ELT := stack/.venv/bin/elt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} \
	     /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	     /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# CONFIRM stops a recipe unless FORCE=1 is set or the user types yes.
CONFIRM = [ -n "$(FORCE)" ] || { \
    printf 'This removes the warehouse and all history of %s. Type yes: ' "$$($(ELT) config ELT_ENV)"; \
    read answer && [ "$$answer" = yes ]; } || { echo 'nothing was removed'; exit 1; }

##@ The stack without Docker

.PHONY: demo demo-up demo-down demo-reset demo-status
demo: install-all ## Start the stack, run the DAG on the sample file and show the results
	@$(ELT) demo

demo-up: install-all ## Start the stack without running the DAG
	@$(ELT) up
	@$(ELT) status

demo-down: install-stack ## Stop the stack and keep its data
	@$(ELT) down

demo-reset: install-stack ## Stop the stack and delete its data, after confirmation (FORCE=1 skips it)
	@[ ! -e "$$($(ELT) config STATE_DIR)" ] || { $(CONFIRM); }
	@$(ELT) reset

demo-status: install-stack ## Show the processes, addresses and logins
	@$(ELT) status

##@ The stack in Docker

# `elt compose` runs `docker compose` with the settings of .env.
# `make up DEV=1` mounts DAGs and configuration from this folder over those in the image.
# With TLS, `elt` adds docker-compose.tls.yaml to these files.
COMPOSE := $(if $(DEV),COMPOSE_FILE=docker-compose.yaml:docker-compose.dev.yaml) $(ELT) compose --

.PHONY: up down clean ps build build-all-images populate-db
# --remove-orphans: Caddy stops when TLS is turned off.
up: install-stack ## Build missing images, start the stack and wait until it is healthy (TLS=1 publishes it, DEV=1 mounts DAGs)
	@$(ELT) docker-check
	@docker image inspect $$($(COMPOSE) --profile tasks config --images | grep ^elt/) >/dev/null 2>&1 || \
	    $(MAKE) --no-print-directory build
	@$(COMPOSE) up --detach --wait --remove-orphans || { $(ELT) docker-explain; exit 1; }
	@$(ELT) addresses

down: install-stack ## Stop the stack and keep its data
	@TLS=1 $(COMPOSE) --profile tasks down --remove-orphans

clean: install-stack ## Stop the stack and delete its data, after confirmation (FORCE=1 skips it)
	@$(CONFIRM)
	@TLS=1 $(COMPOSE) --profile tasks down --remove-orphans --volumes

ps: install-stack ## Show the containers
	@$(COMPOSE) ps --all

build: install-stack ## Build all images
	@$(COMPOSE) --profile tasks build

build-all-images: build

populate-db: install-stack ## Load the data folder with the loader's container, without Airflow
	@$(ELT) docker-check
	@$(COMPOSE) run --rm data-ingestion

##@ The running stack, with or without Docker

.PHONY: trigger logs
trigger: install-stack ## Run the DAG and follow it (FILE=name, SOURCE=name, FULL_REFRESH=1, BACKDATED=warn, BALANCES=warn, DUPLICATES=keep, MAX_REJECTS=5)
	@$(ELT) trigger $(if $(FILE),--file "$$FILE") $(if $(SOURCE),--source "$$SOURCE") $(if $(FULL_REFRESH),--full-refresh) \
	    $(if $(DUPLICATES),--duplicates "$$DUPLICATES") $(if $(MAX_REJECTS),--max-rejects "$$MAX_REJECTS") \
	    $(if $(BACKDATED),--backdated-transactions "$$BACKDATED") \
	    $(if $(BALANCES),--unreconciled-balances "$$BALANCES")

logs: install-stack ## Follow the logs of all processes or containers
	@if [ -n "$$($(COMPOSE) ps --quiet 2>/dev/null)" ]; then $(COMPOSE) logs --follow --tail 20; \
	    else $(ELT) logs; fi

.PHONY: backup restore
backup: install-stack ## Dump the databases of the warehouse, Airflow and Superset into a folder
	@$(ELT) backup

restore: install-stack ## Restore a backup: FROM=backups/… (ONLY=warehouse; FORCE=1 skips the confirmation)
	@$(ELT) restore $(if $(ONLY),--only "$$ONLY") $(if $(FORCE),--force) "$$FROM"

##@ The data

.PHONY: psql check-data-raw check-data-staging dbt
psql: install-stack ## Open psql in the warehouse (CMD='select 1' runs one statement; ROLE=reporter)
	@$(ELT) psql $(if $(ROLE),--role "$$ROLE") $(if $(CMD),"$$CMD")

check-data-raw: ## Show the load log and the first rows of raw.transactions
	@$(MAKE) --no-print-directory psql CMD='table raw._loads'
	@$(MAKE) --no-print-directory psql CMD='select * from raw.transactions order by _load_id, _source_line limit 10'

check-data-staging: ## Show totals per account and the first rows of staging.transactions
	@$(MAKE) --no-print-directory psql CMD='select source, account_number, currency, count(*), sum(withdrawal_amount) as withdrawals, sum(deposit_amount) as deposits from staging.transactions group by 1, 2, 3 order by 1, 2, 3'
	@$(MAKE) --no-print-directory psql CMD='select * from staging.transactions order by transaction_date, transaction_id limit 10'

dbt: install-stack install-dbt ## Run a dbt command: CMD="docs generate", debug, compile, docs serve, …
	@$(ELT) dbt -- $(or $(CMD),--help)

.PHONY: new-source remove-source
new-source: install-stack install-data_ingestion install-dbt ## Add your bank: NAME=my_bank FILE=statement.csv (ANSWERS="KEY=VALUE …")
	@[ -n "$$NAME" ] && [ -n "$$FILE" ] || { echo 'usage: make new-source NAME=my_bank FILE=statement.csv' >&2; exit 2; }
	@$(ELT) new-source "$$NAME" "$$FILE" $(ANSWERS)

remove-source: install-stack ## Remove a bank that new-source has added: NAME=my_bank
	@[ -n "$$NAME" ] || { echo 'usage: make remove-source NAME=my_bank' >&2; exit 2; }
	@$(ELT) remove-source "$$NAME"

.PHONY: dashboard-export
dashboard-export: install-stack ## Save changes made in Superset's UI to superset/assets
	@$(ELT) dashboard-export

##@ Development

.PHONY: config env install lock lint hooks docs format test test-docker
config: install-stack ## Show the value of each setting and where it comes from
	@$(ELT) config

env: ## Create .env with random secrets, or add missing settings to it
	@$(PYTHON) scripts/make_env.py

# Each component has its own environment, which is synced when its lock changes.
install: $(COMPONENTS:%=install-%) ## Install the environments of all components

# This target installs two environments at a time.
.PHONY: install-all
install-all: env $(UV)
	@$(MAKE) --no-print-directory --jobs=2 install

.PHONY: $(PROJECTS:%=install-%)
$(PROJECTS:%=install-%): install-%: %/.venv/installed | env

%/.venv/installed: %/pyproject.toml %/uv.lock | .tools/python
	@echo "installing $(if $(filter .,$*),the development tools,$*) …"
	@$(UV) sync --quiet --frozen --project $*
	@touch $@

$(UV):
	@$(PYTHON) scripts/get_uv.py $(UV_VERSION) .tools/uv-$(UV_VERSION)

# This rule runs once, before any environment is installed. If no Python fits, uv downloads one. uv's
# message about a failed download does not name the Pythons that would fit. `--no-bin` adds no program to PATH.
.tools/python: stack/pyproject.toml | $(UV)
	@$(UV) python find --quiet --project stack >/dev/null 2>&1 || $(UV) python install --quiet --no-bin 3.13 || { \
	    echo 'This machine has no Python 3.11, 3.12 or 3.13, and uv could not download one: install one of them.' >&2; exit 1; }
	@touch $@

lock: $(UV) ## Update each lock after a change of its pyproject.toml
	@for project in $(PROJECTS); do $(UV) lock --project $$project || exit; done

.PHONY: check-dependencies update
check-dependencies: install install-. install-benchmarks ## Report known vulnerabilities and copyleft licences of the locked packages
	@.venv/bin/python scripts/check_dependencies.py $(UV) $(PROJECTS)

update: $(UV) ## Update each lock to the newest versions that its pyproject.toml allows
	@for project in $(PROJECTS); do $(UV) lock --upgrade --project $$project || exit; done

lint: clone install install-. ## Run all checks: style, types, SQL, Dockerfiles, secrets, spelling, …
	@MAKEFLAGS= .venv/bin/pre-commit run --all-files

hooks: clone install install-. ## Run the checks of `make lint` before each Git commit, on the changed files
	@.venv/bin/pre-commit install

# pre-commit gets the list of files from Git.
.PHONY: clone check-locks
clone:
	@[ -e .git ] || { echo 'make lint and make hooks need a Git clone: this folder has no .git' >&2; exit 1; }

check-locks: $(UV)
	@for project in $(PROJECTS); do $(UV) lock --check --quiet --project $$project || exit; done

docs: clone install-. install-stack install-data_ingestion install-dbt ## Build the documentation as a site, and print the address of its first page
	@.venv/bin/python docs/site/build.py

format: install-. ## Format Python and SQL, and apply the safe fixes of ruff and sqlfluff
	.venv/bin/ruff check --fix
	.venv/bin/ruff format
	.venv/bin/sqlfluff fix dbt/models dbt/tests

# Run four groups of tests, two at a time, because the first two mostly wait. Each group starts its own
# Postgres.
test: install install-. ## Run all tests except the long ones: 13 minutes on two cores
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target \
	    test-end-to-end test-sign-in test-components test-faults-warehouse

.PHONY: test-all test-long test-long-components
test-all: test test-long test-docker test-platforms ## Run all tests: 40 minutes (needs a Docker engine, and root on Debian)

# Run the tests with the pytest marker `long`, in the groups of `make test`.
test-long: MARKED := -m long
test-long: install install-.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target MARKED='$(MARKED)' \
	    test-end-to-end test-long-components test-faults-warehouse

test-long-components: install
	MAKEFLAGS= $(ELT) with-postgres -- sh -c '\
	    (cd data_ingestion && .venv/bin/pytest --numprocesses=2 $(MARKED)) && \
	    (cd dbt && .venv/bin/pytest --numprocesses=2 $(MARKED))'

.PHONY: test-components test-end-to-end test-sign-in test-faults-warehouse test-faults-stacks test-bad-input
# With an empty MAKEFLAGS, the suites of a group run one after the other, despite --jobs above.
test-components: install
	MAKEFLAGS= $(ELT) with-postgres -- $(MAKE) --no-print-directory \
	    test-stack test-data-ingestion test-dbt test-airflow test-superset

test-end-to-end: install install-. browser
	.venv/bin/pytest tests $(MARKED) $(addprefix --ignore=tests/,docker faults platforms test_sign_in.py)

test-sign-in: install install-. browser openid-provider
	.venv/bin/pytest tests/test_sign_in.py

test-faults-warehouse: install-. install-data_ingestion install-dbt faketime
	.venv/bin/pytest tests/faults $(MARKED)

# Without a Docker engine, the fault tests of containers do not run, and the tables lack their rows.
FAULTS_OF_CONTAINERS = $(if $(shell docker info 2>/dev/null),$(wildcard tests/docker/*faults*.py))

test-faults-stacks: install install-.
	.venv/bin/pytest $(wildcard tests/test_faults_*.py) $(FAULTS_OF_CONTAINERS)

test-bad-input: install
	MAKEFLAGS= $(ELT) with-postgres -- $(MAKE) --no-print-directory test-data-ingestion test-dbt

# --keep-going: the failure of one group must not discard the results of the other groups.
.PHONY: test-faults
test-faults: export FAULTS := full
test-faults: export PYTEST_ADDOPTS += --verbose -m ''
test-faults: export RELIABILITY_RESULTS := $(abspath .state/reliability)
test-faults: install install-. install-benchmarks faketime ## Run all fault tests in full and write their tables to docs/reliability.md
	@rm -rf $(RELIABILITY_RESULTS) && mkdir -p $(RELIABILITY_RESULTS)
	@$(MAKE) --no-print-directory --jobs=2 --keep-going \
	    test-faults-stacks test-faults-warehouse test-bad-input; ended=$$?; \
	    $(PYTHON) scripts/reliability.py $(RELIABILITY_RESULTS) && exit $$ended

.PHONY: browser openid-provider faketime screenshots
openid-provider: tests/openid/node_modules/.package-lock.json

# npm writes this file last.
tests/openid/node_modules/.package-lock.json: tests/openid/package-lock.json .venv/installed
	@cd tests/openid && $(abspath .venv/bin/npm) ci --silent --no-audit --no-fund
	@touch $@

browser:
	@scripts/get_chromium.sh

faketime:
	@scripts/get_faketime.sh

screenshots: install install-. browser ## Start a stack and take the README's screenshots
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
budget: install-stack install-data_ingestion ## Rewrite the performance budget of a load, after a deliberate change
	@cd data_ingestion && $(abspath $(ELT)) with-postgres -- .venv/bin/pytest --quiet --renew-budget tests/test_budget.py
	@git diff --stat -- data_ingestion/tests/budget.json

test-docker: install-stack install-data_ingestion install-. browser openid-provider ## Run the tests of the stack in Docker (needs a Docker engine)
	.venv/bin/pytest tests/docker

.PHONY: test-platforms
test-platforms: install-. ## Run `make demo` on Debian 13 with its own Python (needs root on Debian)
	.venv/bin/pytest tests/platforms

##@ Benchmarks

# With OPTIONS ("--rows 1000000 --rounds 3", or --help), the benchmark prints the results and publishes nothing.
BENCH := $(ELT) with-postgres -- benchmarks/.venv/bin/python benchmarks/bench.py
BENCH_NEEDS := install-stack install-data_ingestion install-dbt install-airflow install-superset install-benchmarks

.PHONY: bench bench-full
bench: $(BENCH_NEEDS) ## Measure the loader, its peers, dbt, the dashboard and the DAG: 15 minutes (OPTIONS=… for a trial)
	@$(BENCH) $(or $(OPTIONS),--rows 116201 1000000 --limit 100 --transform 116201 1000000 --dag --publish bench)

bench-full: $(BENCH_NEEDS) ## Measure with 10 million rows, and growth up to 20 million: 80 minutes
	@$(BENCH) --rounds 5 --rows 116201 1000000 10000000 --limit 80 --growth 100000 20000000 \
	    --transform 100000 1000000 10000000 --transform-once 20000000 --dag --publish bench-full
