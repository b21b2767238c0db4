# SPDX-License-Identifier: Apache-2.0
"""The rule by which names are public."""

from __future__ import annotations

from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def public_names(namespace: dict[str, Any]) -> list[str]:
    """The public names of a module that collects other modules' names: those without an underscore, but for modules,
    which it has only because something in them was imported."""
    return sorted(
        name for name, value in namespace.items() if not name.startswith("_") and not isinstance(value, ModuleType)
    )
