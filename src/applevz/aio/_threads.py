# SPDX-License-Identifier: Apache-2.0
"""Calls that wait for files and programs, in a thread each."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .._images.task import Task

__all__ = ["called_in_loop", "run_in_thread"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


async def run_in_thread(
    task: Task | None, function: Callable[[], _Result], name: str = "applevz files"
) -> _Result:
    """What the function returns or raises, which runs in a thread of its own. Cancelling stops the task, and the call
    ends once the function has."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def tell(result: _Result | None, error: BaseException | None) -> None:
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop was closed, and nobody waits
            loop.call_soon_threadsafe(tell, result, failure)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:  # noqa: PERF203  # once, or as often as somebody cancels it
            cancelled = error
            if task is not None:
                task.stop()
    thread.join()  # which has nothing more to do
    if cancelled is not None:
        future.exception()  # which is that it was stopped
        raise cancelled
    return future.result()


def called_in_loop(function: Callable[_Arguments, object]) -> Callable[_Arguments, None]:
    """A function that another thread may call, and that has the running loop call this one."""
    loop = asyncio.get_running_loop()

    def tell(*arguments: _Arguments.args, **keywords: _Arguments.kwargs) -> None:
        # Nobody waits in a loop that was closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(functools.partial(function, *arguments, **keywords))

    return tell
