# SPDX-License-Identifier: Apache-2.0
"""What is shown of the agent in the image of each distribution. Each check has a machine that nobody else uses."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

import applevz
from echoing import echoing, exchanged
from processes import eventually
from saved_systems import IMAGE_PATIENCE

Check = Callable[[applevz.VirtualMachine, Path], None]
MEGABYTE = 1_000_000


def printed(guest: applevz.Guest, command: str) -> str:
    """What a command of a shell prints."""
    return str(guest.run(command, shell=True, text=True, check=True, timeout=IMAGE_PATIENCE).stdout)


def agent_of(guest: applevz.Guest) -> int:
    """The agent's process: that of which all others are children."""
    return int(printed(guest, "echo $PPID"))


def check_a_program_is_run_as_by_subprocess(machine: applevz.VirtualMachine, _: Path) -> None:
    guest = machine.guest
    words = ["sh", "-c", 'cat; echo "$WORD $(pwd)" >&2; exit 3']
    done = guest.run(words, input=b"in", env={"WORD": "a b"}, cwd="/etc", timeout=IMAGE_PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in", b"a b /etc\n")
    assert guest.run("kill -TERM $$", shell=True, timeout=IMAGE_PATIENCE).returncode == -signal.SIGTERM
    assert guest.run("id -un", shell=True, user="nobody", text=True, timeout=IMAGE_PATIENCE).stdout == "nobody\n"
    with pytest.raises(FileNotFoundError):
        guest.run(["nonesuch"], timeout=IMAGE_PATIENCE)
    with pytest.raises(subprocess.CalledProcessError):
        guest.run(["false"], check=True, timeout=IMAGE_PATIENCE)
    with pytest.raises(subprocess.TimeoutExpired):
        guest.run("sleep 987 & sleep 987", shell=True, timeout=5.0)
    # The first is this one's own.
    assert printed(guest, "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -cx 98[7]; true") == "0\n"


def check_binary_data_goes_both_ways_through_pipes(machine: applevz.VirtualMachine, _: Path) -> None:
    data = os.urandom(MEGABYTE)
    with machine.guest.popen(
        ["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, timeout=IMAGE_PATIENCE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"a line\n", timeout=IMAGE_PATIENCE)
        assert process.stdout.readline(timeout=IMAGE_PATIENCE) == b"a line\n"
        assert process.communicate(data, timeout=IMAGE_PATIENCE) == (data, None)
        assert process.returncode == 0


def check_binary_data_goes_both_ways_through_a_terminal(machine: applevz.VirtualMachine, _: Path) -> None:
    data = os.urandom(MEGABYTE)
    words = f"stty size; stty raw -echo; echo ready; head -c {len(data)}; stty size"
    with machine.guest.popen(
        words, shell=True, terminal=True, size=(10, 30), timeout=IMAGE_PATIENCE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline(timeout=IMAGE_PATIENCE).strip() == b"10 30"
        assert process.stdout.readline(timeout=IMAGE_PATIENCE).strip() == b"ready"
        process.resize(20, 40)
        # Less than the windows of both ways, so it waits for nobody who reads.
        process.stdin.write(data, timeout=IMAGE_PATIENCE)
        assert process.stdout.read(len(data), timeout=IMAGE_PATIENCE) == data
        assert process.stdout.read(timeout=IMAGE_PATIENCE).strip() == b"20 40"
        assert process.wait(timeout=IMAGE_PATIENCE) == 0


def check_signals_end_a_process_and_what_it_started(machine: applevz.VirtualMachine, _: Path) -> None:
    guest = machine.guest
    words = 'trap "echo heard; exit 4" USR1; sleep 986 & echo $!; while :; do sleep 1; done'
    with guest.popen(words, shell=True, stdout=subprocess.PIPE, timeout=IMAGE_PATIENCE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline(timeout=IMAGE_PATIENCE))
        assert process.poll() is None
        process.send_signal(10)  # SIGUSR1 on Linux
        # It went to the group.
        assert process.stdout.readline(timeout=IMAGE_PATIENCE) == b"heard\n"
        assert process.wait(timeout=IMAGE_PATIENCE) == 4
        assert eventually(lambda: f"{child}" not in processes_of(guest), IMAGE_PATIENCE)


def processes_of(guest: applevz.Guest) -> set[str]:
    """Those that have not ended."""
    lines = printed(guest, "cat /proc/[0-9]*/stat 2>/dev/null; true").splitlines()
    return {line.split()[0] for line in lines if line.rpartition(")")[2].split()[0] != "Z"}


def check_files_are_written_and_read(machine: applevz.VirtualMachine, _: Path) -> None:
    guest, data = machine.guest, os.urandom(MEGABYTE)
    assert guest.write_bytes("/root/binary", data, mode=0o640, timeout=IMAGE_PATIENCE) == len(data)
    assert guest.read_bytes("/root/binary", timeout=IMAGE_PATIENCE) == data
    assert printed(guest, "stat -c %a /root/binary") == "640\n"
    guest.write_text("/root/text", "ü\n", timeout=IMAGE_PATIENCE)
    assert guest.read_text("/root/text", timeout=IMAGE_PATIENCE) == "ü\n"
    with guest.open("/root/lines", "w", timeout=IMAGE_PATIENCE) as file:
        file.writelines(f"line {number}\n" for number in range(10_000))
    with guest.open("/root/lines", "rb", timeout=IMAGE_PATIENCE) as file:
        file.seek(-10, os.SEEK_END)
        assert file.read() == b"line 9999\n"
    with pytest.raises(FileNotFoundError):
        guest.read_bytes("/root/nonesuch", timeout=IMAGE_PATIENCE)
    with pytest.raises(IsADirectoryError):
        guest.write_bytes("/etc", b"", timeout=IMAGE_PATIENCE)


def check_a_tree_comes_back_as_it_went(machine: applevz.VirtualMachine, folder: Path) -> None:
    guest, source, back = machine.guest, folder / "source", folder / "back"
    (source / "below").mkdir(parents=True)
    (source / "below" / "program").write_bytes(os.urandom(100_000))
    (source / "below" / "program").chmod(0o750)
    os.utime(source / "below" / "program", (1_000_000_000, 1_000_000_000))
    (source / "link").symlink_to("below/program")
    with (source / "hole").open("wb") as file:
        file.truncate(1 << 20)
    seen: list[tuple[int, ...]] = []
    guest.copy_in(source, "/root/copied", progress=lambda *now: seen.append(now), timeout=IMAGE_PATIENCE)
    assert seen[-1][0] == 5
    assert printed(guest, "stat -c '%a %Y' /root/copied/below/program") == "750 1000000000\n"
    guest.copy_out("/root/copied", back, timeout=IMAGE_PATIENCE)
    went, came = source / "below" / "program", back / "below" / "program"
    assert came.read_bytes() == went.read_bytes()
    assert (came.stat().st_mode, came.stat().st_mtime) == (went.stat().st_mode, went.stat().st_mtime)
    assert (back / "link").readlink() == Path("below/program")
    assert (back / "hole").read_bytes() == bytes(1 << 20)
    assert (back / "hole").stat().st_blocks == 0


def check_a_name_may_have_every_byte(machine: applevz.VirtualMachine, folder: Path) -> None:
    guest = machine.guest
    name = bytes(byte for byte in range(1, 256) if byte != ord("/"))
    source, back = folder / "names", folder / "names back"
    source.mkdir()
    (source / os.fsdecode(name)).write_bytes(b"in it")
    guest.copy_in(source, "/root/names", timeout=IMAGE_PATIENCE)
    assert guest.read_bytes(b"/root/names/" + name, timeout=IMAGE_PATIENCE) == b"in it"
    assert guest.run([b"cat", b"/root/names/" + name], timeout=IMAGE_PATIENCE).stdout == b"in it"
    guest.copy_out("/root/names", back, timeout=IMAGE_PATIENCE)
    assert os.listdir(os.fsencode(back)) == [name]


def check_connections_and_forwards_go_in_and_out(machine: applevz.VirtualMachine, _: Path) -> None:
    guest, data = machine.guest, os.urandom(MEGABYTE)
    with echoing() as (stream, datagram), ExitStack() as stack:
        # The agent listens in the guest; what connects there reaches this host.
        out = stack.enter_context(machine.forward(to="host", host_port=stream, timeout=IMAGE_PATIENCE))
        into = stack.enter_context(machine.forward(guest_port=out.port))
        assert exchanged(into.port, data) == data
        path = "/run/checked.socket"
        stack.enter_context(machine.forward(to="host", guest_path=path, host_port=stream, timeout=IMAGE_PATIENCE))
        for connection in (
            guest.connect(out.port, timeout=IMAGE_PATIENCE),
            guest.connect_unix(path, timeout=IMAGE_PATIENCE),
        ):
            with connection:
                connection.settimeout(IMAGE_PATIENCE)
                connection.sendall(b"hello")
                connection.shutdown(socket.SHUT_WR)
                came = bytearray()
                while part := connection.recv(100):
                    came += part
                assert came == b"hello"
        out_of = stack.enter_context(
            machine.forward(to="host", host_port=datagram, protocol="udp", timeout=IMAGE_PATIENCE)
        )
        into = stack.enter_context(machine.forward(guest_port=out_of.port, protocol="udp"))
        peer = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        peer.settimeout(IMAGE_PATIENCE)
        peer.connect(("127.0.0.1", into.port))
        peer.send(bytes(2000))
        assert peer.recv(9999) == bytes(2000)
        with guest.connect(out_of.port, protocol="udp", timeout=IMAGE_PATIENCE) as connection:
            connection.settimeout(IMAGE_PATIENCE)
            connection.send(b"question")
            assert connection.recv(100) == b"question"
    with pytest.raises(ConnectionRefusedError):
        guest.connect(1, timeout=IMAGE_PATIENCE)
    with pytest.raises(FileNotFoundError):
        guest.connect_unix("/run/nonesuch", timeout=IMAGE_PATIENCE)


def check_the_guest_tells_of_itself(machine: applevz.VirtualMachine, _: Path) -> None:
    guest = machine.guest
    told = guest.info(timeout=IMAGE_PATIENCE)
    assert (told.kernel, told.machine) == tuple(printed(guest, "uname -r -m").split())
    assert told.hostname == printed(guest, "cat /proc/sys/kernel/hostname").strip()
    assert f"ID={told.os['ID']}\n" in guest.read_text("/etc/os-release", timeout=IMAGE_PATIENCE)
    assert 0 < told.memory_available < told.memory_total
    assert told.uptime > 0
    assert told.agent == applevz.__version__


def check_a_disk_that_is_full(machine: applevz.VirtualMachine, folder: Path) -> None:
    guest = machine.guest
    printed(
        guest,
        "mkdir /root/fill; n=0; for size in 268435456 16777216 1048576 65536 4096; do"
        " while fallocate -l $size /root/fill/$n 2>/dev/null; do n=$((n + 1)); done; n=$((n + 1)); done",
    )
    large = folder / "large"
    large.write_bytes(os.urandom(MEGABYTE))

    def by_file() -> None:
        with guest.open("/root/opened", "wb", timeout=IMAGE_PATIENCE) as file:
            file.write(large.read_bytes())

    for action in (
        lambda: guest.write_bytes("/root/written", large.read_bytes(), timeout=IMAGE_PATIENCE),
        lambda: guest.copy_in(large, "/root/copied", timeout=IMAGE_PATIENCE),
        by_file,
    ):
        with pytest.raises(OSError) as caught:
            action()
        assert caught.value.errno == errno.ENOSPC
    # Programs run as ever, and once there is room so it is written.
    assert printed(guest, "echo still; rm -r /root/fill /root/written /root/opened") == "still\n"
    guest.copy_in(large, "/root/copied", timeout=IMAGE_PATIENCE)
    assert guest.read_bytes("/root/copied", timeout=IMAGE_PATIENCE) == large.read_bytes()


def check_a_root_that_is_read_only(machine: applevz.VirtualMachine, folder: Path) -> None:
    guest = machine.guest
    # However many files are open for writing.
    printed(guest, "echo u > /proc/sysrq-trigger")

    def written() -> int | None:
        try:
            guest.write_bytes("/root/written", b"", timeout=IMAGE_PATIENCE)
        except OSError as error:
            return error.errno
        return None

    assert eventually(lambda: written() == errno.EROFS, IMAGE_PATIENCE)
    with pytest.raises(OSError) as caught:
        guest.copy_in(Path(__file__), "/root/copied", timeout=IMAGE_PATIENCE)
    assert caught.value.errno == errno.EROFS
    assert printed(guest, "echo still") == "still\n"
    guest.copy_out("/etc/os-release", folder / "os-release", timeout=IMAGE_PATIENCE)
    assert (folder / "os-release").stat().st_size > 0


def check_a_guest_that_is_out_of_memory(machine: applevz.VirtualMachine, _: Path) -> None:
    guest, agent = machine.guest, agent_of(machine.guest)
    with guest.popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, timeout=IMAGE_PATIENCE) as beside:
        # As much as there is in all is promised, and cannot be had.
        size = guest.info(timeout=IMAGE_PATIENCE).memory_total * 98 // 100
        done = guest.run(["dd", "if=/dev/zero", "of=/dev/null", "count=1", f"bs={size}"], timeout=IMAGE_PATIENCE)
        assert done.returncode == -signal.SIGKILL
        assert beside.communicate(b"still", timeout=IMAGE_PATIENCE) == (b"still", None)
    assert agent_of(guest) == agent


def check_a_port_that_is_closed_and_comes_back(machine: applevz.VirtualMachine, _: Path) -> None:
    """The driver lets go of the device: for the agent the port is gone, for the host it is closed."""
    guest, agent = machine.guest, agent_of(machine.guest)
    lasting = guest.popen(["sleep", "985"], detached=True, timeout=IMAGE_PATIENCE)
    under_way = guest.popen(["sleep", "984"], timeout=IMAGE_PATIENCE)
    device = printed(
        guest,
        "for port in /sys/class/virtio-ports/*; do"
        " if grep -q applevz $port/name; then basename $(readlink -f $port/device); fi; done",
    ).strip()
    driver = "/sys/bus/virtio/drivers/virtio_console"
    again = f"echo {device} >{driver}/unbind; sleep 1; echo {device} >{driver}/bind"
    guest.popen(again, shell=True, detached=True, timeout=IMAGE_PATIENCE)
    with pytest.raises(applevz.GuestConnectionLostError, match="agent went|Another agent"):
        under_way.wait(timeout=IMAGE_PATIENCE)
    guest.wait(timeout=IMAGE_PATIENCE)
    # It is the same agent. It has ended what was begun through the former port, but for what is detached.
    assert agent_of(guest) == agent
    assert eventually(lambda: str(under_way.pid) not in processes_of(guest), IMAGE_PATIENCE)
    assert str(lasting.pid) in processes_of(guest)


CHECKS: list[Check] = [
    check_a_program_is_run_as_by_subprocess,
    check_binary_data_goes_both_ways_through_pipes,
    check_binary_data_goes_both_ways_through_a_terminal,
    check_signals_end_a_process_and_what_it_started,
    check_files_are_written_and_read,
    check_a_tree_comes_back_as_it_went,
    check_a_name_may_have_every_byte,
    check_connections_and_forwards_go_in_and_out,
    check_the_guest_tells_of_itself,
    check_a_disk_that_is_full,
    check_a_root_that_is_read_only,
    check_a_guest_that_is_out_of_memory,
    check_a_port_that_is_closed_and_comes_back,
]
# For `pytest.mark.parametrize`.
EACH_CHECK = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
