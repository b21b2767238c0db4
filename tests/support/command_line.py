# SPDX-License-Identifier: Apache-2.0
"""The command line, as tests run it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

PROGRAM = (sys.executable, "-m", "applevz")
# What the fixture `applevz_command` gives: it takes the words.
Applevz = Callable[..., "subprocess.CompletedProcess[str]"]
