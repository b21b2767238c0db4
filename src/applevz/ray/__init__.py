# SPDX-License-Identifier: Apache-2.0
"""Machines on many hosts, by Ray: an executor whose calls each have a fresh machine on some node, and one such machine.

    import ray
    from applevz.ray import RayExecutor

    ray.init(address="auto")
    with RayExecutor(configuration, "ready.state") as executor:
        print(executor.run(["uname", "-a"], text=True, timeout=60).result().stdout)

It takes the extra `applevz[ray]`. Ray is imported when it is used. Whoever reaches a cluster of Ray runs code on all of
its nodes: docs/ray.md says how to set its token.
"""

from __future__ import annotations

from ._contents import StoredContent
from ._executor import RayExecutor, RayStatistics
from ._scheduling import RayFuture

__all__ = ["RayExecutor", "RayFuture", "RayStatistics", "StoredContent"]
