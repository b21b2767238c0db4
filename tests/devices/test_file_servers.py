# SPDX-License-Identifier: Apache-2.0
"""virtiofsd, which serves shared directories: how it is found and started, how it ends, and what it must be allowed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import applevz
from applevz import MultipleDirectoryShare, SharedDirectory
from applevz import VirtualMachineState as State
from fixtures import Configure, MakeMachine
from guest_machine import PATIENCE
from places import ROOT, SCRIPTED_QEMU, SUPPORT
from processes import alive, children, eventually
from shares import device, served, servers, single

linux = pytest.mark.skipif(sys.platform != "linux", reason="virtiofsd serves directories on Linux")

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, mounts, looks into others")


# ---- Machines that need no guest ----


@linux
def test_a_share_can_be_set_while_the_machine_is_stopped_and_holds_from_the_next_start_on(
    machine: MakeMachine, tmp_path: Path
) -> None:
    vm = machine(directory_sharing_devices=[device("share", None)])
    (shared,) = vm.directory_sharing_devices
    assert shared.share is None
    multiple = MultipleDirectoryShare({"name": SharedDirectory(tmp_path, read_only=True)})
    for share, places in ((single(tmp_path), [("/", "rw")]), (multiple, [("/name", "ro")]), (None, [])):
        shared.share = share
        vm.start(timeout=PATIENCE)
        assert len(servers()) == 1
        # Once it has confined itself to its root.
        assert eventually(lambda places=places: [(at, how[0]) for at, how in served(tmp_path)] == places)  # type: ignore[misc]
        vm.stop(timeout=PATIENCE)


@linux
def test_twenty_starts_and_stops_leave_no_process_descriptor_file_or_mount(
    machine: MakeMachine, tmp_path: Path
) -> None:
    devices = [
        device("one", single(tmp_path)),
        device("other", MultipleDirectoryShare({"a": SharedDirectory(tmp_path, True), "b": SharedDirectory(tmp_path)})),
    ]
    vm = machine(directory_sharing_devices=devices)

    vm.start(timeout=PATIENCE)
    vm.stop(timeout=PATIENCE)
    assert eventually(lambda: not children())
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        vm.start(timeout=PATIENCE)
        assert len(servers()) == 2
        vm.stop(timeout=PATIENCE)
        assert vm.state is State.STOPPED
    assert eventually(lambda: not children())
    # A worker has descriptors too, and ends when it has had nothing to do for a while.
    assert eventually(lambda: len(os.listdir("/dev/fd")) <= before)
    mounts = Path("/proc/self/mounts").read_text()
    assert "/proc/driver" not in mounts
    assert os.fspath(tmp_path) not in mounts
    assert os.listdir(tmp_path) == []


@linux
def test_a_machine_whose_virtiofsd_dies_is_in_error_and_says_for_which_tag(
    machine: MakeMachine, tmp_path: Path
) -> None:
    vm = machine(directory_sharing_devices=[device("first", single(tmp_path)), device("second", single(tmp_path))])
    for number, tag in enumerate(("first", "second")):
        vm.start(timeout=PATIENCE)
        os.kill(sorted(servers())[number], signal.SIGKILL)
        assert vm.wait(State.ERROR, timeout=PATIENCE) is State.ERROR
        words = (
            rf'directorySharingDevices\[{number}\] \(tag "{tag}"\): virtiofsd, which served it, was killed by signal 9'
        )
        assert re.search(words, str(vm.stop_error))
        assert eventually(lambda: not children())
    vm.start(timeout=PATIENCE)
    assert vm.state is State.RUNNING


ENDS_WELL = """[ "$1" = --version ] && { echo "virtiofsd version 7.2.0"; exit; }
while [ ! -e %s ]; do sleep 0.05; done
"""


@linux
def test_a_virtiofsd_that_ends_well_under_a_machine_that_runs_on_is_an_error(
    machine: MakeMachine, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("APPLEVZ_QEMU", os.fspath(SCRIPTED_QEMU))
    monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", "{}")
    script(ENDS_WELL % (tmp_path / "end"))
    vm = machine(directory_sharing_devices=[device("share", single(tmp_path))])
    vm.start(timeout=PATIENCE)
    (tmp_path / "end").touch()
    assert vm.wait(State.ERROR, timeout=PATIENCE) is State.ERROR
    assert re.search(r'tag "share"\): virtiofsd, which served it, ended with exit status 0', str(vm.stop_error))
    assert eventually(lambda: not children())


@linux
def test_a_virtiofsd_that_ends_before_a_qemu_that_takes_its_time_is_no_error(
    machine: MakeMachine, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # QEMU closes its servers' connections, and then has a large memory to give back.
    shutdown = {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}, "timestamp": {}}
    what_it_does = {
        "answers": {"query-status": ""},
        "after": {"query-status": "late events"},
        "events": [json.dumps(shutdown)],
    }
    monkeypatch.setenv("APPLEVZ_QEMU", os.fspath(SCRIPTED_QEMU))
    monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps(what_it_does))
    script(ENDS_WELL % (tmp_path / "end"))
    vm = machine(directory_sharing_devices=[device("share", single(tmp_path))])
    vm.start(timeout=PATIENCE)
    (tmp_path / "end").touch()
    assert vm.wait([State.STOPPED, State.ERROR], timeout=PATIENCE) is State.STOPPED
    assert vm.stop_error is None
    assert eventually(lambda: not children())


@linux
def test_no_virtiofsd_outlives_its_python_process(configure: Configure, tmp_path: Path) -> None:
    program = """
