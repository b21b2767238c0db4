# SPDX-License-Identifier: Apache-2.0
"""Machines that go on from the state of one guest, which was booted once.

While a test has its machine, the next one is restored already, and waits, paused: half of the time that a machine takes
is that of starting its process.

All processes of a run of pytest have one folder for the states. It is like that of `launch`, and so is the way in which
they come to be: who finds no state has the lock, boots and saves; others wait for that. What decides what the guest is
makes the name of its state, so two processes need not be told that theirs is the same.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CellType, CodeType
from typing import TYPE_CHECKING, Any, Final

from .. import VirtualMachine, aio
from .. import VirtualMachineConfiguration as Configuration
from .._core.cached_launching import CachedLaunch, LaunchTask
from .._core.deadline import Deadline
from .._core.launching import until_ready
from .._core.operation import run
from .._core.spare import Spare
from .._host.capabilities import capabilities
from .._values.arguments import instance, wrong_type
from ..aio._loop import run as run_awaited
from ..configuration.boot_loaders import LinuxBootLoader
from ..errors import Error, InvalidArgumentError, InvalidStateError, NotSupportedError, make

if TYPE_CHECKING:
    from ._evidence import Witness

__all__ = ["Clones"]

MakeConfiguration = Callable[[], Configuration]
Prepare = Callable[[VirtualMachine], object]
_FAILED: Final = ".failed"


class _Kind:
    """Machines of one configuration, prepared in one way: as `launch` would be asked for them."""

    def __init__(self, make_configuration: MakeConfiguration, prepare: Prepare | None, seconds: float) -> None:
        if not callable(make_configuration):
            raise wrong_type("vm_configuration", make_configuration, "a function that makes a configuration")
        if prepare is not None and not callable(prepare):
            raise wrong_type("vm_prepare", prepare, "a function of one argument, or None")
        self._make_configuration = make_configuration
        self._prepare = prepare
        # Two of these are the same guest if both were run by the same program, and prepared by the same function.
        self.prepare: Callable[[Any], object] | None = self.prepared
        self.prepare_key: str | None = f"{_program()} {'' if prepare is None else _digest_of(prepare)}"
        self.random: dict[object, str] = {}
        self._seconds = seconds
        self.deadline = Deadline(seconds)

    def again(self) -> None:
        """The time begins anew, for another machine of this kind."""
        self.deadline = Deadline(self._seconds)

    def configuration(self) -> Configuration:
        made = self._make_configuration()
        instance("What vm_configuration returned", made, (Configuration,))
        return made

    def prepared(self, machine: VirtualMachine) -> None:
        """Until the guest of a machine that was started is ready, and what is to be done with it once is done."""
        if machine._guest is not None:
            loader = machine.configuration.boot_loader
            root = isinstance(loader, LinuxBootLoader) and loader.initial_ramdisk is not None
            line = loader.command_line if isinstance(loader, LinuxBootLoader) and root else ""
            machine.guest._go(until_ready(machine.guest, line, self.deadline))
        elif self._prepare is None:
            raise make(
                InvalidStateError,
                "Nobody can tell when the guest of the tests is ready.",
                "Its machine has no agent, and vm_prepare is None.",
                "Give it the agent, or override the fixture vm_prepare with a function that waits, as by "
                "machine.console.read_until.",
            )
        if self._prepare is not None:
            self._prepare(machine)

    @property
    def is_prepared(self) -> bool:
        """Whether something is to be done with the guest once."""
        return self._prepare is not None


@dataclass(frozen=True)
class _Begun:
    """A machine that is being restored from the state of a kind."""

    kind: _Kind
    launch: CachedLaunch
    spare: Spare[VirtualMachine]

    def finish(self) -> VirtualMachine:
        """Until it runs, and its guest answers, as another one now. Ends it if that fails."""
        machine = self.spare.machine
        try:
            run(self.spare.run(self.kind.deadline))
            self.launch.use()
            if machine._guest is not None:
                machine.guest._go(machine.guest._ready(self.kind.deadline))
        except BaseException:
            self.end()
            raise
        return machine

    def end(self) -> None:
        run(self.spare.end())


class Clones:
    """The machines of the tests of one process. Use it in one thread."""

    def __init__(self, folder: Path, seconds: float) -> None:
        """`folder` is that of all processes of this run. `seconds` is how long a guest may take until it is ready."""
        self._folder = folder
        self._seconds = seconds
        self._kinds: dict[tuple[MakeConfiguration, Prepare | None, str], _Kind] = {}
        self._next: _Begun | None = None
        self._errors: dict[_Kind, Exception] = {}
        self._with_states = bool(capabilities.save_restore) and bool(capabilities.saved_state_inspection)

    def close(self) -> None:
        self._end_next()
        self._kinds.clear()
        self._errors.clear()

    def _kind(self, make_configuration: MakeConfiguration, prepare: Prepare | None) -> _Kind:
        place = make_configuration, prepare, _program()
        if place not in self._kinds:
            self._kinds[place] = _Kind(make_configuration, prepare, self._seconds)
        kind = self._kinds[place]
        kind.again()
        return kind

    # ---- The state ----

    def ensure(self, make_configuration: MakeConfiguration, prepare: Prepare | None) -> None:
        """Boots the guest and saves it, unless somebody did. Raises what kept it from being ready, each time."""
        if self._with_states:
            self._found(self._kind(make_configuration, prepare))

    def _found(self, kind: _Kind) -> tuple[CachedLaunch, Configuration]:
        """The state of a kind, which is made if it is not there, and what a machine is made of that is restored."""
        if kind in self._errors:
            raise self._errors[kind].with_traceback(None)
        launch = self._launch(kind, kind.configuration())
        found = launch.configuration()
        while found is None:
            try:
                self._make_state(kind, launch)
            except Exception as error:
                self._errors[kind] = error
                raise
            found = launch.configuration()
        return launch, found

    def _launch(self, kind: _Kind, configuration: Configuration) -> CachedLaunch:
        # What no machine could have is no matter of states.
        configuration.validate()
        try:
            return CachedLaunch(kind, configuration, self._folder)
        except InvalidArgumentError as error:
            raise make(
                InvalidArgumentError,
                "The configuration of vm_configuration is none whose machines could go on from one state.",
                f"{error.localized_description} {error.failure_reason or ''}".strip(),
                "Leave that out, or make the machine in the test.",
            ) from error

    def _make_state(self, kind: _Kind, launch: CachedLaunch) -> None:
        task = LaunchTask(kind, None)
        with launch.lock(task):
            if launch.configuration() is not None:
                return
            # Whoever comes later need not wait for the same once more.
            failed = launch.path.with_suffix(_FAILED)
            if failed.exists():
                raise make(
                    InvalidStateError,
                    "The guest of the tests did not become ready in another process of this run.",
                    failed.read_text(encoding="utf-8"),
                )
            try:
                with self._booted(kind, launch._configuration) as machine, launch.work() as path:
                    run(launch.save(machine, path))
                    launch.publish(path, task)
            except Exception as error:
                failed.write_text(f"{type(error).__name__}: {error}", encoding="utf-8", errors="replace")
                raise

    @contextlib.contextmanager
    def _booted(self, kind: _Kind, configuration: Configuration) -> Iterator[VirtualMachine]:
        with VirtualMachine(configuration) as machine:
            run(machine._start(kind.deadline))
            kind.prepared(machine)
            yield machine

    # ---- Machines ----

    @contextlib.contextmanager
    def machine(self, make_configuration: MakeConfiguration, prepare: Prepare | None) -> Iterator[VirtualMachine]:
        """A machine whose guest is ready. Without states, as on a Mac, it is booted for this."""
        kind = self._kind(make_configuration, prepare)
        if not self._with_states:
            with self._booted(kind, kind.configuration()) as machine:
                yield machine
            return
        with self._restored(kind) as machine:
            # Nothing of the next one is this test's business, and its error comes when it is needed.
            with contextlib.suppress(Exception):
                self._next = self._begin(kind)
            yield machine

    def _begin(self, kind: _Kind) -> _Begun:
        self._end_next()
        launch, found = self._found(kind)
        return _Begun(kind, launch, Spare(VirtualMachine(found), launch.path))

    def _end_next(self) -> None:
        if self._next is not None:
            self._next.end()
            self._next = None

    def _restored(self, kind: _Kind) -> VirtualMachine:
        begun, self._next = self._next, None
        if begun is not None and begun.kind is not kind:
            begun.end()
            begun = None
        begun = begun or self._begin(kind)
        try:
            return begun.finish()
        except Error as error:
            if not begun.launch.is_refused(error):
                raise
        # It was damaged, or is of another QEMU: it is made anew, once.
        self._make_state(kind, begun.launch)
        return self._begin(kind).finish()

    @contextlib.asynccontextmanager
    async def awaited_machine(
        self, make_configuration: MakeConfiguration, prepare: Prepare | None, witness: Witness
    ) -> AsyncIterator[aio.VirtualMachine]:
        kind = self._kind(make_configuration, prepare)
        if not self._with_states:
            async with self._booted_awaited(kind) as machine, witness.watching(machine):
                yield machine
            return
        import asyncio

        launch, found = await asyncio.to_thread(self._found, kind)
        async with aio.VirtualMachine(found) as machine:
            await run_awaited(Spare(machine, launch.path).run(kind.deadline))
            launch.use()
            if machine._guest is not None:
                await machine.guest._go(machine.guest._ready(kind.deadline))
            async with witness.watching(machine):
                yield machine

    @contextlib.asynccontextmanager
    async def _booted_awaited(self, kind: _Kind) -> AsyncIterator[aio.VirtualMachine]:
        if kind.is_prepared:
            raise make(
                NotSupportedError,
                "vm_prepare cannot prepare the guest of a machine of aio_vm on this host.",
                "It blocks, and this host saves no states in which its work would be done already.",
                "Do the same in the test.",
            )
        async with aio.VirtualMachine(kind.configuration()) as machine:
            await run_awaited(machine._start(kind.deadline))
            if machine._guest is not None:
                await machine.guest._go(machine.guest._ready(kind.deadline))
            yield machine


def _program() -> str:
    """What runs machines now: in a FakeHypervisor they are others."""
    return os.environ.get("APPLEVZ_QEMU", "")


def _digest_of(function: Callable[..., object]) -> str:
    """By what a function is known in all processes of a run. One that cannot be told from another by what it is made of
    is another one in each process."""
    return hashlib.sha256(repr(_made_of(function, [])).encode(errors="surrogatepass")).hexdigest()


def _made_of(value: object, within: list[object]) -> object:
    """What something is made of that is itself a part of those. A function may refer to itself."""
    for place, whole in enumerate(within):
        if whole is value:
            return place
    inside = [*within, value]
    if isinstance(value, CodeType):
        return value.co_qualname if hasattr(value, "co_qualname") else value.co_name, value.co_code.hex(), [
            _made_of(one, inside) for one in (*value.co_consts, *value.co_names)
        ]
    if isinstance(value, functools.partial):
        parts = [_made_of(one, inside) for one in (value.func, *value.args)]
        return [*parts, sorted((name, repr(one)) for name, one in value.keywords.items())]
    code = getattr(value, "__code__", None)
    if code is None:
        return repr(value)
    cells = [_made_of(_content(cell), inside) for cell in getattr(value, "__closure__", None) or ()]
    owner = getattr(value, "__self__", None)
    defaults = [getattr(value, "__defaults__", None), getattr(value, "__kwdefaults__", None)]
    return [getattr(value, "__module__", ""), _made_of(code, inside), cells, repr(owner), repr(defaults)]


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return "nothing, as yet"
