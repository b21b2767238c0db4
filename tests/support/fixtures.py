# SPDX-License-Identifier: Apache-2.0
"""The types of what the fixtures of tests/conftest.py give."""

from __future__ import annotations

from collections.abc import Callable

import applevz
from guest_machine import Guest

# Each takes the fields that its fixture's docstring names.
Configure = Callable[..., applevz.VirtualMachineConfiguration]
MakeMachine = Callable[..., applevz.VirtualMachine]
Boot = Callable[..., Guest]
Script = Callable[..., None]
