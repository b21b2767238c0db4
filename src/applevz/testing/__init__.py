# SPDX-License-Identifier: Apache-2.0
"""For tests: machines that are fresh in each of them, and machines that are played.

The fixtures of pytest are in the plugin `pytest_applevz`, which pytest loads where applevz is installed:
`pip install 'applevz[testing]'`.
"""

from __future__ import annotations

from ._guests import FakeGuest as FakeGuest
from ._guests import FakeResult as FakeResult
from ._hypervisor import FakeHypervisor as FakeHypervisor
from ._hypervisor import FakeMachine as FakeMachine
from ._options import image_configuration as image_configuration
from ._options import kernel_configuration as kernel_configuration

__all__ = [
    "FakeGuest",
    "FakeHypervisor",
    "FakeMachine",
    "FakeResult",
    "image_configuration",
    "kernel_configuration",
]
