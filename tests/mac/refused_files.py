# SPDX-License-Identifier: Apache-2.0
"""Everything of a machine that names a file, given each file that cannot be used so. Run as a program it tries all, by
both faces, and prints what came of it; in a process of its own, which may give up privileges (test_refused_files.py).
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import applevz
from applevz import aio
from applevz._native import lib

PATIENCE = 120.0

# What a path leads to, for what reads a file, and the number of that.
READ = {
    "missing": errno.ENOENT,
    "folder": errno.EISDIR,
    "unreadable": errno.EACCES,
    "file/below": errno.ENOTDIR,
    "loop": errno.ELOOP,
    "x" * 300: errno.ENAMETOOLONG,
}
# The same for what is made.
MADE = {
    "nowhere/new": errno.ENOENT,
    "locked/new": errno.EACCES,
    "file/below": errno.ENOTDIR,
    "x" * 300: errno.ENAMETOOLONG,
}
WRITTEN = {**MADE, "folder": errno.EISDIR, "unwritable": errno.EACCES}
SHARED = {"missing": errno.ENOENT, "file": errno.ENOTDIR, "locked out": errno.EACCES}


def look(path: Path) -> tuple[int, ...]:
    """All but when it was read last: whoever follows a link reads it."""
    status = path.lstat()
    return status.st_ino, status.st_mode, status.st_nlink, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Case(NamedTuple):
    field: str
    path: str
    number: int
    words: str
    """What else the error says: which field it is, as whoever made it calls that."""
    attempts: tuple[Callable[[], object], ...]

    @property
    def name(self) -> str:
        return f"{self.field}: {os.path.basename(self.path)[:20]}"


def give_up_privileges() -> None:
    """Root may read and write everything by a capability."""
    if os.geteuid() != 0:
        return
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    library = ctypes.CDLL(None, use_errno=True)
    assert library.capget(header, sets) == 0, os.strerror(ctypes.get_errno())
    for place in range(3):
        sets[place] &= ~(1 << 1 | 1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert library.capset(header, sets) == 0, os.strerror(ctypes.get_errno())


def prepare(folder: Path) -> None:
    for name in ("folder", "locked", "locked out"):
        (folder / name).mkdir()
    for name in ("file", "unreadable", "unwritable"):
        (folder / name).write_bytes(bytes(512))
    (folder / "loop").symlink_to("loop")
    (folder / "unreadable").chmod(0)
    (folder / "unwritable").chmod(0o400)
    (folder / "locked").chmod(0o500)
    (folder / "locked out").chmod(0)


class Cases:
    def __init__(self, folder: Path, kernel: Path) -> None:
        self.folder = folder
        self.kernel = kernel

    def configuration(self, **fields: Any) -> applevz.VirtualMachineConfiguration:
        boot_loader = fields.pop("boot_loader", None) or applevz.LinuxBootLoader(self.kernel)
        return applevz.VirtualMachineConfiguration(boot_loader, memory_size="128MiB", **fields)

    def configured(self, field: str, words: str, faults: dict[str, int], make: Callable[[str], Any]) -> Iterator[Case]:
        for name, number in faults.items():
            path = str(self.folder / name)
            configuration = self.configuration(**make(path))
            attempts = (
                configuration.validate,
                lambda one=configuration: applevz.VirtualMachine(one),
                lambda one=configuration: aio.VirtualMachine(one),
            )
            yield Case(field, path, number, words, attempts)

    def configurations(self) -> Iterator[Case]:
        def disk(path: str, **options: Any) -> dict[str, Any]:
            image = applevz.DiskImageStorageDeviceAttachment(path, **options)
            return {"storage_devices": [applevz.VirtioBlockDeviceConfiguration(image)]}

        def stick(path: str) -> dict[str, Any]:
            image = applevz.DiskImageStorageDeviceAttachment(path)
            device = applevz.USBMassStorageDeviceConfiguration(image)
            return {"usb_controllers": [applevz.XHCIControllerConfiguration([device])]}

        def log(path: str) -> applevz.FileSerialPortAttachment:
            return applevz.FileSerialPortAttachment(path)

        def port(path: str) -> dict[str, Any]:
            device = applevz.VirtioConsoleDeviceConfiguration(
                [applevz.VirtioConsolePortConfiguration("log", attachment=log(path))]
            )
            return {"console_devices": [device]}

        def share(path: str) -> dict[str, Any]:
            directories = {"name": applevz.SharedDirectory(path)}
            shared = applevz.MultipleDirectoryShare(directories)
            return {"directory_sharing_devices": [applevz.VirtioFileSystemDeviceConfiguration("tag", shared)]}

        serial = applevz.VirtioConsoleDeviceSerialPortConfiguration
        loader = applevz.LinuxBootLoader
        yield from self.configured("kernel", "kernelURL", READ, lambda path: {"boot_loader": loader(path)})
        yield from self.configured(
            "initial RAM disk", "initialRamdiskURL", READ, lambda path: {"boot_loader": loader(self.kernel, path)}
        )
        yield from self.configured(
            "disk", "storage_devices[0].attachment", {**READ, "unwritable": errno.EACCES}, disk
        )
        yield from self.configured(
            "disk that is read", "storage_devices[0].attachment", READ, lambda path: disk(path, read_only=True)
        )
        yield from self.configured("USB disk", "usb_controllers[0].usb_devices[0].attachment", READ, stick)
        yield from self.configured(
            "serial port", "serial_ports[0].attachment", WRITTEN, lambda path: {"serial_ports": [serial(log(path))]}
        )
        yield from self.configured("console port", "console_devices[0].ports[0].attachment", WRITTEN, port)
        if applevz.capabilities.shared_directories:
            yield from self.configured("shared directory", "share.directories", SHARED, share)
        if applevz.capabilities.efi:
            yield from self.stores()

    def stores(self) -> Iterator[Case]:
        def efi(path: str) -> dict[str, Any]:
            return {"boot_loader": applevz.EFIBootLoader(applevz.EFIVariableStore(path))}

        there = {"folder": errno.EISDIR, "unreadable": errno.EACCES, "unwritable": errno.EACCES}
        yield from self.configured("variable store", "variableStore.URL", there, efi)
        yield from self.configured("new variable store", "boot_loader.variable_store", MADE, efi)
        for name, number in {**MADE, "file": errno.EEXIST, "loop": errno.EEXIST}.items():
            path = str(self.folder / name)
            attempts = (lambda one=path: applevz.EFIVariableStore.create(one),)
            yield Case("variable store that is made", path, number, "URL is", attempts)
        for name, number in {**MADE, "folder": errno.EEXIST}.items():
            path = str(self.folder / name)
            attempts = (lambda one=path: applevz.EFIVariableStore.create(one, overwrite=True),)
            yield Case("variable store that is overwritten", path, number, "URL is", attempts)

    # ---- Verbs, each by both faces ----

    def verbs(self) -> Iterator[Case]:
        existing = {"file": errno.EEXIST, "folder": errno.EEXIST}
        with Faces(self.configuration()) as faces:
            faces.do("start")
            faces.do("pause")
            for name, number in {**MADE, **existing}.items():
                path = str(self.folder / name)
                yield Case("save_state", path, number, "", faces.attempts("save_state", path))
                yield Case("suspend", path, number, "", faces.attempts("suspend", to=path))
            for name, number in {**MADE, "folder": errno.EISDIR}.items():
                path = str(self.folder / name)
                yield Case("save_state over", path, number, "", faces.attempts("save_state", path, overwrite=True))
            faces.do("stop")
            for name, number in READ.items():
                path = str(self.folder / name)
                yield Case("restore_state", path, number, "", faces.attempts("restore_state", path))

    def starts(self) -> Iterator[Case]:
        """Of files that were there when the machine was made."""
        kernel, disk = self.folder / "kernel", self.folder / "disk"
        kernel.symlink_to(self.kernel)
        applevz.create_disk_image(disk, 512)
        image = applevz.DiskImageStorageDeviceAttachment(disk)
        for gone, words in ((kernel, "kernelURL"), (disk, "storageDevices[0].attachment.URL")):
            configuration = self.configuration(
                boot_loader=applevz.LinuxBootLoader(kernel),
                storage_devices=[applevz.VirtioBlockDeviceConfiguration(image)],
            )
            with Faces(configuration) as faces:
                gone.rename(f"{gone}.away")
                yield Case("start", str(gone), errno.ENOENT, words, faces.attempts("start"))
                # Nor can the machine be made anew that a discarded one is replaced by.
                faces.do("shutdown", applevz.ShutdownPolicy.POWEROFF)
                yield Case("start anew", str(gone), errno.ENOENT, words, faces.attempts("start"))
                Path(f"{gone}.away").rename(gone)
        socket = str(self.folder / "socket")
        server = applevz.NetworkBlockDeviceStorageDeviceAttachment(f"nbd+unix:///disk?socket={socket}", timeout=1)
        configuration = self.configuration(storage_devices=[applevz.VirtioBlockDeviceConfiguration(server)])
        with Faces(configuration) as faces:
            yield Case("server", socket, errno.ENOENT, "storageDevices[0].attachment.URL", faces.attempts("start"))

    def devices(self) -> Iterator[Case]:
        """Of a machine that runs."""
        fields: dict[str, Any] = {"usb_controllers": [applevz.XHCIControllerConfiguration()]}
        shares = bool(applevz.capabilities.shared_directories)
        if shares:
            shared = applevz.SingleDirectoryShare(applevz.SharedDirectory(self.folder / "folder"))
            fields["directory_sharing_devices"] = [applevz.VirtioFileSystemDeviceConfiguration("tag", shared)]
        attach = lib.applevz_machine_attach_usb_device
        with Faces(self.configuration(**fields)) as faces:
            faces.do("start")
            stick = self.folder / "stick"

            def attach_without_file(*arguments: Any) -> Any:
                stick.unlink()
                return attach(*arguments)

            def attach_by(face: Callable[[], Any]) -> Callable[[], object]:
                def attempt() -> object:
                    applevz.create_disk_image(stick, 512)
                    lib.__dict__["applevz_machine_attach_usb_device"] = attach_without_file
                    try:
                        return face()
                    finally:
                        lib.__dict__["applevz_machine_attach_usb_device"] = attach

                return attempt

            device = applevz.USBMassStorageDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(stick))
            yield Case("attach", str(stick), errno.ENOENT, "", tuple(map(attach_by, faces.attach(device))))
            for name, number in SHARED.items() if shares else ():
                path = str(self.folder / name)
                yield Case("share", path, number, "share", faces.share(path))


class Faces:
    """A machine of each face."""

    def __init__(self, configuration: applevz.VirtualMachineConfiguration) -> None:
        self._runner = asyncio.new_event_loop()
        self._machine = applevz.VirtualMachine(configuration)
        self._other = aio.VirtualMachine(configuration)

    def __enter__(self) -> Faces:
        return self

    def __exit__(self, *_: object) -> None:
        self.do("shutdown", applevz.ShutdownPolicy.POWEROFF)
        self._runner.close()

    def _run(self, make: Callable[[], Any]) -> object:
        async def call() -> object:
            return await made if hasattr(made := make(), "__await__") else made

        return self._runner.run_until_complete(asyncio.wait_for(call(), PATIENCE))

    def attempts(self, verb: str, *arguments: Any, **options: Any) -> tuple[Callable[[], object], ...]:
        return (
            lambda: getattr(self._machine, verb)(*arguments, timeout=PATIENCE, **options),
            lambda: self._run(lambda: getattr(self._other, verb)(*arguments, timeout=PATIENCE, **options)),
        )

    def do(self, verb: str, *arguments: Any) -> None:
        for attempt in self.attempts(verb, *arguments):
            attempt()

    def attach(self, device: applevz.USBMassStorageDeviceConfiguration) -> tuple[Callable[[], object], ...]:
        return (
            lambda: self._machine.usb_controllers[0].attach(device, timeout=PATIENCE),
            lambda: self._run(lambda: self._other.usb_controllers[0].attach(device, timeout=PATIENCE)),
        )

    def share(self, path: str) -> tuple[Callable[[], object], ...]:
        share = applevz.SingleDirectoryShare(applevz.SharedDirectory(path))

        def attempt(machine: Any) -> None:
            machine.directory_sharing_devices[0].share = share

        return lambda: attempt(self._machine), lambda: attempt(self._other)


def plain(name: str) -> str:
    return name.replace("_", "").lower()


def wrong_with(case: Case, attempt: Callable[[], object]) -> str | None:
    """What of the refusal is not as it should be."""
    try:
        attempt()
    except applevz.Error as raised:
        error: Any = raised
    except Exception as other:  # noqa: BLE001  # whatever it is, it is told
        return repr(other)
    else:
        return "it was accepted"
    kind = type(OSError(case.number, ""))
    expected = (case.number, os.strerror(case.number), case.path)
    for one in (error, pickle.loads(pickle.dumps(error))):
        told = (getattr(one, "errno", None), getattr(one, "strerror", None), getattr(one, "filename", None))
        if not isinstance(one, kind) or told != expected:
            return f"it is no {kind.__name__} of {expected}, but has {told}: {one!r}"
    shown = case.path if len(case.path) <= 300 else os.path.basename(case.path)[-20:]
    for word in (shown, case.words):
        # One field has two names: one of Python's, and one of the framework's.
        if not any(word in text for word, text in ((word, str(error)), (plain(word), plain(str(error))))):
            return f"it does not say {word!r}: {error}"
    if not error.recovery_suggestion:
        return f"it does not say what would do: {error}"
    numbers, cause = [], error.error
    while cause is not None:
        numbers.append((cause.domain, cause.code))
        cause = cause.underlying
    codes = [code for domain, code in numbers if domain == "NSPOSIXErrorDomain"]
    return None if set(codes) <= {case.number} else f"it has other numbers beneath: {numbers}"


def main(folder: Path, kernel: Path) -> None:
    give_up_privileges()
    prepare(folder)
    before = {path: look(path) for path in folder.iterdir()}
    cases = Cases(folder, kernel)
    wrong, tried = {}, []
    for group in (cases.configurations, cases.verbs, cases.starts, cases.devices):
        for case in group():
            tried.append(case.field)
            for place, attempt in enumerate(case.attempts):
                problem = wrong_with(case, attempt)
                if problem is not None:
                    wrong[f"{case.name} ({place})"] = problem
    # A look changes nothing.
    after = {path: look(path) for path in folder.iterdir()}
    for path, status in before.items():
        if after.get(path) != status:
            wrong[str(path)] = f"it was changed: {status}, {after.get(path)}"
    made = {path.name for path in after if path not in before} - {"kernel", "disk"}
    if made:
        wrong["files"] = f"were made: {made}"
    print(json.dumps({"wrong": wrong, "tried": sorted(set(tried))}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
