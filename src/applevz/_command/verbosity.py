# SPDX-License-Identifier: Apache-2.0
"""`--verbose`: what the package logs is shown, and of an error all that is known."""

from __future__ import annotations

import sys

__all__ = ["be_verbose", "is_verbose", "verbose_again"]

_verbose = False


def is_verbose() -> bool:
    return _verbose


def verbose_again(value: bool) -> None:
    """Sets it back to what it was, for those who call the command line as a function."""
    global _verbose  # noqa: PLW0603  # one choice for the whole process
    _verbose = value


def be_verbose() -> None:
    global _verbose  # noqa: PLW0603
    _verbose = True
    import logging

    logger = logging.getLogger("applevz")
    if any(handler.get_name() == "applevz --verbose" for handler in logger.handlers):
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name("applevz --verbose")
    # A terminal that is raw needs both; another one does not mind.
    handler.terminator = "\r\n" if sys.stderr.isatty() else "\n"
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(name)s: %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
