# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/ray.md: 2,000 commands with a node that is killed in the middle, and what a command costs by Ray.

`make test-ray` runs these, and prints the figures. Nothing else should run beside it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import statistics
import sys
import time
from collections import defaultdict
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
from applevz.ray._cluster import future_of, nodes_with_the_resource
from applevz.ray._outcomes import result_of
from applevz.ray._scheduling import Scheduler
from guest_machine import PATIENCE
from pool_guests import configuration_of, of_a_pool, restored
from processes import eventually

pytest.importorskip("ray", reason="there is no Ray for this Python")
pytestmark = [
    pytest.mark.timeout(5400),  # the first one counts
    *of_a_pool,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.skipif(sys.platform != "linux", reason="the nodes of a host are told apart by /proc"),
]
COMMANDS = 2000
LONGER = range(COMMANDS // 2, COMMANDS // 2 + 12)  # of these some are under way when a node is killed
TURNS = 30
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
        began, used = time.monotonic(), time.process_time()
        commands = [f"{'sleep 5; ' if n in LONGER else ''}echo {n}" for n in range(COMMANDS)]
        futures = [executor.run(command, shell=True, text=True, timeout=LONG) for command in commands]
        done = concurrent.futures.as_completed(futures, LONG)
        for count in range(COMMANDS // 2):
            next(done)
            if count % 100 == 99:
                shown(f"{count + 1} after {time.monotonic() - began:.0f} s")
        halfway = time.monotonic()
        identifier = cluster.identifier("third")[:8]
        under_way = [futures[n] for n in LONGER]
        assert eventually(lambda: any(identifier in str(future.node) for future in under_way), PATIENCE)
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
        took, used = time.monotonic() - began, time.process_time() - used
    assert 1 <= len(lost) <= 2  # as many as the node's machines, at most
    shown(f"{COMMANDS - len(lost)} right results in {took:.0f} s, {COMMANDS / took:.1f} a second; {len(lost)} lost")
    shown(f"the first half: {halfway - began:.0f} s, {COMMANDS / 2 / (halfway - began):.1f} a second")
    shown(f"{used / took * 100:.1f} % of a processor for what this process did")


def test_how_many_commands_a_second_the_pool_here_has(guest_files: Path, ready_state: Path) -> None:
    with (
        Pool(configuration_of(guest_files), ready_state, maximum=6, spares=3) as pool,
        MachineExecutor(pool) as executor,
    ):
        restored(pool)
        count = COMMANDS // 10
        began = time.monotonic()
        futures = [executor.run(["echo", str(n)], text=True, timeout=LONG) for n in range(count)]
        assert [future.result(LONG).stdout for future in futures] == [f"{n}\n" for n in range(count)]
        took = time.monotonic() - began
    shown(f"{count / took:.1f} commands a second by the pool here, which has as many machines as the three nodes")


def moment(machine: VirtualMachine) -> float:
    """When it was called: all processes of a host have the same clock."""
    return time.monotonic()


def spare_is_ready(executor: RayExecutor) -> bool:
    """Whether the only node of an executor has its spare ready, and nothing else to do."""
    import ray

    (node,) = executor._scheduler._known.values()
    actor = node.remote._actor  # type: ignore[attr-defined]  # it is a node of Ray's
    told = ray.get(actor.__ray_call__.remote(lambda actor: actor._node._pool.statistics()))
    return bool(told.ready == 1 and told.machines == 0)


def measured(executor: Any, ready: Callable[[], None], times: dict[str, list[float]]) -> None:
    """How long one call takes that does nothing, in its two parts, and one command, each with a spare that is ready."""
    ready()
    began = time.monotonic()
    called = executor.submit(moment).result(PATIENCE)
    ended = time.monotonic()
    assert began < called < ended
    times["until a function is called"].append(called - began)
    times["from then on, until its result is there"].append(ended - called)
    times["both"].append(ended - began)
    ready()
    began = time.monotonic()
    done = executor.run(["echo", "done"], text=True, timeout=PATIENCE).result(PATIENCE)
    times["a command"].append(time.monotonic() - began)
    assert done.stdout == "done\n"


def test_what_a_command_costs_more_by_ray_than_by_the_pool_here(
    cluster: ClusterOfNodes, guest_files: Path, ready_state: Path
) -> None:
    configuration = configuration_of(guest_files)
    cluster.kill("second")
    cluster.kill("third")
    assert eventually(lambda: len(nodes_with_the_resource()) == 1, LONG)
    here: dict[str, list[float]] = defaultdict(list)
    there: dict[str, list[float]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(Pool(configuration, ready_state, maximum=2))
        executor = stack.enter_context(MachineExecutor(pool))
        by_ray = stack.enter_context(RayExecutor(configuration, ready_state))
        by_ray.run(["true"], timeout=LONG).result(LONG)

        def ready() -> None:
            restored(pool)
            assert eventually(lambda: spare_is_ready(by_ray), PATIENCE)

        # In turn, so that both have the same of whatever else the host does.
        for _ in range(TURNS):
            measured(executor, ready, here)
            measured(by_ray, ready, there)
    for name, ours in here.items():
        theirs = there[name]
        more = statistics.median(one - other for one, other in zip(theirs, ours)) * 1e3
        by_pool, by_cluster = (statistics.median(times) * 1e3 for times in (ours, theirs))
        shown(f"{name}: {by_pool:.1f} ms by the pool here, {by_cluster:.1f} ms by Ray: {more:.1f} ms more in a pair")


class AnsweringNode(PlayedNode):
    """Ends each call at once, without a word of what was called."""

    OUTCOME = b"\x80\x04\x88N\x86."  # a pickled (True, None)

    def call(self, ticket: int, call: bytes) -> Future[bytes]:
        return self._future(self.OUTCOME)


def test_how_many_calls_a_second_are_laid_over_a_thousand_nodes() -> None:
    count = 50_000
    nodes = [AnsweringNode(str(number), 16) for number in range(1000)]
    scheduler = Scheduler(PlayedNodes(*nodes), 10_000, 1.0)
    began = time.process_time()
    futures = [scheduler.add(b"", 0) for _ in range(count)]
    assert concurrent.futures.wait(futures, LONG).not_done == set()
    took = time.process_time() - began
    assert all(future.result() is None for future in futures)
    scheduler.shut_down(wait=True, cancel=False)
    shown(f"{count / took:.0f} calls laid over {len(nodes)} nodes in a second of processor time, without Ray's part")


def test_how_many_calls_a_second_one_process_exchanges_with_actors(cluster: ClusterOfNodes) -> None:
    import ray

    outcome = AnsweringNode.OUTCOME  # what it is made of is not there

    class Answering:
        def call(self, ticket: int, call: bytes) -> bytes:
            return outcome

    actors = [ray.remote(Answering).options(num_cpus=0, max_concurrency=8).remote() for _ in range(3)]
    ray.get([actor.call.remote(0, b"") for actor in actors])
    alone = []
    for _ in range(300):
        began = time.perf_counter()
        # As an executor has its answers.
        assert future_of(actors[0].call.remote(0, b""), result_of).result(LONG) is None
        alone.append((time.perf_counter() - began) * 1e3)
    count = 3000
    began, used = time.perf_counter(), time.process_time()
    futures = [future_of(actors[n % 3].call.remote(n, bytes(200)), result_of) for n in range(count)]
    assert concurrent.futures.wait(futures, LONG).not_done == set()
    took, used = time.perf_counter() - began, time.process_time() - used
    assert all(future.result() is None for future in futures)
    shown(f"{statistics.median(alone):.2f} ms for one call of an actor; {count / took:.0f} a second, many at once")
    shown(f"{count / used:.0f} calls of actors in a second of this process's processor time")
