# SPDX-License-Identifier: Apache-2.0
"""The reader of what others say, by itself: tests/native/messages/*.m."""

from __future__ import annotations

import sys

import pytest

from native_programs import Programs

if sys.platform == "darwin":
    pytest.skip("its programs are linked with native/linux", allow_module_level=True)


@pytest.fixture(scope="module")
def programs() -> Programs:
    return Programs("messages", ["runtime", "CoreFoundation", "dispatch", "messages"])


@pytest.mark.parametrize("flavour", ["O3", "address"])
def test_json_is_read_whole_within_bounds_and_by_its_types_and_words_are_shown_without_controls(
    programs: Programs, flavour: str
) -> None:
    result = programs.run("reader", flavour)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
