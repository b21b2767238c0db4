# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin of applevz: a fresh machine for each test, and what its console said in the report of a failure.

pytest loads this module in every run of an environment in which applevz is installed. So it imports nothing of applevz,
and nothing else that takes time, before a test asks for one of its fixtures or has its marker. It stands beside the
package for that: who imports a module of a package imports the package. `applevz.testing` does what is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    import applevz.aio
    from applevz import VirtualMachine, VirtualMachineConfiguration
    from applevz.testing import FakeHypervisor
    from applevz.testing._clones import Clones
    from applevz.testing._evidence import Witness

    MakeConfiguration = Callable[[], VirtualMachineConfiguration]
    Prepare = Callable[[VirtualMachine], object]
    MakeMachine = Callable[..., VirtualMachine]
    MakeAwaitedMachine = Callable[..., AbstractAsyncContextManager[applevz.aio.VirtualMachine]]


class _Option(NamedTuple):
    name: str
    metavar: str
    words: str

    @property
    def flag(self) -> str:
        return f"--applevz-{self.name.replace('_', '-')}"

    @property
    def field(self) -> str:
        return f"applevz_{self.name}"


_PATHS = ("kernel", "initrd", "screenshots")
_OPTIONS = (
    _Option("image", "IMAGE", 'what the guest of `vm` boots: an image\'s name, as "debian:13", or a file with a "/"'),
    _Option("kernel", "FILE", "or a Linux kernel"),
    _Option("initrd", "FILE", "the initial RAM disk of that kernel; the guest's agent is added to it"),
    _Option("command_line", "WORDS", 'the command line of that kernel; "console=hvc0" by default'),
    _Option("memory", "SIZE", 'the memory of the guest, as "512MiB"'),
    _Option("processors", "COUNT", "the number of its processors"),
    _Option("timeout", "SECONDS", "how long the guest may take until it is ready; 300 by default"),
    _Option("screenshots", "FOLDER", "where the screenshots of failing tests go; by default beside the JUnit report"),
)

_witness_key = pytest.StashKey["Witness"]()
_folders_key = pytest.StashKey[set[str]]()
_FOLDERS = "applevz_folders"  # among what a worker of xdist tells at its end


# ---- Options and markers ----


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("applevz", "virtual machines of applevz")
    for option in _OPTIONS:
        group.addoption(option.flag, dest=option.field, metavar=option.metavar, help=option.words)
        parser.addini(option.field, option.words, default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "applevz_requires(*names): skip the test if the host lacks one of these capabilities of applevz, "
        "as applevz_requires('save_restore', 'screenshots').",
    )
    config.stash[_folders_key] = set()


def _options(config: pytest.Config) -> dict[str, str]:
    """What was said, by the command line or in the file of settings. Relative paths in that are from its folder."""
    found = {}
    base = config.inipath.parent if config.inipath is not None else config.rootpath
    for option in _OPTIONS:
        given = config.getoption(option.field, None)
        if given is not None:
            found[option.name] = str(given)
            continue
        written = str(config.getini(option.field) or "")
        if written and (option.name in _PATHS or (option.name == "image" and "/" in written)):
            written = str(base / written)
        if written:
            found[option.name] = written
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("applevz_requires"):
        from applevz.testing._capabilities import missing_capability

        reason = missing_capability(marker.args, marker.kwargs)
        if reason is not None:
            pytest.skip(reason)


# ---- Machines ----


@pytest.fixture(scope="session")
def vm_configuration(pytestconfig: pytest.Config) -> MakeConfiguration:
    """Makes the configuration of the machines of `vm`: what the options say. Override it for more or for another one.

    A fixture of the same name that asks for this one can change what it returns:

        @pytest.fixture(scope="session")
        def vm_configuration(vm_configuration):
            def make():
                configuration = vm_configuration()
                configuration.memory_balloon_devices = [VirtioTraditionalMemoryBalloonDeviceConfiguration()]
                return configuration

            return make
    """
    from applevz.testing._options import configuration_maker

    return configuration_maker(_options(pytestconfig))


@pytest.fixture(scope="session")
def vm_prepare() -> Prepare | None:
    """A function that is called with the machine once its guest is ready, before its state is saved. Override it.

    The guest is ready when its agent answers. One without the agent is ready when this function returns.
    """
    return None


@pytest.fixture(scope="session")
def _applevz_clones(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clones]:
    from applevz.testing._clones import Clones
    from applevz.testing._options import patience

    base = tmp_path_factory.getbasetemp()
    worker = hasattr(pytestconfig, "workerinput")
    # The workers of xdist have a folder each, in one that is theirs together.
    folder = (base.parent if worker else base) / "applevz-states"
    clones = Clones(folder, patience(_options(pytestconfig)))
    yield clones
    clones.close()
    # The last worker is not known here: whoever started them removes what is theirs together.
    pytestconfig.stash[_folders_key].add(str(folder))


