# `make` alone lists what there is. Works with GNU make 3.81 and newer, and any POSIX sh.
# Whatever needs more than a line or two is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help run test test-faults soak bench check audit format install superuser manage requirements clean

# More arguments for pytest (make test ARGS="-k items"), the benchmark, manage.py or uv.
ARGS ?=

install = python=$$(sh scripts/find_python.sh) && "$$python" scripts/install.py
python = .venv/bin/python
# The service reads the environment; .env is what `make` has it read besides.
manage = ENV_FILE=$${ENV_FILE:-.env} $(python) manage.py
# Counts coverage by branch and fails below so many percent, as CI does, which has every program that a test needs.
MIN_COVERAGE ?=
coverage = $(if $(MIN_COVERAGE),--cov --cov-report=term-missing:skip-covered --cov-fail-under=$(MIN_COVERAGE))

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

run: ## Set up what is missing, migrate, serve on 127.0.0.1:8000 (PORT, HOST, WORKERS change it)
	@$(install) runtime && exec $(python) -m scripts.run

test: ## All tests, in parallel and random order (a part of them: ARGS="-k items"; coverage: MIN_COVERAGE=95)
	@$(install) dev && exec $(python) -m pytest -n auto $(coverage) $(ARGS)

test-faults: ## The faults at length: hundreds of kills, full disks, histories under fire (ARGS="-k kills")
	@$(install) dev && exec $(python) -m pytest -m fault $(ARGS)

bench: ## Measure the service on this machine, and compare with the last time (ARGS="--help" tells more)
	@$(install) runtime && exec $(python) -m benchmarks $(ARGS)

soak: ## Mixed load with faults at random, for minutes (ARGS="--minutes 60 --database postgres")
	@$(install) dev && exec $(python) -m tests.soak $(ARGS)

check: ## Everything that can be checked without running the service: lint, types, imports, settings
	@$(install) dev && exec $(python) scripts/check.py

audit: ## Hold the pinned dependencies against published vulnerabilities; 2 if the data cannot be reached
	@$(install) dev && exec $(python) scripts/audit.py

format: ## Format the code, and mend what the linter can mend
	@$(install) dev && $(python) -m ruff check --fix-only --quiet . && exec $(python) -m ruff format .

install: ## Set up everything for run and test, and nothing else
	@$(install) dev

superuser: ## Make an account for /admin/
	@$(install) runtime && $(manage) migrate --verbosity 0 && $(manage) createsuperuser

manage: ## Any command of manage.py with the settings of .env: ARGS="purge_expired"
	@$(install) runtime && $(manage) $(ARGS)

requirements: ## Write requirements*.txt anew from pyproject.toml (newest versions: ARGS=--upgrade)
	@sh scripts/compile_requirements.sh $(ARGS)

clean: ## Remove what make and the tools made; .env and data/ stay
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis htmlcov .coverage .coverage.*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
