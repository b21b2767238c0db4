# SPDX-License-Identifier: Apache-2.0
"""Processes that the guest agent starts: their surroundings, their streams, their ends."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent_builds import sanitized_agent
from agent_protocol import (
    CLOSED,
    DATA,
    DETACHED,
    END,
    ERRORS,
    ERRORS_TO_OUTPUT,
    EXITED,
    FAILED,
    INPUT,
    LONGEST,
    OUTPUT,
    QUIET,
    RESIZE,
    SIGNAL,
    START,
    STARTED,
    TERMINAL,
    WHOLE_ENVIRONMENT,
    WINDOW,
    Speaker,
    Stream,
    agent_process,
    beginning,
    frame,
    start_payload,
)


def alive(process: int) -> bool:
    """Whether a process is there, and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(process: int, timeout: float = 20) -> bool:
    limit = time.monotonic() + timeout
    while alive(process) and time.monotonic() < limit:
        time.sleep(0.01)
    return not alive(process)


def number_of(stream: Stream) -> int:
    number: int = struct.unpack("<I", stream.answer(STARTED) or b"")[0]
    return number


def line_of(agent: Speaker, stream: Stream, channel: int = 1) -> bytes:
    agent.wait(lambda: b"\n" in stream.data[channel])
    return bytes(stream.data[channel])


@pytest.mark.parametrize(
    ("command", "status"), [("exit 0", 0), ("exit 255", 255), ("kill -9 $$", -9), ("kill -TERM $$", -15)]
)
def test_the_status_is_the_process(agent: Speaker, command: str, status: int) -> None:
    assert agent.run(["sh", "-c", command]).status == status


def test_each_channel_carries_its_own(agent: Speaker) -> None:
    done = agent.run(["sh", "-c", "cat; echo error >&2"], b"input")
    assert (bytes(done.data[1]), bytes(done.data[2]), done.ended) == (b"input", b"error\n", {1, 2})


def test_a_channel_that_is_not_asked_for_is_the_null_device(agent: Speaker) -> None:
    stream = agent.start(["sh", "-c", "readlink /proc/self/fd/0 /proc/self/fd/2"], flags=OUTPUT)
    agent.wait(lambda: stream.status is not None and 1 in stream.ended)
    assert bytes(stream.data[1]) == b"/dev/null\n/dev/null\n"
    assert 2 not in stream.ended


def test_standard_error_goes_where_standard_output_goes(agent: Speaker) -> None:
    stream = agent.start(["sh", "-c", "echo a; echo b >&2; echo c"], flags=OUTPUT | ERRORS_TO_OUTPUT)
    agent.wait(lambda: stream.status is not None and 1 in stream.ended)
    assert bytes(stream.data[1]) == b"a\nb\nc\n"


def test_what_never_ran_says_why(agent: Speaker, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "broken").write_text("#!/no/interpreter\n")
    (tmp_path / "broken").chmod(0o755)
    assert agent.run(["no-such-program"]).failed == (errno.ENOENT, "program")
    assert agent.run([""]).failed == (errno.ENOENT, "program")
    assert agent.run([str(tmp_path / "text")]).failed == (errno.EACCES, "program")
    assert agent.run([str(tmp_path / "broken")]).failed == (errno.ENOENT, "program")
    assert agent.run(["text"], variables=[f"PATH={tmp_path}"]).failed == (errno.EACCES, "program")
    assert agent.run(["true"], directory=str(tmp_path / "none")).failed == (errno.ENOENT, "directory")
    assert agent.run(["true"], user="no-such-user").failed == (errno.ENOENT, "user")
    assert agent.run(["a" * 5000]).failed in {(errno.ENOENT, "program"), (errno.ENAMETOOLONG, "program")}
    # More than the kernel takes.
    assert agent.run(["true", "a" * (1 << 20)]).failed == (errno.E2BIG, "program")


def test_an_agent_that_is_asked_to_end_kills_what_is_not_detached() -> None:
    with agent_process(sanitized_agent()) as (port, process):
        agent = Speaker(port)
        streams = [agent.start(["sleep", "1000"], flags=flags) for flags in (0, DETACHED)]
        agent.wait(lambda: all(stream.answers for stream in streams))
        numbers = [number_of(stream) for stream in streams]
        process.terminate()
        assert process.wait(20) == 0
    try:
        assert gone(numbers[0])
        assert alive(numbers[1])
    finally:
        os.kill(numbers[1], signal.SIGKILL)


def test_the_environment_is_a_login_s_with_the_variables_on_top(agent: Speaker) -> None:
    user = pwd.getpwuid(os.geteuid())
    done = agent.run(["env", "-0"], variables=["HOME=/elsewhere", "A=b=c", "EMPTY="])
    found = dict(each.split("=", 1) for each in done.data[1].decode().rstrip("\0").split("\0"))
    assert found == {
        "PATH": found["PATH"],
        "HOME": "/elsewhere",
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "SHELL": user.pw_shell,
        "A": "b=c",
        "EMPTY": "",
    }
    assert "/usr/bin" in found["PATH"].split(":")


def test_the_variables_can_be_the_whole_environment(agent: Speaker) -> None:
    flags = OUTPUT | ERRORS | WHOLE_ENVIRONMENT
    assert agent.run(["/usr/bin/env"], flags=flags, variables=["ONE=1"]).data[1] == b"ONE=1\n"
    assert agent.run(["/usr/bin/env"], flags=flags).data[1] == b""


def test_arguments_have_every_byte_but_the_one_that_ends_them(agent: Speaker) -> None:
    argument = bytes(range(1, 256))
    assert agent.run(["printf", "%s", argument]).data[1] == argument
    assert agent.run(["printf", "%s", ""]).data[1] == b""


def test_a_request_of_many_frames(agent: Speaker) -> None:
    arguments = [str(number) * 10 for number in range(10000)]
    assert len(start_payload(arguments)) > 10 * LONGEST
    done = agent.run(["printf", "%s\n", *arguments], timeout=60)
    assert done.data[1].decode().split() == arguments


def test_the_directory_and_the_user(agent: Speaker, tmp_path: Path) -> None:
    assert agent.run(["pwd"], directory=str(tmp_path)).data[1].decode() == f"{tmp_path}\n"
    if os.geteuid() != 0:
        pytest.skip("only root may be another user")
    nobody = pwd.getpwnam("nobody")
    command = ["sh", "-c", 'echo $(id -u) $(id -g) "$(id -G)" $USER $HOME']
    expected = f"{nobody.pw_uid} {nobody.pw_gid} {nobody.pw_gid} nobody {nobody.pw_dir}\n"
    assert agent.run(command, user="nobody").data[1].decode() == expected
    assert agent.run(command, user=str(nobody.pw_uid)).data[1].decode() == expected


