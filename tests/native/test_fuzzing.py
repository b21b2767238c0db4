# SPDX-License-Identifier: Apache-2.0
"""A second of libFuzzer for each reader of what others send or leave; tests/native/fuzzing.py runs longer by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import fuzzing
import pytest

from native_programs import BUILD
from processes import locked

if sys.platform == "darwin":
    pytest.skip("the readers are those of the Linux classes", allow_module_level=True)

SECONDS = 1


@pytest.fixture(scope="module")
def program(guest_files: Path) -> Path:
    # Tests in another process may want the same objects.
    with locked(BUILD / ".lock"):
        return fuzzing.build()


@pytest.mark.parametrize("reader", fuzzing.READERS)
def test_a_reader_takes_whatever_comes(program: Path, reader: str, tmp_path: Path) -> None:
    folder = tmp_path / reader
    result = fuzzing.run(program, reader, f"-max_total_time={SECONDS}", "-seed=1", str(folder), folder=folder)
    assert result.returncode == 0, result.stderr[-6000:]
    # On a busy machine not much more than what it is begun with.
    assert fuzzing.executions(result.stderr) > len(fuzzing.seeds()[reader])
