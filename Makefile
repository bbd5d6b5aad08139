# One command per thing a developer does. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv

.PHONY: help
help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check 'uv>=0.9,<1'

$(VENV)/.installed: $(BIN)/uv pyproject.toml requirements/dev.txt
	$(UV) pip sync -q --require-hashes requirements/dev.txt
	$(UV) pip install -q --no-deps -e .
	@touch $@

.PHONY: install
install: $(VENV)/.installed  ## the Python environment of a developer, from the lock file

.PHONY: lock
lock: $(BIN)/uv  ## resolve the dependencies anew into requirements/ (hashes, no index addresses)
	$(UV) pip compile -q pyproject.toml --all-extras $(LOCK_FLAGS) -o requirements/dev.txt
	for extra in operator trainer; do \
	  $(UV) pip compile -q pyproject.toml --extra $$extra -c requirements/dev.txt $(LOCK_FLAGS) -o requirements/$$extra.txt; done
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url
