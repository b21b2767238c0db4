# SPDX-License-Identifier: Apache-2.0
"""`applevz sign`: the entitlement that machines take on a Mac, for the Python that runs this."""

from __future__ import annotations

import argparse

from .._host import signing
from .failures import FAILED, show_words

__all__ = ["sign_command"]


def sign_command(arguments: argparse.Namespace) -> int:
    try:
        print(signing.unsign() if arguments.undo else signing.sign())
    except signing.SigningError as error:
        show_words(str(error))
        return FAILED
    return 0
