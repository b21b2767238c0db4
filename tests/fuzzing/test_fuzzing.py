# SPDX-License-Identifier: Apache-2.0
"""A moment of fuzzing for each reader of what others send or leave, and what was found by longer runs: `make fuzz`."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from pathlib import Path

import fuzz
import native_readers
import native_seeds
import pytest
from native_seeds import line
from python_guest import qemu_agent_seeds
from python_readers import READERS

if sys.platform == "darwin":
    pytest.skip("the readers are those of the Linux classes", allow_module_level=True)

# What one that reads kernels reads in a second; none takes longer than that. In Python it is time alone.
RUNS, SECONDS = 4000, 0.3
# Of a guest that says so at any time, and of a number that is none to Python.
LATEST = {"return": {"last-update": (1 << 63) - 1, "stats": {"stat-total-memory": 5}}}
FOUND_NATIVE = [
    ("answers", b"\0" + b"".join(map(line, [{"return": []}, {"return": {"actual": 5}}, LATEST]))),
]
NO_NUMBER = qemu_agent_seeds()[0]
for before, after in ((b"TWVtVG90YWw6IDUga0IK", base64.b64encode("MemTotal: ² kB\n".encode())), (b": 15,", b": 16,")):
    assert before in NO_NUMBER
    NO_NUMBER = NO_NUMBER.replace(before, after)
FOUND_PYTHON = [
    ("description", b"{}"),
    ("description", json.dumps({"kernel": None, "initial_ramdisk": None, "made": 10**400}).encode()),
    ("qemu-agent", NO_NUMBER),
]


@pytest.fixture(scope="module")
def programs(guest_files: Path) -> dict[str, Path]:
    return native_readers.build()


@pytest.mark.parametrize("reader", native_readers.READERS)
def test_a_native_reader_takes_whatever_comes(programs: dict[str, Path], reader: str, tmp_path: Path) -> None:
    folder = tmp_path / reader
    words = ("-max_total_time=1", f"-runs={RUNS}", "-seed=1", str(folder))
    result = native_readers.run(programs[reader], reader, *words, folder=folder)
    assert result.returncode == 0, result.stderr[-6000:]
    # On a busy machine not much more than what it is begun with.
    assert native_readers.executions(result.stderr) > len(native_seeds.seeds()[reader])


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_in_python_takes_whatever_comes(reader: str, tmp_path: Path) -> None:
    result = fuzz.fuzz_python(reader, SECONDS, 1, tmp_path)
    assert not result.failed, result.words[-6000:]
    assert result.executions >= len(READERS[reader].seeds())


@pytest.mark.parametrize(("reader", "data"), FOUND_NATIVE, ids=lambda value: value if isinstance(value, str) else "")
def test_what_was_found_in_a_native_reader_is_mended(
    programs: dict[str, Path], reader: str, data: bytes, tmp_path: Path
) -> None:
    (tmp_path / "found").write_bytes(data)
    result = native_readers.run(programs[reader], reader, str(tmp_path / "found"), folder=tmp_path / "seeds")
    assert result.returncode == 0, result.stderr[-6000:]


@pytest.mark.parametrize(("reader", "data"), FOUND_PYTHON, ids=lambda value: value if isinstance(value, str) else "")
def test_what_was_found_in_a_reader_in_python_is_mended(reader: str, data: bytes) -> None:
    # The errors that a caller is to see are no finding.
    with contextlib.suppress(*READERS[reader].allowed):
        READERS[reader].read(data)
