# Each target installs what it needs; `make` lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.DEFAULT_GOAL := help

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

install: $(READY)  ## Install seqhub with all extras into .venv, at the pinned versions.

$(READY): pyproject.toml constraints.txt setup.py $(wildcard seqhub/native/src/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "seqhub needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=/path/to/python3"; exit 1; }
	@echo "setting up $(VENV): this takes a minute or two, once, half of it to compile native code"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[all,dev]'
	@touch $@

demo: $(READY)  ## Run the whole pipeline on qrsu/hard (under a minute).
	$(BIN)/seqhub demo runs/demo

test: $(READY)  ## Run the linter, the type checker and the fast tests.
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder --hypothesis-profile ci

test-all: $(READY)  ## Run all tests, also the slow ones.
	$(BIN)/python -m pytest

transformers-suite: $(READY)  ## Run transformers' own model tests on every preset (downloads its sources).
	$(BIN)/python tests/models/common_suite/run.py

CLIENT :=  # other releases than the installed ones, as in CLIENT="huggingface_hub==1.31.0 datasets==5.0.0"

hub-suite: $(READY)  ## Run huggingface_hub's and datasets' own tests on the server (downloads their sources).
	@for suite in hub datasets; do for mode in xet lfs; do \
		$(BIN)/python tests/server/suite/run.py --suite $$suite --mode $$mode --scratch build/hub-suite \
			$(CLIENT:%=--release %) || failed=1; \
	done; done; test -z "$$failed"

js-suite: $(READY)  ## Run 42 operations of the npm client @huggingface/hub on the server (needs node and npm).
	$(BIN)/python tests/server/suite/js.py --scratch build/js-suite

PAGES_SUITE := build/pages-suite

pages-suite: $(READY)  ## Test the pages in Chromium, with axe-core and screenshots (needs chromium and npm).
	@mkdir -p $(PAGES_SUITE)
	@$(BIN)/python -m pip install -qq 'playwright>=1.50'
	@test -e $(PAGES_SUITE)/package/axe.min.js || (cd $(PAGES_SUITE) && npm pack --silent axe-core@4 >/dev/null && tar xf axe-core-*.tgz)
	PAGES_SUITE=$(PAGES_SUITE) $(BIN)/python -m pytest tests/server/pages/test_browser.py \
		tests/server/pages/test_browser_figures.py tests/server/pages/test_browser_hostile.py -rs

SITE := build/site

site: $(READY)  ## Build the documentation site into build/site/html; every warning is an error (needs npm).
	@mkdir -p $(SITE)
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[docs]'
	@test -e $(SITE)/package/shim/index.js || (cd $(SITE) && npm pack --silent iframe-worker@1 >/dev/null && tar xf iframe-worker-*.tgz)
	$(BIN)/python -m docs.site

SANITIZED := build/sanitized/seqhub/native/recurrence.so
$(SANITIZED): setup.py $(wildcard seqhub/native/src/*)
	CXXFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" \
		$(BIN)/python setup.py --quiet build_ext --build-lib build/sanitized

sanitize: $(READY) $(SANITIZED)  ## Test the native recurrence under address and undefined-behaviour sanitizers.
	LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 SEQHUB_TEST_LIBRARY=$(SANITIZED) \
		$(BIN)/python -m pytest tests/native --timeout=3000

CELLS := 200

sanitize-cells: $(READY)  ## Test random compiled cells under both sanitizers (CELLS=200).
	LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 SEQHUB_CACHE=$(CURDIR)/build/sanitized-cells \
		CXXFLAGS="-O0 -fsanitize=address,undefined -fno-sanitize-recover=all" SEQHUB_TEST_CELLS=$(CELLS) \
		$(BIN)/python -m pytest tests/cells/test_random_cells.py -n 0

FUZZED := build/fuzz/seqhub/native/recurrence.so
$(FUZZED): setup.py $(wildcard seqhub/native/src/*)
	CXXFLAGS="-O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fsanitize-coverage=trace-pc" \
		$(BIN)/python setup.py --quiet build_ext --build-lib build/fuzz

build/fuzz/fuzz: $(wildcard tests/native/fuzz/*) seqhub/native/src/problem.h seqhub/native/src/memory_blocks.h
	@mkdir -p build/fuzz
	c++ -std=c++17 -O1 -g -rdynamic -fsanitize=address,undefined -fno-sanitize-recover=all \
		tests/native/fuzz/*.cpp -o $@ -ldl

SECONDS := 60

fuzz: $(READY) $(FUZZED) build/fuzz/fuzz  ## Fuzz the native recurrence, guided by coverage (SECONDS=60).
	build/fuzz/fuzz $(FUZZED) $(SECONDS)

PYTHONS :=  # other Pythons than 3.11, 3.12 and 3.13, as in PYTHONS="3.12 /path/to/python3.13"
CHECKS :=  # some checks only, as in CHECKS="wheel server"

release-check: $(READY)  ## Build sdist and wheel and use them in clean environments (needs a package index; an hour).
	$(BIN)/python tests/release_check.py $(PYTHONS:%=--python %) $(CHECKS:%=--only %)

format: $(READY)  ## Format the code.
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

lint: $(READY)  ## Run the linter, the format check and the type checker.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## Run all benchmarks and print their tables.
	$(BIN)/python -m benchmarks all

release: $(READY)  ## Build, train and verify all released datasets and models.
	$(BIN)/python -m dataset_scripts build
	$(BIN)/python -m dataset_scripts verify
	$(BIN)/python -m model_cards release

cards: $(READY)  ## Render all cards and pages.
	$(BIN)/python -m dataset_scripts render
	$(BIN)/python -m model_cards render
	$(BIN)/python -m docs.render

.PHONY: help install demo test test-all transformers-suite hub-suite js-suite pages-suite site sanitize sanitize-cells fuzz release-check format lint bench release cards
