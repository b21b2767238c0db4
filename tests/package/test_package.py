# SPDX-License-Identifier: Apache-2.0
"""The package from outside: what importing it does, what it exports, and how it is built."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import applevz
from applevz._native import lib
from places import ROOT


def python(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- Importing ----


def test_importing_changes_nothing_in_the_process() -> None:
    program = """
import locale, os, signal, sys, threading
linux = sys.platform == "linux"
def state():
    return {
        "threads": os.listdir("/proc/self/task") if linux else threading.active_count(),
        "children": open(f"/proc/self/task/{os.getpid()}/children").read() if linux else "",
        "signals": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        # SigQ counts the signals of all the user's processes.
        "dispositions": [line for line in open("/proc/self/status") if line[:4] in "SigB SigI SigC"] if linux else "",
        "locale": locale.setlocale(locale.LC_ALL),
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "descriptors": sorted(os.listdir("/dev/fd")),
        "umask": (os.umask(0o22), os.umask(0o22)),
    }
before = state()
import applevz
after = state()
for name in before:
    if before[name] != after[name]:
        sys.exit(f"{name}: {before[name]} became {after[name]}")
"""
    python(program)


def test_importing_loads_nothing_that_takes_long_and_is_not_needed_yet() -> None:
    # Together they would double the time of the import.
    late = [
        "argparse",
        "asyncio",
        "ctypes",
        "dataclasses",
        "inspect",
        "json",
        "logging",
        "multiprocessing",
        "pickle",
        "socket",
        "subprocess",
    ]
    program = f"import sys, applevz; print([name for name in {late} if name in sys.modules])"
    assert python(program) == "[]\n"


def test_what_is_imported_when_it_is_asked_for_is_found_under_every_name() -> None:
    program = """
import applevz
assert set(applevz.__all__) <= set(dir(applevz))  # type: ignore[attr-defined]
for name in applevz.__all__:  # type: ignore[attr-defined]
    assert getattr(applevz, name) is getattr(applevz, name), name
# A submodule of the same name must not take the place of what is exported.
assert type(applevz.capabilities).__name__ == "Capabilities" and callable(applevz.limits)
try:
    applevz.VirtualMachin
except AttributeError as error:
    print(error)
"""
    assert python(program) == "module 'applevz' has no attribute 'VirtualMachin'\n"


def test_a_host_program_s_children_stay_its_own() -> None:
    program = """
import os, applevz
pid = os.fork()
if pid == 0:
    import applevz.configuration
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
"""
    python(program)


def test_no_other_thread_sees_another_locale_while_the_library_is_first_used() -> None:
    # GNUstep sets LC_CTYPE from the environment when its defaults are first read: at the import, and not later.
    program = """
import locale, threading, time
from applevz import GenericMachineIdentifier
locale.setlocale(locale.LC_CTYPE, "C")
seen, over = set(), threading.Event()
def watch():
    while not over.is_set():
        seen.add(locale.setlocale(locale.LC_CTYPE))
thread = threading.Thread(target=watch)
thread.start()
time.sleep(0.05)
GenericMachineIdentifier.random()
over.set()
thread.join()
print(seen)
"""
    assert python(program, LC_ALL="C.UTF-8") == "{'C'}\n"


def test_what_is_needed_is_found_by_reading_python() -> None:
    # As PyInstaller and its like do; what an extension imports they cannot see. The standard library is not read: there
    # modulefinder stumbles over a folder without __init__.py.
    program = """
import _cffi_backend, applevz, modulefinder, sys
from pathlib import Path
script = Path(sys.argv[1], "script.py")
script.write_text("import applevz, applevz.aio")
finder = modulefinder.ModuleFinder(
    [str(Path(applevz.__file__).parent.parent), str(Path(_cffi_backend.__file__).parent)]
)
finder.run_script(str(script))
names = "_cffi_backend", "applevz._applevz", "applevz._references", "applevz._core.machine", "applevz._blocking.usb"
print([name for name in names if name not in finder.modules])
"""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", program, folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "[]\n", done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system has all libraries")
@pytest.mark.parametrize(
    ("library", "package"), [("libgnustep-base.so.9.99", "libgnustep-base9.99"), ("libobjc.so.9", "libobjc9")]
)
def test_a_missing_library_is_one_error_that_names_its_package(tmp_path: Path, library: str, package: str) -> None:
    # As where the package of another release was brought.
    folder = Path(shutil.copytree(Path(applevz.__file__).parent, tmp_path / "applevz"))
    native = folder / "libapplevz.so"
    name, _, version = library.partition(".so.")
    content = native.read_bytes()
    changed = re.sub(rb"%b\.so\.[0-9.]{%d}\0" % (name.encode(), len(version)), library.encode() + b"\0", content)
    assert changed != content
    native.write_bytes(changed)
    program = """
