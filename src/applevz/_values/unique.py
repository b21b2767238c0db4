# SPDX-License-Identifier: Apache-2.0
"""The base of objects that cannot be copied: each stands for one thing outside of Python."""

from __future__ import annotations

from typing import NoReturn

from ..errors import InvalidArgumentTypeError, make

__all__ = ["Unique"]


class Unique:
    """A machine, a part of one, a console. It refuses to be copied and pickled.

    A copy would be a second object for the same thing: each would end or close it for the other. A pickled object could
    come back in a process in which that thing is not.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuses `copy.copy`, `copy.deepcopy` and `pickle`, which all call this method."""
        raise make(
            InvalidArgumentTypeError,
            f"{type(self).__name__} objects can neither be copied nor pickled.",
            "Each stands for something outside of Python, of which there is one.",
            "Pass the object itself on; of a machine's configuration another machine can be made.",
        )
