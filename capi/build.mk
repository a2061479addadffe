# Building libdcf. The Makefile at the root includes this.
#
# build/lib gets libdcf.so (shared, stripped), libdcf.a (static), dcf.pc and cmake/, build/include gets
# dcf.h. packaging/packages.mk installs them.

DCF_VERSION ?= 0.1.0
DCF_ABI_MAJOR := 0
DCF_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
DCF_FULL_VERSION := $(DCF_VERSION)$(if $(DCF_COMMIT),+$(DCF_COMMIT))
LIBDCF_MAX_BYTES := 16000000

LIBDCF_SONAME := libdcf.so.$(DCF_ABI_MAJOR)
LIBDCF_LDFLAGS = -s -w -X main.version=$(DCF_FULL_VERSION)
LIBDCF_EXTLDFLAGS = -Wl,-soname,$(LIBDCF_SONAME) -Wl,--version-script=$(CURDIR)/capi/libdcf.map

.PHONY: lib lib-static lib-size

lib: build/lib/libdcf.so build/lib/dcf.pc build/include/dcf.h ## build libdcf.so, its header and pkg-config file
lib-static: build/lib/libdcf.a build/include/dcf.h ## build libdcf.a

# Go knows best what is up to date.
build/lib/libdcf.so: FORCE
	@mkdir -p $(@D)
	go build -trimpath -buildmode=c-shared \
	  -ldflags "$(LIBDCF_LDFLAGS) -extldflags '$(LIBDCF_EXTLDFLAGS)'" -o $@.$(DCF_VERSION) ./capi
	@rm -f $(@D)/libdcf*.h
	@ln -sf $(@F).$(DCF_VERSION) $(@D)/$(LIBDCF_SONAME)
	@ln -sf $(LIBDCF_SONAME) $@

build/lib/libdcf.a: FORCE
	@mkdir -p $(@D)
	go build -trimpath -buildmode=c-archive -ldflags "$(LIBDCF_LDFLAGS)" -o $@ ./capi
	@rm -f $(@D)/libdcf*.h

build/include/dcf.h: include/dcf.h
	@mkdir -p $(@D)
	@cp $< $@

build/lib/dcf.pc: packaging/dcf.pc.in FORCE
	@mkdir -p $(@D)
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(DCF_VERSION)|' $< > $@

build/lib/cmake/%: packaging/%.in FORCE
	@mkdir -p $(@D)
	@sed -e 's|@VERSION@|$(DCF_VERSION)|' -e 's|@SONAME@|$(LIBDCF_SONAME)|' $< > $@

lib-size: build/lib/libdcf.so ## check the size of the stripped library
	@size=$$(stat -Lc %s $<); echo "libdcf.so: $$size bytes of $(LIBDCF_MAX_BYTES)"; \
	  test $$size -le $(LIBDCF_MAX_BYTES)

FORCE:
