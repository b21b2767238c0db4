# SPDX-License-Identifier: Apache-2.0
"""The agent in a real guest: programs, files and connections, across pauses, saved states, clones and deaths."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

import applevz
import applevz.aio
from applevz import ShutdownPolicy
from fixtures import Configure, MakeMachine
from guest_machine import PATIENCE, READY, with_agent
from processes import eventually

pytestmark = pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent")


@pytest.fixture(scope="module")
def shared(configure: Callable[..., applevz.VirtualMachineConfiguration]) -> Iterator[applevz.VirtualMachine]:
    """A machine for tests that leave it as it was."""
    with applevz.VirtualMachine(with_agent(configure())) as machine:
        machine.start(timeout=PATIENCE)
        machine.guest.wait(timeout=PATIENCE)
        yield machine


@pytest.fixture
def guest(shared: applevz.VirtualMachine) -> applevz.Guest:
    return shared.guest


@pytest.fixture
def boot(
    configure: Callable[..., applevz.VirtualMachineConfiguration],
) -> Iterator[Callable[..., applevz.VirtualMachine]]:
    """Boots a machine of the test's own, up to its agent's answer."""
    with ExitStack() as stack:

        def make(**fields: object) -> applevz.VirtualMachine:
            machine = stack.enter_context(applevz.VirtualMachine(with_agent(configure(**fields))))
            machine.start(timeout=PATIENCE)
            machine.guest.wait(timeout=PATIENCE)
            return machine

        yield make


def test_where_memory_runs_out_the_agent_is_spared_and_its_programs_are_not(guest: applevz.Guest) -> None:
    # A shell of the agent's, and the agent.
    done = guest.run("cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj", shell=True, text=True, timeout=PATIENCE)
    assert done.stdout == "0\n-900\n"


def test_a_program_is_run_as_by_subprocess(guest: applevz.Guest) -> None:
    done = guest.run(["uname", "-s"], timeout=PATIENCE, text=True, check=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Linux\n", "")
    done = guest.run('cat; echo "$WORD $(pwd)" >&2; exit 3', shell=True, input=b"in", env={"WORD": "a b"}, cwd="/proc")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in", b"a b /proc\n")
    assert guest.run("kill -TERM $$", shell=True).returncode == -signal.SIGTERM
    assert guest.run("echo a; echo b >&2", shell=True, stderr=subprocess.STDOUT).stdout == b"a\nb\n"
    with pytest.raises(FileNotFoundError) as caught:
        guest.run(["nonesuch"], timeout=PATIENCE)
    assert (caught.value.errno, caught.value.filename) == (2, "nonesuch")
    with pytest.raises(subprocess.CalledProcessError):
        guest.run(["false"], check=True)
    with pytest.raises(PermissionError):
        guest.run(["/etc"])


def test_a_program_whose_time_is_over_is_killed_with_all_it_started(guest: applevz.Guest) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        guest.run("echo begun; sleep 987 & sleep 987", shell=True, timeout=1.0)
    assert isinstance(caught.value, applevz.GuestProcessTimeoutError)
    assert caught.value.output == b"begun\n"
    assert b"sleep 987" not in guest.run(["ps", "-o", "args"]).stdout


def test_a_megabyte_of_binary_goes_both_ways(guest: applevz.Guest) -> None:
    data = os.urandom(1 << 20)
    done = guest.run(["cat"], input=data, timeout=PATIENCE)
    assert done.stdout == data
    guest.write_bytes("/tmp/binary", data, timeout=PATIENCE)
    assert guest.read_bytes("/tmp/binary", timeout=PATIENCE) == data
    guest.run(["rm", "/tmp/binary"], check=True)


def test_files_have_the_names_and_modes_that_they_are_given(guest: applevz.Guest) -> None:
    names = ["a b", "ü", "new\nline", "\udcff"]
    for name in names:
        assert guest.write_text(f"/tmp/{name}", name.encode("utf-8", "replace").decode(), mode=0o640) > 0
        assert guest.run(["stat", "-c", "%a", f"/tmp/{name}"], text=True).stdout == "640\n"
        assert guest.read_text(f"/tmp/{name}") == name.encode("utf-8", "replace").decode()
        guest.run(["rm", f"/tmp/{name}"], check=True)
    with pytest.raises(FileNotFoundError):
        guest.read_bytes("/tmp/a b")
    with pytest.raises(IsADirectoryError):
        guest.write_bytes("/tmp", b"")


def test_streams_wait_for_each_other(guest: applevz.Guest) -> None:
    with guest.popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"one\ntwo\n")
        assert process.stdout.readline(timeout=PATIENCE) == b"one\n"
        assert process.stdout.read(4, timeout=PATIENCE) == b"two\n"
        with pytest.raises(applevz.TimeoutError):
            process.wait(timeout=0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == -signal.SIGTERM
    with guest.popen(["yes"], stdout=subprocess.PIPE) as idle:
        assert idle.stdout.readline(timeout=PATIENCE) == b"y\n"
        # Nobody reads it, and it holds nobody up.
        assert guest.run(["echo", "beside"], timeout=PATIENCE).stdout == b"beside\n"
        identifier = idle.pid
    # It was killed, and ends when the guest's system comes to it.
    assert eventually(lambda: guest.run(["test", "-d", f"/proc/{identifier}"]).returncode == 1, PATIENCE)


def test_a_terminal_has_a_size_and_takes_characters(guest: applevz.Guest) -> None:
    guest.run("mkdir -p /dev/pts && mount -t devpts devpts /dev/pts", shell=True, check=True)
    with guest.popen(["sh"], terminal=True, size=(10, 30)) as shell:
        shell.stdin.write(b"stty size; exit 5\n")
        printed = shell.stdout.read(timeout=PATIENCE)
        assert b"10 30" in printed
        assert shell.wait(timeout=PATIENCE) == 5


def test_a_detached_process_lives_on(guest: applevz.Guest) -> None:
    process = guest.popen(["sleep", "654"], detached=True)
    process.close()
    assert guest.run(["kill", str(process.pid)]).returncode == 0


def test_connections_need_no_network(guest: applevz.Guest) -> None:
    guest.run(["ip", "link", "set", "lo", "up"], check=True)
    with guest.popen(["nc", "-l", "-p", "77", "-e", "sed", "s/^/echo /"]):
        connection = None
        while connection is None:
            with contextlib.suppress(ConnectionRefusedError):
                connection = guest.connect(77, timeout=PATIENCE)
        with connection:
            connection.settimeout(PATIENCE)
            connection.sendall(b"hello\n")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b"echo hello\n"
            assert connection.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        guest.connect(78, timeout=PATIENCE)
    with pytest.raises(FileNotFoundError):
        guest.connect_unix("/run/nonesuch", timeout=PATIENCE)


def test_a_tree_goes_in_and_out(guest: applevz.Guest, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    (source / "a" / "b").mkdir(parents=True)
    for number in range(100):
        (source / "a" / "b" / str(number)).write_text(str(number) * 100)
    (source / "link").symlink_to("/etc/passwd")
    (source / "a" / "b").chmod(0o700)
    seen = []
    guest.copy_in(source, "/tmp/tree", progress=lambda *now: seen.append(now), timeout=PATIENCE)
    assert len(seen) == 104
    assert guest.run("ls /tmp/tree/a/b | wc -l", shell=True).stdout.strip() == b"100"
    guest.copy_out("/tmp/tree", back, timeout=PATIENCE)
    assert (back / "a" / "b" / "7").read_text() == "7" * 100
    assert (back / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert os.readlink(back / "link") == "/etc/passwd"
    guest.run(["rm", "-r", "/tmp/tree"], check=True)


def test_a_guest_tells_of_itself(guest: applevz.Guest) -> None:
    information = guest.info(timeout=PATIENCE)
    assert information.kernel == guest.run(["uname", "-r"], text=True).stdout.strip()
    assert information.processors == 1
    assert 150 << 20 < information.memory_total <= 256 << 20
    assert 0 < information.memory_available < information.memory_total
    assert information.uptime > 0
    assert information.agent == applevz.__version__


def test_many_programs_run_in_turn_and_at_once(guest: applevz.Guest) -> None:
    for _ in range(100):
        assert guest.run(["true"], timeout=PATIENCE).returncode == 0
    with ThreadPoolExecutor(32) as pool:
        calls = [pool.submit(guest.run, ["echo", str(number)], timeout=PATIENCE) for number in range(100)]
        assert [int(call.result().stdout) for call in calls] == list(range(100))


def test_ctrl_c_kills_what_was_begun(guest: applevz.Guest) -> None:
    timer = threading.Timer(1.0, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        guest.run(["sleep", "876"])
    assert b"sleep 876" not in guest.run(["ps", "-o", "args"], timeout=PATIENCE).stdout


def test_a_paused_guest_does_not_answer_and_goes_on(boot: MakeMachine) -> None:
    machine = boot()
    machine.pause(timeout=PATIENCE)
    with pytest.raises(applevz.TimeoutError):
        machine.guest.run(["true"], timeout=0.5)
    machine.resume(timeout=PATIENCE)
    assert machine.guest.run(["echo", "again"], timeout=PATIENCE).stdout == b"again\n"


def test_an_agent_that_is_killed_loses_what_was_under_way(boot: MakeMachine) -> None:
    machine = boot()
    agent = machine.guest._session.agent_process
    with pytest.raises(applevz.GuestConnectionLostError, match="agent went|Another agent"):
        machine.guest.run(["kill", "-9", str(agent)], timeout=PATIENCE)
    # Nobody starts it again.
    with pytest.raises(applevz.GuestNotAnsweringError, match="guest#"):
        machine.guest.wait(timeout=1)


def test_a_machine_that_stops_ends_what_was_under_way(boot: MakeMachine) -> None:
    machine = boot()
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(machine.guest.run, ["sleep", "99"]) for _ in range(2)]
        time.sleep(0.5)
        machine.stop(timeout=PATIENCE)
        for call in running:
            with pytest.raises(applevz.GuestConnectionLostError, match="machine stopped"):
                call.result(PATIENCE)
    with pytest.raises(applevz.GuestUnreachableError, match="not running"):
        machine.guest.run(["true"], timeout=PATIENCE)
    machine.start(timeout=PATIENCE)
    assert machine.guest.run(["echo", "anew"], timeout=PATIENCE).stdout == b"anew\n"


def test_a_guest_that_reboots_is_reached_again(boot: MakeMachine) -> None:
    machine = boot()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(machine.guest.run, ["sleep", "99"])
        time.sleep(0.5)
        machine.console.write("reboot\n")
        with pytest.raises(applevz.GuestConnectionLostError):
            running.result(PATIENCE)
    assert machine.guest.run(["echo", "anew"], timeout=PATIENCE).stdout == b"anew\n"


RESTORE = """
import sys, applevz
kernel, ramdisk, state, identifier = sys.argv[1:]
loader = applevz.LinuxBootLoader(kernel, ramdisk, "console=hvc0 quiet", guest_agent=True)
identifier = applevz.GenericMachineIdentifier(bytes.fromhex(identifier))
platform = applevz.GenericPlatformConfiguration(machine_identifier=identifier)
configuration = applevz.VirtualMachineConfiguration(loader, memory_size="256MiB", platform=platform)
with applevz.VirtualMachine(configuration) as machine:
    machine.restore_state(state)
    machine.start()
    print(machine.guest.run(["echo", "restored"], timeout=60, text=True).stdout, end="")
    print(machine.guest._session.processes_killed)
    print("yes" in machine.guest.run(["ps", "-o", "args"], timeout=60, text=True).stdout.split())
