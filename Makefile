# `make` alone lists the targets. Works with GNU make 3.81 and newer, and any POSIX sh.
# Targets that need more than two lines are in scripts/.

.DEFAULT_GOAL := help
.PHONY: help run test test-faults soak bench check audit format install superuser manage requirements clean

# More arguments for pytest (make test ARGS="-k items"), the benchmark, manage.py or uv.
ARGS ?=

install = python=$$(sh scripts/find_python.sh) && "$$python" scripts/install.py
python = .venv/bin/python
# The service reads the environment; with `make`, it reads .env as well.
manage = ENV_FILE=$${ENV_FILE:-.env} $(python) manage.py
# Measure branch coverage, and fail below this percentage. CI sets it, because CI has every program that tests need.
MIN_COVERAGE ?=
coverage = $(if $(MIN_COVERAGE),--cov --cov-report=term-missing:skip-covered --cov-fail-under=$(MIN_COVERAGE))

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

run: ## Install what is missing, migrate, serve on 127.0.0.1:8000 (or HOST, PORT, WORKERS)
	@$(install) runtime && exec $(python) -m scripts.run

test: ## Run all tests, in parallel and random order (some: ARGS="-k items"; coverage: MIN_COVERAGE=95)
	@$(install) dev && exec $(python) -m pytest -n auto $(coverage) $(ARGS)

test-faults: ## Run the long fault tests: hundreds of kills, full disks, random histories (ARGS="-k kills")
	@$(install) dev && exec $(python) -m pytest -m fault $(ARGS)

bench: ## Measure the service on this machine, and compare with the last run (ARGS="--help" lists options)
	@$(install) runtime && exec $(python) -m benchmarks $(ARGS)

soak: ## Run mixed load with random faults, for minutes (ARGS="--minutes 60 --database postgres")
	@$(install) dev && exec $(python) -m tests.soak $(ARGS)

check: ## Check lint, types, imports and settings, without running the service
	@$(install) dev && exec $(python) scripts/check.py

audit: ## Look up known vulnerabilities of the pinned dependencies (exit code 2: data not available)
	@$(install) dev && exec $(python) scripts/audit.py

format: ## Format the code, and fix what the linter can fix
	@$(install) dev && $(python) -m ruff check --fix-only --quiet . && exec $(python) -m ruff format .

install: ## Install everything that run and test need
	@$(install) dev

superuser: ## Create an account for /admin/
	@$(install) runtime && $(manage) migrate --verbosity 0 && $(manage) createsuperuser

manage: ## Run a command of manage.py with the settings of .env: ARGS="purge_expired"
	@$(install) runtime && $(manage) $(ARGS)

requirements: ## Write requirements*.txt from pyproject.toml (newest versions: ARGS=--upgrade)
	@sh scripts/compile_requirements.sh $(ARGS)

clean: ## Remove files that make and the tools created; .env and data/ stay
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis htmlcov .coverage .coverage.*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
