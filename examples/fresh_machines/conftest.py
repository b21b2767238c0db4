# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import pytest

from applevz import VirtualMachine


@pytest.fixture(scope="session")
def vm_prepare() -> Callable[[VirtualMachine], object]:
    """What every test finds in its guest: done once, before the guest is saved."""

    def prepare(machine: VirtualMachine) -> None:
        machine.guest.write_text("/etc/service.conf", "port = 80\n")

    return prepare
