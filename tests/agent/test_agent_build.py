# SPDX-License-Identifier: Apache-2.0
"""How the guest agent is built: one static program, by whatever is there."""

from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import applevz
from agent_builds import FIRST_BUILD, build_for, build_module
from agent_protocol import Speaker, agent_process
from places import ROOT

BUILD = build_module()
INTERPRETER, STACK = 3, 0x6474E551
MACHINES = {"x86_64": 62, "aarch64": 183}


def program_headers(program: bytes) -> list[tuple[int, int]]:
    """Types and flags of an ELF file's segments."""
    (place,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    return [struct.unpack_from("<II", program, place + size * number) for number in range(count)]


def check(program: Path, target: str) -> None:
    data = program.read_bytes()
    assert data[:6] == b"\x7fELF\2\1"
    assert struct.unpack_from("<H", data, 18)[0] == MACHINES[target]
    headers = program_headers(data)
    assert INTERPRETER not in [kind for kind, _ in headers]
    assert [flags & 1 for kind, flags in headers if kind == STACK] == [0]
    assert len(data) < 256 * 1024


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For this host, as the package has it."""
    if sys.platform != "linux":
        pytest.skip("the program runs on Linux")
    try:
        program: Path = BUILD.build(tmp_path_factory.mktemp("agent") / "guest-agent")
    except BUILD.NoCompiler as error:
        pytest.skip(str(error))
    return program


def test_it_is_static_and_small(program: Path) -> None:
    check(program, BUILD.host_processor())


def test_it_is_of_this_package_s_version(program: Path) -> None:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert told == f"{applevz.__version__}\n"


def test_it_runs_programs(program: Path) -> None:
    with agent_process(program) as (port, process):
        agent = Speaker(port)
        assert agent.run(["sh", "-c", "cat; exit 3"], b"input").data[1] == b"input"
        streams = [agent.start(["sh", "-c", "sleep 0.5"]) for _ in range(1000)]
        assert {agent.finish(stream).status for stream in streams} == {0}
        port.close()
        assert process.wait(20) == 0


@pytest.mark.timeout(FIRST_BUILD)
@pytest.mark.parametrize("target", MACHINES)
def test_another_compiler_builds_it_for_any_processor(tmp_path: Path, target: str) -> None:
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed")
    check(build_for(target, tmp_path / "agent"), target)


def test_where_nothing_can_build_it_that_is_said(tmp_path: Path) -> None:
    command: list[str | Path] = [
        sys.executable,
        ROOT / "native" / "agent" / "build.py",
        "--target",
        "vax",
        "--output",
        tmp_path / "agent",
    ]
    # Nor would ziglang know that one.
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 1
    assert done.stderr
    assert list(tmp_path.glob("agent")) == []
    if importlib.util.find_spec("ziglang") is None:
        expected = "there is neither clang with musl (Debian's musl-dev) nor ziglang to build it for vax.\n"
        assert done.stderr == expected
