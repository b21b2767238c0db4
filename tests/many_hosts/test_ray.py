# SPDX-License-Identifier: Apache-2.0
"""Machines on the nodes of a cluster of Ray's. All three are on this host; each has a cache of its own."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import ClusterOfNodes, cluster_of_nodes, connect

import applevz
from applevz import VirtualMachine, states
from applevz.ray import RayExecutor, RayFuture, RemoteMachine, remote_machine
from applevz.ray._contents import content_of
from guest_machine import PATIENCE
from places import ROOT
from pool_guests import MARK, UUID, configuration_of, of_a_pool, qemu_of_another_version
from processes import children, eventually

pytest.importorskip("ray", reason="there is no Ray for this Python")
pytestmark = [
    pytest.mark.long,  # a cluster is a dozen processes of Python: `make test-ray` makes it
    *of_a_pool,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.skipif(sys.platform != "linux", reason="the nodes of a host are told apart by /proc"),
]

# A node that takes long to answer is not a failure of what is tested.
LONG = 4 * PATIENCE


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOfNodes]:
    folder = tmp_path_factory.mktemp("nodes")
    with cluster_of_nodes(folder) as cluster:
        cluster.add("first", 3)
        cluster.add("second", 3)
        cluster.add("differs", 3, APPLEVZ_QEMU=str(qemu_of_another_version(folder)))
        connect(cluster, __name__, "pool_guests")
        yield cluster


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = children()
    yield
    assert eventually(lambda: children() <= before)


@pytest.fixture(scope="module")
def executor(cluster: ClusterOfNodes, guest_files: Path, ready_state: Path) -> Iterator[RayExecutor]:
    # One machine of each node is left for others.
    executor = RayExecutor(configuration_of(guest_files), ready_state, machines_per_node=2)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def use(machine: VirtualMachine, number: int) -> tuple[str, str, int]:
    """What the machine's file had, what is its own, and the number twice."""
    before = machine.guest.read_text(MARK, timeout=PATIENCE)
    machine.guest.write_text(MARK, str(number), timeout=PATIENCE)
    return before, machine.guest.read_text(UUID, timeout=PATIENCE), 2 * number


def test_every_command_has_a_fresh_machine_and_every_result_is_there_and_right(executor: RayExecutor) -> None:
    commands = [executor.run(["sh", "-c", f"cat {MARK}; echo {n}"], text=True, timeout=LONG) for n in range(30)]
    calls = [executor.submit(use, number) for number in range(30)]
    for number, future in enumerate(commands):
        done = future.result(LONG)
        assert isinstance(done, subprocess.CompletedProcess)
        assert (done.returncode, done.stdout) == (0, f"saved{number}\n")
    found = [future.result(LONG) for future in calls]
    assert [(before, double) for before, _, double in found] == [("saved", 2 * number) for number in range(30)]
    assert len({own for _, own, _ in found}) == 30
    assert list(executor.map(use, [7, 8]))[1][2] == 16


def test_a_node_that_differs_is_not_chosen_and_its_difference_is_told(
    executor: RayExecutor, cluster: ClusterOfNodes
) -> None:
    assert eventually(lambda: executor.statistics().refused, LONG)
    told = executor.statistics()
    assert told.machines == 4
    assert len(told.refused) == 1
    name, reason = next(iter(told.refused.items()))
    assert cluster.identifier("differs")[:8] in name
    assert "The version of QEMU is 99.1; the saved state was made with " in reason


def test_the_state_came_once_to_each_node_that_was_chosen_and_not_to_the_other(
    executor: RayExecutor, cluster: ClusterOfNodes, guest_files: Path, ready_state: Path
) -> None:
    executor.run(["true"], timeout=LONG).result(LONG)
    state, kernel = content_of(ready_state).sha256, content_of(guest_files / "vmlinux").sha256
    there = {
        name: {path.name[:64] for path in (cluster.cache(name) / "contents").glob("*[0-9]")}
        for name in ("first", "second", "differs")
    }
    assert all(kernel in files for files in there.values())
    assert {name for name, files in there.items() if state in files} == {"first", "second"}


