# SPDX-License-Identifier: Apache-2.0
"""Boots many kernels side by side, and runs a command in each guest. What each kernel said is kept."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from applevz import Error, GuestPanickedError, LinuxBootLoader, ShutdownPolicy, VirtualMachineConfiguration
from applevz.aio import VirtualMachine


async def try_kernel(number: int, kernel: str, options: argparse.Namespace, turn: asyncio.Semaphore) -> str:
    """What became of a kernel, in one line."""
    path, _, words = kernel.partition(",")
    loader = LinuxBootLoader(path, options.initrd, f"console=hvc0 {words}".strip(), guest_agent=True)
    configuration = VirtualMachineConfiguration(loader, cpu_count=1, memory_size="256MiB")
    log = options.output / f"{number}-{Path(path).name}"
    async with turn, VirtualMachine(configuration) as machine:
        try:
            await machine.start(timeout=60)
            await machine.guest.wait(timeout=options.timeout)
            done = await machine.guest.run(options.run, shell=True, text=True, timeout=options.timeout)
            messages = await machine.guest.run(["dmesg"], timeout=options.timeout)
            log.with_name(f"{log.name}.dmesg").write_bytes(messages.stdout)
            return f"exit status {done.returncode}: {done.stdout.strip()}"
        except GuestPanickedError:
            return "panicked"
        except Error as error:
            return f"{type(error).__name__}: {error.localized_description}"
        finally:
            # What was printed by now can still be read, and then comes the end.
            await machine.shutdown(ShutdownPolicy.POWEROFF)
            log.with_name(f"{log.name}.console").write_bytes(await machine.console.read(timeout=60))


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernels", nargs="+", metavar="KERNEL[,WORDS]", help="a kernel, and words of its command line")
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--run", default="uname -r", help="the command of a shell (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path(), help="folder of what the kernels said")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--timeout", type=float, default=120)
    options = parser.parse_args()
    turn = asyncio.Semaphore(options.at_once)
    tries = [try_kernel(number, kernel, options, turn) for number, kernel in enumerate(options.kernels, 1)]
    outcomes = await asyncio.gather(*tries)
    for kernel, outcome in zip(options.kernels, outcomes, strict=True):
        print(f"{kernel}: {outcome}")
    return 0 if all(outcome.startswith("exit status 0:") for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
