# Sets up the environment, and runs the demo and the tests. For everything else see README.md.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help environment demo resume general-model style check test docs benchmark lock audit clean

# Python 3.11 or later; to choose one:  make demo PYTHON=python3.12
PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --require-hashes
RUN := .venv/bin/python -m
COMMAND := .venv/bin/python relposegnn

# faiss for the GPU, if there is one; "make demo GPU=" uses the CPU's.
GPU := $(if $(shell nvidia-smi -L 2>/dev/null),-gpu)
REQUIREMENTS := envs/requirements$(GPU).txt
REPORT := results/synthetic/report.html

help:  ## list these targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "make %-18s%s\n", $$1, $$2 }'

environment: .venv/.complete  ## install everything that the pipeline needs into .venv (5 GB)

# These files in .venv mark a complete installation; an interrupted one starts again.
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

demo: environment  ## run the whole pipeline on two generated rooms, and print the result table
	$(COMMAND) run config
	@echo; grep '^|' results/synthetic/tables/joint.md
	@echo; echo "tables:  results/synthetic/tables/, explained in joint.md"; echo "figures: results/synthetic/figures/"; \
		echo "report:  $(REPORT)"

# make resume ARGUMENTS="table_joint --configfile config/7scenes.yaml"
resume: environment  ## resume after kill -9 or a power cut, with the same ARGUMENTS for Snakemake
	$(RUN) snakemake --unlock $(ARGUMENTS)
	$(RUN) snakemake --rerun-incomplete $(ARGUMENTS)

general-model: environment  ## train the general network (30 to 45 minutes on two cores)
	$(COMMAND) run general results/general/runs/joint/model.pt

# One worker per core, one thread per test; all tests of a file run in the same worker. Bytecode is
# written whatever the environment says, because hundreds of jobs would compile the library again. Freed
# memory is kept, as in jobs (KEPT_MEMORY in workflow/scripts/relposegnn/threads.py), here in 2 MB pages.
MEMORY := MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_MMAP_THRESHOLD_=33554432
PAGES := GLIBC_TUNABLES=glibc.malloc.hugetlb=1
TESTS := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(MEMORY) $(PAGES) $(RUN) pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

style: .venv/.complete-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) snakefmt --check Snakefile rules

check: style  ## run formatting checks and the fast tests (50 s on two cores)
	$(TESTS) -m "not slow and not nightly"

test: style  ## run every check and test
	$(RUN) snakemake --lint
	$(TESTS)

docs: .venv/.complete-dev  ## build the documentation site in site/, and write the pages of settings
	.venv/bin/python docs/write_settings.py
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

benchmark: environment  ## compare the speed and memory of every stage with a baseline of the same run
	.venv/bin/python benchmarks/run.py

# --no-deps: the source of torch-scatter needs torch to list its dependencies, of which it has no others.
lock: .venv/.complete-dev  ## write envs/*.txt from envs/*.in: one version of every package, with digests
	@for name in requirements{,-gpu,-dev,-scatter}; do \
		$(RUN) uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--annotation-style line --custom-compile-command "make lock" \
			$$([[ $$name != *-scatter ]] || echo --no-deps) envs/$$name.in -o envs/$$name.txt; done

audit: .venv/.complete-dev  ## check the packages in envs/*.txt for known vulnerabilities
	@for name in requirements{,-gpu,-dev}; do \
		$(RUN) pip_audit --strict --require-hashes --disable-pip -r envs/$$name.txt; done

clean:  ## remove the output of "make demo" and of the tests; keep .venv and downloads
	rm -rf {results,resources}/synthetic site .pytest_cache .ruff_cache .hypothesis
