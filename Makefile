# One command per thing a developer does. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
PYTEST := $(BIN)/pytest
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

.PHONY: help
help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

define NEW_ENOUGH
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
endef

$(BIN)/uv:
	@$(NEW_ENOUGH)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check 'uv>=0.9,<1'

$(VENV)/.installed: $(BIN)/uv pyproject.toml requirements/dev.txt
	$(UV) pip sync -q --require-hashes requirements/dev.txt
	$(UV) pip install -q --no-deps -e .
	@touch $@

.PHONY: install lock
install: $(VENV)/.installed  ## the Python environment of a developer, from the lock files

lock: $(BIN)/uv  ## resolve the dependencies anew into requirements/ (hashes, no index addresses)
	$(UV) pip compile -q pyproject.toml --all-extras $(LOCK_FLAGS) -o requirements/dev.txt
	for extra in operator trainer; do \
	  $(UV) pip compile -q pyproject.toml --extra $$extra -c requirements/dev.txt $(LOCK_FLAGS) \
	    -o requirements/$$extra.txt; done
	echo 'hatchling>=1.27' | $(UV) pip compile -q - $(LOCK_FLAGS) -o requirements/build.txt

.PHONY: format lint types imports unit check
format: install  ## rewrite the code in the project's format
	$(BIN)/ruff format -q .
	$(BIN)/ruff check -q --fix .

lint: install
	$(BIN)/ruff format -q --check .
	$(BIN)/ruff check -q --output-format concise .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

unit: install
	$(PYTEST) -n auto --dist loadfile -m "not slow and not apiserver and not cluster"

check: lint types imports unit  ## the fast part: format, lint, types, import rules, unit and golden tests

.PHONY: generate verify
generate: install  ## regenerate CRD, reference, chart schema, install.yaml and golden files
	$(BIN)/python -m peft_fsdp_api.generate
	$(BIN)/python -m dev.chart
	$(BIN)/python -m dev.gitops.argocd
	$(BIN)/python -m tests.golden

verify: install  ## fail if a generated file is not what its source makes
	$(BIN)/python -m peft_fsdp_api.generate --check
	$(BIN)/python -m dev.chart --check
	$(BIN)/python -m dev.gitops.argocd --check
	$(BIN)/python -m tests.golden --check

.PHONY: test test-slow test-apiserver test-cluster
test: check verify test-slow test-apiserver test-cluster  ## everything that can be tested on this machine

# Tests that often wait, for pods, for the API server or for each other's ranks, go side by side (tests/conftest.py).
SIDE_BY_SIDE := -n 2 --dist loadgroup --no-loadscope-reorder --durations 10

test-slow: install
	$(PYTEST) -m "slow and not apiserver and not cluster" $(SIDE_BY_SIDE)

test-apiserver: install tools
	$(PYTEST) -m apiserver $(SIDE_BY_SIDE)

test-cluster: install tools images
	$(PYTEST) -m cluster $(SIDE_BY_SIDE)

.PHONY: faults
faults: install tools  ## every fault at every write of a job's life, and 1,000 random lives (docs/faults.md)
	$(BIN)/python -m tests.faults points
	$(BIN)/python -m tests.faults random --seed $${SEED:-1} --runs 1000 --jobs 20

.PHONY: demo demo-needs demo-down demo-input bench gpu-check
demo-needs:  # before `install`, which takes gigabytes
	@$(NEW_ENOUGH)
	@$(PYTHON) -m dev.demo.needs

demo: demo-needs install  ## the whole line on a real one-machine cluster, or on KUBECONFIG with IMAGE_REGISTRY
	@$(BIN)/python -m dev.demo up

demo-down: install  ## remove everything that `make demo` started
	@$(BIN)/python -m dev.demo down

demo-input: install  ## base model and dataset for `peft-fsdp run manifests/examples/cpu-demo.yaml`
	@$(BIN)/python -m dev.demo input --claims claims

bench: install tools  ## measure the figures of docs/measurements.md
	$(BIN)/python -m tests.bench

gpu-check: install  ## this trainer beside the guide's script on this machine's GPUs (ARGS="--size 3b --kind LoRA")
	$(BIN)/python -m tests.gpu_check $(ARGS)

include dev/cluster.mk
