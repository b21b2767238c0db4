# SPDX-License-Identifier: Apache-2.0
"""What the tests of images share (tests/images)."""

from __future__ import annotations

# How long a test waits for a system to come up, which is emulated on a busy host. How fast it comes is not asserted.
BOOT_PATIENCE = 1500.0
