# SPDX-License-Identifier: Apache-2.0
"""Programs in a network namespace of their own, which goes with them and all that they made in it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from places import SUPPORT

# What each program begins with: a bridge with an address, and the kernel and initial file system of the guest.
BEGINNING = """
import os, socket, subprocess, sys, threading
sys.path.insert(0, {support!r})
import applevz
from guest_machine import PATIENCE, Guest
from processes import eventually

def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True)
    return done.stdout

def links():
    return sorted(line.split()[0].split("@")[0] for line in ip("-brief", "link").splitlines())

def configuration(*attachments, **fields):
    loader = applevz.LinuxBootLoader(sys.argv[1], sys.argv[2], "console=hvc0 quiet")
    cards = [applevz.VirtioNetworkDeviceConfiguration(attachment) for attachment in attachments]
    return applevz.VirtualMachineConfiguration(loader, memory_size="256MiB", network_devices=cards, **fields)

ip("link", "set", "lo", "up")
ip("link", "add", "br0", "type", "bridge")
ip("address", "add", "10.99.0.1/24", "dev", "br0")
ip("link", "set", "br0", "up")
"""


def run(program: str, *arguments: str | os.PathLike[str], mounts: bool = False) -> None:
    """Runs Python source after `BEGINNING`, which fails where it raises. Skips where there are no such namespaces."""
    enter = ["unshare", "--net", *(["--mount"] if mounts else []), *([] if os.geteuid() == 0 else ["--map-root-user"])]
    try:
        words = "ip link add br0 type bridge && [ -c /dev/net/tun ]"
        possible = subprocess.run([*enter, "sh", "-c", words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is missing, of the package util-linux")
    if possible.returncode != 0:
        pytest.skip(f"no bridge can be made here, in a network namespace of its own: {possible.stderr.strip()}")
    done = subprocess.run(
        [*enter, sys.executable, "-c", BEGINNING.format(support=str(SUPPORT)) + program, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
