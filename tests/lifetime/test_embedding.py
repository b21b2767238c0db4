# SPDX-License-Identifier: Apache-2.0
"""What the library does to the program that it is a part of: nothing at import, and afterwards nothing that stays."""

from __future__ import annotations

import inspect
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import applevz
from guest_machine import PATIENCE, Guest
from native_programs import load_toolchain

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process is looked at through /proc")

# What a program may look at of itself, as it would be in another one that never heard of virtual machines.
LOOKS = """
import gc, json, locale, os, signal, sys, tempfile, threading, time
from pathlib import Path

def look():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    # The C library catches the first two real-time signals for itself, from a program's first thread on.
    own = 0b11 << 31
    descriptors = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # the listing's own
    return {
        "dispositions": {name: int(status[name], 16) & ~own for name in ("SigIgn", "SigCgt", "SigBlk")},
        "handlers": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "wakeup descriptor": signal.set_wakeup_fd(-1),
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "locale": locale.setlocale(locale.LC_ALL),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "mask of new files": status["Umask"].strip(),
        "children": "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")),
        "threads": sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")),
        "threads of Python": threading.active_count(),
        "descriptors": descriptors,
        "files": sorted(os.listdir()) + sorted(os.listdir(tempfile.gettempdir())) + sorted(os.listdir(Path.home())),
        "hooks": [str(sys.excepthook), str(sys.unraisablehook), str(threading.excepthook), len(gc.callbacks)],
    }

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""


def configuration(kernel: str, ramdisk: str, identifier: bytes, **fields: Any) -> applevz.VirtualMachineConfiguration:
    """What programs have, too: one machine's saved state is for all."""
    card = applevz.VirtioNetworkDeviceConfiguration(
        applevz.NATNetworkDeviceAttachment(), mac_address="52:54:00:00:01:01"
    )
    return applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(kernel, ramdisk, "console=hvc0 quiet"),
        memory_size="256MiB",
        platform=applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier(identifier)),
        network_devices=[card],
        **fields,
    )


MACHINE = f"from typing import Any\nimport applevz\n{inspect.getsource(configuration)}"


@pytest.fixture(scope="module")
def names(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sets what programs are given: the guest's files, what makes its machine, and the state of a guest that counts."""
    kernel, ramdisk = str(guest_files / "vmlinux"), str(guest_files / "initrd.cpio.gz")
    identifier = applevz.GenericMachineIdentifier.random().data_representation
    state = tmp_path_factory.mktemp("counting") / "state"
    with applevz.VirtualMachine(configuration(kernel, ramdisk, identifier)) as machine:
        guest = Guest(machine).start()
        guest.console.write(b"beat\n")
        guest.console.read_until(b"beat 1\n", timeout=PATIENCE)
        machine.suspend(timeout=PATIENCE, to=state)
    words = f"KERNEL, INITRD, STATE = {kernel!r}, {ramdisk!r}, {str(state)!r}"
    return f"{words}\nMACHINE = KERNEL, INITRD, {identifier!r}"


def run(program: str, folder: Path, names: str, **environment: str) -> Any:
    for name in ("home", "temporary", "work"):
        (folder / name).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", f"{LOOKS}\n{names}\n{program}"],
        cwd=folder / "work",
        env={
            **os.environ,
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "temporary"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_host_program_is_as_it_was_after_the_import_and_after_machines_were_used(
    names: str, tmp_path: Path
) -> None:
    program = """
before = look()
import applevz
imported = look()

configuration = applevz.VirtualMachineConfiguration(
    applevz.LinuxBootLoader(KERNEL, INITRD, "console=hvc0"), memory_size="256MiB",
    network_devices=[applevz.VirtioNetworkDeviceConfiguration(applevz.NATNetworkDeviceAttachment())])
with applevz.VirtualMachine(configuration) as machine:
    machine.start(timeout=60)
    machine.console.read_until("ready", timeout=60)
    using = look()
    machine.pause(timeout=60)
    machine.save_state("state", timeout=60)
    machine.stop(timeout=60)
    machine.restore_state("state", timeout=60)
    machine.stop(timeout=60)
    try:
        machine.pause(timeout=60)
    except applevz.InvalidVirtualMachineStateTransitionError:
        pass
    os.unlink("state")
del machine
gc.collect()
# Threads that have nothing to do end after a while; the one that watches descriptors stays.
end = time.monotonic() + 30
while time.monotonic() < end and len(os.listdir("/proc/self/task")) > 2:
    time.sleep(0.1)
print(json.dumps({"before": before, "imported": imported, "using": using, "after": look()}))
"""
    looks = run(program, tmp_path, names)
    before, imported, using, after = (looks[name] for name in ("before", "imported", "using", "after"))
    for name, value in before.items():
        assert imported[name] == value, f"{name}, after the import"
        if name not in ("threads", "descriptors"):
            assert after[name] == value, f"{name}, after use"
        if name not in ("threads", "descriptors", "children"):
            assert using[name] == value, f"{name}, while a machine runs"
    assert len(using["children"].split()) == 1
    # What stays is the one poller of the process, and what it polls; nothing of a machine.
    assert sorted(after["threads"]) == sorted([*before["threads"], "applevz-poller"])
    stays = [target for number, target in after["descriptors"].items() if number not in before["descriptors"]]
    assert all(target.startswith(("anon_inode:[event", "anon_inode:[timerfd", "pipe:")) for target in stays), stays
    assert len(stays) <= 4 + 2, stays


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.long)])
def test_cycles_leave_descriptors_processes_threads_and_memory_where_they_were(
    names: str, tmp_path: Path, count: int
) -> None:
    program = """
import applevz
platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
def cycle(number):
    configuration = applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(KERNEL, INITRD, "console=hvc0"), memory_size="128MiB", platform=platform)
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=60)
        machine.pause(timeout=60)
        machine.save_state("state", timeout=60)
        machine.stop(timeout=60)
        machine.restore_state("state", timeout=60, private=number % 2 == 0)
        machine.resume(timeout=60)
        machine.stop(timeout=60)
    os.unlink("state")

def left():
    # A machine's end goes on for a moment on its queue after its block, and workers end when they have had nothing
    # to do for a while. The thread that watches descriptors stays.
    gc.collect()
    end = time.monotonic() + 30
    while time.monotonic() < end and len(os.listdir("/proc/self/task")) > 2:
        time.sleep(0.1)
    return {"descriptors": len(os.listdir("/proc/self/fd")), "children": look()["children"], "resident": resident(),
            "threads": len(os.listdir("/proc/self/task"))}

for number in range(10):
    cycle(number)
before = left()
for number in range(COUNT):
    cycle(number)
print(json.dumps([before, left()]))
"""
    before, after = run(f"COUNT = {count}\n{program}", tmp_path, names)
    assert after["children"] == ""
    assert after["descriptors"] == before["descriptors"]
    assert after["threads"] == before["threads"] == 2
    # What a cycle would leave of 100 KiB, or of 10 in the longer one, would be 2 MiB here.
    assert after["resident"] - before["resident"] < 2 << 20, (before, after)


