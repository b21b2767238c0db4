# SPDX-License-Identifier: Apache-2.0
"""Sockets between guest and host, as far as they can be told of without the kernel's vhost_vsock.

What stands on the sockets is tested by tests/native/virtualization/sockets.m and bridge/sockets.m.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import applevz
from applevz import aio
from fixtures import Configure, MakeMachine

linux = pytest.mark.skipif(sys.platform != "linux", reason="the module is Linux's")
without_device = pytest.mark.skipif(Path("/dev/vhost-vsock").exists(), reason="this host has vhost_vsock")


@linux
@without_device
def test_a_host_without_the_module_refuses_at_validation_and_says_which_one_to_load(configure: Configure) -> None:
    configuration = configure(socket_devices=[applevz.VirtioSocketDeviceConfiguration()])
    with pytest.raises(applevz.NotSupportedError) as caught:
        configuration.validate()
    capability = applevz.capabilities.sockets
    assert not capability
    assert "/dev/vhost-vsock cannot be opened: No such file or directory" in capability.reason
    assert "socketDevices[0] is a VZVirtioSocketDeviceConfiguration. " + capability.reason in str(caught.value)
    for words in ("The operation is not supported.", "cannot be opened"):
        assert str(caught.value).count(words) == 1
    assert "modprobe vhost_vsock" in caught.value.recovery_suggestion
    assert isinstance(caught.value, FileNotFoundError)
    for machine in (applevz.VirtualMachine, aio.VirtualMachine):
        with pytest.raises(applevz.NotSupportedError):
            machine(configuration)


def test_a_machine_without_a_socket_device_has_none(machine: MakeMachine) -> None:
    assert machine().socket_devices == ()


def test_what_is_no_socket_device_is_refused_by_its_field(configure: Configure) -> None:
    with pytest.raises(applevz.InvalidArgumentTypeError, match=r"socket_devices\[0\] is 'vsock'"):
        configure(socket_devices=["vsock"]).validate()
