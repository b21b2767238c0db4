# SPDX-License-Identifier: Apache-2.0
"""The plugin of pytest, as another project has it: a run of pytest in a folder of its own, of which a file tells."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import applevz
import pages
from applevz.testing._options import configuration_maker
from places import ROOT
from png import Picture

pytest.importorskip("filelock")
pytest.importorskip("platformdirs")

STRICT = ["--strict-markers", "--strict-config", "-W", "error"]


@dataclass
class Run:
    """What a run of pytest came to."""

    status: int
    printed: str
    report: Path
    outcomes: dict[str, str] = field(default_factory=dict)
    properties: dict[str, dict[str, str]] = field(default_factory=dict)

    def property(self, name: str) -> dict[str, str]:
        """A property that tests recorded, by the test."""
        return {test: found[name] for test, found in self.properties.items() if name in found}


def run(folder: Path, *words: str, **environment: str) -> Run:
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *STRICT, f"--junitxml={report}", *words]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    run = Run(done.returncode, done.stdout, report)
    for case in ET.parse(report).iter("testcase") if report.exists() else ():  # noqa: S314  # of this run
        name = case.get("name", "")
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        run.outcomes[name] = kinds[0] if kinds else "passed"
        run.properties[name] = {one.get("name", ""): one.get("value", "") for one in case.iter("property")}
    return run


# ---- Other suites ----


def test_loading_it_imports_nothing_and_passes_under_strict_settings(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        """
import sys
import pytest

def test_it(pytestconfig):
    loaded = [name for name in sys.modules if name.partition(".")[0] in ("applevz", "filelock")]
    assert loaded == []
    plugins = [name for name, _ in pytestconfig.pluginmanager.list_name_plugin() if "applevz" in name]
    assert plugins == ["pytest_applevz"]

@pytest.mark.applevz_requires("virtualization")
def test_marked():
    assert "applevz" in sys.modules
"""
    )
    # Named once more, as by somebody who has not heard that pytest finds it: it is loaded once.
    done = run(tmp_path, "-p", "pytest_applevz")
    assert done.status == 0, done.printed
    assert set(done.outcomes.values()) == {"passed"}
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == [
        "report.xml",
        "test_other.py",
    ]


def test_this_suite_has_it_once(pytestconfig: pytest.Config) -> None:
    names = [name for name, _ in pytestconfig.pluginmanager.list_name_plugin() if "applevz" in name]
    assert names == ["pytest_applevz"]


def test_a_process_that_has_the_package_already_is_not_warned(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_it(): pass\n")
    program = f"import applevz, pytest, sys; sys.exit(pytest.main(['-p', 'no:cacheprovider', *{STRICT}]))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_marker_skips_by_the_reason_of_the_capability_and_refuses_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "test_marked.py").write_text(
        """
import pytest

@pytest.mark.applevz_requires("virtualization", "macos_guests")
def test_skipped():
    raise AssertionError

@pytest.mark.applevz_requires("wings")
def test_unknown(): pass

@pytest.mark.applevz_requires
def test_empty(): pass

def test_nothing_is_said(vm): pass
"""
    )
    done = run(tmp_path, "-rs")
    assert done.outcomes == {
        "test_skipped": "skipped",
        "test_unknown": "error",
        "test_empty": "error",
        "test_nothing_is_said": "error",
    }
    reason = applevz.capabilities.macos_guests.reason
    assert reason is not None
    assert f"this host has no macos_guests: {reason}" in " ".join(done.printed.split())
    assert "applevz_requires was given 'wings'" in done.printed
    assert "save_restore, " in done.printed
    assert "applevz_requires was given no name" in done.printed
    assert "Nothing says what the machines of tests boot." in done.printed


# ---- Machines ----

CONFTEST = """
import applevz
import pytest

@pytest.fixture(scope="session")
def vm_configuration(vm_configuration):
    def make():
        configuration = vm_configuration()
        configuration.graphics_devices = [applevz.VirtioGraphicsDeviceConfiguration()]
        return configuration

    return make

@pytest.fixture(scope="session")
def vm_prepare():
    def prepare(machine):
        machine.guest.write_text("/prepared", "once")
        # The kernel makes up the name of its boot when somebody asks for it first.
        machine.guest.read_text("/proc/sys/kernel/random/boot_id")

    return prepare
"""

LOOK = """
import asyncio
import pytest

