# SPDX-License-Identifier: Apache-2.0
"""The guest agent in a real guest, where the kernel starts it as the first process of the initial file system."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
from agent_builds import build_module
from agent_protocol import TERMINAL, Speaker, receive_tree, send_tree
from guest_with_agent import agent_guest

# What a distribution's initial file system does: a root is made, all else goes away, and the root's init is executed.
SWITCH = r"""
b=/bin/busybox
$b mkdir /newroot && $b mount -t tmpfs none /newroot
$b cp -a /bin /newroot/
$b mkdir /newroot/dev /newroot/proc /newroot/sys /newroot/etc /newroot/root /newroot/home
echo 'root:x:0:0::/root:/bin/sh' > /newroot/etc/passwd
echo 'somebody:x:1000:1000::/home:/bin/sh' >> /newroot/etc/passwd
echo in the real root > /newroot/mark
$b mount --move /dev /newroot/dev; $b mount --move /proc /newroot/proc; $b mount --move /sys /newroot/sys
printf '#!/bin/sh\necho the real init runs\nexec /bin/busybox sleep 100000\n' > /newroot/real-init
$b chmod +x /newroot/real-init
exec $b switch_root /newroot /real-init
"""
# The default guest's own first program, which switches where it would begin with a shell.
SWITCHING_INIT = r"""#!/bin/sh
/bin/busybox sed 's|^while.*dev/null ]; do$|. /switch|' /init > /switching
exec /bin/sh /switching
"""
# Mounts a sysfs over and over while the agent looks for its port, whose driver is not there yet.
MOUNTING_INIT = r"""
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

int main(void) {
    char *const arguments[] = {"/init", NULL};
    struct statvfs mounted;
    unsigned rounds = 0, read_only = 0;
    mkdir("/look", 0700);
    for (time_t end = time(NULL) + 5; time(NULL) < end; rounds++) {
        if (mount("sysfs", "/look", "sysfs", 0, NULL) != 0 || statvfs("/look", &mounted) != 0) {
            return 1;
        }
        read_only += (mounted.f_flag & ST_RDONLY) != 0;
        umount("/look");
    }
    FILE *file = fopen("/mounted", "w");
    fprintf(file, "%u %u", rounds, read_only);
    fclose(file);
    execv("/init", arguments);
}
"""
# The port's driver is there before the init does anything, as in a kernel that has it built in.
EARLY_DRIVER = r"""#!/bin/sh
b=/bin/busybox
for driver in virtio_mmio virtio_console; do
    for module in $($b cat /modules/$driver.order); do
        $b insmod /modules/$module.ko
    done
