# `make demo` and `make test` are all a newcomer needs; each sets up .venv by itself.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# One thread per process: two busy processes with two OpenMP threads each spin against each other.
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test quick lab bench check lock setup clean
help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(STAMP)  ## make .venv from requirements.lock (done by the others when needed)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Spectral Workbench needs Python >= 3.11; run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "No venv module: install it (Debian: apt install python3-venv) and try again."; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-uv.lock
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes \
	  --compile-bytecode requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## run the notebook chain and write runs/demo/index.html
	$(BIN)/workbench run notebooks/chain.yaml --scale demo --name demo

test: $(STAMP)  ## all tests but those that need a GPU
	$(BIN)/python -m pytest -m "not gpu"

quick: $(STAMP)  ## the tests that are quick: no slow, notebook, browser, Slurm or GPU ones
	$(BIN)/python -m pytest -n 2 -m "not slow and not notebook and not browser and not slurm and not gpu"

lab: $(STAMP)  ## open the notebooks in JupyterLab
	$(BIN)/workbench lab

bench: $(STAMP)  ## every benchmark at full size, into benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run_all.py --scale full

check: $(STAMP)  ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

lock: $(STAMP)  ## resolve requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --extra dev --upgrade pyproject.toml --output-file requirements.lock
	echo uv | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --upgrade - --output-file requirements-uv.lock

clean:  ## remove runs and caches (not .venv)
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