BOOT = "/proc/sys/kernel/random/boot_id"
RANDOM = "/proc/sys/kernel/random/uuid"
PATIENCE = 120

@pytest.fixture(autouse=True)
def worker(record_property, worker_id):
    record_property("worker", worker_id)

def look(machine, record_property):
    record_property("boot", machine.guest.read_text(BOOT, timeout=PATIENCE).strip())
    record_property("random", machine.guest.read_text(RANDOM, timeout=PATIENCE).strip())
"""

EACH = """
@pytest.mark.parametrize("number", range(4))
def test_each(vm, record_property, number):
    assert vm.guest.read_text("/prepared", timeout=PATIENCE) == "once"
    with pytest.raises(FileNotFoundError):
        vm.guest.read_text("/changed", timeout=PATIENCE)
    vm.guest.write_text("/changed", "by one test", timeout=PATIENCE)
    assert vm.configuration.platform.generation_identifier
    look(vm, record_property)
"""

TESTS = """
def test_two(vm, vm_factory, record_property):
    other = vm_factory()
    other.guest.write_text("/changed", "in one of them", timeout=PATIENCE)
    with pytest.raises(FileNotFoundError):
        vm.guest.read_text("/changed", timeout=PATIENCE)
    look(other, record_property)

def test_awaited(aio_vm, record_property):
    async def use():
        async with aio_vm() as machine:
            record_property("boot", (await machine.guest.read_text(BOOT, timeout=PATIENCE)).strip())
            record_property("random", (await machine.guest.read_text(RANDOM, timeout=PATIENCE)).strip())
    asyncio.run(use())

def test_fails(vm):
    vm.guest.run("echo the last word > /dev/kmsg; printf '\\\\033[31mprinted\\\\n' > /dev/hvc0", shell=True)
    vm.console.read_until(b"printed", timeout=PATIENCE)
    assert vm.guest.run(["false"], timeout=PATIENCE).returncode == 0

def test_fails_awaited(aio_vm):
    async def use():
        async with aio_vm() as machine:
            await machine.guest.run("echo another last word > /dev/kmsg", shell=True, timeout=PATIENCE)
            pytest.fail("on purpose")
    asyncio.run(use())

@pytest.fixture
def fails_at_its_end(vm):
    yield
    raise OSError("at the end")

def test_fails_at_its_end(vm, fails_at_its_end):
    vm.guest.run("echo before the end > /dev/hvc0", shell=True, timeout=PATIENCE)
    vm.console.read_until(b"before the end", timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)
"""

BROKEN = """
import os
import pytest

@pytest.fixture(scope="session")
def vm_prepare():
    def prepare(machine):
        with open(os.environ["PREPARED"], "a") as file:
            print("called", file=file)
        raise LookupError("no such thing in the guest")

    return prepare

def test_one(vm): pass
def test_two(vm): pass
def test_three(aio_vm): pass
"""


@pytest.fixture(scope="module")
def project(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not applevz.capabilities.guest_agent:
        pytest.skip("this package was built without the agent")
    folder = tmp_path_factory.mktemp("project")
    (folder / "guest").symlink_to(guest_files)
    (folder / "pytest.ini").write_text(
        """[pytest]