done
$b sleep 2
"""
EARLY_DRIVER_INITS = [
    ("mounts-late", 0o100755, f"{EARLY_DRIVER}echo > /begun\nexec /bin/sh /init\n".encode()),
    ("mounts-nothing", 0o100755, f"{EARLY_DRIVER}exec $b sleep 100000\n".encode()),
]
SWITCHING = [("switch", 0o100644, SWITCH.encode()), ("switching-init", 0o100755, SWITCHING_INIT.encode())]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = build_module()
    try:
        program: Path = build.build(tmp_path_factory.mktemp("agent") / "guest-agent")
    except build.NoCompiler as error:
        pytest.skip(str(error))
    return program


@pytest.fixture
def guest(
    guest_files: Path, tmp_path: Path, program: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[applevz.VirtualMachine, Speaker]]:
    words, entries = getattr(request, "param", ("", []))
    files = guest_files / "vmlinux", guest_files / "initrd.cpio.gz", tmp_path, program
    with agent_guest(*files, f"console=hvc0 quiet {words}".strip(), entries) as (machine, port):
        agent = Speaker(port, begin=False)
        agent.begin(120)
        yield machine, agent


def output(agent: Speaker, *words: str, **keywords: Any) -> str:
    done = agent.run(words, timeout=120, **keywords)
    assert (done.failed, done.status) == (None, 0), bytes(done.data[2])
    return done.data[1].decode()


def test_the_real_init_is_the_first_process_and_the_agent_another(
    guest: tuple[applevz.VirtualMachine, Speaker],
) -> None:
    machine, agent = guest
    assert "/init" in output(agent, "cat", "/proc/1/cmdline").replace("\0", " ")
    process = struct.unpack_from("<I", agent.hello, 16)[0]
    assert process != 1
    # The sign that an init spares it.
    assert output(agent, "cat", f"/proc/{process}/cmdline").startswith("@")
    assert machine.console.read_until("guest# ", timeout=120)


def test_processes_files_trees_and_terminals(guest: tuple[applevz.VirtualMachine, Speaker]) -> None:
    _machine, agent = guest
    assert output(agent, "uname", "-s") == "Linux\n"
    assert agent.run(["cat"], bytes(1_000_000), timeout=120).data[1] == bytes(1_000_000)
    assert agent.write_file("/tmp/file", b"data").done == (0, b"")
    assert agent.read_file("/tmp/file").data[1] == b"data"
    tree = bytes(send_tree(agent, "/bin").data[1])
    assert receive_tree(agent, "/tmp/bin", tree).done == (0, b"")
    # One program of many names.
    assert output(agent, "cmp", "/bin/busybox", "/tmp/bin/busybox") == ""
    assert output(agent, "ls", "/tmp/bin") == output(agent, "ls", "/bin")
    assert output(agent, "stat", "-c", "%h", "/tmp/bin/busybox") == output(agent, "stat", "-c", "%h", "/bin/busybox")
    # The initial file system has no terminals of its own.
    stream = agent.start(["sh", "-c", "stty size"], flags=TERMINAL, size=(33, 111))
    agent.wait(lambda: stream.failed or (stream.status is not None and 1 in stream.ended))
    assert stream.failed is None
    assert stream.data[1] == b"33 111\r\n"


@pytest.mark.parametrize("guest", [("applevz_rdinit=/switching-init", SWITCHING)], indirect=True)
def test_the_agent_follows_into_the_root_that_is_switched_to(guest: tuple[applevz.VirtualMachine, Speaker]) -> None:
    machine, agent = guest
    machine.console.read_until("the real init runs", timeout=120)
    assert "sleep" in output(agent, "cat", "/proc/1/cmdline")
    # Which init was asked for is for the agent alone.
    assert "applevz" not in output(agent, "cat", "/proc/1/environ")
    assert output(agent, "cat", "/mark") == "in the real root\n"
    assert output(agent, "pwd") == "/root\n"
    assert output(agent, "id", "-u", user="somebody") == "1000\n"
    assert agent.read_file("/mark").data[1] == b"in the real root\n"
    assert agent.write_file("/written", b"x").done == (0, b"")
    assert receive_tree(agent, "/copy", bytes(send_tree(agent, "/etc").data[1])).done == (0, b"")
    assert {"written", "copy"} <= set(output(agent, "ls", "/").split())


def test_what_the_init_mounts_is_writable_although_the_agent_looks_there(
    guest_files: Path, tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, init = tmp_path / "mounting_init.c", tmp_path / "mounting-init"
    source.write_text(MOUNTING_INIT)
    build = build_module()
    monkeypatch.setattr(build, "sources", lambda: [str(source)])
    build.build(init)
    files = guest_files / "vmlinux", guest_files / "initrd.cpio.gz", tmp_path, program
    words = "console=hvc0 quiet applevz_rdinit=/mounting-init"
    # On two processors both do it at the same time.
    with agent_guest(*files, words, [("mounting-init", 0o100755, init.read_bytes())], 2) as (_machine, port):
        agent = Speaker(port, begin=False)
        agent.begin(120)
        rounds, read_only = map(int, output(agent, "cat", "/mounted").split())
    assert rounds > 100
    assert read_only == 0


@pytest.mark.parametrize("guest", [("applevz_rdinit=/mounts-late", EARLY_DRIVER_INITS)], indirect=True)
def test_the_agent_answers_when_the_init_has_mounted_proc(guest: tuple[applevz.VirtualMachine, Speaker]) -> None:
    _machine, agent = guest
    assert output(agent, "cat", "/begun") == "\n"
    assert "/init" in output(agent, "cat", "/proc/1/cmdline")


@pytest.mark.parametrize("guest", [("applevz_rdinit=/mounts-nothing", EARLY_DRIVER_INITS)], indirect=True)
def test_an_init_that_mounts_no_proc_is_not_waited_for_for_ever(guest: tuple[applevz.VirtualMachine, Speaker]) -> None:
    _machine, agent = guest
    assert output(agent, "ls", "/proc") == ""
