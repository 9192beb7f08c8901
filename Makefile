# Targets install what they need on first use. Another Python: make PYTHON=python3.12
.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix bench gpu results results-photos kills docs clean

PYTHON ?= $(shell python3.11 -c "" 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
READY := .venv/.ready
DOCS_READY := .venv/.docs-ready

# Idle threads sleep instead of spinning, which is faster for small models on few cores.
export OMP_WAIT_POLICY ?= PASSIVE

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(READY) ## create .venv for the demo, tests and checks

demo: setup ## run the bundled example, offline
	$(BIN)/cliptune demo

test: setup ## run the default tests: CPU, offline, one process per core up to four
	$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile

check: setup ## check lint, format, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

fix: setup ## fix lint where ruff can, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## measure speed; IMAGES=folder measures loading on your photographs
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/speed.py --threads 1 --no-memory
	$(BIN)/python benchmarks/loading.py $(if $(IMAGES),--images $(IMAGES))

gpu: setup ## check recorded cases on a GPU and measure speed there, within eight minutes
	$(BIN)/python benchmarks/gpu.py

results: setup ## measure the numbers of the results page
	$(BIN)/python benchmarks/results.py

results-photos: setup ## measure the results on photographs; ROOT=folder, see benchmarks/photos.py
	$(if $(ROOT),,$(error name the folder of the photographs: make results-photos ROOT=FOLDER))
	for rows in caltech shots scenes transfer; do $(BIN)/python benchmarks/photos.py --root $(ROOT) --rows $$rows || exit; done
	$(BIN)/python benchmarks/photos_reliance.py --root $(ROOT)
	$(BIN)/python benchmarks/ranks.py

kills: setup ## kill sweeps repeatedly and check that nothing is lost
	$(BIN)/python benchmarks/kills.py

docs: $(DOCS_READY) ## build the documentation in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean: ## remove build files; keep .venv and runs
	rm -rf build dist site .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests tools benchmarks examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

OLD = $(shell $(PYTHON) -c "import sys; print('' if sys.version_info >= (3, 11) else sys.version.split()[0])" 2>/dev/null || echo missing)

$(READY): pyproject.toml
	$(if $(OLD),$(error cliptune needs Python 3.11 or newer, but $(PYTHON) is $(OLD); name one: make PYTHON=python3.12))
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --no-compile --editable ".[dev]"
	@touch $@

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install -qq --editable ".[docs]"
	@touch $@