def test_a_process_finds_signals_limits_and_descriptors_as_if_nothing_had_been_there(agent: Speaker) -> None:
    program = (
        "import os, resource, signal\n"
        "print([s for s in signal.valid_signals() if signal.getsignal(s) == signal.SIG_IGN"
        " and s not in (signal.SIGPIPE, signal.SIGXFSZ)])\n"  # Python itself ignores those
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
        "print(sorted(map(int, os.listdir('/proc/self/fd')))[:4])\n"
        "print(os.getsid(0) == os.getpid() == os.getpgid(0))\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    import resource

    done = agent.run([sys.executable, "-c", program])
    expected = f"[]\nset()\n[0, 1, 2, 3]\nTrue\n{resource.getrlimit(resource.RLIMIT_NOFILE)}\n"
    assert done.data[1].decode() == expected, done.data[2].decode()
    ignored = agent.run(["grep", "SigIgn", "/proc/self/status"]).data[1]
    assert int(ignored.split()[1], 16) == 0


def test_signals_that_the_agent_was_started_to_ignore_are_not_ignored_by_a_process(tmp_path: Path) -> None:
    # Python and the C libraries refuse the two signals that they keep to themselves; the kernel does not.
    program = (
        "import ctypes, os, sys\n"
        "number, ignore = {'x86_64': 13, 'aarch64': 134}[os.uname().machine], (ctypes.c_ulong * 4)(1)\n"
        "for signal in (1, 10, 17, 32, 33, 34, 64):\n"
        "    assert ctypes.CDLL(None).syscall(number, signal, ignore, None, 8) == 0\n"
        "ignored = int(open('/proc/self/status').read().split('SigIgn:')[1].split()[0], 16)\n"
        "assert ignored & (1 << 31 | 1 << 32)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    with agent_process(sanitized_agent(), starter=[sys.executable, "-c", program]) as (port, process):
        speaker = Speaker(port)
        found = speaker.run(["grep", "SigIgn", "/proc/self/status"]).data[1]
        port.close()
        assert process.wait(20) == 0
    assert int(found.split()[1], 16) == 0


def test_a_closed_pipe_ends_a_program_that_writes(agent: Speaker) -> None:
    assert agent.run(["sh", "-c", "yes | head -n 1; echo done"]).data[1] == b"y\ndone\n"


def test_signals_reach_the_whole_group(agent: Speaker) -> None:
    stream = agent.start(["sh", "-c", "sleep 1000 & echo $!; wait"])
    child = int(line_of(agent, stream))
    agent.send(SIGNAL, stream.number, struct.pack("<I", signal.SIGTERM))
    assert agent.finish(stream).status == -signal.SIGTERM
    assert gone(child)


def test_signals_that_there_are_not_do_nothing(agent: Speaker) -> None:
    stream = agent.start(["sleep", "1000"])
    for number in (0, 65, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        agent.send(SIGNAL, stream.number, struct.pack("<I", number))
    agent.send(SIGNAL, stream.number, b"\x09")
    assert agent.run(["true"]).status == 0
    assert alive(number_of(stream))
    agent.close(stream)


def test_a_closed_stream_kills_what_ignores_all_signals_and_its_children(agent: Speaker) -> None:
    stream = agent.start(["sh", "-c", "trap '' TERM INT HUP; sleep 1000 & echo $$ $!; while :; do wait; done"])
    processes = [int(word) for word in line_of(agent, stream).split()]
    agent.send(SIGNAL, stream.number, struct.pack("<I", signal.SIGTERM))
    assert agent.run(["true"]).status == 0
    assert alive(processes[0])
    agent.close(stream)
    assert [gone(process) for process in processes] == [True, True]


def test_a_process_that_leaves_its_pipes_to_another_exits_and_the_channels_stay(agent: Speaker) -> None:
    stream = agent.start(["sh", "-c", "sleep 1000 & echo $!"])
    child = int(line_of(agent, stream))
    agent.wait(lambda: stream.status == 0)
    assert not stream.ended
    assert alive(child)
    # The group lives on without its leader, and is killed all the same.
    agent.close(stream)
    assert gone(child)


def test_a_detached_process_lives_on(agent: Speaker) -> None:
    streams = [agent.start(["sleep", "1000"], flags=DETACHED) for _ in range(2)]
    agent.wait(lambda: all(stream.answers for stream in streams))
    processes = [number_of(stream) for stream in streams]
    try:
        agent.close(streams[0])
        agent.begin()
        assert [alive(process) for process in processes] == [True, True]
    finally:
        for process in processes:
            os.kill(process, signal.SIGKILL)
    assert all(gone(process) for process in processes)


def test_of_a_quiet_process_the_end_alone_is_told(agent: Speaker) -> None:
    done = agent.run(["sh", "-c", "cat; echo error >&2; exit 3"], b"input", flags=QUIET | INPUT | OUTPUT | ERRORS)
    assert [operation for operation, _ in done.answers] == [EXITED]
    assert (done.status, done.data[1], done.data[2]) == (3, b"input", b"error\n")
    assert done.ended == {1, 2}


def test_a_quiet_process_that_closes_its_output_has_not_ended(agent: Speaker) -> None:
    stream = agent.start(["sh", "-c", "echo begin; exec >&- 2>&-; read line"], flags=QUIET | INPUT | OUTPUT | ERRORS)
    agent.wait(lambda: stream.data[1] == b"begin\n")
    # It has closed them when another process has come and gone.
    agent.run(["true"])
    assert (stream.ended, stream.answers) == (set(), [])
    agent.send(END, stream.number)
    assert agent.finish(stream).status == 1
    assert stream.ended == {1, 2}


def test_a_quiet_process_that_leaves_its_output_to_another_ends(agent: Speaker) -> None:
    stream = agent.start(["sh", "-c", "sleep 0.3 & exit 4"], flags=QUIET | INPUT | OUTPUT | ERRORS)
    agent.wait(lambda: stream.status is not None)
    assert stream.status == 4
    agent.wait(lambda: stream.ended == {1, 2})


def test_why_a_quiet_process_never_ran_or_was_killed_is_told_apart(agent: Speaker) -> None:
    never = agent.run(["sh"], flags=QUIET | INPUT, directory="/no/directory")
    assert never.failed == (errno.ENOENT, "directory")
    assert [operation for operation, _ in never.answers] == [FAILED]
    killed = agent.start(["sleep", "1000"], flags=QUIET | INPUT)
    for _ in range(2 * WINDOW // LONGEST):
        agent.send(DATA, killed.number, bytes(LONGEST))
    agent.wait(lambda: killed.failed)
    assert killed.failed == (errno.EPROTO, "credit")
    assert [operation for operation, _ in killed.answers] == [STARTED, FAILED]


def test_the_end_of_a_quiet_process_is_one_write() -> None:
    # Each write of a packet socket is one message.
    with agent_process(sanitized_agent(), kind=socket.SOCK_SEQPACKET) as (port, process):
        port.settimeout(20)
        port.send(beginning(bytes(range(16))))
        said = b""
        while bytes(range(16)) not in said:
            said = port.recv(1 << 16)
        port.send(frame(START, 1, start_payload(["true"], flags=QUIET | OUTPUT | ERRORS)))
        ends = frame(END, 1, channel=1) + frame(END, 1, channel=2)
        assert port.recv(1 << 16) == ends + frame(EXITED, 1, bytes(5))
        port.close()
        assert process.wait(20) == 0


def test_input_that_nobody_reads_is_dropped_and_told(agent: Speaker) -> None:
    stream = agent.start(["sh", "-c", "exec <&-; echo closed; sleep 0.2"])
    line_of(agent, stream)
    for _ in range(4):
        agent.send(DATA, stream.number, bytes(LONGEST))
    agent.wait(lambda: 0 in stream.ended)
    assert agent.finish(stream).status == 0


def test_much_goes_through_a_program_without_loss(agent: Speaker) -> None:
    data = os.urandom(1 << 20) * 8
    assert agent.run(["cat"], data).data[1] == data


def test_what_comes_together_is_written_to_a_program_together(agent: Speaker) -> None:
    (process,) = struct.unpack_from("<I", agent.hello, 16)

    def writes() -> int:
        counts = dict(line.split(": ") for line in Path(f"/proc/{process}/io").read_text().splitlines())
        return int(counts["syscw"])

    stream = agent.start(["sleep", "1000"])
    agent.wait(lambda: stream.answer(STARTED))
    before = writes()
    agent.send_bytes(frame(DATA, stream.number, bytes(256)) * 64)
    # Its answers are some more.
    agent.run(["true"])
    assert writes() - before < 32
    agent.close(stream)


def test_the_pipes_of_a_program_that_moves_much_get_larger(agent: Speaker) -> None:
    sizes = "import fcntl, sys; print(*(fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) for pipe in (0, 1)), file=sys.stderr)"
    before = agent.run([sys.executable, "-c", sizes]).data[2].split()
    moves = f"import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()); sys.stdout.flush(); {sizes}"
    after = agent.run([sys.executable, "-c", moves], bytes(1 << 21)).data[2].split()
    assert len(before) == len(after) == 2
    assert all(int(large) > int(small) for small, large in zip(before, after, strict=True))


def test_one_stream_that_nobody_reads_holds_up_no_other(agent: Speaker) -> None:
    agent.gives_credit = False
    stuck = agent.start(["cat", "/dev/zero"])
    agent.wait(lambda: len(stuck.data[1]) == WINDOW)
    assert agent.run(["echo", "free"]).data[1] == b"free\n"
    # Nor does the other direction: one that does not read its input.
    unread = agent.start(["sleep", "1000"])
    for _ in range(WINDOW // LONGEST):
        agent.send(DATA, unread.number, bytes(LONGEST))
    assert agent.run(["echo", "free"]).data[1] == b"free\n"
    assert len(stuck.data[1]) == WINDOW
    agent.close(stuck)
    agent.close(unread)


def test_more_than_the_credit_ends_the_stream(agent: Speaker) -> None:
    stream = agent.start(["sleep", "1000"])
    # Its pipe takes up to half a window.
    for _ in range(2 * WINDOW // LONGEST):
        agent.send(DATA, stream.number, bytes(LONGEST))
    agent.wait(lambda: stream.failed)
    assert stream.failed == (errno.EPROTO, "credit")
    assert gone(number_of(stream))


def test_wrong_requests_are_refused(agent: Speaker) -> None:
    good = start_payload(["true"])
    wrong = [good[:length] for length in range(len(good))]
    wrong += [struct.pack("<IHHII", 14, 24, 80, *counts) + good[16:] for counts in [(0, 0), (2, 0), (1, 1)]]
    wrong += [struct.pack("<IHHII", 14, 24, 80, *counts) + good[16:] for counts in [(0xFFFFFFFF, 0), (1, 0xFFFFFFFF)]]
    wrong += [start_payload(["a\0b"]), start_payload(["true"], directory="/\0")]
    for payload in wrong:
        stream = agent.open_stream(START, payload)
        agent.wait(lambda stream=stream: stream.failed)  # type: ignore[misc]
        assert stream.failed == (errno.EPROTO, "message"), payload
    stream = agent.open_stream(START, bytes(3 << 20))
    agent.wait(lambda: stream.failed)
    assert stream.failed == (errno.E2BIG, "message")


def test_a_number_that_is_in_use_begins_nothing(agent: Speaker) -> None:
    stream = agent.start(["sleep", "1000"])
    agent.send(START, stream.number, start_payload(["true"]))
    assert agent.run(["true"]).status == 0
    assert [operation for operation, _ in stream.answers] == [STARTED]
    agent.close(stream)


def test_closing_what_is_not_there_is_answered(agent: Speaker) -> None:
    stream = agent.run(["true"])
    agent.close(stream)
    assert stream.answers[-1][0] == CLOSED


def test_a_thousand_processes_in_turn(agent: Speaker) -> None:
    statuses = {agent.run(["sh", "-c", f"exit {number % 256}"]).status for number in range(1000)}
    assert statuses == set(range(256))


def test_two_hundred_at_once(agent: Speaker) -> None:
    streams = [agent.start(["sh", "-c", f"cat; echo {number}"]) for number in range(200)]
    for number, stream in enumerate(streams):
        agent.write(stream, b"%d " % number)
    for number, stream in enumerate(streams):
        assert agent.finish(stream).data[1] == b"%d %d\n" % (number, number)


def test_descriptors_run_out_for_one_and_not_for_all(agent: Speaker) -> None:
    # Each has three.
    import resource

    soft, _hard = resource.prlimit(agent_of(agent), resource.RLIMIT_NOFILE, (64, 64))
    assert soft >= 64
    streams = [agent.start(["cat"]) for _ in range(40)]
    agent.wait(lambda: all(stream.answers for stream in streams))
    failed = [stream for stream in streams if stream.failed]
    assert {stream.failed for stream in failed} == {(errno.EMFILE, "pipe")}
    assert 0 < len(failed) < 40
    for stream in streams:
        agent.close(stream)
    assert agent.run(["echo", "on"]).data[1] == b"on\n"


def agent_of(agent: Speaker) -> int:
    process: int = struct.unpack_from("<I", agent.hello, 16)[0]
    return process


# ---- Terminals ----


def terminal(agent: Speaker, command: str, **keywords: Any) -> Stream:
    return agent.start(["sh", "-c", command], flags=TERMINAL, **keywords)


def finish_terminal(agent: Speaker, stream: Stream) -> bytes:
    agent.wait(lambda: stream.failed or (stream.status is not None and 1 in stream.ended))
    assert stream.failed is None
    return bytes(stream.data[1])


def test_a_terminal_has_its_size_and_its_name(agent: Speaker) -> None:
    output = finish_terminal(agent, terminal(agent, "stty size; tty; echo $TERM; echo error >&2", size=(33, 111)))
    lines = output.decode().split("\r\n")
    assert (lines[0], lines[2:]) == ("33 111", ["linux", "error", ""])
    assert lines[1].startswith("/dev/pts/")


def test_a_terminal_s_size_changes_and_the_program_is_told(agent: Speaker) -> None:
    stream = terminal(agent, "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done")
    line_of(agent, stream)
    agent.send(RESIZE, stream.number, struct.pack("<HH", 50, 132))
    assert finish_terminal(agent, stream).endswith(b"50 132\r\n")


def test_a_terminal_s_characters_are_signals_and_the_end(agent: Speaker) -> None:
    stream = terminal(agent, "echo ready; exec cat")
    line_of(agent, stream)
    agent.send(DATA, stream.number, b"\x03")
    finish_terminal(agent, stream)
    assert stream.status == -signal.SIGINT
    stream = terminal(agent, "echo ready; exec cat")
    line_of(agent, stream)
    # END hangs nothing up; the character does.
    agent.send(DATA, stream.number, b"line\n\x04")
    agent.send(END, stream.number)
    assert finish_terminal(agent, stream) == b"ready\r\nline\r\nline\r\n"
    assert stream.status == 0


def test_a_program_that_closes_its_terminal_lives_on_and_may_open_it_again(agent: Speaker, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    go = os.open(tmp_path / "go", os.O_RDWR)
    try:
        command = "echo ready; exec <&- >&- 2>&-; read _ <go; echo again >/dev/tty; read _ <go; exit 7"
        stream = terminal(agent, command, directory=str(tmp_path))
        line_of(agent, stream)
        # Meanwhile the agent learns that nobody has the terminal open.
        assert agent.run(["true"]).status == 0
        os.write(go, b"\n")
        agent.wait(lambda: b"again" in stream.data[1] or stream.status is not None)
        os.write(go, b"\n")
        output = finish_terminal(agent, stream)
    finally:
        os.close(go)
    assert (output, stream.status) == (b"ready\r\nagain\r\n", 7)


def test_binary_data_both_ways_through_a_terminal(agent: Speaker) -> None:
    data = os.urandom(1_000_000)
    stream = terminal(agent, f"stty raw -echo; echo ready; head -c {len(data)}")
    line_of(agent, stream)
    stream.data[1].clear()
    agent.write(stream, data, end=False)
    assert finish_terminal(agent, stream) == data


def test_flags_of_pipes_do_not_matter_for_a_terminal(agent: Speaker) -> None:
    stream = agent.start(["tty"], flags=TERMINAL | INPUT | OUTPUT | ERRORS)
    assert finish_terminal(agent, stream).startswith(b"/dev/pts/")