import sys, time
import applevz
share = applevz.SingleDirectoryShare(applevz.SharedDirectory(sys.argv[2]))
machine = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(
    applevz.LinuxBootLoader(sys.argv[1]), memory_size="256MiB",
    directory_sharing_devices=[applevz.VirtioFileSystemDeviceConfiguration("share", share)]))
machine.start(timeout=60)
print("running", flush=True)
time.sleep(600)
"""
    kernel = os.fspath(configure().boot_loader.kernel)
    with subprocess.Popen([sys.executable, "-c", program, kernel, tmp_path], stdout=subprocess.PIPE) as host:
        assert host.stdout.readline() == b"running\n"
        helpers = children(host.pid)
        assert len(helpers) == 2
        host.kill()
        assert eventually(lambda: not any(alive(helper) for helper in helpers), seconds=10)


@linux
def test_a_machine_that_nothing_refers_to_takes_its_virtiofsd_along(configure: Configure, tmp_path: Path) -> None:
    vm = applevz.VirtualMachine(configure(directory_sharing_devices=[device("share", single(tmp_path))]))
    vm.start(timeout=PATIENCE)
    assert servers()
    del vm
    assert eventually(lambda: not children())


@linux
def test_a_machine_with_a_share_cannot_be_saved_and_says_so(
    machine: MakeMachine, configure: Configure, tmp_path: Path
) -> None:
    devices = [device("mine", single(tmp_path / "shared"))]
    (tmp_path / "shared").mkdir()
    words = r'directorySharingDevices\[0\] \(tag "mine"\) is a VZVirtioFileSystemDeviceConfiguration, whose state'
    configuration = configure(directory_sharing_devices=devices)
    configuration.validate()
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words):
        configuration.validate_save_restore_support()
    vm = machine(directory_sharing_devices=devices)
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    for save in (vm.save_state, lambda path, timeout: vm.suspend(to=path, timeout=timeout)):
        with pytest.raises(applevz.SaveError, match=words):
            save(tmp_path / "state", timeout=PATIENCE)
        assert vm.state is State.PAUSED
    assert os.listdir(tmp_path) == ["shared"]
    vm.start(timeout=PATIENCE)
    assert vm.state is State.RUNNING


@linux
def test_a_state_that_was_saved_without_a_share_is_not_restored_with_one(machine: MakeMachine, tmp_path: Path) -> None:
    platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
    vm = machine(platform=platform)
    vm.start(timeout=PATIENCE)
    vm.suspend(to=tmp_path / "state", timeout=PATIENCE)
    other = machine(platform=platform, directory_sharing_devices=[device("share", single(tmp_path))])
    for private in (False, True):
        with pytest.raises(applevz.RestoreError, match=r"directorySharingDevices\.count is 1; .* was made with 0"):
            other.restore_state(tmp_path / "state", private=private, timeout=PATIENCE)
        assert other.state is State.STOPPED
    assert eventually(lambda: not children())


# ---- Another virtiofsd ----


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Has machines use a virtiofsd that is a script."""

    def use(text: str) -> Path:
        path = tmp_path / "my virtiofsd"
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
        monkeypatch.setenv("APPLEVZ_VIRTIOFSD", os.fspath(path))
        return path

    return use


@linux
def test_the_last_words_of_a_virtiofsd_that_does_not_start_are_in_the_error(
    machine: MakeMachine, script: Callable[[str], Path], tmp_path: Path
) -> None:
    script('[ "$1" = --version ] || { echo "I am ill: $*" >&2; exit 3; }; echo "virtiofsd version 7.2.0"')
    vm = machine(directory_sharing_devices=[device("sick", single(tmp_path))])
    words = (
        r'directorySharingDevices\[0\] \(tag "sick"\): virtiofsd, which served it, ended with exit status 3 and said: '
        r"I am ill: --fd=3 --rlimit-nofile=0 -o source=/proc/driver/root -o sandbox=chroot"
    )
    with pytest.raises(applevz.InternalError, match=words):
        vm.start(timeout=PATIENCE)
    assert vm.state is State.STOPPED
    assert not children()