def test_errors_cross_with_their_types_and_native_errors(executor: RayExecutor) -> None:
    missing = executor.run(["/no/such/program"], timeout=LONG).exception(LONG)
    assert isinstance(missing, FileNotFoundError)
    assert isinstance(missing, applevz.POSIXError)
    assert (missing.domain, missing.code, missing.filename) == ("NSPOSIXErrorDomain", 2, "/no/such/program")
    overdue = executor.run(["sh", "-c", "echo begun; sleep 1000"], timeout=5).exception(LONG)
    assert isinstance(overdue, subprocess.TimeoutExpired)
    assert isinstance(overdue, applevz.TimeoutError)
    assert overdue.output == b"begun\n"
    failed = executor.run(["false"], check=True, timeout=LONG).exception(LONG)
    assert isinstance(failed, subprocess.CalledProcessError)
    assert failed.returncode == 1
    assert "_core/guest" in str(failed.__cause__)


def test_calls_are_cancelled_until_they_are_sent_and_killed_from_then_on(executor: RayExecutor) -> None:
    futures = [executor.run(["sleep", "1000"], timeout=LONG) for _ in range(8)]
    running: list[RayFuture] = []

    def under_way() -> bool:
        running[:] = [future for future in futures if future.running()]
        return len(running) == 4

    assert eventually(under_way, LONG)
    waiting = [future for future in futures if future not in running]
    assert not running[0].cancel()
    assert all(future.cancel() for future in waiting)
    assert concurrent.futures.wait(waiting, PATIENCE).not_done == set()
    assert all(future.kill() for future in running)
    for future in running:
        error = future.exception(LONG)
        assert isinstance(error, applevz.GuestConnectionLostError | applevz.GuestUnreachableError)
        assert not isinstance(error, applevz.MachineLostError)
        assert not future.kill()
    assert executor.run(["echo", "on"], text=True, timeout=LONG).result(LONG).stdout == "on\n"


PROGRAM = """
import sys
from pathlib import Path
import ray
from applevz.ray import RayExecutor
from pool_guests import MARK, configuration_of

def read(machine, number):
    return number, machine.guest.read_text(MARK, timeout=120)

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
executor = RayExecutor(configuration_of(Path(sys.argv[2])), sys.argv[3], machines_per_node=1)
for number in range(3):
    executor.submit(read, number).add_done_callback(lambda done: print(*done.result(), flush=True))
"""


def test_a_program_that_ends_waits_for_its_calls(
    cluster: ClusterOfNodes, guest_files: Path, ready_state: Path
) -> None:
    words = [sys.executable, "-W", "ignore", "-c", PROGRAM, cluster.address, str(guest_files), str(ready_state)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=LONG)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["0 saved", "1 saved", "2 saved"]


# ---- One machine ----


