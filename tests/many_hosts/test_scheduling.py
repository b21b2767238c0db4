# SPDX-License-Identifier: Apache-2.0
"""Which call goes to which node, and what becomes of it when nodes differ, fail and die: nodes that are played."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from played_nodes import PlayedNode, PlayedNodes

import applevz
from applevz.errors import make
from applevz.ray._outcomes import outcome_of
from applevz.ray._scheduling import RayFuture, Scheduler
from processes import eventually

PATIENCE = 30.0


Make = Callable[..., Scheduler]


@pytest.fixture
def make_scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr("applevz.ray._scheduling._LOOK", 0.05)
    made = []
    before = threading.active_count()

    def make_one(*nodes: PlayedNode, most_waiting: int = 1000, patience: float = 0.2) -> Scheduler:
        scheduler = Scheduler(PlayedNodes(*nodes), most_waiting, patience)
        made.append((scheduler, nodes))
        return scheduler

    yield make_one
    for scheduler, nodes in made:
        for node in nodes:
            node.at_once = True
            node.finish_all()
        scheduler.shut_down(wait=True, cancel=True)
        assert scheduler.counts[:2] == (0, 0)
    assert eventually(lambda: threading.active_count() <= before)


def added(scheduler: Scheduler, *words: str, retries: int = 0) -> list[RayFuture]:
    return [scheduler.add(word.encode(), retries) for word in words]


def test_every_call_is_made_once_and_comes_to_its_own_result(make_scheduler: Make) -> None:
    nodes = [PlayedNode(name, 3) for name in ("a", "b", "c")]
    scheduler = make_scheduler(*nodes)
    futures = added(scheduler, *(str(number) for number in range(500)))
    assert [future.result(PATIENCE)[1] for future in futures] == [str(number) for number in range(500)]
    assert sorted(int(call) for node in nodes for call in node.seen) == list(range(500))


def test_no_node_has_more_calls_than_machines_and_the_least_busy_gets_the_next(make_scheduler: Make) -> None:
    small, large = PlayedNode("small", 2), PlayedNode("large", 6)
    small.at_once = large.at_once = False
    scheduler = make_scheduler(small, large)
    futures = added(scheduler, *"abcdefghijkl")
    assert eventually(lambda: scheduler.counts[1] == 8, PATIENCE)
    assert (len(small.calls), len(large.calls)) == (2, 6)
    assert scheduler.counts == (4, 8, 8)
    # As many more come to a node as it ends: one that is slow keeps none from others.
    while not all(future.done() for future in futures):
        large.finish_all()
        time.sleep(0.01)
        if scheduler.counts[0] == 0 and not large.calls:
            small.finish_all()
    assert (small.most, large.most) == (2, 6)
    assert len(small.seen) == 2
    assert small.given_back == large.given_back == 0


def test_machines_are_laid_over_the_nodes_by_how_much_of_each_is_in_use(make_scheduler: Make) -> None:
    nodes = [PlayedNode("a", 10), PlayedNode("b", 10), PlayedNode("c", 20)]
    for node in nodes:
        node.at_once = False
    scheduler = make_scheduler(*nodes)
    added(scheduler, *(str(number) for number in range(20)))
    assert eventually(lambda: scheduler.counts[1] == 20, PATIENCE)
    counts = [len(node.calls) for node in nodes]
    assert counts[0] in (5, 6)
    assert counts[1] in (4, 5, 6)
    assert counts[2] in (9, 10, 11)


def test_whoever_submits_waits_while_as_many_wait_as_may(make_scheduler: Make) -> None:
    node = PlayedNode("a", 1)
    node.at_once = False
    scheduler = make_scheduler(node, most_waiting=3)
    futures = added(scheduler, *"abcd")
    assert eventually(lambda: scheduler.counts[:2] == (3, 1), PATIENCE)
    more: list[RayFuture] = []
    thread = threading.Thread(target=lambda: more.extend(added(scheduler, "e")))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    node.finish_all()
    thread.join(PATIENCE)
    assert more
    # A callback is in the thread that takes the calls away: it does not wait for itself.
    last: list[RayFuture] = []
    futures[1].add_done_callback(lambda _: last.extend(added(scheduler, *"fgh")))
    node.at_once = True
    node.finish_all()
    assert [future.result(PATIENCE)[1] for future in [*futures, *more]] == list("abcde")
    assert eventually(lambda: len(last) == 3, PATIENCE)
    assert [future.result(PATIENCE)[1] for future in last] == list("fgh")


def test_what_was_under_way_on_a_node_that_dies_is_lost_and_what_waited_runs_elsewhere(make_scheduler: Make) -> None:
    dying, other = PlayedNode("dying", 2), PlayedNode("other", 2)
    dying.at_once = other.at_once = False
    scheduler = make_scheduler(dying, other)
    futures = added(scheduler, *(str(number) for number in range(10)))
    assert eventually(lambda: scheduler.counts[:2] == (6, 4), PATIENCE)
    begun = set(dying.seen)
    dying.die()
    other.at_once = True
    other.finish_all()
    concurrent.futures.wait(futures, PATIENCE)
    lost = {str(number).encode() for number, future in enumerate(futures) if future.exception() is not None}
    assert lost == begun
    for future in futures:
        error = future.exception()
        if error is not None:
            assert type(error) is applevz.MachineLostError
            assert "'dying'" in str(error)
            assert "Its power went." in str(error)
    # Nothing that may have run ran again, and all the rest ran once.
    assert sorted([*dying.seen, *other.seen]) == sorted(str(number).encode() for number in range(10))
    assert dying.ended


def test_a_machine_that_was_on_its_way_when_its_node_died_costs_no_call(make_scheduler: Make) -> None:
    dying, other = PlayedNode("dying", 4), PlayedNode("other", 1)
    dying.takes_wait = True
    other.at_once = False
    scheduler = make_scheduler(dying, other)
    futures = added(scheduler, *"abc")
    assert eventually(lambda: len(dying.waiting_takes) >= 2, PATIENCE)
    dying.die()
    other.at_once = True
    other.finish_all()
    assert [future.result(PATIENCE) for future in futures] == [("other", word) for word in "abc"]
    assert dying.seen == []


def test_what_may_have_run_runs_again_only_as_often_as_the_caller_allowed(make_scheduler: Make) -> None:
    dying = PlayedNode("dying", 2)
    dying.at_once = False
    nodes = [dying]
    scheduler = make_scheduler(dying, patience=PATIENCE)
    once, twice = added(scheduler, "once", retries=1)[0], added(scheduler, "never")[0]
    assert eventually(lambda: len(dying.calls) == 2, PATIENCE)
    other = PlayedNode("other", 2)
    other.at_once = False
    scheduler._nodes.nodes[:] = [other]  # type: ignore[attr-defined]
    dying.die()
    assert isinstance(twice.exception(PATIENCE), applevz.MachineLostError)
    assert eventually(lambda: other.seen == [b"once"], PATIENCE)
    assert once.running()
    assert not once.cancel()
    other.die()
    scheduler._nodes.nodes.clear()  # type: ignore[attr-defined]
    assert isinstance(once.exception(PATIENCE), applevz.MachineLostError)
    assert len(nodes[0].seen) == 2


def test_a_node_whose_process_dies_again_and_again_is_not_asked_any_more(make_scheduler: Make) -> None:
    dying = PlayedNode("dying", 1)
    dying.at_once = False
    scheduler = make_scheduler(dying)
    futures = added(scheduler, *"abcde")
    for _ in range(3):
        assert eventually(lambda: dying.calls, PATIENCE)
        dying.die()
        dying.dead = False
    errors = [future.exception(PATIENCE) for future in futures]
    assert [type(error) for error in errors] == [applevz.MachineLostError] * 3 + [applevz.NoNodeError] * 2
    assert "dying: Its process died 3 times. Its power went." in str(errors[-1])


def test_nodes_that_differ_are_not_chosen_and_if_there_is_no_other_the_error_says_what_differs(
    make_scheduler: Make,
) -> None:
    differs, other = PlayedNode("differs", 9), PlayedNode("other", 1)
    differs.error_of_prepare = make(
        applevz.RestoreError, "The state cannot be restored.", "The version of QEMU is 8.2; the state has 7.2."
    )
    scheduler = make_scheduler(differs, other)
    assert [future.result(PATIENCE)[0] for future in added(scheduler, *"abc")] == ["other"] * 3
    assert scheduler.refused == {"differs": "The version of QEMU is 8.2; the state has 7.2."}
    assert differs.taken == 0
    assert differs.ended
    alone = make_scheduler(differs, patience=PATIENCE)
    before = time.monotonic()
    error = added(alone, "a")[0].exception(PATIENCE)
    # Nobody waits for a node that says no.
    assert time.monotonic() - before < PATIENCE / 2
    assert type(error) is applevz.NoNodeError
    assert "differs: The version of QEMU is 8.2; the state has 7.2." in str(error)


def test_a_node_that_comes_later_is_used(make_scheduler: Make) -> None:
    scheduler = make_scheduler(patience=PATIENCE)
    futures = added(scheduler, *"ab")
    time.sleep(0.1)
    assert not futures[0].running()
    scheduler._nodes.nodes.append(PlayedNode("late", 1))  # type: ignore[attr-defined]
    assert [future.result(PATIENCE) for future in futures] == [("late", "a"), ("late", "b")]


def test_calls_for_which_no_node_comes_never_ran(make_scheduler: Make) -> None:
    scheduler = make_scheduler()
    futures = added(scheduler, *"ab")
    for future in futures:
        assert type(future.exception(PATIENCE)) is applevz.NoNodeError
    assert "no node that has the resource applevz" in str(futures[0].exception())


def test_a_node_that_makes_no_machine_is_left_to_itself(make_scheduler: Make) -> None:
    broken, other = PlayedNode("broken", 5), PlayedNode("other", 1)
    broken.error_of_take = make(applevz.RestoreError, "No.", "The file is gone.")
    scheduler = make_scheduler(broken, other)
    futures = added(scheduler, *"abcdef")
    assert {future.result(PATIENCE)[0] for future in futures} == {"other"}
    assert scheduler.refused == {"broken": "The file is gone."}
    assert 3 <= broken.taken <= 5


def test_a_call_is_cancelled_until_it_is_sent_and_killed_from_then_on(make_scheduler: Make) -> None:
    node = PlayedNode("a", 1)
    node.at_once = False
    scheduler = make_scheduler(node)
    first, second, third = added(scheduler, *"abc")
    assert eventually(first.running, PATIENCE)
    assert not first.cancel()
    assert second.cancel()
    assert concurrent.futures.wait([second], PATIENCE).done == {second}
    assert third.kill()
    assert third.cancelled()
    assert first.kill()
    assert isinstance(first.exception(PATIENCE), applevz.GuestConnectionLostError)
    assert not first.kill()
    assert node.seen == [b"a"]


def test_a_machine_for_which_there_is_no_call_any_more_is_given_back(make_scheduler: Make) -> None:
    node = PlayedNode("a", 2)
    node.takes_wait = True
    scheduler = make_scheduler(node)
    kept, cancelled = added(scheduler, *"ab")
    assert eventually(lambda: len(node.waiting_takes) == 2, PATIENCE)
    assert cancelled.cancel()
    for number, take in enumerate(node.waiting_takes):
        take.set_result(number)
    assert kept.result(PATIENCE) == ("a", "a")
    assert eventually(lambda: node.given_back == 1, PATIENCE)


def test_a_task_of_asyncio_waits_for_a_call_and_cancels_what_was_not_sent(make_scheduler: Make) -> None:
    node = PlayedNode("a", 1)
    node.at_once = False
    sent, waiting = added(make_scheduler(node), *"ab")
    assert eventually(lambda: node.calls, PATIENCE)

    async def wait_for_both() -> None:
        tasks = [asyncio.ensure_future(asyncio.wrap_future(future)) for future in (waiting, sent)]
        assert tasks[0].cancel()
        # Cancelling comes to the call in a later turn of the loop.
        assert (await asyncio.wait(tasks[:1], timeout=PATIENCE))[0] == {tasks[0]}
        await asyncio.sleep(0)
        assert waiting.cancelled()
        node.finish_all()
        assert await asyncio.wait_for(tasks[1], PATIENCE) == ("a", "a")

    asyncio.run(wait_for_both())
    assert node.seen == [b"a"]


def test_shutting_down_waits_for_all_calls_or_cancels_what_has_not_begun(make_scheduler: Make) -> None:
    node = PlayedNode("a", 1)
    node.at_once = False
    scheduler = make_scheduler(node)
    futures = added(scheduler, *"abc")
    assert eventually(futures[0].running, PATIENCE)
    scheduler.shut_down(wait=False, cancel=True)
    assert concurrent.futures.wait(futures[1:], PATIENCE).not_done == set()
    assert not node.ended
    with pytest.raises(applevz.InvalidStateError, match="The executor was shut down"):
        added(scheduler, "d")
    node.finish_all()
    scheduler.shut_down(wait=True, cancel=False)
    assert futures[0].result(0) == ("a", "a")
    assert node.ended


def test_an_error_of_a_call_is_its_own_and_has_the_traceback_of_the_node(make_scheduler: Make) -> None:
    node = PlayedNode("a", 1)
    node.at_once = False
    scheduler = make_scheduler(node)

    def fail() -> None:
        raise make(applevz.RestoreError, "What.", "Why.")

    class OddError(Exception):
        pass

    def fail_oddly() -> None:
        raise OddError

    first, second = added(scheduler, *"ab")
    assert eventually(lambda: node.calls, PATIENCE)
    node.finish(1, outcome_of(fail))
    error = first.exception(PATIENCE)
    assert type(error) is applevz.RestoreError
    assert (error.domain, error.code, error.failure_reason) == ("VZErrorDomain", 12, "Why.")
    assert "in fail" in str(error.__cause__)
    assert eventually(lambda: node.calls, PATIENCE)
    node.finish(2, outcome_of(fail_oddly))
    odd = second.exception(PATIENCE)
    assert isinstance(odd, pickle.PicklingError)
    assert "OddError was raised, which cannot be pickled" in str(odd)


def test_the_row_of_nodes_does_not_grow_with_the_calls(make_scheduler: Make) -> None:
    nodes = [PlayedNode(str(number), 2) for number in range(10)]
    scheduler = make_scheduler(*nodes, most_waiting=100)
    futures = added(scheduler, *(str(number) for number in range(5000)))
    assert futures[-1].result(PATIENCE)[1] == "4999"
    assert len(scheduler._free) <= 1100


def test_a_mistake_in_its_own_thread_is_told_to_all_who_wait(make_scheduler: Make) -> None:
    node = PlayedNode("a", 1)
    scheduler = make_scheduler(node)
    node.take = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    future = added(scheduler, "a")[0]
    assert isinstance(future.exception(PATIENCE), ZeroDivisionError)
    with pytest.raises(applevz.InvalidStateError):
        added(scheduler, "b")