@linux
def test_the_virtiofsd_in_rust_gets_its_own_options(
    machine: MakeMachine, script: Callable[[str], Path], tmp_path: Path
) -> None:
    script('[ "$1" = --version ] || { echo "given $*" >&2; exit 1; }; echo "virtiofsd 1.10.0"')
    vm = machine(directory_sharing_devices=[device("rust", single(tmp_path))])
    words = r"given --fd=3 --rlimit-nofile=0 --shared-dir=/proc/driver/root --sandbox=chroot --log-level=error"
    with pytest.raises(applevz.InternalError, match=words):
        vm.start(timeout=PATIENCE)


@linux
def test_a_virtiofsd_that_cannot_be_run_is_named(
    machine: MakeMachine, script: Callable[[str], Path], tmp_path: Path
) -> None:
    path = script("")
    vm = machine(directory_sharing_devices=[device("share", single(tmp_path))])
    path.write_text("#!/no/such/interpreter\n")
    with pytest.raises(applevz.InternalError, match=r"my virtiofsd could not be run: No such file or directory"):
        vm.start(timeout=PATIENCE)
    assert not children()


@linux
@pytest.mark.parametrize("named", ["/no/such/virtiofsd", "virtiofsd", "/etc/passwd"])
def test_a_host_without_virtiofsd_says_which_package_to_install(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str
) -> None:
    monkeypatch.setenv("APPLEVZ_VIRTIOFSD", named)
    missing = applevz.capabilities.shared_directories
    assert not missing
    assert missing.reason.endswith(f'APPLEVZ_VIRTIOFSD is "{named}", which is not the absolute path of a program.')
    assert "qemu-system-common" in missing.error.recovery_suggestion
    with pytest.raises(applevz.NotSupportedError, match="APPLEVZ_VIRTIOFSD is"):
        configure(directory_sharing_devices=[device("share", single(tmp_path))]).validate()
    configure().validate()


@pytest.fixture
def starting(
    script: Callable[[str], Path], tmp_path: Path
) -> Callable[[applevz.VirtualMachine], AbstractContextManager[None]]:
    """Starts a machine whose virtiofsd is asked for its version, and waits to be told to go on before it answers."""
    asked, go, told = (tmp_path / name for name in ("asked", "go", "told"))
    program = Path("/usr/lib/qemu/virtiofsd")
    if not program.is_file():
        pytest.skip(f"{program} is not there")
    script(
        f'[ "$1" = --version ] || exec {program} "$@"; touch {asked}\n'
        f"for i in $(seq 500); do [ ! -e {go} ] || break; sleep 0.02; done; touch {told}; exec {program} --version"
    )

    @contextmanager
    def start(vm: applevz.VirtualMachine) -> Iterator[None]:
        failures: list[applevz.Error] = []

        def run() -> None:
            try:
                vm.start(timeout=PATIENCE)
            except applevz.Error as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        assert eventually(asked.exists)
        yield
        # It is asked for some seconds and no longer: one that had held up the machine would be gone by now.
        go.touch()
        assert eventually(told.exists)
        thread.join(PATIENCE)
        assert not failures

    return start


@linux
def test_a_machine_answers_while_virtiofsd_is_asked_for_its_version(
    machine: MakeMachine, starting: Callable[[applevz.VirtualMachine], AbstractContextManager[None]], tmp_path: Path
) -> None:
    vm = machine(directory_sharing_devices=[device("share", single(tmp_path))])
    with (
        starting(vm),
        pytest.raises(applevz.InvalidVirtualMachineStateError, match='state "starting"'),
    ):
        vm.request_stop()
    assert vm.state is State.RUNNING


