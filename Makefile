# Environment, demonstration and tests on a fresh machine. Everything else: see README.md.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help environment demo resume general-model style check test docs benchmark lock audit clean

# Any Python from 3.11 on:  make demo PYTHON=python3.12
PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --require-hashes
RUN := .venv/bin/python -m
COMMAND := .venv/bin/python relposegnn

# faiss for the GPU where there is one; make demo GPU= takes the CPU's.
GPU := $(if $(shell nvidia-smi -L 2>/dev/null),-gpu)
REQUIREMENTS := envs/requirements$(GPU).txt
REPORT := results/synthetic/report.html

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "make %-18s%s\n", $$1, $$2 }'

environment: .venv/.complete  ## .venv with everything that the pipeline needs (5 GB)

# Files in .venv say that an installation came to its end; an interrupted one starts again.
.venv/.complete: $(REQUIREMENTS)
	@[[ "$$PWD" != *[{}]* ]] || { echo "$$PWD: has braces in its name, which Snakemake takes for" \
		"wildcards; rename the folder" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$$("$(PYTHON)" --version 2>&1): expected Python 3.11 or later as PYTHON=$(PYTHON);" \
			"name another one: make $(or $(MAKECMDGOALS),environment) PYTHON=python3.12" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	$(INSTALL) -r $(REQUIREMENTS)
	@touch $@

.venv/.complete-dev: .venv/.complete envs/requirements-dev.txt
	$(INSTALL) -r $(REQUIREMENTS) -r envs/requirements-dev.txt
	@touch $@

demo: environment  ## the whole pipeline on generated scenes, then its tables and report
	$(COMMAND) run config
	@echo; grep '^|' results/synthetic/tables/joint.md
	@echo; echo "tables:  results/synthetic/tables/, explained in joint.md"; echo "figures: results/synthetic/figures/"; \
		echo "report:  $(REPORT)"

# make resume ARGUMENTS="table_joint --configfile config/7scenes.yaml"
resume: environment  ## go on after kill -9 or a power cut, with the ARGUMENTS that Snakemake had
	$(RUN) snakemake --unlock $(ARGUMENTS)
	$(RUN) snakemake --rerun-incomplete $(ARGUMENTS)

general-model: environment  ## the network for places that it was not trained on (half an hour to three quarters on two cores)
	$(COMMAND) run general results/general/runs/joint/model.pt

# Each test on one thread; a worker for each core, and the tests of one file in one worker. Bytecode
# is kept, whatever the environment says: hundreds of jobs would compile the library anew. So is freed
# memory, as in jobs (KEPT_MEMORY in workflow/scripts/relposegnn/threads.py), here in pages of 2 MB.
MEMORY := MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_MMAP_THRESHOLD_=33554432
PAGES := GLIBC_TUNABLES=glibc.malloc.hugetlb=1
TESTS := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(MEMORY) $(PAGES) $(RUN) pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

style: .venv/.complete-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) snakefmt --check Snakefile rules

check: style  ## the fast part of "make test": no training, no rendering, no run of the workflow, nothing that takes a second
	$(TESTS) -m "not slow and not nightly"

test: style  ## every check and test
	$(RUN) snakemake --lint
	$(TESTS)

docs: .venv/.complete-dev  ## the documentation site, in site/, and the pages of every setting
	.venv/bin/python docs/write_settings.py
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

benchmark: environment  ## every stage's speed and memory against a floor of the same run
	.venv/bin/python benchmarks/run.py

# torch-scatter's source asks for torch before it tells what it needs, which is nothing else.
lock: .venv/.complete-dev  ## envs/*.txt from envs/*.in: every package at one version, with its digests
	@for name in requirements{,-gpu,-dev,-scatter}; do \
		$(RUN) uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--annotation-style line --custom-compile-command "make lock" \
			$$([[ $$name != *-scatter ]] || echo --no-deps) envs/$$name.in -o envs/$$name.txt; done

audit: .venv/.complete-dev  ## ask for known vulnerabilities of the packages in envs/*.txt
	@for name in requirements{,-gpu,-dev}; do \
		$(RUN) pip_audit --strict --require-hashes --disable-pip -r envs/$$name.txt; done

clean:  ## remove what "make demo" and the tests made; .venv and downloads stay
	rm -rf {results,resources}/synthetic site .pytest_cache .ruff_cache .hypothesis
