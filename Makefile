# SPDX-License-Identifier: Apache-2.0
#
#   make run                 installs, builds, and walks the default guest through its life
#   make run KERNEL=… INITRD=…   … another guest; ARGUMENTS='--memory 1GiB' gives `python -m applevz run` more to do
#   make test                installs, builds, and runs everything that continuous integration runs
#   make bench                   measures it beside bare QEMU; PEERS=1 installs libvirt and measures that, too; README=1 puts
#                                the table into README.md; BENCH_ARGUMENTS='--help' tells of more
#   make lint                ruff and mypy
#   make typecheck-macos SDK=…   type-checks native/bridge against a macOS SDK
#   make frameworks PREFIX=…     installs native/linux as headers and libraries, for programs in Objective-C
#   make clean               removes what was built; the default guest, the packages and .venv stay

PYTHON = python3
VENV = .venv
KERNEL =
INITRD =
ARGUMENTS =
SDK =
PEERS =
README =
BENCH_ARGUMENTS =
GUEST_ARGUMENTS =
PREFIX = /usr/local
DESTDIR =
# Two files at a time: most tests wait for an emulated guest, which keeps one processor busy.
PYTEST_ARGUMENTS = --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 30

STAMPS = build/stamps
# What the extension is built from. An editable installation follows changes of src/ by itself.
SOURCES = setup.py pyproject.toml $(shell find native -name '*.[cmh]' -o -name '*.py')

.PHONY: run test lint typecheck-macos frameworks bench setup guest clean

run: $(STAMPS)/installed $(if $(KERNEL),,guest)
	$(VENV)/bin/python -m applevz run $(if $(KERNEL),--kernel '$(KERNEL)' --initrd '$(INITRD)') $(ARGUMENTS)

test: GUEST_ARGUMENTS = --all
test: $(STAMPS)/installed-for-tests lint guest
	$(VENV)/bin/python -m pytest $(PYTEST_ARGUMENTS)

lint: $(STAMPS)/installed-for-tests
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy

typecheck-macos:
	$(PYTHON) native/toolchain.py typecheck-macos $(if $(SDK),--sdk '$(SDK)')

bench: $(STAMPS)/installed-for-bench guest
	LIBVIRT_DEBUG=4 PYTHONPATH=tests $(VENV)/bin/python bench --kernel build/guest/vmlinux \
	    --packaged-kernel build/guest/vmlinuz --initrd build/guest/initrd.cpio.gz --json build/bench.json \
	    $(if $(PEERS),--peers) $(if $(README),--readme README.md) $(BENCH_ARGUMENTS)

frameworks: $(STAMPS)/packages
	$(PYTHON) native/frameworks.py --prefix '$(PREFIX)' $(if $(DESTDIR),--destdir '$(DESTDIR)')

setup: $(STAMPS)/installed

guest: $(STAMPS)/packages
	$(PYTHON) tests/guest/prepare.py $(GUEST_ARGUMENTS)

clean:
	rm -rf build/lib* build/temp* build/bdist* build/debug build/tests $(STAMPS)/installed* dist src/*.egg-info
	rm -f src/applevz/*.so src/applevz/*.dylib

$(STAMPS)/packages: native/install-packages native/debian-packages.txt
	native/install-packages
	mkdir -p $(STAMPS)
	touch $@

$(VENV)/bin/python: | $(STAMPS)/packages
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/installed: $(SOURCES) | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(STAMPS)/installed-for-bench: $(SOURCES) $(if $(PEERS),$(STAMPS)/peers) | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@ $(STAMPS)/installed

$(STAMPS)/peers: $(STAMPS)/packages | $(VENV)/bin/python
	native/install-packages peers
	CC=clang $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check libvirt-python
	touch $@

$(STAMPS)/installed-for-tests: $(SOURCES) | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	touch $@ $(STAMPS)/installed
