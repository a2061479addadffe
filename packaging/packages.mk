# What people install: libdcf for C, the wheel and the sdist of Python, and dcfnode. The Makefile at the
# root includes this.
#
# make install puts libdcf, its header, dcf.pc, the CMake package and dcfnode under PREFIX; packagers
# give DESTDIR, which is put before it. dist/ gets the wheel and the sdist.

PREFIX ?= /usr/local
DESTDIR ?=
PYTHONS ?= $(wildcard $(HOME)/.pyenv/versions/3.1[0-9]*/bin/python)

.PHONY: install install-lib uninstall wheel sdist test-wheel test-packages

cmake_files := dcf-config.cmake dcf-config-version.cmake
installed = $(DESTDIR)$(PREFIX)

install: install-lib build/bin/dcfnode ## Install libdcf and dcfnode under PREFIX
	install -d $(installed)/bin
	install -m 755 build/bin/dcfnode $(installed)/bin

install-lib: lib lib-static $(cmake_files:%=build/lib/cmake/%)
	install -d $(installed)/include $(installed)/lib/pkgconfig $(installed)/lib/cmake/dcf
	install -m 755 build/lib/libdcf.so.$(DCF_VERSION) $(installed)/lib
	ln -sf libdcf.so.$(DCF_VERSION) $(installed)/lib/$(LIBDCF_SONAME)
	ln -sf $(LIBDCF_SONAME) $(installed)/lib/libdcf.so
	install -m 644 build/lib/libdcf.a $(installed)/lib
	install -m 644 build/include/dcf.h $(installed)/include
	install -m 644 build/lib/dcf.pc $(installed)/lib/pkgconfig
	install -m 644 $(cmake_files:%=build/lib/cmake/%) $(installed)/lib/cmake/dcf

uninstall: ## Remove what install put under PREFIX
	rm -f $(installed)/bin/dcfnode $(installed)/include/dcf.h $(installed)/lib/libdcf.a \
	  $(installed)/lib/libdcf.so $(installed)/lib/libdcf.so.* $(installed)/lib/pkgconfig/dcf.pc
	rm -rf $(installed)/lib/cmake/dcf

$(VENV)/.packages: $(VENV)/bin/python packaging/requirements.txt
	$(VENV)/bin/pip install --quiet -r packaging/requirements.txt
	touch $@

# auditwheel looks which symbols of glibc are used, and names the oldest system that has them.
wheel: lib $(VENV)/.packages ## Build the wheel, with libdcf inside, into dist/
	rm -rf build/wheel dist/dcf-*.whl
	DCF_LIB_DIR=$(CURDIR)/build/lib $(VENV)/bin/pip wheel --quiet --no-deps -w build/wheel \
	  ./bindings/python
	PATH=$(CURDIR)/$(VENV)/bin:$$PATH $(VENV)/bin/auditwheel repair --plat auto -w dist \
	  build/wheel/dcf-*.whl >build/wheel/auditwheel.log 2>&1 || { cat build/wheel/auditwheel.log; exit 1; }
	@ls dist/dcf-*.whl

sdist: $(VENV)/.packages ## Build the sdist, with the sources of libdcf, into dist/
	rm -f dist/dcf-*.tar.gz
	$(VENV)/bin/python -m build --sdist --outdir dist bindings/python >/dev/null
	@ls dist/dcf-*.tar.gz

test-wheel: wheel ## Install the wheel into every Python there is (PYTHONS) and try it
	@test -n "$(PYTHONS)" || { echo "no Python from 3.10: set PYTHONS"; exit 1; }
	@set -e; for python in $(PYTHONS); do \
	  rm -rf build/wheel/venv; $$python -m venv build/wheel/venv; \
	  build/wheel/venv/bin/pip install --quiet --disable-pip-version-check --no-index dist/dcf-*.whl; \
	  (cd build/wheel && venv/bin/python -I ../../packaging/consumers/python/smoke.py); \
	done

test-packages: build wheel sdist $(VENV)/.packages ## Use every package as its users do, outside of the checkout
	$(VENV)/bin/python -m pytest -q packaging/tests