@linux
def test_a_share_that_is_set_while_the_machine_starts_is_the_one_that_is_served(
    machine: MakeMachine, starting: Callable[[applevz.VirtualMachine], AbstractContextManager[None]], tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    vm = machine(directory_sharing_devices=[device("share", single(first))])
    with starting(vm):
        vm.directory_sharing_devices[0].share = single(second)
    assert served(first) == []
    assert len(served(second)) == 1


# ---- Folders that are made anew ----


def found(name: str) -> list[str]:
    """What the guests of this process find in the directory of that name."""
    (place,) = (root for root in (Path(f"/proc/{server}/root/{name}") for server in servers()) if root.exists())
    return sorted(os.listdir(place))


def make_anew(path: Path, content: str) -> None:
    if path.exists():
        path.rename(path.with_name(f"old {len(os.listdir(path.parent))}"))
    path.mkdir()
    (path / content).touch()


@linux
@as_root
def test_a_share_that_is_set_again_has_the_folder_that_has_its_path_now(machine: MakeMachine, tmp_path: Path) -> None:
    """The same paths: it is what they lead to that counts."""
    make_anew(tmp_path / "made anew", "first")
    make_anew(tmp_path / "kept", "kept")
    (tmp_path / "link").symlink_to("kept")
    share = MultipleDirectoryShare(
        {name: SharedDirectory(tmp_path / name) for name in ("made anew", "kept", "link")}
        | {"read-only": SharedDirectory(tmp_path / "made anew", read_only=True)}
    )
    vm = machine(memory_size="128MiB", directory_sharing_devices=[device("share", share)])
    (shared,) = vm.directory_sharing_devices
    vm.start(timeout=PATIENCE)
    assert eventually(lambda: [found(name) for name in ("made anew", "read-only")] == [["first"], ["first"]])
    (server,) = servers()
    kept = os.open(f"/proc/{server}/root/kept", os.O_RDONLY)
    for content in ("second", "third"):
        make_anew(tmp_path / "made anew", content)
        shared.share = share
        assert [found(name) for name in ("made anew", "read-only")] == [[content], [content]]
    assert found("link") == ["kept"]
    # That one was not taken away and mounted again: who has it open has it.
    before = Path(f"/proc/self/fdinfo/{kept}").read_text()
    again = os.open(f"/proc/{server}/root/kept", os.O_RDONLY)
    assert Path(f"/proc/self/fdinfo/{again}").read_text() == before
    os.close(again)
    os.close(kept)
    # Another link, another permission, or none of it any more.
    make_anew(tmp_path / "other", "other")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("other")
    shared.share = share
    assert [found(name) for name in ("link", "kept", "made anew")] == [["other"], ["kept"], ["third"]]
    (tmp_path / "kept").rename(tmp_path / "moved")
    words = r'directorySharingDevices\[0\]\.share\.directories\["kept"\]\.URL is ".*/kept", which cannot be found'
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words):
        shared.share = share
    assert [found(name) for name in ("link", "kept", "made anew")] == [["other"], ["kept"], ["third"]]


@linux
@as_root
def test_a_share_that_the_host_unmounted_is_served_again_once_it_is_mounted(
    machine: MakeMachine, tmp_path: Path
) -> None:
    """A file system that is mounted anew may look like the one that was there before."""
    place = tmp_path / "mounted"
    place.mkdir()

    def mount(content: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
        (place / content).touch()

    if subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False, capture_output=True).returncode:
        pytest.skip("this process may not mount")
    subprocess.run(["umount", place], check=True)
    share = MultipleDirectoryShare({"name": SharedDirectory(place)})
    vm = machine(memory_size="128MiB", directory_sharing_devices=[device("share", share)])
    mount("first")
    try:
        vm.start(timeout=PATIENCE)
        assert eventually(lambda: found("name") == ["first"])
        # Nobody keeps it here.
        subprocess.run(["umount", place], check=True)
        mount("second")
        vm.directory_sharing_devices[0].share = share
        assert found("name") == ["second"]
    finally:
        subprocess.run(["umount", place], check=False)


@linux
def test_the_only_directory_of_a_share_that_was_made_anew_is_another_one(machine: MakeMachine, tmp_path: Path) -> None:
    make_anew(tmp_path / "only", "first")
    vm = machine(memory_size="128MiB", directory_sharing_devices=[device("share", single(tmp_path / "only"))])
    (shared,) = vm.directory_sharing_devices
    vm.start(timeout=PATIENCE)
    assert eventually(lambda: served(tmp_path / "only"))
    # Set to what it is, it is that.
    (tmp_path / "link").symlink_to("only")
    for path in ("only", "link"):
        shared.share = single(tmp_path / path)
    with pytest.raises(applevz.NotSupportedError, match="what the guest has mounted"):
        shared.share = single(tmp_path / "only", read_only=True)
    make_anew(tmp_path / "only", "second")
    with pytest.raises(applevz.NotSupportedError, match="what the guest has mounted"):
        shared.share = single(tmp_path / "only")


# ---- Hosts with less privilege ----


def run_as(command: list[str], program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    names = [os.fspath(argument) if isinstance(argument, Path) else str(argument) for argument in arguments]
    paths = os.pathsep.join(map(os.fspath, (ROOT / "src", SUPPORT)))
    return subprocess.run(
        [*command, sys.executable, "-c", program, *names],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "PYTHONPATH": paths, "HOME": names[-1]},
    )


