# Everything a developer needs. `make` alone says what there is; every target prepares what it needs.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BILL := $(VENV)-bill/.ready
CRD := crds/esa.preload-operator.io_scheduledpreloadjobs.yaml
WORKERS ?= 3
IMPORTS_CACHE ?= .import_linter_cache
SITE ?= build/docs
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
PYTEST := $(BIN)/python -m pytest
TYPED := operator $(wildcard hack/*.py hack/*/*.py) docs/conf.py tests
REFERENCE := PYTHONPATH=operator:hack/tools $(BIN)/python hack/docs/reference.py

export PYTHONDONTWRITEBYTECODE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test e2e lint crds chart reference docs bench control-plane requirements image pyz release-artifacts release-build publish clean

help: ## show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1|\2/' | \
	  while IFS='|' read -r name text; do printf '  make %-17s %s\n' $$name "$$text"; done

demo: $(READY) ## show the operator at work, with a simulated ESA and a real Kubernetes API on this machine
	@$(BIN)/python hack/demo.py

# GOGC: the API server may take more memory, and needs less time for it. The tests of what is deployed run beside those
# of the running operator, which wait more than they compute.
test: $(READY) $(BILL) ## run all tests; the Kubernetes API server and the tools that some need are built once
	@started=$$SECONDS; failed=0; logs=$$(mktemp -d); trap 'rm -rf "$$logs"' EXIT; \
	run() { GOGC=400 $(PYTEST) "$$@" -q --dist worksteal; }; \
	built() { wait $$1 || { cat "$$2" >&2; exit 1; }; }; \
	$(BIN)/python hack/control-plane/build.py >"$$logs/plane" 2>&1 & plane=$$!; \
	run tests/unit tests/security -n $(WORKERS) || failed=1; \
	kill -0 $$plane 2>/dev/null && echo 'make: building the test control plane, some minutes the first time'; \
	built $$plane "$$logs/plane"; \
	{ nice -n 10 $(BIN)/python hack/tools/tools.py && run tests/deploy -n 2; } >"$$logs/deploy" 2>&1 & deploy=$$!; \
	run tests/component tests/cluster -n $(WORKERS) || failed=1; \
	kill -0 $$deploy 2>/dev/null && echo 'make: tests of what is deployed; helm and promtool take some minutes the first time'; \
	wait $$deploy || failed=1; cat "$$logs/deploy"; \
	echo "make: tests took $$((SECONDS - started)) s"; \
	exit $$failed

e2e: $(READY) ## try image and chart in the cluster of KUBECONFIG (E2E_LOAD_IMAGE=command that gets an image archive)
	@$(PYTEST) tests/e2e -v -x --durations=0 --durations-min=1

lint: $(READY) ## check style, types, layers, and that generated files are up to date
	@failed=''; \
	try() { local hint=$$1; shift; "$$@" || failed+=$$'\n'"  $$hint"; }; \
	generated() { $(BIN)/python -m esa_preload_operator.resources.crd | diff -u $(CRD) -; }; \
	try 'ruff check' $(BIN)/ruff check --quiet; \
	try 'ruff format (run it to heal this)' $(BIN)/ruff format --check --quiet; \
	try 'mypy' $(BIN)/mypy --strict --no-error-summary $(TYPED); \
	try 'lint-imports' $(BIN)/lint-imports --no-logo --cache-dir $(IMPORTS_CACHE); \
	try 'the CRD (`make crds` heals this)' generated; \
	try 'the chart (`make chart` heals this)' $(BIN)/python hack/tools/chart.py --check; \
	try 'pages and pictures in docs/ (`make reference` heals this)' env $(REFERENCE) --check; \
	try 'hadolint' $(BIN)/hadolint Dockerfile; \
	try 'hack/check-tree.sh' bash hack/check-tree.sh; \
	[ -z "$$failed" ] || { echo "make: these complain:$$failed" >&2; exit 1; }; \
	echo 'make: nothing to complain about'

crds: $(READY) ## write crds/ anew from the types
	@$(BIN)/python -m esa_preload_operator.resources.crd > $(CRD)
	@$(BIN)/python hack/tools/chart.py