@pytest.fixture
def vm_factory(
    request: pytest.FixtureRequest,
    vm_configuration: MakeConfiguration,
    vm_prepare: Prepare | None,
    _applevz_clones: Clones,
) -> Iterator[MakeMachine]:
    """Makes running machines of this test's own, as many as it calls it: `vm` is the first of its kind.

    With `configuration`, a function that makes one, and `prepare` they are of another kind than `vm`.
    """
    witness = _witness(request)
    with ExitStack() as stack:

        def make(configuration: MakeConfiguration | None = None, prepare: Prepare | None = None) -> VirtualMachine:
            wanted = (vm_configuration, vm_prepare) if configuration is None else (configuration, prepare)
            machine = stack.enter_context(_applevz_clones.machine(*wanted))
            stack.callback(witness.last_look, machine)
            witness.watch(machine)
            return machine

        yield make


@pytest.fixture
def vm(vm_factory: MakeMachine) -> VirtualMachine:
    """A running machine of this test's own (`applevz.VirtualMachine`), which ends with the test.

    The guest is booted once in a run of pytest, by all workers of xdist together, and saved when it is ready. Each test
    goes on from there, with a memory, random numbers and a generation identifier of its own.
    """
    return vm_factory()


@pytest.fixture
def aio_vm(
    request: pytest.FixtureRequest,
    vm_configuration: MakeConfiguration,
    vm_prepare: Prepare | None,
    _applevz_clones: Clones,
) -> MakeAwaitedMachine:
    """`vm` for asyncio: a function that makes an asynchronous context manager of a machine (`applevz.aio`).

        async with aio_vm() as machine:
            await machine.guest.run(["true"])

    It is used inside of the loop of the test, whatever runs that: pytest-asyncio, anyio, `asyncio.run`.
    """
    witness = _witness(request)
    # What boots blocks: it is done here, before there is a loop.
    _applevz_clones.ensure(vm_configuration, vm_prepare)

    def make(
        configuration: MakeConfiguration | None = None, prepare: Prepare | None = None
    ) -> AbstractAsyncContextManager[applevz.aio.VirtualMachine]:
        wanted = (vm_configuration, vm_prepare) if configuration is None else (configuration, prepare)
        return _applevz_clones.awaited_machine(*wanted, witness)

    return make


@pytest.fixture
def fake_hypervisor() -> Iterator[FakeHypervisor]:
    """What runs the machines of this test in place of QEMU: `applevz.testing.FakeHypervisor`."""
    from applevz.testing import FakeHypervisor

    with FakeHypervisor() as hypervisor:
        yield hypervisor


# ---- Reports ----


def _witness(request: pytest.FixtureRequest) -> Witness:
    """Who knows the machines of a test, and tells of them if it fails."""
    stash = request.node.stash
    if _witness_key not in stash:
        from applevz.testing._evidence import Witness

        stash[_witness_key] = Witness(request.node.nodeid, lambda: _screenshots(request.config))
    found: Witness = stash[_witness_key]
    return found


def _screenshots(config: pytest.Config) -> str:
    """The folder of the screenshots: as it was said, beside the report that is a file, or in pytest's cache."""
    said = _options(config).get("screenshots")
    if said:
        return said
    report = getattr(config.option, "xmlpath", None) or getattr(config.option, "htmlpath", None)
    if report:
        return str(config.invocation_params.dir / f"{report}.screenshots")
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if cache is not None:
        return str(cache.mkdir("applevz-screenshots"))
    import tempfile

    return tempfile.mkdtemp(prefix="applevz-screenshots-")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    outcome = yield
    witness = item.stash.get(_witness_key, None)
    if witness is None:
        return
    report: pytest.TestReport = outcome.get_result()
    if report.failed:
        # At the end of the test its machines are there no more: they were looked at as they ended.
        sections, pictures = witness.tell(at_the_end=call.when == "teardown")
        report.sections.extend(sections)
        # The JUnit report takes what the test has at its end.
        found: list[tuple[str, object]] = [("applevz_screenshot", picture) for picture in pictures]
        item.user_properties.extend(one for one in found if one not in item.user_properties)


# ---- The end ----


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        folders = session.config.stash[_folders_key]
        output[_FOLDERS] = sorted(folders)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    told = (getattr(node, "workeroutput", None) or {}).get(_FOLDERS, ())
    node.config.stash[_folders_key].update(told)


def pytest_unconfigure(config: pytest.Config) -> None:
    folders = config.stash.get(_folders_key, None)
    if folders and not hasattr(config, "workerinput"):
        import shutil

        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
