# SPDX-License-Identifier: Apache-2.0
"""A module and its twin, whose functions are awaited."""

from __future__ import annotations

import inspect
from types import ModuleType


def check_names_and_signatures(blocking: ModuleType, awaited: ModuleType) -> None:
    assert awaited.__all__ == blocking.__all__
    for name in blocking.__all__:
        first, second = getattr(blocking, name), getattr(awaited, name)
        if inspect.isclass(first):
            assert first is second
        else:
            assert inspect.signature(first) == inspect.signature(second), name
            assert inspect.iscoroutinefunction(second)
            assert first.__doc__
            assert second.__doc__
