# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/ray.md: 2,000 commands with a node that is killed in the middle, and what a command costs by Ray.

`make test-ray` runs these, and prints the figures. Nothing else should run beside it.
"""

from __future__ import annotations

import concurrent.futures
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from played_nodes import PlayedNode, PlayedNodes
from ray_cluster import ClusterOfNodes, cluster_of_nodes, connect

import applevz
from applevz import MachineExecutor, Pool, VirtualMachine
from applevz.ray import RayExecutor
from applevz.ray._scheduling import Scheduler
from guest_machine import PATIENCE
from pool_guests import configuration_of, of_a_pool, restored

pytest.importorskip("ray", reason="there is no Ray for this Python")
pytestmark = [
    pytest.mark.timeout(5400),  # the first one counts
    *of_a_pool,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.skipif(sys.platform != "linux", reason="the nodes of a host are told apart by /proc"),
]
COMMANDS = 2000
LONG = 3600.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterOfNodes]:
    with cluster_of_nodes(tmp_path) as cluster:
        for name in ("first", "second", "third"):
            cluster.add(name, 2)
        connect(cluster, __name__)
        yield cluster


def shown(words: str) -> None:
    print(f"\n{words}", flush=True)


def test_two_thousand_commands_have_their_results_though_a_node_is_killed_in_the_middle(
    cluster: ClusterOfNodes, guest_files: Path, ready_state: Path
) -> None:
    began = time.monotonic()
    with RayExecutor(configuration_of(guest_files), ready_state) as executor:
        assert executor.run(["echo", "ready"], text=True, timeout=LONG).result(LONG).stdout == "ready\n"
        shown(f"the first result after {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        futures = [executor.run(["echo", str(n)], text=True, timeout=LONG) for n in range(COMMANDS)]
        done = concurrent.futures.as_completed(futures, LONG)
        for count in range(COMMANDS // 2):
            next(done)
            if count % 100 == 99:
                shown(f"{count + 1} after {time.monotonic() - began:.0f} s")
        halfway = time.monotonic()
        identifier = cluster.identifier("third")[:8]
        cluster.kill("third")
        lost = []
        for number, future in enumerate(futures):
            error = future.exception(LONG)
            if error is None:
                assert future.result(0).stdout == f"{number}\n"
            else:
                assert type(error) is applevz.MachineLostError, error
                assert identifier in str(error)
                lost.append(number)
        took = time.monotonic() - began
    assert len(lost) <= 2
    shown(f"{COMMANDS - len(lost)} right results in {took:.0f} s, {COMMANDS / took:.1f} a second; {len(lost)} lost")
    shown(f"the first half took {halfway - began:.0f} s")


def nothing(machine: VirtualMachine) -> int:
    return 1


def median_of(call: Callable[[], Any], ready: Callable[[], None], count: int = 30) -> float:
    times = []
    for _ in range(count):
        ready()
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def test_a_command_by_ray_takes_hardly_longer_than_one_of_the_pool_here(
    cluster: ClusterOfNodes, guest_files: Path, ready_state: Path
) -> None:
    configuration = configuration_of(guest_files)
    calls: dict[str, Callable[[Any], Any]] = {
        "a function that does nothing": lambda executor: executor.submit(nothing).result(PATIENCE),
        "a command": lambda executor: executor.run(["true"], timeout=PATIENCE).result(PATIENCE),
    }
    figures: dict[str, list[float]] = {}
    with Pool(configuration, ready_state, maximum=2) as pool, MachineExecutor(pool) as executor:
        for name, call in calls.items():
            figures[name] = [median_of(lambda: call(executor), lambda: restored(pool))]  # noqa: B023  # called at once
    cluster.kill("second")
    cluster.kill("third")
    with RayExecutor(configuration, ready_state) as by_ray:
        calls["a command"](by_ray)
        for name, call in calls.items():
            # Its pool is elsewhere: nobody here sees when the spare is ready.
            figures[name].append(median_of(lambda: call(by_ray), lambda: time.sleep(1.0)))  # noqa: B023
    for name, (here, there) in figures.items():
        shown(f"{name}: {here:.1f} ms by the pool here, {there:.1f} ms by Ray: {there - here:.1f} ms more")
        assert there - here <= 10.0


class AnsweringNode(PlayedNode):
    """Ends each call at once, without a word of what was called."""

    OUTCOME = b"\x80\x04\x88N\x86."  # a pickled (True, None)

    def call(self, ticket: int, call: bytes) -> Future[bytes]:
        return self._future(self.OUTCOME)


def test_how_many_calls_a_second_are_laid_over_a_thousand_nodes() -> None:
    count = 50_000
    nodes = [AnsweringNode(str(number), 16) for number in range(1000)]
    scheduler = Scheduler(PlayedNodes(*nodes), 10_000, 1.0)
    began = time.perf_counter()
    futures = [scheduler.add(b"", 0) for _ in range(count)]
    concurrent.futures.wait(futures, LONG)
    took = time.perf_counter() - began
    scheduler.shut_down(wait=True, cancel=False)
    shown(f"{count / took:.0f} calls a second over {len(nodes)} nodes, in this process alone")
    assert count / took > 1000


def test_how_many_calls_a_second_one_process_exchanges_with_actors(cluster: ClusterOfNodes) -> None:
    import ray

    outcome = AnsweringNode.OUTCOME  # what it is made of is not there

    class Answering:
        def call(self, ticket: int, call: bytes) -> bytes:
            return outcome

    actors = [ray.remote(Answering).options(num_cpus=0, max_concurrency=8).remote() for _ in range(3)]
    ray.get([actor.call.remote(0, b"") for actor in actors])
    alone = median_of(lambda: ray.get(actors[0].call.remote(0, b"")), lambda: None, 300)
    count = 3000
    began = time.perf_counter()
    ray.get([actors[n % 3].call.remote(n, bytes(1000)) for n in range(count)])
    took = time.perf_counter() - began
    shown(f"{alone:.2f} ms for one call of an actor; {count / took:.0f} a second, many at once")
