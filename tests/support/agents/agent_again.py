# SPDX-License-Identifier: Apache-2.0
"""The tests of the agent once more, for an agent that runs in another way: a module takes what `again` returns into
its namespace, and has a fixture `agent` of its own."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection

Test = Callable[..., object]
MODULES = (
    "test_agent_files",
    "test_agent_forwards",
    "test_agent_port",
    "test_agent_processes",
    "test_agent_trees",
)


def again(without: Collection[str]) -> dict[str, Test]:
    """The tests that speak to an agent which is there. What is left out must be one of them."""
    found = {
        name: test
        for module in MODULES
        for name, test in vars(importlib.import_module(module)).items()
        if name.startswith("test_") and callable(test) and "agent" in inspect.signature(test).parameters
    }
    missing = set(without) - set(found)
    if missing:
        raise LookupError(f"there are no such tests: {missing}")
    return {name: test for name, test in found.items() if name not in without}