try:
    import applevz
except ImportError as error:
    assert error.__cause__ is None and error.__suppress_context__
    print(error)
"""
    told = python(program, PYTHONPATH=str(tmp_path))
    assert told.startswith(f"applevz needs the library {library}, which is missing: on Debian and Ubuntu ")
    assert f"`apt-get install {package}`" in told
    assert told.count("\n") == 1


# ---- What it exports ----


def test_what_is_exported_is_there_and_says_what_it_is() -> None:
    assert len(set(applevz.__all__)) == len(applevz.__all__)  # type: ignore[attr-defined]
    for name in applevz.__all__:  # type: ignore[attr-defined]
        exported = getattr(applevz, name)
        if inspect.isclass(exported) or inspect.isfunction(exported):
            assert exported.__doc__, name
            assert not exported.__doc__.startswith(f"{name}("), f"{name} has only what dataclass makes up"


def test_what_is_public_and_its_own_is_exported() -> None:
    public = {
        name
        for name, value in vars(applevz).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("applevz") and name != "annotations"
    }
    assert public <= set(applevz.__all__)  # type: ignore[attr-defined]


def test_public_methods_say_what_they_do() -> None:
    own = applevz.VirtualMachine, applevz.Console, applevz.Events, applevz.CFError, applevz.Error, applevz.Capability
    for kind in own:
        for name, member in ((name, inspect.getattr_static(kind, name)) for name in dir(kind)):
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert member.__doc__, f"{kind.__name__}.{name}"


def test_enumerations_take_their_values_from_the_compiler() -> None:
    for state in applevz.VirtualMachineState:
        assert state == getattr(lib, f"APPLEVZ_MACHINE_STATE_{state.name}")
    states = [name for name in dir(lib) if name.startswith("APPLEVZ_MACHINE_STATE_")]
    assert len(states) == len(applevz.VirtualMachineState)


def test_capabilities_are_true_or_say_what_is_missing() -> None:
    for name in ("virtualization", "hardware_acceleration", "command_line_additions", "save_restore"):
        capability = getattr(applevz.capabilities, name)
        assert capability.name == name
        assert bool(capability) is (capability.reason is None)
        if not capability:
            assert capability.reason
            assert isinstance(capability.error, applevz.Error)


def test_limits_are_those_of_a_host_that_can_run_something() -> None:
    limits = applevz.limits()
    assert 1 <= limits.minimum_cpu_count <= limits.maximum_cpu_count
    assert 0 < limits.minimum_memory_size <= limits.maximum_memory_size


def test_identifiers_are_new_each_time() -> None:
    assert applevz.MACAddress.random() != applevz.MACAddress.random()
    assert re.fullmatch(r"[0-9a-f][26ae](:[0-9a-f]{2}){5}", str(applevz.MACAddress.random()))
    assert applevz.GenericMachineIdentifier.random() != applevz.GenericMachineIdentifier.random()


# ---- Building ----


def test_the_binding_has_every_function_of_the_header_and_the_library_has_each() -> None:
    header = (ROOT / "native" / "include" / "applevz.h").read_text()
    # Comments may name functions too; what is exported is declared.
    declared = set(re.findall(r"\b(applevz_\w+)\(", re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)))
    assert declared
    assert declared <= set(dir(lib))
    for name in declared:
        assert callable(getattr(lib, name))


def test_a_build_without_clang_ends_with_one_sentence_that_names_the_packages(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "--quiet", "build", "--build-base", str(tmp_path)]
    environment = {**os.environ, "CLANG": "clang-that-nobody-has"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    sentence = done.stderr.strip().splitlines()[-1]
    if sys.platform != "darwin":
        assert "clang libgnustep-base-dev" in sentence
    assert sentence.endswith(".")


# ---- The command ----


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "applevz", *words], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["demo", "--kernel", "/nowhere/vmlinux"], "/nowhere/vmlinux"),
        (["demo", "--memory", "a lot"], "memory_size is 'a lot'"),
        (["demo", "--timeout", "-1"], "timeout is -1.0"),
        (["demo", "--cpus", "0"], "0"),
        (["demo", "--cpus", "many"], "many"),
        (["walk"], "walk"),
        (["run"], "--kernel, --efi or --from"),
        (["run", "debian:13", "--from", "a"], "IMAGE and --from are two ways"),
        (["run", "--kernel", "a", "--"], "no program behind --"),
        ([], "COMMAND"),
    ],
)
def test_the_command_refuses_in_words(words: list[str], told: str) -> None:
    done = command(*words)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_tells_its_version() -> None:
    assert command("--version").stdout == f"applevz {applevz.__version__}\n"