def test_a_machine_elsewhere_runs_programs_whose_output_comes_as_it_is_printed(
    cluster: ClusterOfNodes, guest_files: Path, ready_state: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "again.state"
    with remote_machine(configuration_of(guest_files), ready_state, timeout=LONG) as machine:
        assert cluster.identifier("differs")[:8] not in machine.node
        assert machine.state is applevz.VirtualMachineState.RUNNING
        assert machine.run(["cat", MARK], text=True, timeout=PATIENCE).stdout == "saved"
        assert machine.wait(PATIENCE) is machine
        assert machine.info(PATIENCE).kernel
        assert machine.write_text("/tmp/new", "word", timeout=PATIENCE) == 4
        assert machine.read_text("/tmp/new", timeout=PATIENCE) == "word"
        with pytest.raises(FileNotFoundError) as caught:
            machine.read_bytes("/no/such file", timeout=PATIENCE)
        assert isinstance(caught.value, applevz.POSIXError)
        script = "echo one; read line; echo $line; echo error >&2; exit 3"
        pipe = subprocess.PIPE
        with machine.popen(["sh", "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, timeout=PATIENCE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdin is not None
            # It has printed that, and waits for its input.
            assert process.stdout.readline(PATIENCE) == b"one\n"
            assert process.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
            process.stdin.write(b"two\n")
            assert list(process.stdout) == [b"two\n"]
            assert process.stderr.read(timeout=PATIENCE) == b"error\n"
            assert process.wait(PATIENCE) == process.returncode == 3
        many = "i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done"
        with machine.popen(many, shell=True, stdout=pipe, timeout=PATIENCE) as process:
            assert process.communicate(timeout=PATIENCE)[0] == b"".join(b"line %d\n" % n for n in range(30000))
        with machine.popen(["sleep", "1000"], timeout=PATIENCE) as process:
            process.kill()
            assert process.wait(PATIENCE) == -9
        machine.save(saved, timeout=PATIENCE)
        with pytest.raises(FileExistsError, match="again.state"):
            machine.save(saved)
        assert machine.run(["true"], timeout=PATIENCE).returncode == 0
    with pytest.raises(applevz.InvalidStateError, match="The machine was stopped"):
        machine.run(["true"])
    states.check(saved)
    assert [path.name for path in tmp_path.iterdir()] == ["again.state"]
    with remote_machine(configuration_of(guest_files), saved, timeout=LONG) as again:
        assert again.read_text("/tmp/new", timeout=PATIENCE) == "word"


def test_a_machine_that_no_node_can_run_is_refused_with_what_each_node_says(
    cluster: ClusterOfNodes, guest_files: Path, ready_state: Path
) -> None:
    configuration = configuration_of(guest_files)
    configuration.cpu_count = 2
    with pytest.raises(applevz.NoNodeError) as caught:
        remote_machine(configuration, ready_state, timeout=LONG)
    words = str(caught.value)
    assert words.count("CPUCount is 2; the saved state") == 3
    assert all(cluster.identifier(name)[:8] in words for name in ("first", "second", "differs"))


# ---- A node that dies ----


def logged(machine: VirtualMachine, number: int, log: str) -> int:
    """Leaves a line on the host when it begins, takes its time, and returns the number."""
    with open(log, "a") as file:
        file.write(f"{number}\n")
    return int(machine.guest.run(f"sleep 0.5; echo {number}", shell=True, text=True, timeout=LONG).stdout)


def begun(log: Path) -> list[int]:
    return sorted(int(line) for line in log.read_text().split()) if log.exists() else []


def test_what_was_under_way_on_a_node_that_dies_is_lost_and_nothing_runs_twice(
    cluster: ClusterOfNodes, guest_files: Path, ready_state: Path, tmp_path: Path
) -> None:
    configuration = configuration_of(guest_files)
    cluster.add("dying", 2)
    identifier = cluster.identifier("dying")[:8]
    log = tmp_path / "log"
    with contextlib.ExitStack() as stack:
        machines: list[RemoteMachine] = []
        while not machines or identifier not in machines[-1].node:
            assert len(machines) < 3
            machines.append(stack.enter_context(remote_machine(configuration, ready_state, timeout=LONG)))
        for machine in machines[:-1]:
            machine.stop()  # the executor needs the room that these took on the other nodes
        executor = stack.enter_context(RayExecutor(configuration, ready_state, machines_per_node=1))
        futures = [executor.submit(logged, number, str(log)) for number in range(12)]

        def dying() -> list[int]:
            return [n for n, one in enumerate(futures) if one.running() and identifier in str(one.node)]

        assert eventually(dying, LONG)
        waiting = sum(not future.running() and not future.done() for future in futures)
        assert waiting > 0
        errors: list[BaseException] = []

        def sleep() -> None:
            try:
                machines[-1].run(["sleep", "1000"])
            except applevz.Error as error:
                errors.append(error)

        thread = threading.Thread(target=sleep)
        thread.start()
        cluster.kill("dying")
        concurrent.futures.wait(futures, 3 * LONG)
        lost = [n for n, future in enumerate(futures) if future.exception(0) is not None]
        assert 1 <= len(lost) <= 2
        for number in lost:
            error = futures[number].exception()
            assert type(error) is applevz.MachineLostError
            assert identifier in str(error)
        assert [future.result(0) for n, future in enumerate(futures) if n not in lost] == [
            n for n in range(12) if n not in lost
        ]
        # Nothing was run twice, and all that was not lost was run.
        assert len(set(begun(log))) == len(begun(log))
        assert set(range(12)) - set(lost) <= set(begun(log))
        thread.join(LONG)
        assert [type(error) for error in errors] == [applevz.MachineLostError]
        assert identifier in str(errors[0])