# ---- What it asks of the system, and what it can do without ----

# A few instructions of the kernel's packet filter say which system calls end the process, with a word of which it was.
FORBIDS = """
import ctypes, faulthandler, os, signal, struct

def forbid(numbers, opening):
    load, equal, any_of, give = 0x20, 0x15, 0x45, 0x06
    allow, trap = struct.pack("HBBI", give, 0, 0, 0x7FFF0000), struct.pack("HBBI", give, 0, 0, 0x00030000)
    words = struct.pack("HBBI", load, 0, 0, 0)
    for number in numbers:
        words += struct.pack("HBBI", equal, 0, 1, number) + trap
    for number, argument in opening.items():
        words += struct.pack("HBBI", equal, 0, 4, number) + struct.pack("HBBI", load, 0, 0, 16 + 8 * argument)
        words += struct.pack("HBBI", any_of, 0, 1, os.O_WRONLY | os.O_RDWR | os.O_CREAT) + trap + allow
    words += allow
    program = ctypes.create_string_buffer(words)
    description = struct.pack("HxxxxxxP", len(words) // 8, ctypes.addressof(program))
    system = ctypes.CDLL(None, use_errno=True)
    faulthandler.register(signal.SIGSYS, chain=True)
    if system.prctl(38, 1, 0, 0, 0) != 0 or system.prctl(22, 2, description, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no filter of system calls can be set")
"""

# What would show: processes, threads, connections, signals to others; files that are made, changed or taken away.
SHOWING = """
    bind chmod chown clone clone3 connect execve execveat fchdir chdir fchmod fchmodat fchown fchownat flock fork
    ftruncate kill lchown link linkat listen mkdir mkdirat mknod mknodat pidfd_open rename renameat renameat2 rmdir
    setsid socket socketpair symlink symlinkat tgkill tkill truncate umask unlink unlinkat utimensat vfork
""".split()


@pytest.fixture(scope="module")
def system_calls() -> dict[str, int]:
    """The numbers of the system calls, which every processor has of its own."""
    clang = load_toolchain().Toolchain.find().clang
    command = [clang, "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"]
    defined = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", defined, re.MULTILINE)}


