# SPDX-License-Identifier: Apache-2.0
"""A kernel that is an endless loop: for a machine that is to run, and whose guest does not matter."""

from __future__ import annotations

import platform

__all__ = ["idle_kernel"]


def idle_kernel() -> bytes:
    """The file of such a kernel, for this host's processor."""
    return _arm64_image() if platform.machine() in ("arm64", "aarch64") else _bzimage()


def _put(image: bytearray, offset: int, value: int, size: int) -> None:
    image[offset : offset + size] = value.to_bytes(size, "little")


def _arm64_image() -> bytes:
    """An Image (https://docs.kernel.org/arch/arm64/booting.html)."""
    image = bytearray(1 << 16)
    _put(image, 0, 0x14000000, 4)  # code0: b .
    _put(image, 16, len(image), 8)  # image_size
    _put(image, 24, 0b1010, 8)  # flags: pages of 4 KiB, anywhere in memory
    image[56:60] = b"ARM\x64"
    return bytes(image)


def _bzimage() -> bytes:
    """A bzImage (https://docs.kernel.org/arch/x86/boot.html)."""
    sectors, sector = 1, 512
    image = bytearray(1 << 16)
    setup = (sectors + 1) * sector
    _put(image, 0x1F1, sectors, 1)  # setup_sects
    _put(image, 0x1F4, (len(image) - setup) // 16, 4)  # syssize
    _put(image, 0x1FE, 0xAA55, 2)  # boot_flag
    image[0x202:0x206] = b"HdrS"
    _put(image, 0x206, 0x020F, 2)  # version
    _put(image, 0x211, 1, 1)  # loadflags: the kernel is loaded high
    _put(image, 0x214, 0x100000, 4)  # code32_start
    _put(image, 0x22C, 0x7FFFFFFF, 4)  # initrd_addr_max
    _put(image, 0x230, 0x200000, 4)  # kernel_alignment
    _put(image, 0x234, 1, 1)  # relocatable_kernel
    _put(image, 0x236, 1, 2)  # xloadflags: it has a 64-bit entry
    _put(image, 0x238, 2047, 4)  # cmdline_size
    _put(image, 0x258, 0x1000000, 8)  # pref_address
    _put(image, 0x260, len(image), 4)  # init_size
    # The entries for 16, 32 and 64 bits jump to themselves.
    for entry in (0x200, setup, setup + 0x200):
        image[entry : entry + 2] = b"\xeb\xfe"
    return bytes(image)
