# SPDX-License-Identifier: Apache-2.0
"""`applevz run` and `applevz copy`: programs in a guest, and its console on a terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import applevz
from applevz import states
from command_line import PROGRAM, Applevz
from processes import children, eventually
from terminals import PATIENCE, Terminal


def from_state(state: Path, *words: str) -> list[str]:
    return [*PROGRAM, "run", "--from", str(state), *words]


# ---- A program in the guest ----


def test_a_program_s_output_errors_and_status_are_the_command_s(applevz_command: Applevz, state: Path) -> None:
    done = applevz_command("run", "--from", state, "--", "sh", "-c", "cat /root/kept; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "kept\n", "err\n")


def test_a_state_is_not_changed_and_is_gone_on_with_by_several_at_once(state: Path) -> None:
    before = state.stat()
    script = "cat /root/kept; echo mine > /root/kept; cat"
    running = [
        subprocess.Popen(from_state(state, "--", "sh", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    # Each has printed, and waits for its input: both run now.
    for process in running:
        assert process.stdout.readline() == b"kept\n"
    for process in running:
        # More than a pipe and the agent's window hold.
        assert process.communicate(b"x" * 3_000_000, timeout=PATIENCE)[0] == b"x" * 3_000_000
        assert process.returncode == 0
    after = state.stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)


def test_a_program_has_the_folder_the_variables_and_the_user_it_is_given(
    applevz_command: Applevz, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKEN_OVER", "from here")
    words = ["--workdir", "/tmp", "--env", "GIVEN=a=b", "--env", "TAKEN_OVER", "--env", "MISSING"]
    script = 'pwd; echo "$GIVEN|$TAKEN_OVER|${MISSING-unset}|"; test -t 0 || echo no terminal'
    done = applevz_command("run", "--from", state, *words, "--", "sh", "-c", script)
    assert done.stdout.splitlines() == ["/tmp", "a=b|from here|unset|", "no terminal"]
    refused = applevz_command("run", "--from", state, "--user", "nobody-here", "--", "true")
    assert refused.returncode in (125, 126, 127)
    assert "nobody-here" in refused.stderr


@pytest.mark.parametrize(
    ("program", "status"), [("/no/such/program", 127), ("/root/kept", 126)], ids=["missing", "no program"]
)
def test_a_program_that_cannot_be_run_is_told_by_the_status(
    applevz_command: Applevz, state: Path, program: str, status: int
) -> None:
    done = applevz_command("run", "--from", state, "--", program)
    assert done.returncode == status
    assert done.stderr.startswith(f"applevz: The program {program!r} cannot be run in the guest.\n  ")


def test_signals_are_passed_on_and_the_third_ends_it_all(state: Path) -> None:
    script = "trap 'echo usr1' USR1; trap 'echo int' INT; echo ready; while :; do sleep 0.1; done"
    line = from_state(state, "--", "sh", "-c", script)
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == b"usr1\n"
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == b"int\n"
        machines = children(process.pid)
        assert machines
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    assert eventually(lambda: not any(Path(f"/proc/{number}").exists() for number in machines))


def test_a_program_that_takes_no_input_keeps_nobody_from_ending_it(state: Path) -> None:
    script = "trap 'echo int' INT; echo ready; while :; do sleep 0.1; done"
    with (
        open("/dev/zero", "rb") as endless,
        subprocess.Popen(
            from_state(state, "--", "sh", "-c", script), stdin=endless, stdout=subprocess.PIPE
        ) as process,
    ):
        assert process.stdout.readline() == b"ready\n"
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == b"int\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130


def test_a_program_that_a_signal_ends_has_that_as_its_status(state: Path) -> None:
    line = from_state(state, "--", "sh", "-c", "echo ready; exec sleep 1000")
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_an_output_that_nobody_reads_any_more_ends_the_program(state: Path) -> None:
    line = from_state(state, "--", "yes")
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert process.wait(PATIENCE) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""


def test_files_are_copied_in_before_and_out_after_even_of_a_program_that_fails(
    applevz_command: Applevz, state: Path, tmp_path: Path
) -> None:
    (tmp_path / "tree: a").mkdir()
    (tmp_path / "tree: a" / "file").write_text("in")
    (tmp_path / "out").mkdir()
    words = ["--copy-in", f"{tmp_path / 'tree: a'}:/root/tree", "--copy-in", f"{tmp_path / 'tree: a' / 'file'}:/tmp"]
    words += ["--copy-out", f"/root/tree:{tmp_path / 'back'}", "--copy-out", f"/tmp/file:{tmp_path / 'out'}"]
    script = "test -f /tmp/file && echo more >> /root/tree/file && exit 3"
    done = applevz_command("run", "--from", state, *words, "--", "sh", "-c", script)
    assert (done.returncode, done.stderr) == (3, "")
    assert (tmp_path / "back" / "file").read_text() == "inmore\n"
    assert (tmp_path / "out" / "file").read_text() == "in"


def test_copy_takes_a_file_out_of_a_state_and_says_which_is_the_guest_s(
    applevz_command: Applevz, state: Path, tmp_path: Path
) -> None:
    done = applevz_command("copy", "--from", state, "guest:/root/kept", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "kept").read_text() == "kept\n"
    missing = applevz_command("copy", "--from", state, "guest:/root/none", tmp_path)
    assert missing.returncode == 1
    assert "/root/none" in missing.stderr
    for words in (["a", "b"], ["guest:a", "guest:b"]):
        refused = applevz_command("copy", "--from", state, *words)
        assert refused.returncode == 2
        assert "begins with guest:" in refused.stderr


def test_a_port_of_this_host_leads_into_the_guest(state: Path) -> None:
    script = "ifconfig lo up; while :; do nc -l -p 7 -e cat; done"
    line = from_state(state, "--forward", "127.0.0.1:0:7", "--", "sh", "-c", script)
    with subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            told = process.stderr.readline()
            found = re.fullmatch(r"applevz: 127\.0\.0\.1:(\d+) leads to the guest's 7\n", told)
            assert found, told
            assert eventually(lambda: echoed(int(found[1])) == b"there and back", PATIENCE)
        finally:
            process.terminate()


def echoed(port: int) -> bytes:
    """What comes back; nothing before the guest listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(b"there and back")
            return connection.recv(len(b"there and back"), socket.MSG_WAITALL)
    except OSError:
        return b""


