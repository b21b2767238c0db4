# SPDX-License-Identifier: Apache-2.0
"""What is shown of the agent in each image, across a saved state: who goes on from it, and how many at once."""

from __future__ import annotations

import asyncio
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

import applevz
import applevz.aio
from echoing import echoing
from image_checks import MEGABYTE, agent_of, printed
from saved_systems import IMAGE_PATIENCE, SavedSystem


class Begun(NamedTuple):
    """What ran in a guest when it was saved."""

    agent: int
    printing: int
    detached: int


def suspend_while_a_program_prints(machine: applevz.VirtualMachine, state: Path) -> Begun:
    """Saves a machine in the middle of a program's output, and ends it."""
    guest = machine.guest
    guest.write_text("/root/before", "saved", timeout=IMAGE_PATIENCE)
    detached = guest.popen(["sleep", "100000"], detached=True, timeout=IMAGE_PATIENCE)
    words = "while :; do echo and so on; done"
    printing = guest.popen(words, shell=True, stdout=subprocess.PIPE, timeout=IMAGE_PATIENCE)
    assert printing.stdout is not None
    assert printing.stdout.readline(timeout=IMAGE_PATIENCE) == b"and so on\n"
    begun = Begun(agent_of(guest), printing.pid, detached.pid)
    machine.suspend(timeout=IMAGE_PATIENCE, to=state)
    with pytest.raises(applevz.GuestConnectionLostError):
        printing.wait(timeout=IMAGE_PATIENCE)
    with pytest.raises(applevz.GuestUnreachableError):
        guest.run(["true"], timeout=IMAGE_PATIENCE)
    return begun


# What the other program runs.
TAKES_OVER = """
    from image_checks import agent_of, processes_of
    from processes import eventually
    begun = {begun!r}
    guest = machine.guest
    assert guest.run(["cat", "/root/before"], timeout=patience).stdout == b"saved"
    assert agent_of(guest) == begun[0]
    assert eventually(lambda: str(begun[1]) not in processes_of(guest), patience)
    assert str(begun[2]) in processes_of(guest)
    print("taken over")
"""


def check_another_program_takes_the_guest_over(saved: SavedSystem, begun: Begun) -> None:
    """What the former program had begun is ended by the first call of the next, but for what is detached."""
    assert saved.in_another_program(TAKES_OVER.format(begun=tuple(begun))) == "taken over\n"


def check_eight_clones_run_at_once(saved: SavedSystem) -> None:
    with ExitStack() as stack:
        machines = [stack.enter_context(saved.machine()) for _ in range(8)]

        def one(number: int) -> str:
            guest = machines[number].guest
            guest.write_text("/root/number", f"{number}", timeout=IMAGE_PATIENCE)
            return printed(guest, "sync; cat /root/number /root/before")

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(one, range(8))) == [f"{number}saved" for number in range(8)]


def check_a_loop_uses_the_guest(saved: SavedSystem, folder: Path) -> None:
    """Each call once in the other face."""
    (folder / "in").write_bytes(data := os.urandom(MEGABYTE))

    async def main() -> None:
        saved.provide_disks()
        async with applevz.aio.VirtualMachine(saved.configuration) as machine:
            await machine.restore_state(saved.state, timeout=IMAGE_PATIENCE, private=True)
            await machine.start(timeout=IMAGE_PATIENCE)
            guest = await machine.guest.wait(timeout=IMAGE_PATIENCE)
            done = await asyncio.gather(*(guest.run(["echo", f"{n}"], timeout=IMAGE_PATIENCE) for n in range(20)))
            assert [int(one.stdout) for one in done] == list(range(20))
            cat = guest.popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, timeout=IMAGE_PATIENCE)
            async with await cat as process:
                assert (await process.communicate(data, timeout=IMAGE_PATIENCE))[0] == data
            await guest.copy_in(folder / "in", "/root/in", timeout=IMAGE_PATIENCE)
            assert await guest.read_bytes("/root/in", timeout=IMAGE_PATIENCE) == data
            await guest.write_bytes("/root/out", data, timeout=IMAGE_PATIENCE)
            await guest.copy_out("/root/out", folder / "out", timeout=IMAGE_PATIENCE)
            assert (folder / "out").read_bytes() == data
            async with await guest.open("/root/before", timeout=IMAGE_PATIENCE) as file:
                assert await file.read() == "saved"
            with echoing() as (port, _):
                async with (
                    await machine.forward(to="host", host_port=port, timeout=IMAGE_PATIENCE) as out,
                    await guest.connect(out.port, timeout=IMAGE_PATIENCE) as connection,
                ):
                    await connection.sendall(b"question")
                    assert await connection.recv(100) == b"question"
            assert (await guest.info(timeout=IMAGE_PATIENCE)).agent == applevz.__version__

    asyncio.run(main())
