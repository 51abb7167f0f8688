# Every target is one or two lines: the work is in hack/, tests/testbed and penstock itself.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

help: ## this list
	@awk -F ':.*## ' '/^## /{printf "\n%s\n", substr($$0, 4)} /^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

## Develop
setup: ## .venv with everything pinned; the other targets call it
	@./hack/setup

check: setup ## ruff, mypy strict, import-linter, drift of CRDs and docs, links
	@./hack/check

fmt: setup ## format and mend what ruff can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: setup ## write what the documentation has from the code: fields, rules, settings, metrics
	@$(BIN)/python hack/reference.py --write docs

crds: setup ## write crds/*.yaml from the pydantic models
	@$(BIN)/python -m penstock.api.crds --write crds

lock: setup ## pin the dependencies anew: versions and hashes, no addresses
	@./hack/lock

## Use
demo: setup ## everything from nothing, and Penstock's story on it, told with real output; KIND=1 on kind
	@PYTHONPATH=tests:. $(BIN)/python -P -m demo up $(if $(filter-out 0,$(KIND)),--kind)

demo-recording: setup ## run the demo and record it as docs/demo.svg; `make demo-down` first for a fresh run
	@PYTHONPATH=tests:. PYTHONUNBUFFERED=1 $(BIN)/python -P hack/recording.py docs/demo.svg $(BIN)/python -P -m demo up

demo-down: setup ## end just what the demo started
	@PYTHONPATH=tests:. $(BIN)/python -P -m demo down

run: setup ## the operator against the current KUBECONFIG
	@$(BIN)/penstock run --log-format=text

image: ## the operator's image by docker or podman; BASE=... on another Python
	@./hack/image

## Test
test: setup ## everything: check, then all tests on real servers (got or built when missing)
	@./hack/test

test-all: setup ## the same, with the full draws: more examples, manifests, moments, histories
	@PENSTOCK_DRAWS=full ./hack/test

test-unit: setup ## the tests that need no server
	@$(PYTEST) -m "not servers"

bench: setup ## the figures that we promise, each with its bar; exit 1 when one is missed; ONLY=month SEED=7
	@PYTHONPATH=tests:. $(BIN)/python -P -m benchmarks $(ONLY)

## Test bed: a real control plane, a node and Prometheus on loopback, without Docker
cluster-up: setup ## start it (or find it running); prints what to export
	@PYTHONPATH=tests $(BIN)/python -m testbed up

cluster-down: setup ## end just what cluster-up started
	@PYTHONPATH=tests $(BIN)/python -m testbed down

doctor: setup ## what is found, which version, from where, and how to get what is missing
	@PYTHONPATH=tests $(BIN)/python -m testbed doctor

## With Docker: a kind cluster with Prometheus and the operator's image
kind-up: setup ## start it (or find it running), build and load the image
	@PYTHONPATH=tests:. $(BIN)/python -P -m demo.kind up

kind-down: setup ## end just what kind-up started
	@PYTHONPATH=tests:. $(BIN)/python -P -m demo.kind down

.PHONY: kind-up kind-down docs bench demo demo-recording demo-down run image help setup check fmt crds lock test test-all test-unit cluster-up cluster-down doctor