chart: $(READY) ## write anew what the chart takes from other files: CRD, schema, README, alerts, dashboard
	@$(BIN)/python hack/tools/chart.py

reference: $(READY) ## write anew what pages and pictures in docs/ take from the code
	@$(REFERENCE)

docs: $(READY) ## make the site of docs/ in build/docs; a broken link is an error (SOURCE=address of the repository)
	@rm -rf $(SITE)
	@$(BIN)/python -m sphinx -q -W --keep-going -n -d $(SITE)/.doctrees docs $(SITE)
	@rm -rf $(SITE)/.doctrees
	@echo 'make: the site is $(SITE)/index.html'

bench: $(READY) ## measure the operator against its limits (BENCH='latency rate' names parts; BENCH=--trial: small numbers)
	@PYTHONPATH=operator:hack/control-plane:tests $(BIN)/python hack/bench/main.py $(BENCH)

control-plane: $(READY) ## build and start a bare Kubernetes API in the foreground, for trying things
	@$(BIN)/python hack/control-plane/control_plane.py

# Indexes and wheel folders of this machine must not show in the files, nor narrow down the hashes.
COMPILE := env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL CUSTOM_COMPILE_COMMAND='make requirements' \
  $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url \
  --no-emit-find-links --no-emit-trusted-host --no-emit-options

requirements: $(READY) ## resolve the dependencies anew, with hashes (UPGRADE=--upgrade for newer versions)
	@$(COMPILE) $(UPGRADE) --extra otel --output-file requirements.txt pyproject.toml
	@$(COMPILE) $(UPGRADE) --extra cli --extra dev --extra docs --build-deps-for editable --constraint requirements.txt \
	  --output-file requirements-dev.txt pyproject.toml
	@$(COMPILE) $(UPGRADE) --only-build-deps --build-deps-for wheel --constraint requirements-dev.txt \
	  --output-file requirements-build.txt pyproject.toml
	@$(COMPILE) $(UPGRADE) --output-file requirements-bill.txt hack/tools/bill.in

image: ## build the image with docker, for this machine (IMAGE=name)
	@docker buildx build --load --pull --tag "$${IMAGE:-esa-preload-operator}:$${IMAGE_TAG:-$(VERSION)}" --build-arg VERSION=$(VERSION) .

pyz: $(READY) ## build the kubectl plugin as one file, dist/kubectl-esa_preload.pyz
	@$(BIN)/python hack/tools/pyz.py

# What these take: TAG=v1.2.3, IMAGE=registry/name, DIGEST=sha256:…, SOURCE=address of the repository.
release-artifacts: $(READY) $(BILL) ## make the files of a release in dist/ (IMAGE=registry/name says where its image lies)
	@$(BIN)/python hack/release.py --tag="$${TAG:-}" --image="$${IMAGE:-}" --digest="$${DIGEST:-}" --home="$${SOURCE:-}"

release-build: $(READY) $(BILL) ## build a tagged commit's image and files into dist/: hack/build-release.sh says what it needs
	@PYTHON=$(BIN)/python hack/build-release.sh

publish: ## push and sign what release-build made, and make the release: hack/publish.sh says what it needs
	@hack/publish.sh

clean: ## remove what was made here (the built control plane stays in the user's cache)
	@rm -rf $(VENV) $(VENV)-bill dist build .demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find operator hack tests -name __pycache__ -prune -exec rm -rf {} +

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo 'make: Python 3.11 or newer is missing (PYTHON=/path/to/python3 names one)' >&2; exit 1; }
	@command -v git >/dev/null || { echo 'make: git is missing' >&2; exit 1; }
	@[ -x $(BIN)/python ] || { echo 'make: preparing $(VENV), a minute or two the first time'; $(PYTHON) -m venv $(VENV); } || \
	  { echo 'make: Python has no venv module (Debian calls it python3-venv)' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(BILL): requirements-bill.txt $(READY)
	@[ -x $(@D)/bin/python ] || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --require-hashes --requirement requirements-bill.txt
	@touch $@