@pytest.mark.parametrize("sigpipe", ["SIG_DFL", "SIG_IGN"])
def test_the_import_asks_the_kernel_for_nothing_that_shows(
    system_calls: dict[str, int], names: str, tmp_path: Path, sigpipe: str
) -> None:
    numbers = [system_calls[name] for name in SHOWING if name in system_calls]
    opening = {system_calls[name]: at for name, at in (("open", 1), ("openat", 2)) if name in system_calls}
    program = f"""
{FORBIDS}
signal.signal(signal.SIGPIPE, signal.{sigpipe})
forbid({numbers}, {opening})
import applevz
applevz.LinuxBootLoader(KERNEL), applevz.GenericMachineIdentifier.random(), applevz.VirtioConsoleDeviceConfiguration
try:
    applevz.GenericMachineIdentifier(b"")
except applevz.Error as error:
    str(error)
ignored = int(Path("/proc/self/status").read_text().partition("SigIgn:")[2].split()[0], 16)
print(json.dumps(ignored >> signal.SIGPIPE - 1 & 1))
"""
    assert run(program, tmp_path, names) == (sigpipe == "SIG_IGN")


def test_the_filter_of_system_calls_ends_a_process_that_shows(
    system_calls: dict[str, int], names: str, tmp_path: Path
) -> None:
    # That the test above can fail.
    forbid = f"{FORBIDS}\nforbid([{system_calls['mkdirat']}], {{{system_calls['openat']}: 2}})\n"
    for number, act in enumerate(("ctypes.CDLL(None).mkdirat(-100, b'folder', 0o777)", "open('file', 'w')")):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(AssertionError, match="(?s)line \\d+ in <module>"):
            run(f"{forbid}{act}\nprint(json.dumps(None))", tmp_path / str(number), names)
        assert os.listdir(tmp_path / str(number) / "work") == []


# From the import to a machine that was started, and one that ran, printed, was saved and restored.
LIFE = MACHINE + """
def life():
    with applevz.VirtualMachine(configuration(*MACHINE)) as machine:
        machine.start(timeout=60)
        machine.stop(timeout=60)
        machine.restore_state(STATE, timeout=60, private=True)
        machine.resume(timeout=60)
        machine.console.read_until("beat", timeout=60)
        machine.pause(timeout=60)
        machine.save_state("state", timeout=60)
        machine.stop(timeout=60)
        machine.restore_state("state", timeout=60)
        machine.stop(timeout=60)
        try:
            machine.pause(timeout=60)
        except applevz.InvalidVirtualMachineStateTransitionError as error:
            str(error)
    os.unlink("state")
"""


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.fixture
def defaults(tmp_path: Path) -> Path:
    """A folder of GNUstep's user defaults, as the home folder has it, with a lock that somebody left there long ago;
    and beside it the file that names it."""
    folder = tmp_path / "defaults"
    lock = folder / ".lck" / ".GNUstepDefaults.lck"
    lock.mkdir(parents=True)
    (folder / "NSGlobalDomain.plist").write_text("{ NSLanguages = (German); GSLogThread = YES; }")
    for path in [lock, lock.parent, folder]:
        os.utime(path, (1, 1))
    (tmp_path / "GNUstep.conf").write_text(f"GNUSTEP_USER_DEFAULTS_DIR={folder}\n")
    return folder


@pytest.mark.parametrize("held", [False, True])
def test_the_user_s_defaults_are_neither_locked_nor_read(
    names: str, tmp_path: Path, defaults: Path, held: bool
) -> None:
    lock = defaults / ".lck" / ".GNUstepDefaults.lck"
    if held:
        # By a process that is alive, as far as anybody can tell: its lock will be young for a minute.
        os.utime(lock, (time.time() + 60, time.time() + 60))
    before = tree(defaults)
    program = f"begin = time.monotonic()\n{LIFE}\nlife()\nprint(json.dumps(time.monotonic() - begin))"
    took = run(program, tmp_path, names, GNUSTEP_CONFIG_FILE=str(tmp_path / "GNUstep.conf"))
    assert tree(defaults) == before
    assert list(tmp_path.joinpath("home").iterdir()) == []
    # Foundation waits 20 seconds for the one, 31 for the other.
    assert took < 20


