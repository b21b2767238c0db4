# SPDX-License-Identifier: Apache-2.0
"""Images of whole systems: `make test-images`. They take minutes each, so they are no part of `make test`.

Their folder is not looked into unless it is named (`norecursedirs` in pyproject.toml). One at a time: each keeps a
processor busy, and has hundreds of megabytes.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from applevz import images
from images import BOOT_PATIENCE
from places import ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(2 * BOOT_PATIENCE))


@pytest.fixture(scope="session")
def debian_disk() -> Path:
    """A disk of this host's Debian with cloud-init and no seed nor agent, which EFI firmware boots and nobody may write
    to. It is kept from one run to the next."""
    if sys.platform == "darwin":
        pytest.skip("the disk is made on Debian only")
    pytest.importorskip("filelock")
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
    cache = ROOT / "build" / "images"
    made = images.build_debian(release, packages=["cloud-init"], guest_agent=False, boot="efi", cache=cache)
    return Path(made.path)