# ---- States ----


def test_what_stands_beside_a_state_is_what_its_guest_was_booted_by(
    applevz_command: Applevz, state: Path, guest_files: Path, tmp_path: Path
) -> None:
    said = json.loads(state.with_name("ready.state.json").read_text())
    assert said["kernel"] == str(guest_files / "vmlinux")
    alone = tmp_path / "alone.state"
    os.link(state, alone)
    refused = applevz_command("run", "--from", alone, "--", "true")
    assert refused.returncode == 125
    assert "hint: Give --kernel, --initrd and --command-line" in refused.stderr
    given = ["--kernel", guest_files / "vmlinux", "--initrd", guest_files / "initrd.cpio.gz"]
    done = applevz_command("run", "--from", alone, *given, "--", "cat", "/root/kept")
    assert (done.returncode, done.stdout) == (0, "kept\n"), done.stderr
    # Somebody else's file is neither believed nor removed.
    beside = alone.with_name("alone.state.json")
    beside.write_text('{"format": 1, "kernel": 7}')
    refused = applevz_command("run", "--from", alone, "--", "true")
    assert "is not one that `applevz run --save` wrote" in refused.stderr
    assert applevz_command("state", "remove", alone).returncode == 0
    assert beside.exists()


def test_a_state_is_saved_again_with_its_disk_and_the_tree_knows_its_parent(
    applevz_command: Applevz, guest_words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "user-data").write_text("#cloud-config\n{}\n")
    first, second = tmp_path / "first", tmp_path / "second"
    words = [*guest_words, "--network", "isolated", "--user-data", tmp_path / "user-data"]
    made = applevz_command("run", *words, "--save", first, "--", "sh", "-c", "echo 1 > /root/kept")
    assert made.returncode == 0, made.stderr
    done = applevz_command("run", "--from", first, "--save", second, "--", "sh", "-c", "echo 2 >> /root/kept")
    assert done.returncode == 0, done.stderr
    shown = applevz_command("run", "--from", second, "--", "sh", "-c", "cat /root/kept; strings /dev/vda | head -n 1")
    assert shown.stdout.split()[:2] == ["1", "2"], shown.stderr
    assert [(Path(one.path).name, one.depth) for one in states.list(tmp_path)] == [("first", 0), ("second", 1)]
    assert states.inspect(second).disks[0].path == f"{first}.seed"

    failed = applevz_command("run", "--from", first, "--save", tmp_path / "no", "--", "false")
    assert failed.returncode == 1
    assert "not saved: the program ended with the status 1" in failed.stderr
    exists = applevz_command("run", "--from", first, "--save", second, "--", "true")
    assert exists.returncode == 125
    assert "hint: Give --overwrite." in exists.stderr
    assert applevz_command("state", "remove", first).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["second", "second.json", "user-data"]


