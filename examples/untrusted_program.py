# SPDX-License-Identifier: Apache-2.0
"""Runs a shell script that nobody has read: in a machine of its own, for so many seconds, without a network."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from applevz import (
    Confinement,
    ConfinementPolicy,
    Error,
    GuestPanickedError,
    TimeoutError,
    VirtualMachine,
    VirtualMachineConfiguration,
    launch,
)

LONGEST_OUTPUT = 1 << 20
BLOCK = 1 << 16


def confine(configuration: VirtualMachineConfiguration) -> None:
    """Refuses to start on a host that cannot keep a guest in that breaks out of its machine."""
    required = Confinement.FILES | Confinement.SYSTEM_CALLS | Confinement.SOCKETS | Confinement.PRIVILEGES
    configuration.confinement = ConfinementPolicy(required=required)


def run(machine: VirtualMachine, script: bytes, seconds: float) -> tuple[bytes, str]:
    """What the script printed, and what became of it."""
    deadline = time.monotonic() + seconds
    output = b""
    try:
        machine.guest.write_bytes("/script", script, timeout=seconds)
        with machine.guest.popen(["sh", "/script"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            while block := process.stdout.read1(BLOCK, timeout=max(0, deadline - time.monotonic())):
                output += block
                # A script that prints for ever fills the guest's pipe and waits; this program keeps no more.
                if len(output) > LONGEST_OUTPUT:
                    return output[:LONGEST_OUTPUT], "printed too much"
            status = process.wait(timeout=max(0, deadline - time.monotonic()))
            return output, f"exit status {status}"
    except TimeoutError:
        return output, f"not done within {seconds:g} s"
    except GuestPanickedError:
        return output, "brought its kernel down"
    except Error as error:
        return output, f"brought its guest down: {error}"


def shown(output: bytes) -> str:
    """The output as text for a terminal: no control character of it gets there."""
    text = output.decode(errors="replace")
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", help="debian:13, or the path of an image")
    parser.add_argument("scripts", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--kernel", help="of an image that has its kernel beside it")
    parser.add_argument("--initrd")
    parser.add_argument("--command-line")
    parser.add_argument("--cache", help="folder of the images, in place of the user's")
    arguments = parser.parse_args()
    for script in arguments.scripts:
        # The first one boots; the others go on from its saved state, each in a machine that nobody has used.
        with launch(
            arguments.image,
            kernel=arguments.kernel,
            initial_ramdisk=arguments.initrd,
            command_line=arguments.command_line,
            cpu_count=1,
            memory_size="512MiB",
            internet=None,
            configure=confine,
            cached=True,
            timeout=900,
            cache=arguments.cache,
        ) as machine:
            output, outcome = run(machine, script.read_bytes(), arguments.seconds)
        print(shown(output), end="")
        print(f"{script.name}: {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
