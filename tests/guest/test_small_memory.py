# SPDX-License-Identifier: Apache-2.0
"""A guest with too little memory panics before it can say a word: what is known of it beforehand is said instead."""

from __future__ import annotations

import sys

import pytest

import applevz
from fixtures import Boot, Configure

if sys.platform == "darwin":
    pytest.skip("there the framework validates", allow_module_level=True)

MIB = 1 << 20


@pytest.mark.parametrize("kernel", ["vmlinux", "vmlinuz", "desktop/vmlinux", "desktop/vmlinuz"])
def test_memory_in_which_a_kernel_cannot_start_is_refused_by_name(configure: Configure, kernel: str) -> None:
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match="memorySize is 67108864 b") as caught:
        configure(kernel=kernel, memory_size=64 * MIB).validate()
    assert "kernel" in caught.value.failure_reason


@pytest.mark.parametrize("kernel", ["vmlinux", "vmlinuz"])
def test_a_guest_boots_with_little_more(boot: Boot, kernel: str) -> None:
    assert boot(kernel=kernel, memory_size=96 * MIB).run("echo enough") == "enough"