ENVIRONMENTS = {
    "nothing at all": {},
    "a home folder that is missing": {"HOME": "/nonexistent"},
    "a home that is no folder": {"HOME": "/dev/null"},
    "no folder for temporary files": {"TMPDIR": "/nonexistent"},
    "an odd language": {"LANG": "xx_YY.foo", "LC_ALL": "\udc80", "LANGUAGE": "::de:", "LANGUAGES": ";;"},
    "a plain language": {"LANG": "C", "LC_ALL": "C", "NAME": "Zoë", "\udcff": "=\udcfe"},
    "bytes that are no text": {"LC_ALL": "C.UTF-8", "NAME": "Zo\udceb", "NA\udcefVE": "", "PARTS": "\udcc3=\udca9"},
    "GNUstep's words, wrong": {
        "GNUSTEP_CONFIG_FILE": "relative/GNUstep.conf",
        "GNUSTEP_USER_CONFIG_FILE": "/dev/zero",
        "GNUSTEP_USER_DEFAULTS_DIR": "/dev/null/defaults",
        "GNUSTEP_STRING_ENCODING": "NSNoSuchEncoding",
        "GNUSTEP_FILESYSTEM_LAYOUT": "none",
        "DEB_HOST_MULTIARCH": "../../..",
    },
}


@pytest.fixture
def qemu_alone(tmp_path: Path) -> Path:
    """A folder for PATH in which there is QEMU, and no shell, no dpkg-architecture and no compiler."""
    folder = tmp_path / "programs"
    folder.mkdir()
    program = f"qemu-system-{platform.machine()}"
    found = shutil.which(program)
    assert found, program
    (folder / program).symlink_to(found)
    return folder


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_any_environment_will_do(names: str, tmp_path: Path, qemu_alone: Path, name: str) -> None:
    for folder in ("work", "home"):
        (tmp_path / folder).mkdir()
    program = f"import os\n{names}\n{LIFE}\nlife()\nprint('through')"
    usual = {} if name == "nothing at all" else {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "work")}
    done = subprocess.run(
        [sys.executable, "-c", program, "Zo\udceb", "Zoë"],
        cwd=tmp_path / "work",
        env={"PATH": str(qemu_alone), **usual, **ENVIRONMENTS[name]},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "through\n"), done.stderr
    assert list((tmp_path / "home").iterdir()) == list((tmp_path / "work").iterdir()) == []


# A system that lacks something, made of this one for one process. What it lacks, and how far a program comes there.
LACKS = {
    "a writable /tmp": ("mount -t tmpfs -o ro none /tmp", "life()"),
    "a writable home": ('mount -t tmpfs -o ro none "$HOME"', "life()"),
    # A bare chroot's: without /dev/urandom, above all.
    "nearly all devices": (
        """mount --rbind /dev /mnt && mount -t tmpfs none /dev && for name in null kvm; do
            [ ! -e /mnt/$name ] || { touch /dev/$name && mount --bind /mnt/$name /dev/$name; }
        done && umount -l /mnt""",
        """
assert not os.path.exists("/dev/urandom")
life()
# Four bytes that tell what it is, and a UUID of version 4.
identifiers = {applevz.GenericMachineIdentifier.random().data_representation for _ in range(20)}
assert len(identifiers) == 20
assert {(data[4 + 6] >> 4, data[4 + 8] >> 6) for data in identifiers} == {(4, 2)}
""",
    ),
    "/proc": (
        "mount -t tmpfs none /proc",
        """
configuration = applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader(KERNEL), memory_size="256MiB")
with applevz.VirtualMachine(configuration):
    pass
""",
    ),
    "users": ("mount --bind /dev/null /etc/passwd && mount --bind /dev/null /etc/nsswitch.conf", "life()"),
}