"""


@pytest.mark.skipif(not applevz.capabilities.save_restore, reason="this host saves no machines")
def test_a_guest_is_taken_over_after_a_restore_and_by_each_clone(
    configure: Configure, guest_files: Path, tmp_path: Path
) -> None:
    identifier = applevz.GenericMachineIdentifier.random()
    state = tmp_path / "state"
    configuration = with_agent(configure(platform=applevz.GenericPlatformConfiguration(machine_identifier=identifier)))
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=PATIENCE)
        flood = machine.guest.popen(["yes"], stdout=subprocess.PIPE, timeout=PATIENCE)
        # It is saved in the middle of what it prints, with all buffers full.
        assert flood.stdout.read(1 << 20, timeout=PATIENCE)
        machine.suspend(timeout=PATIENCE)
        machine.save_state(state, timeout=PATIENCE)
        machine.resume(timeout=PATIENCE)
        # The machine itself goes on as if nothing had been.
        assert flood.stdout.read(1 << 20, timeout=PATIENCE).strip(b"y\n") == b""
        machine.shutdown(ShutdownPolicy.POWEROFF)
        with pytest.raises(applevz.GuestConnectionLostError):
            flood.stdout.read(timeout=PATIENCE)
        # Restored by the same object.
        machine.restore_state(state, timeout=PATIENCE)
        machine.start(timeout=PATIENCE)
        assert machine.guest.run(["echo", "back"], timeout=PATIENCE).stdout == b"back\n"
        assert machine.guest._session.processes_killed == 1
    # In another process.
    words: list[str | Path] = [
        guest_files / "vmlinux",
        guest_files / "initrd.cpio.gz",
        state,
        identifier.data_representation.hex(),
    ]
    done = subprocess.run([sys.executable, "-c", RESTORE, *words], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("restored\n1\nFalse\n", "")
    # Eight at once.
    with ExitStack() as stack:
        clones = [stack.enter_context(applevz.VirtualMachine(configuration)) for _ in range(8)]
        for number, clone in enumerate(clones):
            clone.restore_state(state, timeout=PATIENCE, private=True)
            clone.start(timeout=PATIENCE)
            clone.guest.write_text("/tmp/number", str(number), timeout=PATIENCE)
        assert [int(clone.guest.read_text("/tmp/number", timeout=PATIENCE)) for clone in clones] == list(range(8))


def test_an_event_loop_uses_the_guest(configure: Configure) -> None:
    async def main() -> None:
        async with applevz.aio.VirtualMachine(with_agent(configure())) as machine:
            await machine.start(timeout=PATIENCE)
            guest = await machine.guest.wait(timeout=PATIENCE)
            done = await asyncio.gather(*(guest.run(["echo", str(n)], timeout=PATIENCE) for n in range(50)))
            assert [int(one.stdout) for one in done] == list(range(50))
            async with await guest.popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                data = os.urandom(1 << 20)
                assert (await process.communicate(data, timeout=PATIENCE))[0] == data
            running = asyncio.ensure_future(guest.run(["sleep", "99"]))
            await asyncio.sleep(0.5)
            await machine.stop(timeout=PATIENCE)
            with pytest.raises(applevz.GuestConnectionLostError, match="machine stopped"):
                await running
            with pytest.raises(applevz.GuestUnreachableError, match="not running"):
                await guest.info(timeout=PATIENCE)
            await machine.start(timeout=PATIENCE)
            await guest.wait(timeout=PATIENCE)
            with pytest.raises(applevz.GuestConnectionLostError, match="agent went|Another agent"):
                await guest.run(["kill", "-9", str(guest._session.agent_process)], timeout=PATIENCE)
            with pytest.raises(applevz.GuestNotAnsweringError, match="guest#"):
                await guest.wait(timeout=1)

    asyncio.run(main())


def test_both_ways_of_asking_for_the_port_give_the_same_one(configure: Configure) -> None:
    configuration = with_agent(configure(guest_agent=True))
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(timeout=PATIENCE)
        names = machine.guest.run("cat /sys/class/virtio-ports/*/name", shell=True, timeout=PATIENCE, text=True).stdout
        assert names.split() == ["org.qemu.guest_agent.0", "org.applevz.agent.0"]
        machine.console.read_until(READY, timeout=PATIENCE)
