# Every target makes what it needs first (scripts/bootstrap) and leaves nothing in `git status`.
SHELL := /bin/bash
BIN := .venv/bin
SCHEMA := schemas/mailcollector.v1.json
ONCE ?=
ARGS ?=
# Tests wait for servers more than they compute: two for each core.
WORKERS ?= $(shell echo $$((2 * $$(nproc))))
SECONDS ?= 3600
# Not for tests: each of the many programs that they start would compile all of ours.
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help demo test test-trixie test-image coverage crashwalk soak mutants pictures check fix docs lock bench clean

help:
	@echo 'make demo         collectors that fetch mail from a private Dovecot, for you to watch and change'
	@echo 'make demo ONCE=1  the same, one session of each, then it ends'
	@echo 'make test         the whole test suite; make test ARGS="-k watch" a part of it'
	@echo 'make test-trixie  demo and tests in a bare Debian 13 made by debootstrap (root); ARGS=short a tenth of them'
	@echo 'make test-image   builds the image over a Debian made by debootstrap, and runs it (root)'
	@echo 'make crashwalk    dies at every step of a session, in every mode, and counts what is lost and doubled (root)'
	@echo 'make soak         random faults for an hour, while mail keeps coming; SECONDS=600 ARGS="--seed 7" (root)'
	@echo 'make mutants      small changes, one at a time, and whether a test notices; ARGS="--area ledger --number 50"'
	@echo 'make check        style, types, floors, and whether the schema is up to date'
	@echo 'make fix          fix what a program can fix'
	@echo 'make docs         the pages of docs/ as a site, in build/docs; warnings are errors'
	@echo 'make coverage     the test suite with the share of lines and branches that it runs; ARGS=tests/planning a part'
	@echo 'make pictures     takes pictures of the page in Chromium: all in build/pictures, the README'"'"'s in docs/pictures'
	@echo 'make lock         writes requirements/ from constraints.txt, and proves that every dependency comes as a wheel;'
	@echo '                  ARGS=--check writes nothing'
	@echo 'make bench        beside mpop, mbsync, fetchmail, getmail6 and the floors of disk and network; about half an hour;'
	@echo '                  ARGS="--cases many": 10,000 collectors for a quarter of an hour'
	@echo 'make clean        remove everything that these made'

demo:
	@scripts/bootstrap demo
	@$(BIN)/python -m demo $(if $(ONCE),--once)

test:
	@scripts/bootstrap test
	@scripts/test-tools
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-trixie:
	@scripts/trixie $(or $(ARGS),full)

test-image:
	@scripts/image

crashwalk:
	@scripts/bootstrap test
	@$(BIN)/python -m tests.crashes

soak:
	@scripts/bootstrap test
	@$(BIN)/python -m tests.soak --seconds $(SECONDS) $(ARGS)

mutants:
	@scripts/bootstrap test
	@$(BIN)/python -m tests.mutants $(ARGS)

pictures:
	@scripts/bootstrap test
	@$(BIN)/python -m demo.pictures $(ARGS)

check:
	@scripts/bootstrap check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy -p reconciler -p tests -p demo -p bench
	$(BIN)/lint-imports
	@$(BIN)/python -c 'from reconciler.manifests.schema_export.json_schema import generated; print(generated(), end="")' \
	  | diff -u $(SCHEMA) - || { echo '$(SCHEMA) is out of date: make fix' >&2; exit 1; }
	@$(BIN)/python -c 'from tests.replies.page import rendered; print(rendered(), end="")' \
	  | diff -u docs/providers.md - || { echo 'docs/providers.md is out of date: make fix' >&2; exit 1; }

fix:
	@scripts/bootstrap check
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python -m reconciler.manifests.schema_export.json_schema
	$(BIN)/python -m tests.replies.page

docs:
	@scripts/bootstrap check
	$(BIN)/sphinx-build -q -E -W --keep-going -d build/doctrees docs build/docs

coverage:
	@scripts/bootstrap test
	@scripts/test-tools
	$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report term:skip-covered $(ARGS)

lock:
	@scripts/bootstrap check
	@scripts/lock $(ARGS)

bench:
	@scripts/bootstrap bench
	@$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf .venv .bootstrap.lock .demo .tools .servers .mutants build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage
