# SPDX-License-Identifier: Apache-2.0
"""A state is saved whole or not at all also by a framework that promises nothing of the file: by both verbs, in both
faces, with and without overwriting; and what is refused is refused as on Linux."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import debug_build
import played_mac
from processes import eventually

if sys.platform == "darwin":
    pytest.skip("a Mac need not be played", allow_module_level=True)

BEGINNING = """
import asyncio, contextlib, errno, gc, itertools, json, os, sys, threading, time
from pathlib import Path
import applevz, applevz.aio

kernel, initial_ramdisk, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
state = folder / "state"
loop = asyncio.new_event_loop()
PATIENCE = 120

def done(result):
    return loop.run_until_complete(result) if asyncio.iscoroutine(result) else result

def machine(face="sync", **fields):
    boot_loader = applevz.LinuxBootLoader(kernel, initial_ramdisk, "console=hvc0 quiet")
    configuration = applevz.VirtualMachineConfiguration(boot_loader, memory_size="128MiB", **fields)
    return {"sync": applevz, "asyncio": applevz.aio}[face].VirtualMachine(configuration)

def paused(face="sync", **fields):
    vm = machine(face, **fields)
    done(vm.start(timeout=PATIENCE))
    done(vm.pause(timeout=PATIENCE))
    return vm

def end(vm):
    done(vm.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE))

def save(vm, verb, path, overwrite=False, timeout=PATIENCE):
    if verb == "save_state":
        done(vm.save_state(path, timeout=timeout, overwrite=overwrite))
    else:
        done(vm.suspend(timeout=timeout, to=path, overwrite=overwrite))

def told(error):
    causes, cause = [], error.error
    while cause is not None:
        causes.append([cause.domain, cause.code, str(cause), repr(cause.user_info)])
        cause = cause.underlying
    return {
        "kinds": [kind.__name__ for kind in type(error).__mro__],
        "errno": errno.errorcode.get(getattr(error, "errno", None)),
        "filename": getattr(error, "filename", None),
        "text": str(error),
        "all": repr(causes),
    }

def attempt(act, *arguments, **keywords):
    try:
        done(act(*arguments, **keywords))
    except applevz.Error as error:
        return told(error)

def eventually(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)

def nothing_hidden():
    return not [name for name in os.listdir(folder) if name.startswith(".")]

def tell(**what):
    print(json.dumps(what))
"""

# Tells of a save in each way, each in a folder with nothing in it but what is overwritten.
EVERY_WAY = """
vms = {face: paused(face) for face in ("sync", "asyncio")}
for face, verb, overwrite in itertools.product(vms, ("save_state", "suspend"), (False, True)):
    if vms[face].state is applevz.VirtualMachineState.STOPPED:
        vms[face] = paused(face)
    if overwrite:
        state.write_text("precious")
        state.chmod(0o640)
    error = attempt(save, vms[face], verb, state, overwrite)
    eventually(nothing_hidden)
    tell(way=[face, verb, overwrite], error=error, state=vms[face].state.name, names=sorted(os.listdir(folder)),
         text=state.read_bytes()[:20].decode(errors="replace") if state.exists() else None)
    state.unlink(missing_ok=True)
for vm in vms.values():
    end(vm)
eventually(nothing_hidden) # whatever came later
"""


Told = list[dict[str, Any]]


@pytest.fixture
def play(guest_files: Path, tmp_path: Path) -> Callable[..., Told]:
    """Runs a program after BEGINNING, in a folder that it has for itself, and gives what it tells."""
    (tmp_path / "folder").mkdir()

    def run(program: str, *arguments: str, mac: bool = True, folder: Path | None = None, **further: Any) -> Told:
        given = [str(guest_files / "vmlinux"), str(guest_files / "initrd.cpio.gz"), str(folder or tmp_path / "folder")]
        runner = played_mac.run if mac else debug_build.run
        result = runner(BEGINNING + program, *given, *arguments, **further)
        assert (result.returncode, result.stderr) == (0, "")
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run


# ---- Whole ---------------------------------------------------------------------------------------------------------


def test_a_state_is_saved_and_restored_in_every_way(play: Callable[..., Told]) -> None:
    program = """
platform = applevz.GenericPlatformConfiguration(applevz.GenericMachineIdentifier.random())
ways = [("sync", "save_state", False), ("asyncio", "save_state", True), ("asyncio", "suspend", False)]
for face, verb, overwrite in [*ways, ("sync", "suspend", True)]:
    if overwrite:
        state.write_text("precious")
        state.chmod(0o640)
    vm = paused(face, platform=platform)
    save(vm, verb, state, overwrite)
    tell(state=vm.state.name, mode=oct(state.stat().st_mode & 0o777), names=os.listdir(folder))
    end(vm)
    done(vm.restore_state(state, timeout=PATIENCE))
    done(vm.start(timeout=PATIENCE))
    tell(state=vm.state.name)
    end(vm)
    state.unlink()
"""
    expected: Told = []
    for after, mode in [("PAUSED", "0o600"), ("PAUSED", "0o640"), ("STOPPED", "0o600"), ("STOPPED", "0o640")]:
        expected += [{"state": after, "mode": mode, "names": ["state"]}]
        expected += [{"state": "RUNNING"}]
    assert play(program) == expected


@pytest.mark.parametrize("mac", [True, False])
def test_whatever_name_a_file_may_have_a_state_may_have(play: Callable[..., Told], mac: bool) -> None:
    program = r"""
vm = paused()
names = ["x" * 255, "ä" * 127, "line\n", "%41", ".hidden", os.fsdecode(b"\xff\xfe"), "u\u0308", "-"]
for name in names:
    save(vm, "save_state", folder / name)
    save(vm, "save_state", folder / name, overwrite=True)
tell(right=sorted(os.listdir(folder)) == sorted(names))
end(vm)
"""
    assert play(program, mac=mac) == [{"right": True}]


@pytest.mark.parametrize("mac", [True, False])
def test_a_symbolic_link_is_a_name_like_another(play: Callable[..., Told], mac: bool) -> None:
    program = """
vm = paused()
old = folder / "old"
old.write_text("precious")
old.chmod(0o640)
for target in ("old", "nowhere", "state"):
    state.symlink_to(target)
    for verb in ("save_state", "suspend"):
        error = attempt(save, vm, verb, state)
        tell(errno=error["errno"], link=os.readlink(state))
    save(vm, "save_state", state, overwrite=True)
    tell(mode=oct(state.lstat().st_mode), old=old.read_text(), names=sorted(os.listdir(folder)))
    state.unlink()
end(vm)
"""
    expected: Told = []
    for target in ("old", "nowhere", "state"):
        expected += [{"errno": "EEXIST", "link": target}] * 2
        expected += [{"mode": "0o100600", "old": "precious", "names": ["old", "state"]}]
    assert play(program, mac=mac) == expected


def test_the_second_word_of_a_framework_changes_nothing(play: Callable[..., Told]) -> None:
    for told in play(EVERY_WAY, policy={"saving": "succeed, then fail"}):
        assert told["error"] is None
        assert told["state"] == ("PAUSED" if told["way"][1] == "save_state" else "STOPPED")
        assert told["names"] == ["state"]
        assert told["text"] != "precious"


# ---- Or not there --------------------------------------------------------------------------------------------------


def is_as_before(told: dict[str, Any]) -> bool:
    overwrite = told["way"][2]
    left = (told["state"], told["names"], told["text"])
    return left == ("PAUSED", ["state"] if overwrite else [], "precious" if overwrite else None)


@pytest.mark.parametrize("what", ["half", "beside", "half a folder", "fail, then succeed", "raise"])
def test_a_framework_that_fails_leaves_nothing_and_names_the_file(
    play: Callable[..., Told], tmp_path: Path, what: str
) -> None:
    ways = play(EVERY_WAY, policy={"saving": what})
    assert len(ways) == 8
    path = str(tmp_path / "folder" / "state")
    for told in ways:
        assert is_as_before(told), told
        error = told["error"]
        assert error["kinds"][0] == ("ForeignExceptionError" if what == "raise" else "SaveError")
        assert path in error["text"]
        assert ".applevz" not in error["all"]
        assert f"'NSURL': 'file://{path}'" in error["all"] or what == "raise"


@pytest.mark.parametrize("what", ["a folder", "nothing"])
def test_a_success_without_a_file_is_an_error(play: Callable[..., Told], tmp_path: Path, what: str) -> None:
    for told in play(EVERY_WAY, policy={"saving": what}):
        assert is_as_before(told), told
        assert told["error"]["kinds"][0] == "SaveError"
        assert "OSError" not in told["error"]["kinds"]
        assert f'"{tmp_path / "folder" / "state"}" cannot be ' in told["error"]["text"]
        assert "the virtualization framework has saved " in told["error"]["text"]


@pytest.mark.parametrize(
    ("domain", "code", "kind", "number"),
    [
        ("NSPOSIXErrorDomain", 28, "OSError", "ENOSPC"),
        ("NSPOSIXErrorDomain", 13, "PermissionError", "EACCES"),
        ("NSCocoaErrorDomain", 640, "OSError", "ENOSPC"),
        ("NSCocoaErrorDomain", 513, "PermissionError", "EACCES"),
    ],
)
def test_what_a_framework_says_of_the_cause_is_kept_and_names_the_file(
    play: Callable[..., Told], tmp_path: Path, domain: str, code: int, kind: str, number: str
) -> None:
    program = """
vm = paused()
tell(**attempt(save, vm, "save_state", state))
end(vm)
"""
    policy = {"saving": "half", "saving cause": {"domain": domain, "code": code}}
    [error] = play(program, policy=policy)
    assert error["kinds"][0] == "SaveError"
    assert kind in error["kinds"]
    assert error["errno"] == number
    assert error["filename"] == str(tmp_path / "folder" / "state")
    assert ".applevz" not in error["all"]


def test_a_framework_that_fails_without_a_word_on_a_full_disk_is_out_of_space(
    play: Callable[..., Told], tmp_path: Path
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", full], check=False).returncode != 0:
        pytest.skip("this user cannot mount a file system")
    program = """
old = folder / "old"
old.touch()
with contextlib.suppress(OSError), (folder / "filling").open("wb", buffering=0) as file:
    while True:
        file.write(bytes(1024))
vm = paused()
for verb, path in itertools.product(("save_state", "suspend"), (state, old)):
    error = attempt(save, vm, verb, path, overwrite=path == old)
    tell(errno=error["errno"], named=error["filename"] == str(path), said="be saved." in error["text"],
         own=".applevz" not in error["all"], names=sorted(os.listdir(folder)), size=old.stat().st_size)
end(vm)
"""
    try:
        ways = play(program, policy={"saving": "half"}, folder=full)
    finally:
        subprocess.run(["umount", "-l", full], check=True)
    expected = {"errno": "ENOSPC", "named": True, "said": True, "own": True, "names": ["filling", "old"], "size": 0}
    assert ways == [expected] * 4


# ---- Refused beforehand, on both platforms alike -------------------------------------------------------------------

REFUSALS = """
vm = paused()
(folder / "file").write_text("precious")
(folder / "kept").mkdir()
os.mkfifo(folder / "fifo")
(folder / "loop").symlink_to("loop")
(folder / "link").symlink_to("kept")
os.mkdir(folder / "closed", 0o500)
names = sorted(os.listdir(folder))
if os.geteuid() == 0:
    os.chown(folder / "closed", 65534, 65534)
    folder.chmod(0o755)
    os.seteuid(65534)
paths = ["file", "kept", "fifo", "loop", "link", "kept/.", "kept/..", "new/", "kept/", "nowhere/x", "file/x", "loop/x"]
paths += ["y" * 256, "y" * 256 + "/x", "closed/x"]
for path, overwrite, verb in itertools.product(paths, (False, True), ("save_state", "suspend")):
    if path in ("file", "loop", "link") and overwrite:
        continue
    error = attempt(save, vm, verb, f"{folder}/{path}", overwrite)
    words = error["text"].partition(" An error")[2]
    tell(path=path, overwrite=overwrite, errno=error["errno"], kind=error["kinds"][0], words=words, state=vm.state.name,
         named=error["filename"] == f"{folder}/{path}", own=".applevz" not in error["all"])
if os.getuid() == 0:
    os.seteuid(0)
assert sorted(os.listdir(folder)) == names and os.listdir(folder / "kept") == [], os.listdir(folder)
# In another state that is what is wrong.
done(vm.resume())
tell(running=attempt(vm.save_state, folder / "file")["kinds"][0])
end(vm)
tell(stopped=attempt(vm.save_state, folder / "file", overwrite=True)["kinds"][0], names=len(os.listdir(folder)))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that other users may search, too."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_what_cannot_be_is_refused_by_its_path_and_in_the_same_words_on_both(
    play: Callable[..., Told], open_folder: Path
) -> None:
    def tells(mac: bool) -> Told:
        folder = open_folder / "folder"
        folder.mkdir()
        try:
            return play(REFUSALS, mac=mac, folder=folder)
        finally:
            shutil.rmtree(folder)

    played, real = tells(mac=True), tells(mac=False)
    assert played == real
    *refusals, running, stopped = played
    assert running == {"running": "InvalidVirtualMachineStateError"}
    assert stopped == {"stopped": "InvalidVirtualMachineStateError", "names": 6}
    expected = {
        "kept": ("EEXIST", "EISDIR"),
        "fifo": ("EEXIST", "EEXIST"),
        "kept/.": ("EEXIST", "EISDIR"),
        "file": ("EEXIST", None),
        "loop": ("EEXIST", None),
        "link": ("EEXIST", None),
        "kept/..": ("EEXIST", "EISDIR"),
        "new/": ("ENOENT", "ENOENT"),
        "kept/": ("EISDIR", "EISDIR"),
        "nowhere/x": ("ENOENT", "ENOENT"),
        "file/x": ("ENOTDIR", "ENOTDIR"),
        "loop/x": ("ELOOP", "ELOOP"),
        "closed/x": ("EACCES", "EACCES"),
        "y" * 256: ("ENAMETOOLONG",) * 2,
        "y" * 256 + "/x": ("ENAMETOOLONG",) * 2,
    }
    for refusal in refusals:
        assert refusal["errno"] == expected[refusal["path"]][refusal["overwrite"]], refusal
        assert (refusal["kind"], refusal["state"]) == ("SaveError", "PAUSED"), refusal
        assert (refusal["named"], refusal["own"]) == (True, True), refusal


# ---- While it is saved ---------------------------------------------------------------------------------------------


def test_what_happens_to_the_folder_meanwhile_is_seen(play: Callable[..., Told], tmp_path: Path) -> None:
    go = tmp_path / "go"
    program = """
go = Path(sys.argv[4])
vm = paused()

def while_saving(act, overwrite=False):
    errors = []
    thread = threading.Thread(target=lambda: errors.append(attempt(save, vm, "save_state", state, overwrite)))
    thread.start()
    eventually(lambda: os.listdir(folder) not in ([], ["state"]))
    act()
    go.touch()
    thread.join()
    go.unlink()
    return errors[0]

error = while_saving(lambda: state.write_text("theirs"))
tell(errno=error["errno"], text=state.read_text(), names=os.listdir(folder))
error = while_saving(lambda: (state.unlink(), os.mkfifo(state)), overwrite=True)
tell(errno=error["errno"], names=os.listdir(folder), fifo=state.is_fifo())
state.unlink()
moved = folder.with_name("moved")
error = while_saving(lambda: (folder.rename(moved), folder.mkdir()))
tell(error=error, names=[os.listdir(folder), os.listdir(moved)])
os.unlink(moved / "state")
def remove():
    for name in os.listdir(folder):
        os.unlink(folder / name)
    folder.rmdir()
error = while_saving(remove)
tell(kinds=error["kinds"], own=".applevz" not in error["all"], state=vm.state.name)
folder.mkdir()
end(vm)
"""
    taken, fifo, moved, removed = play(program, str(go), policy={"saving": "whole at once", "saving until": str(go)})
    assert taken == {"errno": "EEXIST", "text": "theirs", "names": ["state"]}
    assert fifo == {"errno": "EEXIST", "names": ["state"], "fifo": True}
    assert moved == {"error": None, "names": [[], ["state"]]}
    assert removed["kinds"][0] == "SaveError"
    assert (removed["own"], removed["state"]) == (True, "PAUSED")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("face", ["sync", "asyncio"])
def test_saving_goes_on_when_its_caller_gives_up(
    play: Callable[..., Told], tmp_path: Path, face: str, overwrite: bool
) -> None:
    go = tmp_path / "go"
    program = """
face, overwrite, go = sys.argv[4], sys.argv[5] == "True", Path(sys.argv[6])
vm = paused(face)
if overwrite:
    state.write_text("precious")
tell(kind=attempt(save, vm, "save_state", state, overwrite, timeout=0)["kinds"][0], there=state.exists())
eventually(lambda: len(os.listdir(folder)) == 1 + overwrite)
if overwrite:
    assert state.read_text() == "precious"
go.touch()
eventually(lambda: os.listdir(folder) == ["state"] and state.read_text() != "precious")
if face == "asyncio":
    go.unlink()
    async def cancelled():
        task = asyncio.ensure_future(vm.save_state(folder / "other", timeout=PATIENCE))
        while len(os.listdir(folder)) == 1:
            await asyncio.sleep(0.005)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
    tell(cancelled=done(cancelled()), names=sorted(os.listdir(folder))[1:])
    go.touch()
    eventually(lambda: sorted(os.listdir(folder)) == ["other", "state"])
end(vm)
"""
    first, *rest = play(
        program,
        *(face, str(overwrite), str(go)),
        policy={"saving": "whole at once", "saving until": str(go)},
    )
    assert first == {"kind": "TimeoutError", "there": overwrite}
    assert rest == ([{"cancelled": True, "names": ["state"]}] if face == "asyncio" else [])


@pytest.mark.parametrize(("how", "overwrite"), [("discarded", False), ("discarded", True), ("released", True)])
@pytest.mark.parametrize("what", ["whole at once", "half", "lost"])
def test_a_machine_that_is_let_go_while_it_is_saved_leaves_nothing(
    play: Callable[..., Told], tmp_path: Path, what: str, how: str, overwrite: bool
) -> None:
    go = tmp_path / "go"
    program = """
how, overwrite, go, what = sys.argv[4], sys.argv[5] == "True", Path(sys.argv[6]), sys.argv[7]
vm = paused()
if overwrite:
    state.write_text("precious")
before = os.listdir(folder)
assert attempt(save, vm, "save_state", state, overwrite, timeout=0)["kinds"][0] == "TimeoutError"
if what != "lost":
    assert len(os.listdir(folder)) == len(before) + 1
if how == "released":
    del vm
    gc.collect()
else:
    end(vm)
    assert vm.state is applevz.VirtualMachineState.STOPPED
go.touch()
eventually(lambda: os.listdir(folder) == before)
# Whoever was held back has come, too, when one that comes later is done.
vm = paused()
save(vm, "save_state", folder / "other") if what == "whole at once" else None
assert os.listdir(folder) == before or "other" in os.listdir(folder)
if overwrite:
    assert state.read_text() == "precious"
tell(names=sorted(os.listdir(folder)))
end(vm)
"""
    policy = {"saving": what, **({} if what == "lost" else {"saving until": str(go)})}
    [told] = play(program, *(how, str(overwrite), str(go), what), policy=policy)
    other = ["other"] if what == "whole at once" else []
    assert told["names"] == other + (["state"] if overwrite else [])


def test_what_an_ended_process_left_is_removed_by_the_next_and_nothing_else_is(
    play: Callable[..., Told], guest_files: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    program = """
vm = paused()
print("saving", flush=True)
save(vm, "save_state", state)
"""
    environment = played_mac.environment_of({"saving": "whole at once", "saving until": str(tmp_path / "never")})
    environment |= {"PYTHONPATH": str(played_mac.folder())}
    given = [guest_files / "vmlinux", guest_files / "initrd.cpio.gz", folder]
    command: list[str | Path] = [sys.executable, "-c", BEGINNING + program, *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "saving\n"
        assert eventually(lambda: len(os.listdir(folder)) == 1)
        [left] = os.listdir(folder)
        assert left.startswith(f".applevz-saving-{process.pid}-")

        def save(age: int) -> list[str]:
            """The names that are there when another process has saved, so long after the file was written to."""
            os.utime(folder / left, (time.time() - age,) * 2)
            program = "vm = paused(); save(vm, 'save_state', state, overwrite=True); end(vm)"
            play(program, policy={"saving": "whole at once"})
            return sorted(os.listdir(folder))

        # Its process may still give it its name.
        assert save(7200) == [left, "state"]
        process.send_signal(signal.SIGKILL)
    # Somebody's on another host, perhaps, who has a process of that number.
    assert save(0) == [left, "state"]
    (folder / f"{left}.parts").mkdir()
    (folder / f"{left}.parts" / "part").write_text("")
    os.utime(folder / f"{left}.parts", (0, 0))
    others = [".applevz-saving-", ".applevz-saving-x", ".applevz-saved", f"{left[1:]}"]
    for name in others:
        (folder / name).write_text("")
        os.utime(folder / name, (0, 0))
    assert save(7200) == sorted([*others, "state"])


# ---- File systems that cannot do everything ------------------------------------------------------------------------

LIMITS = {
    "none": {},
    "no exclusive renaming": {"NO_RENAMING": "1"},
    "no two names for a file": {"NO_RENAMING": "1", "NO_LINKS": "1"},
    "a lost answer": {"NO_RENAMING": "1", "LOST_ANSWER": "1"},
}
SYSTEM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

typedef int call(int, const char *, int, const char *, unsigned);

// Somebody takes the name at the last moment.
static void take(int folder, const char *name) {
    int file = getenv("TAKE") != NULL ? openat(folder, name, O_CREAT | O_EXCL | O_WRONLY, 0600) : -1;
    if (file >= 0 && write(file, "theirs", 6) == 6)
        close(file);
}

int renameat2(int from, const char *name, int to, const char *other, unsigned flags) {
    take(to, other);
    if (getenv("NO_RENAMING") != NULL) {
        errno = EINVAL;
        return -1;
    }
    return ((call *)dlsym(RTLD_NEXT, "renameat2"))(from, name, to, other, flags);
}

int renameat(int from, const char *name, int to, const char *other) {
    take(to, other);
    return ((call *)dlsym(RTLD_NEXT, "renameat2"))(from, name, to, other, 0);
}

int linkat(int from, const char *name, int to, const char *other, int flags) {
    take(to, other);
    if (getenv("NO_LINKS") != NULL) {
        errno = EPERM;
        return -1;
    }
    int result = ((call *)dlsym(RTLD_NEXT, "linkat"))(from, name, to, other, (unsigned)flags);
    if (result == 0 && getenv("LOST_ANSWER") != NULL) {
        errno = EEXIST;
        return -1;
    }
    return result;
}
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library to load first, with which file systems cannot do what its environment says."""
    folder = tmp_path_factory.mktemp("system")
    (folder / "system.c").write_text(SYSTEM)
    command = [
        "clang",
        "-Wall",
        "-Werror",
        "-shared",
        "-fPIC",
        "-o",
        str(folder / "system.so"),
        str(folder / "system.c"),
    ]
    subprocess.run(command, check=True)
    return folder / "system.so"


@pytest.mark.parametrize("limit", LIMITS)
def test_every_file_system_gets_whole_files_and_keeps_what_is_there(
    play: Callable[..., Told], system: Path, limit: str
) -> None:
    program = """
for verb, overwrite in itertools.product(("save_state", "suspend"), (False, True)):
    vm = paused()
    save(vm, verb, state, overwrite)
    status = state.stat()
    tell(names=os.listdir(folder), mode=oct(status.st_mode), links=status.st_nlink, size=status.st_size)
    if overwrite:
        state.unlink()
    end(vm)
vm = paused()
os.environ["TAKE"] = "at the last moment"
for verb in ("save_state", "suspend"):
    tell(errno=attempt(save, vm, verb, state)["errno"], text=state.read_text(), names=os.listdir(folder))
    state.unlink()
end(vm)
"""
    *saved, first, second = play(program, policy={"saving": "whole at once"}, LD_PRELOAD=str(system), **LIMITS[limit])
    assert saved == [{"names": ["state"], "mode": "0o100600", "links": 1, "size": len("half a state") + 1}] * 4
    assert first == second == {"errno": "EEXIST", "text": "theirs", "names": ["state"]}


def test_a_folder_that_may_be_written_and_not_read_gets_a_whole_file_or_none(
    play: Callable[..., Told], open_folder: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user for a while")
    program = """
vm = paused()
box = folder / "box"
box.mkdir()
os.chown(box, 65534, 65534)
box.chmod(0o300)
os.seteuid(65534)
errors = [attempt(save, vm, "save_state", box / "state", overwrite) for overwrite in (False, True, False)]
os.seteuid(0)
tell(errnos=[error and error["errno"] for error in errors], names=os.listdir(box))
end(vm)
"""
    told = play(program, policy={"saving": "whole at once"}, folder=open_folder)
    assert told == [{"errnos": [None, None, "EEXIST"], "names": ["state"]}]


# ---- Restoring -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mac", [True, False])
def test_what_is_no_state_is_refused_by_its_path(play: Callable[..., Told], open_folder: Path, mac: bool) -> None:
    program = """
import shutil, socket
# Another user may read those, too.
kernel, initial_ramdisk = (shutil.copy(path, folder) for path in (kernel, initial_ramdisk))
vm = machine()
names = ["missing", "fifo", "folder", "device", "socket", "closed", "empty", "another"]
os.mkfifo(folder / "fifo")
(folder / "folder").mkdir()
(folder / "device").symlink_to("/dev/zero")
with socket.socket(socket.AF_UNIX) as end_of_it:
    end_of_it.bind(str(folder / "socket"))
for name in ("closed", "empty", "another"):
    (folder / name).write_text("" if name == "empty" else "x" * 5000)
    (folder / name).chmod(0 if name == "closed" else 0o666)
if os.geteuid() == 0:
    os.seteuid(65534)
for name, private in itertools.product(names, (False, True)):
    error = attempt(vm.restore_state, folder / name, timeout=PATIENCE, private=private)
    tell(name=name, kind=error["kinds"][0], errno=error["errno"], file=error["filename"], state=vm.state.name,
         named=str(folder / name) in error["text"])
if os.getuid() == 0:
    os.seteuid(0)
done(vm.start(timeout=PATIENCE))
tell(kind=attempt(vm.restore_state, folder / "missing")["kinds"][0])
end(vm)
"""
    *told, running = play(program, mac=mac, folder=open_folder)
    assert running == {"kind": "InvalidVirtualMachineStateTransitionError"}
    assert len(told) == 16
    for refusal in told:
        assert (refusal["kind"], refusal["state"], refusal["named"]) == ("RestoreError", "STOPPED", True), refusal
        expected = {"missing": "ENOENT", "closed": "EACCES"}.get(refusal["name"])
        if expected is not None:
            assert (refusal["errno"], refusal["file"]) == (expected, str(open_folder / refusal["name"]))