applevz_kernel = guest/vmlinux
applevz_initrd = guest/initrd.cpio.gz
applevz_command_line = console=hvc0 quiet
applevz_memory = 1GiB
applevz_processors = 1
"""
    )
    return folder


@pytest.fixture(scope="module")
def done(project: Path) -> Run:
    """Two workers, each with a file of its own first; the command line says what the file of settings says, too."""
    folder = project / "tests"
    folder.mkdir()
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_each.py").write_text(LOOK + EACH)
    (folder / "test_machines.py").write_text(LOOK + TESTS)
    # What the page shows, of another guest.
    shown = folder / "what_is_shown"
    shown.mkdir()
    first, conftest, marked = (block.code for block in pages.blocks(ROOT / "docs" / "testing.md", "python")[:3])
    (shown / "conftest.py").write_text(f"from applevz import *\n{conftest}")
    (shown / "test_shown.py").write_text(f"from applevz import *\n{first}\n{marked}")
    words = ["-n", "2", "--dist", "loadfile", "--applevz-memory", "256MiB", "--applevz-timeout", "200"]
    done = run(project, *words, f"--basetemp={project / 'temporary'}", str(folder))
    assert done.status == 1, done.printed
    return done


def test_the_guest_is_booted_once_by_all_workers_and_each_test_has_a_machine_of_its_own(done: Run) -> None:
    failed = {name: outcome for name, outcome in done.outcomes.items() if outcome in ("failure", "error")}
    assert failed == {
        "test_fails": "failure",
        "test_fails_awaited": "failure",
        "test_fails_at_its_end": "error",
    }, done.printed
    assert set(done.property("worker").values()) == {"gw0", "gw1"}
    boots, randoms = done.property("boot"), done.property("random")
    assert len(boots) == 6
    assert len(set(boots.values())) == 1
    assert len(set(randoms.values())) == 6


def test_what_the_page_shows_runs(done: Run) -> None:
    assert done.outcomes["test_a_file_is_written"] == "passed"
    desktop = applevz.capabilities.screenshots and applevz.capabilities.input_events
    assert done.outcomes["test_the_desktop"] == ("passed" if desktop else "skipped")


def test_the_report_of_a_failure_shows_console_messages_and_display(done: Run) -> None:
    parts = done.printed.split("____ test_")[1:]
    (failure,) = (part for part in parts if part.startswith("fails _"))
    _, console = failure.split("applevz: console of vm")
    console, messages = console.split("applevz: dmesg (by the agent) of vm")
    messages, picture = messages.split("applevz: screenshot of vm")
    assert "printed\n" in console
    assert "\033[31mprinted" not in console
    assert "the last word\n" in messages
    assert "Linux version" in messages or len(messages.splitlines()) > 100
    (path,) = (line for line in picture.splitlines() if line.endswith(".png"))
    assert Path(path).parent == done.report.with_name("report.xml.screenshots")
    assert Picture(Path(path).read_bytes()).width >= 640
    assert done.properties["test_fails"]["applevz_screenshot"] == path
    (awaited,) = (part for part in parts if part.startswith("fails_awaited"))
    assert "another last word" in awaited
    assert Path(done.properties["test_fails_awaited"]["applevz_screenshot"]).is_file()


def test_the_report_of_a_failure_at_the_end_shows_what_was_there(done: Run) -> None:
    (error,) = (part for part in done.printed.split("____ ERROR at teardown of test_")[1:])
    assert "before the end\n" in error.split("applevz: console of vm")[1]
    assert "STOPPED" in error.split("applevz: state of vm")[1]


def test_nothing_is_left_of_the_states(done: Run, project: Path) -> None:
    assert list((project / "temporary").rglob("*.state")) == []
    assert list((project / "temporary").rglob("applevz-states")) == []


def test_a_guest_that_cannot_be_made_ready_is_booted_once_and_told_of_in_each_test(
    project: Path, tmp_path: Path
) -> None:
    folder = project / "broken"
    folder.mkdir()
    (folder / "test_broken.py").write_text(BROKEN)
    called = tmp_path / "called"
    words = ["-n", "2", "--maxschedchunk", "1", "--applevz-memory", "256MiB", str(folder)]
    done = run(project, *words, PREPARED=str(called))
    assert done.outcomes == dict.fromkeys(("test_one", "test_two", "test_three"), "error")
    assert called.read_text() == "called\n"
    assert done.printed.count("LookupError: no such thing in the guest") >= 3


def test_options_that_fit_no_machine_are_errors_that_name_them(project: Path) -> None:
    folder = project / "refused"
    folder.mkdir()
    (folder / "test_refused.py").write_text("def test_it(vm): pass\n")
    done = run(project, "--applevz-timeout", "soon", str(folder))
    assert done.outcomes == {"test_it": "error"}
    assert "applevz_timeout is 'soon'" in done.printed, done.printed
    kernel = {"kernel": str(project / "guest" / "vmlinux")}
    for options, told in (
        ({}, "Neither applevz_image nor applevz_kernel is set."),
        ({**kernel, "processors": "many"}, "applevz_processors is 'many'"),
        ({**kernel, "processors": "0"}, "applevz_processors is '0'"),
        ({**kernel, "memory": "a lot"}, "applevz_memory is 'a lot'"),
        ({"kernel": "/nowhere/vmlinux"}, "/nowhere/vmlinux"),
        ({"image": "no-such-system"}, "image is 'no-such-system'"),
    ):
        with pytest.raises(applevz.Error, match=re.escape(told)):
            configuration_maker(options)().validate()
