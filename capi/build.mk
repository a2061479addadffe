# Building libdcf. The Makefile at the root includes this.
#
# build/lib gets libdcf.so (shared, stripped), libdcf.a (static) and dcf.pc, build/include gets dcf.h.

DCF_VERSION ?= 0.1.0
DCF_ABI_MAJOR := 0
DCF_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
DCF_FULL_VERSION := $(DCF_VERSION)$(if $(DCF_COMMIT),+$(DCF_COMMIT))
PREFIX ?= /usr/local
LIBDCF_MAX_BYTES := 16000000

LIBDCF_SONAME := libdcf.so.$(DCF_ABI_MAJOR)
LIBDCF_LDFLAGS = -s -w -X main.version=$(DCF_FULL_VERSION)
LIBDCF_EXTLDFLAGS = -Wl,-soname,$(LIBDCF_SONAME) -Wl,--version-script=$(CURDIR)/capi/libdcf.map

.PHONY: lib lib-static lib-size install-lib

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

lib-size: build/lib/libdcf.so ## check the size of the stripped library
	@size=$$(stat -Lc %s $<); echo "libdcf.so: $$size bytes of $(LIBDCF_MAX_BYTES)"; \
	  test $$size -le $(LIBDCF_MAX_BYTES)

install-lib: lib lib-static ## install libdcf under PREFIX
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include
	install -m 755 build/lib/libdcf.so.$(DCF_VERSION) build/lib/libdcf.a $(DESTDIR)$(PREFIX)/lib
	ln -sf libdcf.so.$(DCF_VERSION) $(DESTDIR)$(PREFIX)/lib/$(LIBDCF_SONAME)
	ln -sf $(LIBDCF_SONAME) $(DESTDIR)$(PREFIX)/lib/libdcf.so
	install -m 644 build/include/dcf.h $(DESTDIR)$(PREFIX)/include
	install -m 644 build/lib/dcf.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig

FORCE:
