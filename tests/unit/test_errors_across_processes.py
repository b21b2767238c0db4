# SPDX-License-Identifier: Apache-2.0
"""Errors of another process: each type that there is comes back with its native error's words and attributes."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import applevz
import errors_of_all_kinds
from errors_of_all_kinds import kinds, said


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_every_error_of_another_process_is_the_same_here(protocol: int) -> None:
    command = [sys.executable, errors_of_all_kinds.__file__, str(protocol)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.stderr.decode() == ""
    told = pickle.loads(done.stdout)
    seen = set()
    for data, expected in told:
        error = pickle.loads(data)
        assert said(error) == expected
        seen |= {kind.__name__ for kind in type(error).__mro__}
    assert {kind.__name__ for kind in kinds()} - seen == set()
    assert {"FileNotFoundError", "MemoryError", "TimeoutExpired", "BlockingIOError"} <= seen


def test_what_may_have_run_and_what_never_ran_are_told_apart() -> None:
    lost, never = applevz.MachineLostError, applevz.NoNodeError
    assert issubclass(lost, applevz.GuestConnectionLostError)
    assert issubclass(never, applevz.GuestUnreachableError)
    assert not issubclass(lost, applevz.GuestUnreachableError)
    assert not issubclass(never, applevz.GuestConnectionLostError)
