# SPDX-License-Identifier: Apache-2.0
"""What a node does, without Ray: it gets what machines take, refuses what does not fit, and makes calls in machines."""

from __future__ import annotations

import dataclasses
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import VirtualMachine
from applevz.ray._node import Node
from applevz.ray._orders import Order, order_for
from applevz.ray._outcomes import result_of
from applevz.ray._sources import Source, source_argument
from guest_machine import PATIENCE
from pool_guests import MARK, configuration_of, of_a_pool, qemu_of_another_version
from processes import children, eventually

pytest.importorskip("filelock")
pytest.importorskip("platformdirs")
pytestmark = of_a_pool


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    threads, processes = threading.active_count(), children()
    yield
    assert eventually(lambda: children() <= processes)
    assert eventually(lambda: threading.active_count() <= threads)


@pytest.fixture(scope="module")
def sent(guest_files: Path, ready_state: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Order, Source]:
    """What a node gets, as it gets it: from elsewhere."""
    folder = tmp_path_factory.mktemp("hosts")
    order, given = order_for(configuration_of(guest_files), ready_state, cache=str(folder / "cache"))
    source = source_argument("files", folder / "given out")
    for one in given:
        source.publish(one.content, one.path)
    data = pickle.dumps((order, source))
    # The memory is not in it, nor is the path of a file here.
    assert len(data) < 1 << 20
    assert os.fsencode(guest_files) not in data
    found: tuple[Order, Source] = pickle.loads(data)
    return found


@pytest.fixture
def node(sent: tuple[Order, Source]) -> Iterator[Node]:
    node = Node()
    ready = node.prepare(*sent, spares=1, most=2)
    assert ready.machines == 2
    yield node
    node.close()
    node.close()


def mark(machine: VirtualMachine, text: str) -> str:
    before = machine.guest.read_text(MARK, timeout=PATIENCE)
    machine.guest.write_text(MARK, text, timeout=PATIENCE)
    return before


def sleep(machine: VirtualMachine) -> int:
    return machine.guest.run(["sleep", "1000"], timeout=PATIENCE).returncode


def missing(machine: VirtualMachine) -> None:
    machine.guest.read_bytes("/no/such file", timeout=PATIENCE)


def call(function: Any, *arguments: Any) -> bytes:
    return pickle.dumps((function, arguments, {}))


def test_each_call_has_a_fresh_machine_and_its_own_result(node: Node) -> None:
    for word in ("first", "second", "third"):
        assert result_of(node.call(node.take(), call(mark, word))) == "saved"
    with pytest.raises(FileNotFoundError) as caught:
        result_of(node.call(node.take(), call(missing)))
    assert isinstance(caught.value, applevz.POSIXError)
    assert caught.value.filename == "/no/such file"
    assert "in missing" in str(caught.value.__cause__)
    with pytest.raises(applevz.InvalidStateError, match="no machine with the ticket 9"):
        node.call(9, call(mark, "x"))


def test_a_machine_without_a_call_is_given_back_and_one_with_a_call_can_be_ended(node: Node) -> None:
    first, second = node.take(), node.take()
    third: list[int] = []
    waiting = threading.Thread(target=lambda: third.append(node.take()))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    node.give_back(first)
    node.give_back(first)
    waiting.join(PATIENCE)
    assert third
    outcomes: list[bytes] = []
    thread = threading.Thread(target=lambda: outcomes.append(node.call(second, call(sleep))))
    thread.start()
    assert eventually(lambda: node.kill(second), PATIENCE)
    thread.join(PATIENCE)
    with pytest.raises((applevz.GuestConnectionLostError, applevz.GuestUnreachableError)):
        result_of(outcomes[0])
    assert not node.kill(second)
    assert result_of(node.call(third[0], call(mark, "x"))) == "saved"


def test_closing_ends_what_is_under_way_and_lets_go_of_the_files(sent: tuple[Order, Source]) -> None:
    node = Node()
    node.prepare(*sent, spares=0, most=1)
    ticket = node.take()
    outcomes: list[Any] = []

    def run() -> None:
        try:
            outcomes.append(result_of(node.call(ticket, call(sleep))))
        except applevz.Error as error:
            outcomes.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    node.close()
    thread.join(PATIENCE)
    assert isinstance(outcomes[0], applevz.Error)
    with pytest.raises(applevz.InvalidStateError, match="closed"):
        node.take()


def test_a_configuration_that_differs_is_refused_before_the_state_is_sent(
    sent: tuple[Order, Source], tmp_path: Path
) -> None:
    order, source = sent
    two = dataclasses.replace(order.configuration, cpu_count=2)  # type: ignore[type-var]
    asked = []

    class Watched:
        def publish(self, content: Any, path: bytes) -> None:
            raise AssertionError

        def pieces(self, content: Any) -> Any:
            asked.append(content)
            return source.pieces(content)

    cache = str(tmp_path / "cache")
    with pytest.raises(applevz.RestoreError, match="CPUCount is 2; the saved state .*ready.state.* was made with 1"):
        Node().prepare(dataclasses.replace(order, configuration=two, cache=cache), Watched(), 1, 2)
    assert order.state not in asked
    assert len(asked) == 2


def test_a_node_with_another_qemu_is_refused_with_both_versions(
    sent: tuple[Order, Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLEVZ_QEMU", str(qemu_of_another_version(tmp_path)))
    with pytest.raises(applevz.RestoreError, match=r"version of QEMU is 99\.1; the saved state was made with \d"):
        Node().prepare(*sent, spares=1, most=2)


def test_a_state_of_kvm_needs_the_processor_on_which_it_was_given_out(
    guest_files: Path, ready_state: Path, monkeypatch: pytest.MonkeyPatch, sent: tuple[Order, Source]
) -> None:
    order, source = sent
    assert order.needed.processor is None
    said = order.needed.state
    assert said is not None
    fields = [(name, "kvm" if name == "QEMU's accelerator" else value) for name, value in said.fields]
    by_kvm = dataclasses.replace(said, fields=tuple(fields))
    monkeypatch.setattr("applevz.ray._orders.inspect_state", lambda path: by_kvm)
    told, _ = order_for(configuration_of(guest_files), ready_state)
    assert told.needed.processor is not None
    anywhere, _ = order_for(configuration_of(guest_files), ready_state, any_processor=True)
    assert anywhere.needed.processor is None
    another = dataclasses.replace(told.needed, processor="GenuineIntel 6 85 7, features 0")
    with pytest.raises(applevz.RestoreError, match="The processor is .*; it has to be 'GenuineIntel 6 85 7"):
        Node().prepare(dataclasses.replace(told, needed=another), source, 1, 2)


def test_a_function_makes_the_configuration_on_the_node(
    guest_files: Path, ready_state: Path, sent: tuple[Order, Source]
) -> None:
    order, given = order_for(lambda: configuration_of(guest_files), ready_state, cache=sent[0].cache)
    assert len(given) == 1
    node = Node()
    node.prepare(order, sent[1], spares=0, most=1)
    assert result_of(node.call(node.take(), call(mark, "x"))) == "saved"
    node.close()
