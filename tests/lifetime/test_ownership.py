# SPDX-License-Identifier: Apache-2.0
"""Every error that the bridge hands over is released exactly once, and nothing is left behind.

The programs run with a debug build, which counts errors as they are handed over and as they are destroyed. Two of the
tests break the release on purpose, so that the others are known to notice.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import debug_build

# What each program begins with. `life` is an error's whole life: made, adopted, raised, caught, read and dropped.
BEGIN = """
import gc, os, sys, threading
from applevz import CFError, Error, errors
from applevz._native import ffi, lib

def native():
    return lib.applevz_error_create(b"VZErrorDomain", 13, 2, b"What.", 5, b"Why.", 4, b"Do.", 3)

def life():
    try:
        errors.check(native())
    except Error as error:
        assert error.code == 2 and error.domain == "VZErrorDomain" and error.localized_description == "What."
    else:
        raise SystemExit("nothing was raised")

def counts():
    gc.collect()
    made, destroyed = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    assert lib.applevz_debug_error_counts(made, destroyed), "not a debug build"
    return made[0], destroyed[0]

def resident():
    gc.collect()
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""

MEASURED = """
def work(number):
    for _ in range(number):
        life()

def in_threads(number):
    if threads == 1:
        return work(number)
    crew = [threading.Thread(target=work, args=(number // threads,)) for _ in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()

total, threads = int(sys.argv[1]), int(sys.argv[2])
in_threads(total // 20)
made_before, destroyed_before = counts()
before = resident()
in_threads(total)
grown = resident() - before
made, destroyed = counts()
print(made - made_before, destroyed - destroyed_before, made - destroyed, grown)
"""


measuring = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")


def measured(program: str, total: int, threads: int) -> tuple[int, int, int, int]:
    done = debug_build.run(BEGIN + program, str(total), str(threads))
    assert done.returncode == 0, done.stdout + done.stderr
    made, destroyed, alive, grown = map(int, done.stdout.split())
    return made, destroyed, alive, grown


@measuring
@pytest.mark.parametrize(("count", "threads"), [pytest.param(1_000_000, 1, marks=pytest.mark.long), (60_000, 8)])
def test_errors_leave_memory_where_it_was_and_each_is_released_once(count: int, threads: int) -> None:
    made, destroyed, alive, grown = measured(MEASURED, count, threads)
    assert made == count
    assert destroyed == count
    assert alive == 0
    assert abs(grown) <= 1 << 20


def test_errors_are_released_by_the_thread_that_drops_them_last() -> None:
    program = """
import queue
passed = queue.Queue(100)

def make():
    for _ in range(5000):
        try:
            errors.check(native())
        except Error as error:
            passed.put(error.error)
    passed.put(None)

def drop():
    while (error := passed.get()) is not None:
        assert error.code == 2
        del error

crew = [threading.Thread(target=target) for target in (make, drop) * 4]
for thread in crew:
    thread.start()
for thread in crew:
    thread.join()
made, destroyed = counts()
print(made, destroyed, made - destroyed, 0)
"""
    assert measured(program, 0, 0) == (20_000, 20_000, 0, 0)


def test_underlying_errors_are_released_too() -> None:
    program = """
from applevz import DiskImageStorageDeviceAttachment as Image, VirtioBlockDeviceConfiguration as Disk
from applevz import VirtualMachineConfiguration
configuration = VirtualMachineConfiguration(storage_devices=[Disk(Image("/nowhere"))])
links = 0
for _ in range(500):
    try:
        configuration.validate()
    except FileNotFoundError as exception:
        error = exception.error
        while error is not None:
            links += 1
            error = error.underlying
made, destroyed = counts()
print(made, destroyed, made - destroyed, lib.applevz_debug_live_handles())
assert links >= 1000, links
"""
    made, destroyed, alive, handles = measured(program, 0, 0)
    assert made == destroyed >= 1000
    assert alive == 0
    assert handles == 0


EXIT = """
import atexit, ctypes
ctypes.CDLL(sys.argv[1])

class Keeper:
    def __init__(self):
        self.me = self
        self.error = CFError(native())

local = threading.local()
local.error = CFError(native())
in_a_module = [CFError(native()) for _ in range(100)]
sys.error = errors.exception_of(native())
builtins_error = CFError(native()); import builtins; builtins.kept = builtins_error
cycle = Keeper(); del cycle
threading.Thread(target=lambda: setattr(threading.current_thread(), "kept", CFError(native()))).start()
def late():
    global made_late
    made_late = [CFError(native()) for _ in range(10)]
atexit.register(late)
def raising():
    errors.check(native())
try:
    raising()
except Error as error:
    with_traceback = error
class Raiser(CFError):
    pass
raise errors.exception_of(native())
"""

# A library whose destructor runs when the interpreter is gone: it was loaded after the bridge, so it goes before it.
PROBE = r"""
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdbool.h>

static bool (*counts)(uint64_t *, uint64_t *);

__attribute__((constructor)) static void find(void) {
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD);
    if (library)
        counts = (bool (*)(uint64_t *, uint64_t *))dlsym(library, "applevz_debug_error_counts");
}

__attribute__((destructor)) static void tell(void) {
    uint64_t made = 0, destroyed = 0;
    if (counts && counts(&made, &destroyed))
        printf("%" PRIu64 " %" PRIu64 "\n", made, destroyed);
}
"""


@pytest.fixture(scope="module")
def exit_probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    library = next(path for path in (debug_build.folder() / "applevz").iterdir() if path.name.startswith("libapplevz."))
    (folder / "probe.c").write_text(PROBE)
    probe = folder / "probe.so"
    command = ["clang", "-shared", "-fPIC", f'-DLIBRARY="{library}"', "-o", str(probe), str(folder / "probe.c")]
    subprocess.run(command, check=True, capture_output=True)
    return probe


def test_finalizers_at_the_interpreter_s_exit_release_what_is_left(exit_probe: Path) -> None:
    done = debug_build.run(BEGIN + EXIT, str(exit_probe))
    assert done.returncode == 1, done.stderr
    assert "InvalidVirtualMachineConfigurationError: VZErrorDomain 2: What." in done.stderr
    made, destroyed = map(int, done.stdout.split())
    assert made == 117
    assert destroyed == made


@measuring
def test_a_release_that_is_missing_would_be_noticed() -> None:
    program = (
        """
adopt = CFError.__init__
kept = []
def keep(self, reference):
    kept.append(reference)
    adopt(self, reference)
CFError.__init__ = keep
"""
        + MEASURED
    )
    made, destroyed, alive, grown = measured(program, 100_000, 1)
    assert made == 100_000
    assert destroyed == 0
    assert alive > 0
    assert grown > 1 << 20


@measuring
def test_a_release_that_is_doubled_would_be_noticed() -> None:
    program = """
adopt = CFError.__init__
def twice(self, reference):
    lib.CFRelease(reference)
    adopt(self, reference)
CFError.__init__ = twice
"""
    done = debug_build.run(BEGIN + program + MEASURED, "10000", "1")
    if done.returncode == 0:
        made, destroyed, *_ = map(int, done.stdout.split())
        assert made != destroyed
    else:
        assert done.returncode < 0, done.stderr


def test_the_build_that_is_tested_otherwise_counts_nothing() -> None:
    program = "from applevz._native import ffi, lib\nn = ffi.new('uint64_t[2]')\n"
    program += "print(lib.applevz_debug_error_counts(n, n + 1), n[0], n[1])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "0", "0"]
