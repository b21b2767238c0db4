# SPDX-License-Identifier: Apache-2.0
"""A cluster of Ray's whose nodes are all on this host, each with a cache of its own. Nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import eventually

__all__ = ["SETTINGS", "ClusterOfNodes", "cluster_of_nodes"]

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # otherwise it warns
    "RAY_AUTH_MODE": "disabled",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_worker_niceness": "0",  # machines inherit it
    "RAY_DISABLE_MEMORY_MONITOR": "1",  # other tests use this host's memory, too
}


# Ray ends a node whose agents have not told within 15 s which ports they have. They are told which.
AGENTS = ("dashboard_agent_listen_port", "metrics_agent_port", "metrics_export_port", "runtime_env_agent_port")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class ClusterOfNodes:
    """Nodes are known by the names that they are added with."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.folder = folder
        self._before = descendants(os.getpid())
        self._cluster = Cluster()
        self._nodes: dict[str, Any] = {}

    def add(self, name: str, machines: int, **environment: str) -> None:
        """Adds a node. The first one is that which this process is connected to."""
        for last in (*[False] * 5, True):
            try:
                self._nodes[name] = self._cluster.add_node(
                    num_cpus=0,
                    resources={"applevz": machines},
                    env_vars={"XDG_CACHE_HOME": str(self.cache(name).parent.parent), **environment},
                    include_dashboard=False,
                    include_log_monitor=False,
                    no_monitor=True,
                    **dict(zip(AGENTS, free_ports(len(AGENTS)))),
                    object_store_memory=200 << 20,
                )
                return
            except Exception as error:
                # Ray gives a node half a minute to start, which a busy host may exceed.
                if last or "timed out during startup" not in str(error):
                    raise
                if self._cluster.head_node is None:
                    self._end_processes()

    def cache(self, name: str) -> Path:
        """The cache of a node."""
        return self.folder / name / "applevz" / "images"

    def identifier(self, name: str) -> str:
        """By which Ray knows the node."""
        found: str = self._nodes[name].node_id
        return found

    @property
    def address(self) -> str:
        found: str = self._cluster.address
        return found

    def kill(self, name: str) -> None:
        """Ends a node as if its power went: all of its processes at once."""
        node = self._nodes.pop(name)
        raylet = node.all_processes["raylet"][0].process.pid
        for process in [raylet, *descendants(raylet)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._cluster.remove_node(node, allow_graceful=False)

    def end(self) -> None:
        """Ends all of its processes, and removes what they wrote."""
        head = self._cluster.head_node
        session = str(head.get_session_dir_path()) if head is not None else ""
        processes = descendants(os.getpid()) - self._before
        with contextlib.suppress(Exception):
            self._cluster.shutdown()
        if not eventually(lambda: not processes & descendants(os.getpid()), 10):
            self._end_processes()
        if session.startswith("/tmp/ray/session_"):
            shutil.rmtree(session, ignore_errors=True)

    def _end_processes(self) -> None:
        """Ends those that this process and its children began."""
        for process in descendants(os.getpid()) - self._before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def descendants(process: int) -> set[int]:
    """The children of a process, and theirs."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


@contextmanager
def cluster_of_nodes(folder: Path) -> Iterator[ClusterOfNodes]:
    """A cluster without a node. This process is connected when `connect` is called, and not any more at the end."""
    before = {name: os.environ.get(name) for name in SETTINGS}
    handler = signal.getsignal(signal.SIGTERM)
    os.environ.update(SETTINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray

        cluster = ClusterOfNodes(folder)
        try:
            yield cluster
        finally:
            try:
                ray.shutdown()
            finally:
                cluster.end()
                signal.signal(signal.SIGTERM, handler)
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value


def connect(cluster: ClusterOfNodes, *by_value: str) -> None:
    """Connects this process. Functions of the modules that are named go to the nodes as they are."""
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    for name in by_value:
        ray.cloudpickle.register_pickle_by_value(sys.modules[name])
