# dcf: one command shows the main job, one passes all tests. `make help` lists everything.

SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/build/bin:$(PATH)

VENV := build/venv
PYTHON ?= python3
TEST_FLAGS ?=
FUZZ_TIME ?= 30s
SOAK_KILLS ?= 10000
SOAK_HOSTILE ?= 60s

.PHONY: help build run test test-go test-race test-python test-rust test-examples test-docs check docs docs-serve generate abi fuzz clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

include capi/build.mk
include bench/bench.mk
include packaging/packages.mk
include pairs/pairs.mk

build: lib build/bin/dcfnode ## Build libdcf, its header and dcfnode under build/

.PHONY: build/bin/dcfnode
build/bin/dcfnode:
	go build -trimpath -ldflags '-s -w' -o $@ ./cmd/dcfnode

# The virtual environment has dcf as a user gets it, installed from the checkout.
python_sources := $(shell find bindings/python -name '*.py' -o -name '*.pyi' -o -name '*.c' \
	-o -name '*.h' -o -name '*.toml' -o -name CMakeLists.txt 2>/dev/null)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade pip

$(VENV)/.dcf: $(VENV)/bin/python build/lib/libdcf.so $(python_sources)
	DCF_LIB_DIR=$(CURDIR)/build/lib $(VENV)/bin/pip install --quiet ./bindings/python
	touch $@

$(VENV)/.demo: $(VENV)/.dcf examples/flights/requirements.txt
	$(VENV)/bin/pip install --quiet -r examples/flights/requirements.txt
	touch $@

$(VENV)/.test: $(VENV)/.dcf bindings/python/pyproject.toml
	DCF_LIB_DIR=$(CURDIR)/build/lib $(VENV)/bin/pip install --quiet './bindings/python[test]'
	touch $@

$(VENV)/.docs: $(VENV)/.test docs/tool/requirements.txt
	$(VENV)/bin/pip install --quiet -r docs/tool/requirements.txt
	touch $@

$(VENV)/.check: $(VENV)/.test requirements-check.txt
	$(VENV)/bin/pip install --quiet -r requirements-check.txt
	touch $@

run: build $(VENV)/.demo ## The main job: flights of 2013 over two nodes, three ways
	$(VENV)/bin/python examples/flights/run.py

test: test-go test-race test-python test-rust test-pairs test-examples test-docs test-wheel test-packages ## Pass all tests of all languages

test-go: build ## Go tests, and the C programs that they compile and run
	go vet ./...
	go test $(TEST_FLAGS) ./...
	go test $(TEST_FLAGS) -tags failpoint -run 'TestKilledClients/named' ./core

test-race: build ## Go tests under the race detector
	go test -race $(TEST_FLAGS) ./core/... ./vertex/... ./udf/... ./wire/...

test-python: $(VENV)/.test ## Python tests
	cd bindings/python && $(CURDIR)/$(VENV)/bin/python -m pytest -q

# What cargo builds goes to build/cargo, for which bindings/rust/.cargo/config.toml sees.
test-rust: build ## Rust tests, its documentation's examples, and its crates
	cd bindings/rust && cargo test --quiet --locked --features tokio -p dcf -p dcf-sys
	cd bindings/rust && cargo check --quiet --locked -p dcf
	bindings/rust/consumer/test.sh

test-examples: build $(VENV)/.demo ## Run the examples and compare what they say
	$(VENV)/bin/python examples/check.py

test-docs: build $(VENV)/.docs build/docs/limits.md ## Follow the manual and the README, and compare
	$(VENV)/bin/python -m pytest -q -p no:cacheprovider docs/tool

docs: $(VENV)/.docs build/bin/dcfnode build/docs/limits.md ## Build the manual into build/site
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

docs-serve: $(VENV)/.docs build/bin/dcfnode build/docs/limits.md ## Show the manual while it is written
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs serve

# The limits of all packages, for a page of the manual.
build/docs/limits.md: $(wildcard docs/tool/limits/*.go) $(shell git ls-files '*limits.go' 'capi/*.h' 'vertex/cdata/*')
	@mkdir -p $(@D)
	go run ./docs/tool/limits > $@.new && mv $@.new $@

fuzz: ## Run each fuzz target for FUZZ_TIME
	@set -e; for target in $$(grep -rl --include='*_test.go' '^func Fuzz' . | sort); do \
		for name in $$(grep -oE '^func Fuzz[A-Za-z0-9]+' $$target | cut -c6-); do \
			echo "fuzz $$(dirname $$target) $$name"; \
			go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 1x ./$$(dirname $$target); \
		done; done

.PHONY: soak
soak: ## Kill SOAK_KILLS clients of shared memory at random points and as many at named ones; hostile ones for SOAK_HOSTILE
	go test -count=1 -v -timeout 3h -tags failpoint -run 'TestKilledClients|TestHostileClients' ./core \
		-args -kills $(SOAK_KILLS) -hostile $(SOAK_HOSTILE)

check: $(VENV)/.check build/bin/golangci-lint ## Formatting, linters, types, generated files
	@test -z "$$(gofmt -l $$(git ls-files '*.go' ':!wire/flatbuf'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	build/bin/golangci-lint run
	$(VENV)/bin/clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	cd bindings/python && $(CURDIR)/$(VENV)/bin/mypy --strict src/dcf
	cd bindings/rust && cargo fmt --all --check
	cd pairs/rust && cargo fmt --check
	cd bindings/rust && cargo clippy --quiet --locked --all-targets --features tokio -p dcf -p dcf-sys -p dcf-bench \
		-- -D warnings
	$(MAKE) --no-print-directory generate && git diff --exit-code

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
build/bin/golangci-lint:
	GOBIN=$(CURDIR)/build/bin go install $(GOLANGCI)

.PHONY: arrow-page
arrow-page: $(VENV)/.test ## Write what works with which Arrow library into docs/arrow.md anew
	$(VENV)/bin/python bindings/python/tests/arrow_page.py

generate: $(VENV)/.check ## Write the generated files anew
	schemas/generate.sh
	bindings/rust/dcf-sys/generate.sh $(VENV)/bin/python

abi: build ## Compare the header, the library and their users
	go test -count=1 ./capi/abi

clean: ## Remove what was built
	rm -rf build dist
