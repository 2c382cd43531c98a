# Needs Python 3.11 or 3.12 and a network; everything else comes with it. `make help` lists what there is.
VENV ?= .venv
# Processes that share the tests; each has a broker of its own beside it.
WORKERS ?= 3
BIN = $(VENV)/bin

.PHONY: help up test lint bench chaos docs clean
help:
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 14

up:     ## start Kafka, Valkey, the ingress and the flow workers; Ctrl-C drains and stops them
	@sh deploy/install.sh $(VENV) runtime
	@exec $(BIN)/xyra up

test:   ## every check: lint, types, import rules, unit, property, contract and process tests
	@sh deploy/install.sh $(VENV) dev
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

lint:   ## style, types and import rules only
	@sh deploy/install.sh $(VENV) dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench:  ## measure beside the peers; writes tests/bench/results
	@sh deploy/install.sh $(VENV) dev
	$(BIN)/python -m tests.bench

chaos:  ## kill everything a hundred times and prove that nothing was lost
	@sh deploy/install.sh $(VENV) dev
	$(BIN)/python -m tests.chaos

docs:   ## write the README's tables from the tables in the code
	@sh deploy/install.sh $(VENV) dev
	$(BIN)/python -m deploy.docs

clean:  ## remove what was installed and built; data in .xyra stays
	rm -rf $(VENV) build dist .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
