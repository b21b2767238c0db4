# SPDX-License-Identifier: Apache-2.0
"""The forwards whose end is waited for. `_core/guest/` decides what they do."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from .._core.guest.forward import BaseForward
from ..errors import ForkedError
from ._pump import Pump

if TYPE_CHECKING:
    from .._core.guest.forward_heads import Forwarding

__all__ = ["Forward"]


class Forward(BaseForward):
    """A port or a path that leads into a guest, or from a guest to the host: `VirtualMachine.forward`.

    As a context manager it is closed at the end of the `with` block. One that is not closed lasts as long as its
    machine.
    """

    def __init__(self, pump: Pump, forwarding: Forwarding, protocol: str) -> None:
        super().__init__(forwarding, protocol)
        self._pump = pump

    def close(self) -> None:
        """Ends the forward and its connections; what it listened to is free. Calling it again does nothing."""
        carrier = self._pump.carrier
        # In a process that was forked it is not there.
        with suppress(ForkedError):
            self._pump.do(self._forwarding.end)
            if carrier is not None:
                carrier.wait()

    def __enter__(self) -> Forward:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
