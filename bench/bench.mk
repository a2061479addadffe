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
bench_programs := $(addprefix build/bench/,dcfbench localgo goserver local memory server remote shm \
	tables crowd peer dcfpeer rust)

.PHONY: bench bench-quick bench-build

bench: bench-build build/bin/dcfnode ## Measure dcf beside its floors: BENCH=regexp, OUT=file
	build/bench/dcfbench -bench '$(BENCH)' -out '$(OUT)' -python '$(BENCH_PYTHON)' $(BENCH_FLAGS)

bench-quick: bench-build build/bin/dcfnode ## Run a few blocks of each benchmark: shows that all run
	build/bench/dcfbench -quick -bench '$(BENCH)' -out '$(OUT)' -python '$(BENCH_PYTHON)'

bench-build: $(bench_programs) $(if $(BENCH_PYTHON),build/bench/python/_bench.abi3.so \
	build/bench/python/_client.abi3.so build/bench/python/_empty.abi3.so)

$(bench_floors): $(wildcard bench/floors/*.go bench/floors/*.c bench/floors/*.h bench/floors/*/*.go)
	go build -buildmode=c-shared -o $@ ./bench/floors/shared

# go decides by itself what is out of date.
.PHONY: build/bench/dcfbench build/bench/localgo build/bench/goserver build/bench/dcfpeer
build/bench/dcfbench build/bench/localgo build/bench/goserver build/bench/dcfpeer:
	go build -o $@ ./bench/cmd/$(@F)

build/bench/local: bench/c/local.c $(bench_shared) $(bench_headers) $(bench_dcf) $(bench_floors)
	gcc $(bench_cflags) -o $@ $(filter %.c,$^) $(bench_link) $(bench_link_floors)

build/bench/server build/bench/remote build/bench/shm: build/bench/%: bench/c/%.c bench/c/echo.c \
		bench/c/client.c bench/c/wave.c bench/floors/ring.c $(bench_shared) $(bench_headers) \
		$(bench_dcf)
	gcc $(bench_cflags) -o $@ $(filter %.c,$^) $(bench_link)

build/bench/tables build/bench/crowd: build/bench/%: bench/c/%.c bench/c/client.c $(bench_shared) \
		$(bench_headers) $(bench_dcf)
	gcc $(bench_cflags) -o $@ $(filter %.c,$^) $(bench_link)

build/bench/memory build/bench/peer: build/bench/%: bench/c/%.c $(bench_shared) $(bench_headers) \
		$(bench_dcf)
	gcc $(bench_cflags) -o $@ $(filter %.c,$^) $(bench_link)

# The clock and the C client, for Rust.
bench_objects := $(addprefix build/bench/,measure.o client.o fixture.o functions.o)
$(bench_objects): build/bench/%.o: bench/c/%.c $(bench_headers)
	@mkdir -p $(@D)
	gcc $(bench_cflags) -c -o $@ $<

build/bench/libdcfbench.a: $(bench_objects)
	ar rcs $@ $^

# cargo decides by itself what is out of date.
.PHONY: build/bench/rust
build/bench/rust: build/bench/libdcfbench.a $(bench_dcf) $(bench_floors)
	cd bindings/rust && cargo build --quiet --locked --release -p dcf-bench
	cp build/cargo/release/dcf-bench $@

build/bench/python/_bench.abi3.so: bench/python/module.c bench/c/functions.c $(bench_headers) \
		$(bench_floors) $(if $(filter $(VENV)/bin/python,$(BENCH_PYTHON)),$(VENV)/.dcf)
	@mkdir -p $(@D)
	gcc $(bench_cflags) -shared -fPIC -o $@ $(filter %.c,$^) -Lbuild/bench -ldcffloors \
		-I"$$($(BENCH_PYTHON) -c 'import sysconfig; print(sysconfig.get_paths()["include"])')" \
		-Wl,-rpath,'$$ORIGIN/..'

# Its own path to libdcf is for a package whose libdcf goes by another name.
build/bench/python/_client.abi3.so: bench/python/client.c bench/c/client.c $(bench_shared) \
		bindings/python/src/dcf/_dcf/dcf_python.h $(bench_headers) $(bench_dcf) \
		$(if $(filter $(VENV)/bin/python,$(BENCH_PYTHON)),$(VENV)/.dcf)
	@mkdir -p $(@D)
	gcc $(bench_cflags) -shared -fPIC -o $@ $(filter %.c,$^) -Lbuild/lib -ldcf -Ibindings/python/src/dcf/_dcf \
		-I"$$($(BENCH_PYTHON) -c 'import sysconfig; print(sysconfig.get_paths()["include"])')" \
		-Wl,-rpath,'$$ORIGIN/../../lib'

build/bench/python/_empty.abi3.so: bench/python/empty.c $(if $(filter $(VENV)/bin/python,$(BENCH_PYTHON)),$(VENV)/.test)
	@mkdir -p $(@D)
	gcc $(bench_cflags) -shared -fPIC -o $@ $< \
		-I"$$($(BENCH_PYTHON) -c 'import sysconfig; print(sysconfig.get_paths()["include"])')"