def test_an_image_is_launched_prepared_and_cached(
    applevz_command: Applevz, guest_files: Path, tmp_path: Path
) -> None:
    assert applevz_command("image", "create", tmp_path / "data.img", "8MiB").returncode == 0
    words = ["./data.img", "--kernel", guest_files / "vmlinux", "--initrd", guest_files / "initrd.cpio.gz"]
    words += ["--command-line", "console=hvc0 quiet", "--memory", "256MiB", "--cpus", "1", "--network", "none"]
    words += ["--cache", tmp_path / "cache", "--cached"]
    line = [*PROGRAM, "run", *map(str, words), "--prepare", "echo prepared $$ > /root/kept", "--", "cat", "/root/kept"]
    first, second = (
        subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=250) for _ in range(2)
    )
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("prepared ")
    # It was prepared once.
    assert second.stdout == first.stdout
    line[line.index("--prepare") + 1] = "echo what is wrong; false"
    failed = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=250)
    assert failed.returncode == 125
    assert "ended with the status 1.\n  It printed: what is wrong\n" in failed.stderr


# ---- Terminals ----


def test_a_terminal_is_shown_that_the_guest_is_waited_for(guest_files: Path, tmp_path: Path) -> None:
    applevz.create_disk_image(tmp_path / "data.img", "8MiB")
    kernel = ["--kernel", str(guest_files / "vmlinux"), "--initrd", str(guest_files / "initrd.cpio.gz")]
    image = [str(tmp_path / "data.img"), "--cache", str(tmp_path / "cache"), "--command-line", "console=hvc0 quiet"]
    for words in (kernel, [*image, *kernel]):
        line = [*PROGRAM, "run", *words, "--memory", "256MiB", "--network", "none", "--", "echo", "answered"]
        with Terminal(line) as terminal:
            terminal.until(rb"waiting for the guest: [^\r\n]*\d:\d\d:\d\d")
            terminal.until(rb"answered")
            assert terminal.status() == 0
            assert terminal.modes() == terminal.modes_before


def test_a_program_has_a_terminal_of_this_one_s_size(state: Path) -> None:
    # A signal ends the shell's read, or waits for its end.
    script = """trap 'stty size' WINCH; stty size; echo $TERM; tty >/dev/null && echo terminal
                while [ "$line" != end ]; do read -r line && echo got $line; done; exit 5"""
    with Terminal(from_state(state, "--", "sh", "-c", script)) as terminal:
        terminal.until(rb"33 101\r\nxterm\r\nterminal\r\n")
        assert terminal.is_raw
        terminal.resize(40, 120)
        terminal.type(b"words\r")
        terminal.until(rb"40 120\r\n")
        terminal.type(b"more\r")
        terminal.until(rb"got more\r\n")
        terminal.type(b"end\r")
        assert terminal.status() == 5
        assert terminal.modes() == terminal.modes_before


def test_keys_that_make_signals_are_the_guest_s(state: Path) -> None:
    script = "trap 'echo int' INT; echo ready; while :; do sleep 0.1; done"
    with Terminal(from_state(state, "--", "sh", "-c", script)) as terminal:
        terminal.until(rb"ready\r\n")
        terminal.type(b"\x03")
        terminal.until(rb"int\r\n")
        # The detach key is this program's.
        terminal.type(b"\x1d")
        assert terminal.status() == 130
        assert terminal.modes() == terminal.modes_before
        assert b"detached; the program was ended" in terminal.shown


def test_a_console_is_typed_into_stopped_gone_on_with_and_left(state: Path) -> None:
    with Terminal(from_state(state)) as terminal:
        terminal.until(rb"console; Ctrl-\] leaves it\.")
        terminal.wait_until_raw()
        # What the guest's shell prints, and not what is typed.
        terminal.type(b"echo $((6 * 7)) answered\r")
        terminal.until(rb"42 answered\n")
        terminal.signal(signal.SIGTSTP)
        terminal.wait_until_stopped()
        assert terminal.modes() == terminal.modes_before
        terminal.resize(50, 132)
        terminal.foreground()
        terminal.wait_until_raw()
        told = time.monotonic()
        while True:
            terminal.type(b"stty size; echo told\r")
            if b"50 132\n" in terminal.until(rb"told\n"):
                break
            assert time.monotonic() < told + PATIENCE
        terminal.type(b"\x1d")
        assert terminal.status() == 0
        assert terminal.modes() == terminal.modes_before
        assert b"detached; the guest was asked to shut down" in terminal.shown


