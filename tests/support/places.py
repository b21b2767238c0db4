# SPDX-License-Identifier: Apache-2.0
"""Where things lie that tests use."""

from __future__ import annotations

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
TESTS = SUPPORT.parent
ROOT = TESTS.parent
NATIVE = ROOT / "native"

# The program that plays QEMU by a script.
SCRIPTED_QEMU = SUPPORT / "scripted_qemu.py"
# What makes the default guest, and where that is then.
PREPARE_GUEST = ROOT / "guest" / "prepare.py"
GUEST_FILES = ROOT / "build" / "guest"
# The Objective-C programs of tests, and the framework that plays a Mac's.
PROGRAM_SOURCES = TESTS / "native"
PLAYED_FRAMEWORK = TESTS / "mac" / "framework"
