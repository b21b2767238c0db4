# SPDX-License-Identifier: Apache-2.0
"""What is logged, and traced: nothing, unless the program has `logging`, or OpenTelemetry.

A program that uses `logging` has imported it, and one that traces has imported `opentelemetry.trace`: neither is
imported here, and until then a verb costs two look-ups. The loggers are

    applevz.machine    each verb, how long it took, the state that it led to, and how it failed
    applevz.qemu       the command line of each QEMU, and all that is said to it and that it says

all at the level DEBUG, and silent: nobody has to set them up. What QEMU is told is kept by the native library while the
logger is enabled, and logged when a verb or a wait ends, with the time of its own. No thread is needed for it.

Secrets are left out: passwords in addresses, what is typed, and the values of words that are named like a secret. Seeds
are files, of which a command line has the number alone.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from .._native import lib
from ..errors import Error

if TYPE_CHECKING:
    import logging

    from .states import VirtualMachineState

__all__ = ["Life", "drain", "shown_words"]

_MACHINE: Final = "applevz.machine"
_QEMU: Final = "applevz.qemu"
_LONGEST: Final = 8192
_numbers: Final = itertools.count(1)
# Whether the native library keeps lines.
_is_kept = False


def _logger(name: str) -> logging.Logger | None:
    """The logger, if somebody wants what it is given."""
    module = sys.modules.get("logging")
    # Another thread may be importing it.
    if module is None or not hasattr(module, "NullHandler"):
        return None
    root = module.getLogger("applevz")
    if not root.handlers:
        root.addHandler(module.NullHandler())
    logger: logging.Logger = module.getLogger(name)
    return logger if logger.isEnabledFor(module.DEBUG) else None


class Life:
    """What is logged of one machine."""

    __slots__ = ("_number", "_state")

    def __init__(self) -> None:
        self._number = next(_numbers)
        self._state: VirtualMachineState | None = None

    @contextmanager
    def verb(self, words: str, machine: Any) -> Iterator[None]:
        """A verb, from here to its end. `words` is what the machine does, as "start"."""
        log, span = _logger(_MACHINE), _span(words, self._number)
        keep(_logger(_QEMU) is not None)
        if log is None and span is None:
            yield
            return
        begin = time.monotonic()
        if log is not None:
            log.debug("machine %d: %s …", self._number, words)
        try:
            yield
        except GeneratorExit:
            # Nobody waits for it any more.
            self._end(log, span, f"{words}: not waited for any longer", begin, machine, None)
            raise
        except BaseException as error:
            self._end(log, span, f"{words} failed: {error}", begin, machine, error)
            raise
        self._end(log, span, words, begin, machine, None)

    def _end(
        self, log: Any, span: Any, words: str, begin: float, machine: Any, error: BaseException | None
    ) -> None:
        drain()
        state = machine.state.name
        if log is not None:
            text = shown_words(words)
            log.debug("machine %d: %s, after %.1f ms; %s", self._number, text, (time.monotonic() - begin) * 1000, state)
        if span is not None:
            span.set_attribute("applevz.machine.state", state)
            if error is not None:
                # As `record_exception` does it, whose message and traceback would have all that is left out here.
                kind = f"{type(error).__module__}.{type(error).__qualname__}"
                span.add_event(
                    "exception", {"exception.type": kind, "exception.message": shown_words(str(error))}
                )
                span.set_status(sys.modules["opentelemetry.trace"].StatusCode.ERROR, shown_words(str(error)))
            span.end()

    def reached(self, machine: Any) -> None:
        """A wait has ended: tells of a state that the machine came to meanwhile."""
        if (log := _logger(_MACHINE)) is not None:
            state = machine.state
            if state is not self._state:
                self._state = state
                log.debug("machine %d: %s", self._number, state.name)
        drain()


def _span(words: str, number: int) -> Any:
    """A span of OpenTelemetry, which is not made the current one: a verb's steps run between those of others."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or not hasattr(trace, "get_tracer"):
        return None
    from .. import __version__

    tracer = trace.get_tracer("applevz", __version__)
    return tracer.start_span(f"applevz {words}", attributes={"applevz.machine.number": number})


def keep(wanted: bool) -> None:
    """Has the native library keep lines, or not."""
    global _is_kept  # noqa: PLW0603  # one log for the whole process
    if wanted is not _is_kept:
        _is_kept = wanted
        lib.applevz_log_keep(wanted)


def drain() -> None:
    """Logs what the native library kept."""
    if not _is_kept:
        return
    log = _logger(_QEMU)
    if log is None:
        keep(False)
        return
    import json

    from .._values.identifiers import bytes_made_by

    try:
        lines = json.loads(bytes_made_by(lib.applevz_log_take))
    except Error as error:
        # A log says of its own failure no more than that.
        log.debug("what was told to QEMU cannot be shown: %s", error)
        return
    for at, source, kind, text in lines:
        if isinstance(text, list):
            import shlex

            text = shlex.join(text)  # noqa: PLW2901  # the same, as text
        record = log.makeRecord(_QEMU, 10, __file__, 0, "%s: %s: %s", (source, kind, shown_words(text)), None)
        record.created, record.msecs = at, at % 1 * 1000
        log.handle(record)


def shown_words(text: str) -> str:
    """What others may have written, without secrets and on one line."""
    import re

    text = re.sub(r"(\w://)[^/@\s\"']*@", r"\1…@", text[:_LONGEST])
    text = re.sub(
        r"(?i)((?:pass(?:word|wd|phrase)?|secret|token|credentials?)[\w.-]*[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,}'\"]+)",
        r"\1…",
        text,
    )
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
