# The verbs of the project, for people and CI alike. Each makes .venv and installs what it needs, once.
PYTHON ?= python3
VENV ?= .venv
DATA ?= ../shared/data
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# each by name: those that __all__ does not list would have no page
MODULES = $(subst /,.,$(patsubst %/__init__,%,$(basename $(shell find crossmodal -name '*.py'))))

.DEFAULT_GOAL := help
.PHONY: help demo evaluate test test-slow lint unit format docs bench clean

help: ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED)-test ## train on the synthetic orchestra, evaluate, answer three queries
	$(BIN)/python scripts/train_crossmodal.py

evaluate: $(INSTALLED)-test ## judge four systems by every protocol that the data allow: experiments/RESULTS.md
	$(BIN)/python experiments/evaluate.py experiments/RESULTS.md --data $(DATA)

test: $(INSTALLED)-test ## lint and fast tests, side by side
	@$(MAKE) -j2 lint unit

test-slow: $(INSTALLED)-test $(INSTALLED)-cluster $(INSTALLED)-milvus ## the tests that take minutes or need a browser
	$(BIN)/python -m pytest -m slow --durations=10

lint: $(INSTALLED)-test ## ruff, mypy and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(INSTALLED)-test # a thread each: two processes on two cores have no more
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations=10

format: $(INSTALLED)-test ## format, and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(INSTALLED)-dev ## the pages of every module and class, in build/docs
	$(BIN)/python -m pdoc --docformat google --output-directory build/docs $(MODULES)

bench: $(INSTALLED)-bench ## every benchmark, ratios on the screen; some ask the run of make demo
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

clean: ## remove what was built and cached; .venv, runs and stores of features stay
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# one file for each extra that is installed, older than setup.cfg when something in it has changed
$(INSTALLED)-%: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[$*]"
	@touch $@

.PRECIOUS: $(INSTALLED)-%