UNPRIVILEGED = """
import os, sys
from pathlib import Path
import applevz
from applevz import MultipleDirectoryShare, SharedDirectory, SingleDirectoryShare, VirtioFileSystemDeviceConfiguration
from guest_machine import Guest

guest_files, folder = map(Path, sys.argv[1:])
for name in ("one", "only", "other"):
    (folder / name).mkdir()
assert applevz.capabilities.shared_directories, applevz.capabilities.shared_directories.reason
several = {"only": SharedDirectory(folder / "only", read_only=True)}
devices = [
    VirtioFileSystemDeviceConfiguration("one", SingleDirectoryShare(SharedDirectory(folder / "one"))),
    VirtioFileSystemDeviceConfiguration("several", MultipleDirectoryShare(several)),
]
loader = applevz.LinuxBootLoader(guest_files / "vmlinux", guest_files / "initrd.cpio.gz", "console=hvc0 quiet")
configuration = applevz.VirtualMachineConfiguration(loader, memory_size="256MiB", directory_sharing_devices=devices)
with applevz.VirtualMachine(configuration) as machine:
    guest = Guest(machine).start()
    guest.run("mkdir /one /several; mount -t virtiofs one /one; mount -t virtiofs several /several")
    print(guest.run("echo mine > /one/file; stat -c %u /one/file"))
    print(guest.run("echo mine 2>&1 > /several/only/file"))
    machine.directory_sharing_devices[1].share = MultipleDirectoryShare({"other": SharedDirectory(folder / "other")})
    while guest.run("ls /several") != "other":
        pass
    print(guest.run("echo mine > /several/other/file; cat /several/other/file"))
    (folder / "other").rename(folder / "old")
    (folder / "other").mkdir()
    (folder / "other" / "anew").touch()
    machine.directory_sharing_devices[1].share = MultipleDirectoryShare({"other": SharedDirectory(folder / "other")})
    while guest.run("ls /several/other") != "anew":
        pass
    print("anew")
"""


@linux
@as_root
def test_a_user_without_privilege_shares_in_a_user_namespace(guest_files: Path) -> None:
    if not os.path.exists("/proc/self/ns/user"):
        pytest.skip("this kernel has no user namespaces")
    # With a supplementary group, as everybody has one who logs in.
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={NOBODY},100"]
    # Not pytest's own folder, which is closed to others.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chown(folder, NOBODY, NOBODY)
        if run_as(user, "import applevz", guest_files, folder).returncode != 0:
            pytest.skip("this checkout is not readable by others")
        done = run_as(user, UNPRIVILEGED, guest_files, folder)
        assert done.returncode == 0, done.stderr
        owner, refusal, change, anew = done.stdout.splitlines()
        # Root of the guest is that user here.
        assert owner == "0"
        assert "Read-only file system" in refusal
        assert (change, anew) == ("mine", "anew")
        for place in ("one", "old"):
            assert (folder / place / "file").stat().st_uid == NOBODY
        assert not (folder / "only" / "file").exists()


WITHOUT_NAMESPACES = """
import sys
import applevz
missing = applevz.capabilities.shared_directories
print(missing.reason)
print(missing.error.recovery_suggestion)
share = applevz.SingleDirectoryShare(applevz.SharedDirectory("/"))
devices = [applevz.VirtioFileSystemDeviceConfiguration("share", share)]
loader = applevz.LinuxBootLoader(sys.argv[1] + "/vmlinux")
try:
    applevz.VirtualMachineConfiguration(loader, directory_sharing_devices=devices).validate()
except applevz.NotSupportedError as error:
    print(error)
"""


@linux
def test_a_host_that_lets_nobody_mount_says_so(guest_files: Path, tmp_path: Path) -> None:
    # A user namespace whose root may make no other, and then gives up what root may.
    command = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
    if subprocess.run(["unshare", "-Ur", "true"], capture_output=True).returncode != 0:
        pytest.skip("user namespaces cannot be made here, as in a chroot")
    done = run_as(["unshare", "-Ur", "sh", "-c", command, "sh"], WITHOUT_NAMESPACES, guest_files, tmp_path)
    assert done.returncode == 0, done.stderr
    reason, suggestion, error = done.stdout.splitlines()
    expected = (
        "This process cannot make the mounts that a guest is to be served: No space left on device (making a user"
    )
    assert expected in reason
    assert "Run as root" in suggestion
    assert "user.max_user_namespaces" in suggestion
    assert reason in error
