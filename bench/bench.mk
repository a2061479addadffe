# The benchmarks. The Makefile at the root includes this.
#   make bench [BENCH=regexp] [OUT=file] [BENCH_FLAGS=-markdown]
# BENCH_PYTHON names a Python that has dcf; empty leaves out Python's cases.

BENCH ?=
OUT ?=
BENCH_FLAGS ?=
BENCH_PYTHON ?= $(VENV)/bin/python

bench_cflags := -O2 -g -std=gnu11 -Wall -Wextra -Werror -Iinclude -Ibench/c -Ibench/floors
bench_dcf := build/lib/libdcf.so
bench_floors := build/bench/libdcffloors.so
bench_headers := include/dcf.h $(wildcard bench/c/*.h bench/floors/*.h)
bench_shared := bench/c/fixture.c bench/c/functions.c bench/c/measure.c
bench_link := -Lbuild/lib -ldcf -pthread -Wl,-rpath,'$$ORIGIN/../lib'
bench_link_floors := -Lbuild/bench -ldcffloors -Wl,-rpath,'$$ORIGIN'
bench_programs := $(addprefix build/bench/,dcfbench localgo local memory server remote peer dcfpeer rust)

.PHONY: bench bench-quick bench-build

bench: bench-build build/bin/dcfnode ## Measure dcf beside its floors: BENCH=regexp, OUT=file
	build/bench/dcfbench -bench '$(BENCH)' -out '$(OUT)' -python '$(BENCH_PYTHON)' $(BENCH_FLAGS)

bench-quick: bench-build build/bin/dcfnode ## Run a few blocks of each benchmark: shows that all run
	build/bench/dcfbench -quick -bench '$(BENCH)' -out '$(OUT)' -python '$(BENCH_PYTHON)'

bench-build: $(bench_programs) $(if $(BENCH_PYTHON),build/bench/python/_bench.abi3.so \
	build/bench/python/_empty.abi3.so)

$(bench_floors): $(wildcard bench/floors/*.go bench/floors/*.c bench/floors/*.h bench/floors/*/*.go)
	go build -buildmode=c-shared -o $@ ./bench/floors/shared

# go decides by itself what is out of date.
.PHONY: build/bench/dcfbench build/bench/localgo build/bench/dcfpeer
build/bench/dcfbench build/bench/localgo build/bench/dcfpeer:
	go build -o $@ ./bench/cmd/$(@F)

build/bench/local: bench/c/local.c $(bench_shared) $(bench_headers) $(bench_dcf) $(bench_floors)
	gcc $(bench_cflags) -o $@ $(filter %.c,$^) $(bench_link) $(bench_link_floors)

build/bench/server build/bench/remote: build/bench/%: bench/c/%.c bench/c/echo.c $(bench_shared) \
		$(bench_headers) $(bench_dcf)
	gcc $(bench_cflags) -o $@ $(filter %.c,$^) $(bench_link)

build/bench/memory build/bench/peer: build/bench/%: bench/c/%.c $(bench_shared) $(bench_headers) \
		$(bench_dcf)
	gcc $(bench_cflags) -o $@ $(filter %.c,$^) $(bench_link)

build/bench/libdcfmeasure.a: bench/c/measure.c bench/c/measure.h
	@mkdir -p $(@D)
	gcc $(bench_cflags) -c -o build/bench/measure.o $<
	ar rcs $@ build/bench/measure.o

# cargo decides by itself what is out of date.
.PHONY: build/bench/rust
build/bench/rust: build/bench/libdcfmeasure.a $(bench_dcf) $(bench_floors)
	cd bindings/rust && cargo build --quiet --locked --release -p dcf-bench
	cp build/cargo/release/dcf-bench $@

build/bench/python/_bench.abi3.so: bench/python/module.c bench/c/functions.c $(bench_headers) \
		$(bench_floors) $(if $(filter $(VENV)/bin/python,$(BENCH_PYTHON)),$(VENV)/.dcf)
	@mkdir -p $(@D)
	gcc $(bench_cflags) -shared -fPIC -o $@ $(filter %.c,$^) -Lbuild/bench -ldcffloors \
		-I"$$($(BENCH_PYTHON) -c 'import sysconfig; print(sysconfig.get_paths()["include"])')" \
		-Wl,-rpath,'$$ORIGIN/..'

build/bench/python/_empty.abi3.so: bench/python/empty.c $(if $(filter $(VENV)/bin/python,$(BENCH_PYTHON)),$(VENV)/.test)
	@mkdir -p $(@D)
	gcc $(bench_cflags) -shared -fPIC -o $@ $< \
		-I"$$($(BENCH_PYTHON) -c 'import sysconfig; print(sysconfig.get_paths()["include"])')"