def test_a_console_ends_with_its_guest(state: Path) -> None:
    with Terminal(from_state(state, "--detach-key", "none")) as terminal:
        terminal.wait_until_raw()
        # No detach key: a byte as another, and the end of nothing.
        terminal.type(b"\x1d\rpoweroff\r")
        assert terminal.status() == 0
        assert terminal.modes() == terminal.modes_before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_terminal_is_put_back_when_a_signal_ends_the_command(state: Path, number: int) -> None:
    with Terminal(from_state(state, "--on-detach", "stop")) as terminal:
        terminal.wait_until_raw()
        machines = children(terminal.job)
        assert machines
        terminal.signal(number)
        assert terminal.status() == 128 + number
        assert terminal.modes() == terminal.modes_before
        assert eventually(lambda: not any(Path(f"/proc/{machine}").exists() for machine in machines))


def test_a_terminal_is_put_back_when_the_machine_fails(state: Path) -> None:
    with Terminal(from_state(state)) as terminal:
        terminal.wait_until_raw()
        for machine in qemus(terminal.job):
            os.kill(machine, signal.SIGKILL)
        assert terminal.status() == 1
        assert terminal.modes() == terminal.modes_before
        assert b"applevz: " in terminal.shown


def qemus(parent: int) -> Sequence[int]:
    return [number for number in children(parent) if b"qemu" in Path(f"/proc/{number}/cmdline").read_bytes()]


def test_a_detached_machine_goes_on_until_ctrl_c(state: Path) -> None:
    with Terminal(from_state(state, "--on-detach", "keep")) as terminal:
        terminal.wait_until_raw()
        terminal.type(b"\x1d")
        terminal.until(rb"the machine goes on until Ctrl-C\.")
        assert terminal.modes() == terminal.modes_before
        assert qemus(terminal.job)
        terminal.type(b"\x03")
        assert terminal.status() == 130


def test_a_machine_is_saved_at_the_detach_key(state: Path, applevz_command: Applevz, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    with Terminal(from_state(state, "--save", str(saved))) as terminal:
        terminal.wait_until_raw()
        terminal.type(b"echo typed > /root/kept; echo $((6 * 7))\r")
        terminal.until(rb"42\n")
        terminal.type(b"\x1d")
        assert terminal.status() == 0
    assert applevz_command("run", "--from", saved, "--", "cat", "/root/kept").stdout == "typed\n"


@pytest.mark.skipif(not applevz.capabilities.efi, reason="there is no firmware")
def test_a_disk_that_firmware_boots_is_run_with_its_variables(guest_files: Path, tmp_path: Path) -> None:
    disk, variables = tmp_path / "disk.img", tmp_path / "variables"
    shutil.copy(guest_files / "efi.img", disk)
    line = [*PROGRAM, "run", "--efi", str(disk), "--variables", str(variables), "--memory", "256MiB", "--cpus", "1"]
    with Terminal(line) as terminal:
        terminal.until(rb"guest# ")
        terminal.type(b"test -d /sys/firmware/efi && echo $((6 * 7)); poweroff\r")
        assert terminal.status() == 0
        assert b"42\n" in terminal.shown
    assert variables.stat().st_size


@pytest.mark.skipif(not applevz.capabilities.shared_directories, reason="no directory is shared here")
def test_a_directory_is_mounted_and_one_that_is_not_there_is_refused(
    applevz_command: Applevz, guest_words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("shared\n")
    words = [*guest_words, "--share", f"{tmp_path}:/mnt/here:ro", "--", "sh", "-c"]
    done = applevz_command("run", *words, "cat /mnt/here/file; touch /mnt/here/new")
    assert done.stdout == "shared\n"
    assert "Read-only file system" in done.stderr
    refused = applevz_command("run", *guest_words, "--share", "/no/where:/mnt", "--", "true")
    assert refused.returncode == 125
    assert "/no/where" in refused.stderr
    assert sys.platform != "linux" or "Traceback" not in refused.stderr