@pytest.mark.parametrize("lack", LACKS)
def test_a_system_may_lack(names: str, tmp_path: Path, qemu_alone: Path, lack: str) -> None:
    prepare, act = LACKS[lack]
    for folder in ("home", "work"):
        (tmp_path / folder).mkdir()
    # Whatever lies below what is covered is moved out of the way.
    if lack == "a writable /tmp" and str(tmp_path).startswith("/tmp/"):
        prepare = "mount -o remount,bind,ro /tmp" if os.path.ismount("/tmp") else "mount --bind -o ro /tmp /tmp"
        act = "print(applevz.GenericMachineIdentifier.random())"
    enter = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*enter, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may make no mount namespaces")
    program = f"import os\n{names}\n{LIFE}\n{act}\nprint('through')"
    done = subprocess.run(
        [*enter, "sh", "-c", f'{prepare} || exit 77; PATH={qemu_alone} exec "$@"', "sh", sys.executable, "-c", program],
        cwd=tmp_path / "work",
        env={**os.environ, "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("through\n")


def test_a_program_of_gnustep_s_own_gets_its_defaults_and_bundles(
    names: str, tmp_path: Path, defaults: Path
) -> None:
    # A host program that asks the classes itself, in its way: by the C functions of the runtime.
    if "libapplevz-objc.so" in Path("/proc/self/maps").read_text():
        pytest.skip("what a wheel brings along is out of a program's reach, and has another runtime")
    shutil.rmtree(defaults / ".lck")
    program = """
import ctypes, applevz
with applevz.VirtualMachine(applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader(KERNEL), memory_size="256MiB")):
    pass
runtime = ctypes.CDLL("libobjc.so.4")
runtime.objc_get_class.restype = runtime.sel_registerName.restype = runtime.objc_msg_lookup.restype = ctypes.c_void_p
runtime.objc_msg_lookup.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
def send(receiver, name, *arguments):
    selector = ctypes.c_void_p(runtime.sel_registerName(name))
    types = [ctypes.c_void_p] * (3 + len(arguments))
    method = ctypes.CFUNCTYPE(*types)(runtime.objc_msg_lookup(receiver, selector))
    return method(receiver, selector, *arguments)
def named(name):
    return runtime.objc_get_class(name)
def text(words):
    return send(named(b"NSString"), b"stringWithUTF8String:", words)
def words(string):
    return ctypes.string_at(send(string, b"UTF8String")).decode()
pool = send(send(named(b"NSAutoreleasePool"), b"alloc"), b"init")
defaults = send(named(b"NSUserDefaults"), b"standardUserDefaults")
languages = send(defaults, b"stringArrayForKey:", text(b"NSLanguages"))
bundle = send(named(b"NSBundle"), b"bundleForClass:", named(b"NSObject"))
language, folder = send(languages, b"firstObject"), send(send(bundle, b"bundlePath"), b"lastPathComponent")
print(json.dumps([words(language), words(folder), len(applevz.GenericMachineIdentifier.random().data_representation)]))
"""
    found = run(program, tmp_path, names, GNUSTEP_CONFIG_FILE=str(tmp_path / "GNUstep.conf"))
    assert found[0] == "German"
    assert found[1]
    assert found[2] == 20


# ---- The standard descriptors ----

DESCRIPTORS = """
def looks_like(path):
    try:
        return os.readlink(path)
    except OSError:
        return None

def standard(process="self"):
    return [looks_like(f"/proc/{process}/fd/{number}") for number in range(3)]
"""


@pytest.mark.parametrize("closed", [(0,), (0, 1), (1, 2), (0, 1, 2)])
def test_the_standard_descriptors_are_the_program_s_also_where_it_closed_them(
    names: str, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    program = f"""
{DESCRIPTORS}
answer = os.dup(1)
errors = os.dup(2)
closed = {closed}
for number in closed:
    os.close(number)
before = standard()
{MACHINE}
terminal = applevz.PseudoTerminalSerialPortAttachment()
seen, errors_seen = [], []
def look(step):
    if standard() != before:
        seen.append([step, standard()])
def life(folder):
    sockets = [applevz.VirtioSocketDeviceConfiguration()] if applevz.capabilities.sockets else []
    made = configuration(*MACHINE, socket_devices=sockets)
    look("configured")
    with applevz.VirtualMachine(made) as machine:
        look("made")
        machine.start(timeout=60)
        look("started")
        child = Path(f"/proc/self/task/{{os.getpid()}}/children").read_text() or "".join(
            path.read_text() for path in Path("/proc/self/task").glob("*/children"))
        child = child.split()[0]
        children.append(standard(child))
        machine.pause(timeout=60)
        machine.save_state("state", timeout=60)
        look("saved")
        machine.stop(timeout=60)
        machine.restore_state("state", timeout=60)
        machine.resume(timeout=60)
        look("restored")
        machine.stop(timeout=60)
        os.unlink("state")
    look("closed")
    with applevz.VirtualMachine(configuration(*MACHINE)) as machine:
        machine.restore_state(STATE, timeout=60, private=True)
        machine.resume(timeout=60)
        machine.console.read_until("beat", timeout=60)
        look("printed")
children = []
life("first")
# What the program puts there is nobody else's, and nobody closes it or writes to it.
for number in closed:
    descriptor = os.open(f"mine{{number}}", os.O_RDWR | os.O_CREAT)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
before = standard()
life("second")
written = [os.stat(f"mine{{number}}").st_size for number in closed]
os.write(answer, json.dumps([seen, children, written, standard() == before]).encode())
"""
    seen, children, written, same = run(program, tmp_path, names)
    assert seen == []
    for nothing, output, errors in children:
        assert nothing == "/dev/null"
        assert output == errors
        assert output.startswith("pipe:")
    assert len(children) == 2
    assert written == [0] * len(closed)
    assert same
