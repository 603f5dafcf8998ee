# Environment, demonstration and tests on a fresh machine. Everything else: see README.md.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help environment demo resume general-model test benchmark clean

# Any Python from 3.11 on:  make demo PYTHON=python3.12
PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check
RUN := .venv/bin/python -m

# faiss for the GPU where there is one; make demo GPU= takes the CPU's.
GPU := $(if $(shell nvidia-smi -L 2>/dev/null),-gpu)
REQUIREMENTS := envs/requirements$(GPU).txt
REPORT := results/report.html

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "make %-18s%s\n", $$1, $$2 }'

environment: .venv/.complete  ## .venv with everything that the pipeline needs (5 GB)

# Files in .venv say that an installation came to its end; an interrupted one starts again.
.venv/.complete: envs/requirements-base.txt $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$$($(PYTHON) --version 2>&1): expected Python 3.11 or later as PYTHON=$(PYTHON);" \
			"name another one: make $(or $(MAKECMDGOALS),environment) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(PIP) install -r $(REQUIREMENTS)
	@touch $@

.venv/.complete-dev: .venv/.complete envs/requirements-dev.txt
	$(PIP) install -r $(REQUIREMENTS) -r envs/requirements-dev.txt
	@touch $@

demo: environment  ## the whole pipeline on generated scenes, then its tables and report
	$(RUN) snakemake
	@if [[ ! -e $(REPORT) || -n $$(find results -type f -newer $(REPORT) -print -quit) ]]; then \
		$(RUN) snakemake --report $(REPORT); fi
	@for table in results/synthetic/tables/*.md; do echo; cat "$$table"; done
	@echo; echo "tables:  results/synthetic/tables/"; echo "figures: results/synthetic/figures/"; \
		echo "report:  $(REPORT)"

# make resume ARGUMENTS="table_joint --configfile config/7scenes.yaml"
resume: environment  ## go on after kill -9 or a power cut, with the ARGUMENTS that Snakemake had
	$(RUN) snakemake --unlock $(ARGUMENTS)
	$(RUN) snakemake --rerun-incomplete $(ARGUMENTS)

general-model: environment  ## the network for places that it was not trained on (half an hour on two cores)
	$(RUN) snakemake --configfile config/general.yaml -- results/general/runs/joint/model.pt

test: .venv/.complete-dev  ## every check and test
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) snakefmt --check Snakefile rules
	$(RUN) snakemake --lint
	OMP_NUM_THREADS=1 $(RUN) pytest --numprocesses auto --dist loadfile

benchmark: environment  ## every stage's speed and memory against a floor of the same run
	.venv/bin/python benchmarks/run.py

clean:  ## remove what "make demo" and the tests made; .venv and downloads stay
	rm -rf {results,resources}/synthetic $(REPORT) .pytest_cache .ruff_cache
