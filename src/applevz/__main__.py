# SPDX-License-Identifier: Apache-2.0
"""`python -m applevz`: the same program as the command `applevz`."""

from __future__ import annotations

import sys

from ._command.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
