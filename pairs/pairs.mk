# The language pairs. The Makefile at the root includes this.

pairs_cflags := -O1 -g -std=gnu11 -Wall -Wextra -Werror -Iinclude

.PHONY: test-pairs build/pairs/go build/pairs/rust

test-pairs: $(VENV)/.test build/pairs/c build/pairs/go build/pairs/rust ## Each language's vertices and functions from every other
	$(VENV)/bin/python -m pytest -q pairs

build/pairs/c: $(wildcard pairs/c/*.c pairs/c/*.h) include/dcf.h build/lib/libdcf.so
	@mkdir -p $(@D)
	gcc $(pairs_cflags) -o $@ $(filter %.c,$^) -Lbuild/lib -ldcf -Wl,-rpath,'$$ORIGIN/../lib'

# go decides by itself what is out of date.
build/pairs/go:
	go build -o $@ ./pairs/go

# What bindings/rust builds is of use here, too.
build/pairs/rust: build/lib/libdcf.so
	cd pairs/rust && DCF_LIB_DIR=$(CURDIR)/build/lib CARGO_TARGET_DIR=$(CURDIR)/build/cargo \
		cargo build --quiet --locked
	@mkdir -p $(@D)
	@cp build/cargo/debug/dcf-pairs $@
