# SPDX-License-Identifier: Apache-2.0
"""The guest agent on this host, over a socket. It ends with status 0: the sanitizers found nothing, and no memory is
lost."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_builds import sanitized_agent
from agent_on_this_host import Agents, agents
from agent_protocol import Speaker, agent_process
from agent_trees import make_tree
from applevz._blocking.guest import Guest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem.startswith("test_agent") and sys.platform != "linux":
            item.add_marker(pytest.mark.skip(reason="the agent runs on Linux"))


@pytest.fixture
def agent() -> Iterator[Speaker]:
    with agent_process(sanitized_agent()) as (port, process):
        yield Speaker(port)
        port.close()
        assert process.wait(20) == 0


@pytest.fixture
def served() -> Iterator[Agents]:
    """An agent of the package on this host, for the library's own side."""
    with agents() as made:
        made.start()
        yield made


@pytest.fixture
def guest(served: Agents) -> Guest:
    return Guest(served.port.host, None)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with one of everything."""
    return make_tree(tmp_path / "source")


@pytest.fixture
def client() -> Iterator[Callable[[int], socket.socket]]:
    """Connects to what the agent has listen."""
    sockets = []

    def connect(port: int, address: str = "127.0.0.1", kind: int = socket.SOCK_STREAM) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        sockets.append(made)
        made.settimeout(20)
        made.connect((address, port))
        return made

    yield connect
    for each in sockets:
        each.close()
