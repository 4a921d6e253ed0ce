# Liyuan. `make` alone explains itself. Needs Python 3.11 or later, make and git.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON := $(VENV)/bin/python
# misaki, which turns Chinese into phonemes, declares Python 3.11 and 3.12: those first.
PYTHON3 ?= $(shell for name in python3.12 python3.11 python3 python3.13 python3.14 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	echo "$$name" && break; done)
# Processes of pytest; each file of tests runs in one of them.
PYTEST_WORKERS ?= 2
# Settings as in production, for `check --deploy` and for mypy's view of the models.
PRODUCTION := DEBUG=off HOST=0.0.0.0 PUBLIC_BASE_URL=https://liyuan.example \
	SECRET_KEY=only-for-the-deployment-check-0123456789-abcdefghijkl RATE_LIMITS=on \
	DATA_DIR=.data/check REDIS_URL=redis://127.0.0.1:1/0 \
	DATABASE_URL=postgresql://liyuan@127.0.0.1:1/liyuan

.PHONY: help
help: ## this list
	@echo "Liyuan 梨园. Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Settings come from the environment or from .env; docs/settings.md lists them."

.PHONY: run
run: .python $(VENV)/.run $(if $(filter local,$(LLM)),$(VENV)/.llm) ## install what is missing, then serve on http://127.0.0.1:8000/ (LLM=local: with a small language model)
	@exec $(PYTHON) manage.py serve web --prepare

.PHONY: test
test: lint $(VENV)/.clients $(VENV)/.system ## lint, then all tests (installs what the tests need)
	@echo "==> speech weights for the tests"
	@$(PYTHON) manage.py fetch_models
	@echo "==> tests"
	@$(PYTHON) -m pytest -n $(PYTEST_WORKERS) --dist loadfile $(PYTEST)

.PHONY: lint
lint: .python $(VENV)/.dev ## ruff, mypy, import rules, migrations, deployment check
	@echo "==> ruff"
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@echo "==> mypy"
	@$(VENV)/bin/mypy .
	@echo "==> import rules"
	@$(VENV)/bin/lint-imports
	@echo "==> migrations and deployment check"
	@$(PYTHON) manage.py makemigrations --check --dry-run
	@$(PRODUCTION) $(PYTHON) manage.py check --deploy --fail-level WARNING

.PHONY: format
format: .python $(VENV)/.dev ## rewrite the code in the house's format
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

.PHONY: audit
audit: .python $(VENV)/.dev ## look for known holes in what is installed (asks an advisory service)
	@$(PYTHON) -m config.bootstrap audit

.PHONY: bench
bench: .python $(VENV)/.dev ## measure; see bench/
	@$(PYTHON) -m bench

.PHONY: doctor
doctor: .python $(VENV)/.run ## look after database, broker, weights, providers, disk
	@$(PYTHON) manage.py doctor

.PHONY: lock
lock: .python $(VENV)/.dev ## pin requirements*.in into requirements*.txt
	@$(PYTHON) -m config.bootstrap lock

.PHONY: clean
clean: ## remove the virtual environment and caches; .data (yours) stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: .python
.python:
	@test -n "$(PYTHON3)" || { echo "Python 3.11 or later was not found. Install it \
	(Debian: apt-get install python3; macOS: brew install python@3.12), or name it: \
	make run PYTHON3=/path/to/python3" >&2; exit 1; }

# Stamps: what is installed already is not looked at again until its list changes.
$(VENV)/.run: requirements.txt config/bootstrap.py
	@$(PYTHON3) config/bootstrap.py run

$(VENV)/.llm: requirements-llm.txt $(VENV)/.run
	@$(PYTHON3) config/bootstrap.py llm

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@$(PYTHON3) config/bootstrap.py dev

$(VENV)/.clients: requirements-clients.txt $(VENV)/.dev
	@$(PYTHON3) config/bootstrap.py clients

# Looked at each time: it is quick, and system packages can go.
.PHONY: $(VENV)/.system
$(VENV)/.system: $(VENV)/.dev
	@$(PYTHON3) config/bootstrap.py system
