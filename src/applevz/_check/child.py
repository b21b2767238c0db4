# SPDX-License-Identifier: Apache-2.0
"""The process of one item: `python -m applevz._check.child MODULE ITEM DESCRIPTOR OPTIONS`."""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from .item import Item, LeftOut, Options, Seen


def main(module: str, name: str, descriptor: str, options: str) -> int:
    # No process that the item starts keeps the parent waiting for its end.
    os.set_inheritable(int(descriptor), False)
    # What a crash, or the parent whose patience is over, leaves behind are the lines where each thread was.
    faulthandler.enable()
    # dispatch ends a process by it that calls off a queue.
    faulthandler.register(signal.SIGTRAP, chain=True)
    faulthandler.register(signal.SIGUSR1)
    seen = Seen(int(descriptor))
    chosen = Options.from_json(options)
    items: Sequence[Item] = importlib.import_module(module).ITEMS
    item = next(item for item in items if item.name == name)
    # Should nobody be left to end it.
    faulthandler.dump_traceback_later(item.limit(chosen) + 60, exit=True)
    try:
        item.function(seen, chosen)
    except LeftOut as reason:
        seen.end("left out", str(reason))
    except BaseException:  # noqa: BLE001  # an item may raise anything, and that is what the report is for
        seen.end("raised", traceback.format_exc())
    else:
        seen.end("seen", "")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
