# SPDX-License-Identifier: Apache-2.0
"""The exceptions of this package.

`Error` is the root of all. Each exception has its native error, a `CFError`, as `error`. The tree, with the builtin
that each class also derives from:

    Error
    ├── of VZErrorDomain, the framework's own
    │   ├── InternalError                               RuntimeError
    │   ├── InvalidVirtualMachineConfigurationError     ValueError
    │   ├── InvalidVirtualMachineStateError             RuntimeError
    │   ├── InvalidVirtualMachineStateTransitionError   RuntimeError
    │   ├── InvalidDiskImageError                       ValueError
    │   ├── VirtualMachineLimitExceededError            RuntimeError
    │   ├── NetworkError                                OSError
    │   │   └── DownloadError                           OSError
    │   ├── OutOfDiskSpaceError                         OSError
    │   ├── OperationCancelledError                     RuntimeError
    │   ├── NotSupportedError                           NotImplementedError
    │   ├── SaveError                                   RuntimeError
    │   ├── RestoreError                                RuntimeError
    │   ├── NetworkBlockDeviceNegotiationFailedError    OSError
    │   ├── NetworkBlockDeviceDisconnectedError         OSError
    │   ├── USBControllerNotFoundError                  LookupError
    │   ├── DeviceAlreadyAttachedError                  RuntimeError
    │   ├── DeviceInitializationFailureError            RuntimeError
    │   └── DeviceNotFoundError                         LookupError
    ├── of the domain "applevz", this package's own
    │   ├── ForeignExceptionError                       RuntimeError
    │   ├── InvalidArgumentError                        ValueError
    │   │   ├── InvalidArgumentTypeError                TypeError
    │   │   └── ImageNotFoundError                      LookupError
    │   ├── TimeoutError                                TimeoutError
    │   ├── ForkedError                                 RuntimeError
    │   ├── InvalidStateError                           RuntimeError
    │   │   └── EndOfConsoleError                       EOFError
    │   ├── GuestUnreachableError                       ConnectionError
    │   │   ├── GuestNotAnsweringError                  TimeoutError
    │   │   └── NoNodeError                             ConnectionError
    │   └── GuestConnectionLostError                    ConnectionError
    │       ├── GuestPanickedError                      ConnectionError
    │       └── MachineLostError                        ConnectionError
    └── POSIXError, of NSPOSIXErrorDomain               OSError

An error that the operating system caused is also the builtin that Python has for that condition. A missing kernel is an
`InvalidVirtualMachineConfigurationError` and a `FileNotFoundError`. Exhausted memory is a `MemoryError`. Every other
condition is an `OSError`, with `errno` and, if the error names a file, `filename`.

The condition is found in the error's domain and code, or in those of an error beneath it. The code of
NSPOSIXErrorDomain is errno itself. The codes about files of NSCocoaErrorDomain and NSOSStatusErrorDomain have an errno
each. If the framework refuses a file and names no condition, this package looks at the file, and puts what it finds
beneath the framework's error. Such classes are made when they are first needed.

An error of any other domain is an `Error` and nothing more.
"""

from __future__ import annotations

import builtins
import errno
import os

from ._native import Pointer, Reference, adopt_error, errors, ffi, lib, set_up_references, take_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final
else:
    # As an annotation that is looked up at run time: whatever it is.
    Any = object

__all__ = [
    "CFError",
    "DeviceAlreadyAttachedError",
    "DeviceInitializationFailureError",
    "DeviceNotFoundError",
    "DownloadError",
    "EndOfConsoleError",
    "Error",
    "ForeignExceptionError",
    "ForkedError",
    "GuestConnectionLostError",
    "GuestNotAnsweringError",
    "GuestPanickedError",
    "GuestUnreachableError",
    "ImageNotFoundError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidArgumentTypeError",
    "InvalidDiskImageError",
    "InvalidStateError",
    "InvalidVirtualMachineConfigurationError",
    "InvalidVirtualMachineStateError",
    "InvalidVirtualMachineStateTransitionError",
    "MachineLostError",
    "NetworkBlockDeviceDisconnectedError",
    "NetworkBlockDeviceNegotiationFailedError",
    "NetworkError",
    "NoNodeError",
    "NotSupportedError",
    "OperationCancelledError",
    "OutOfDiskSpaceError",
    "POSIXError",
    "RestoreError",
    "SaveError",
    "TimeoutError",
    "USBControllerNotFoundError",
    "VirtualMachineLimitExceededError",
]

VIRTUALIZATION_DOMAIN: Final = "VZErrorDomain"
BRIDGE_DOMAIN: Final = "applevz"
POSIX_DOMAIN: Final = "NSPOSIXErrorDomain"

# First of all: no function of the library is there before.
set_up_references(lambda: make(InvalidStateError, "The object was closed.", "What it stood for was given back."))

# An error that is its own cause ends the chain too: nobody nests causes deeper than this.
_DEEPEST: Final = 16

# Looked up once: an error's whole life is a few microseconds, and an attribute of `lib` is a part of that.
_kind = lib.applevz_error_kind


class CFError:
    """A native error: a `CFErrorRef` on macOS and Linux alike.

    The attributes are those of Apple's `CFError` (Core Foundation's documentation). They are read when they are asked
    for. Two errors are equal if all their attributes are. A copy is the same object. A pickled error comes back with
    the same attributes, and without a native reference.

    The object has one reference, which is given back with `CFRelease`, once, on whatever thread the last object goes
    that can read from it.
    """

    __slots__ = ("_reference", "_values")

    _reference: Reference | None
    _values: dict[str, Any]

    def __init__(self, reference: Reference) -> None:
        """The error whose `CFErrorRef` that is."""
        self._reference = reference

    @classmethod
    def _of_values(cls, values: dict[str, Any]) -> CFError:
        error = cls.__new__(cls)
        error._reference = None
        error._values = values
        return error

    def _value(self, name: str) -> Any:
        try:
            values = self._values
        except AttributeError:
            values = self._values = {}
        # Two threads may both read a value for the first time: they store the same.
        if name not in values:
            # One without a reference has all values; so has one that was read before a fork.
            read = _read_before_fork.get(self._reference) if _read_before_fork else None
            values[name] = read[name] if read else _READERS[name](self._reference)  # type: ignore[arg-type]
        return values[name]

    @property
    def domain(self) -> str:
        """The domain of `code`, as `"VZErrorDomain"`."""
        return self._value("domain")  # type: ignore[no-any-return]

    @property
    def code(self) -> int:
        """The number of the error in its domain."""
        return self._value("code")  # type: ignore[no-any-return]

    @property
    def localized_description(self) -> str:
        """The sentence that says what happened. Never empty: without words of its own it has domain and code."""
        return self._value("localized_description")  # type: ignore[no-any-return]

    @property
    def failure_reason(self) -> str | None:
        """Why it happened."""
        return self._value("failure_reason")  # type: ignore[no-any-return]

    @property
    def recovery_suggestion(self) -> str | None:
        """What would fix it."""
        return self._value("recovery_suggestion")  # type: ignore[no-any-return]

    @property
    def user_info(self) -> dict[str, Any]:
        """The dictionary of the error. A value that is no text, number, array or dictionary is its description."""
        return dict(self._value("user_info"))

    @property
    def underlying(self) -> CFError | None:
        """The error that caused this one."""
        return self._value("underlying")  # type: ignore[no-any-return]

    def _all_values(self) -> dict[str, Any]:
        return {name: self._value(name) for name in _READERS}

    def __str__(self) -> str:
        text = f"{self.domain} {self.code}: {self.localized_description}"
        for part in (self.failure_reason, self.recovery_suggestion):
            if part and part not in text:
                text += f" {part}"
        return text

    def __repr__(self) -> str:
        return f"<CFError {self}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CFError):
            return NotImplemented
        return self is other or self._all_values() == other._all_values()

    def __hash__(self) -> int:
        return hash((self.domain, self.code))

    def __copy__(self) -> CFError:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CFError:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return CFError._of_values, (self._all_values(),)


def _text(reference: Reference, which: int) -> str | None:
    length = ffi.new("size_t *")
    memory = lib.applevz_error_copy_text(reference, which, length)
    return take_text(memory, length[0]) if memory else None


def _read_domain(reference: Reference) -> str:
    return _text(reference, lib.APPLEVZ_ERROR_TEXT_DOMAIN) or ""


def _read_code(reference: Reference) -> int:
    return lib.applevz_error_code(reference)  # type: ignore[no-any-return]


def _read_localized_description(reference: Reference) -> str:
    text = _text(reference, lib.APPLEVZ_ERROR_TEXT_LOCALIZED_DESCRIPTION)
    return text or f"The operation failed ({_read_domain(reference)} {_read_code(reference)})."


def _read_failure_reason(reference: Reference) -> str | None:
    return _text(reference, lib.APPLEVZ_ERROR_TEXT_FAILURE_REASON)


def _read_recovery_suggestion(reference: Reference) -> str | None:
    return _text(reference, lib.APPLEVZ_ERROR_TEXT_RECOVERY_SUGGESTION)


def _read_user_info(reference: Reference) -> dict[str, Any]:
    import json

    information = json.loads(_text(reference, lib.APPLEVZ_ERROR_TEXT_USER_INFO) or "{}")
    return information if isinstance(information, dict) else {}


def _read_underlying(reference: Reference) -> CFError | None:
    underlying = lib.applevz_error_copy_underlying(reference)
    return None if underlying is None else CFError(underlying)


# An error's values are native, and nothing native can be read in a forked child. So they are read before the fork.
_read_before_fork: dict[Reference | None, dict[str, Any]] = {}
_read_by_this_fork: list[Reference] = []


def _before_fork() -> None:
    for reference in errors():
        if reference in _read_before_fork:
            continue  # by the process that this one was forked from
        _read_by_this_fork.append(reference)
        try:
            error: CFError | None = CFError(reference)
            values = error._all_values()  # type: ignore[union-attr]
            for _ in range(_DEEPEST):
                error = error.underlying  # type: ignore[union-attr]
                if error is None:
                    break
                error._all_values()
        except Error:
            continue  # it was given back meanwhile
        _read_before_fork[reference] = values


def _after_fork_in_parent() -> None:
    for reference in _read_by_this_fork:
        _read_before_fork.pop(reference, None)
    _read_by_this_fork.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_read_by_this_fork.clear,
    )


def _read_posix_code(reference: Reference) -> int:
    return lib.applevz_error_posix_code(reference)  # type: ignore[no-any-return]


def _read_file(reference: Reference) -> str | None:
    return _text(reference, lib.APPLEVZ_ERROR_TEXT_FILE)


_READERS: Final = {
    "domain": _read_domain,
    "code": _read_code,
    "localized_description": _read_localized_description,
    "failure_reason": _read_failure_reason,
    "recovery_suggestion": _read_recovery_suggestion,
    "user_info": _read_user_info,
    "underlying": _read_underlying,
    # Of the error and all beneath it, for the exception.
    "posix_code": _read_posix_code,
    "file": _read_file,
}


class Error(Exception):
    """The root of this package's exceptions. Its one argument is its `CFError`.

    The argument is kept where every exception keeps its arguments, and the class has no initializer: an error is made,
    raised, caught and dropped in a few microseconds.
    """

    @property
    def error(self) -> CFError:
        """The native error."""
        return self.args[0]  # type: ignore[no-any-return]

    @property
    def domain(self) -> str:
        """The domain of `code`, as `"VZErrorDomain"`."""
        return self.error.domain

    @property
    def code(self) -> int:
        """The number of the error in its domain."""
        return self.error.code

    @property
    def localized_description(self) -> str:
        """The sentence that says what happened."""
        return self.error.localized_description

    @property
    def failure_reason(self) -> str | None:
        """Why it happened."""
        return self.error.failure_reason

    @property
    def recovery_suggestion(self) -> str | None:
        """What would fix it."""
        return self.error.recovery_suggestion

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        # `BaseException` would name the class, and one that was combined here has no name that could be imported.
        base, builtin = type(self)._combination
        # By its name: old pickle protocols have an OSError in place of each of its subclasses.
        return _unpickled, (base, builtin and builtin.__name__, self.args, self.__dict__ or None)

    # The importable class, and the builtin that it was combined with, if it was.
    _combination: tuple[type[Error], type[Exception] | None]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "_combination" not in cls.__dict__:
            cls._combination = (cls, None)


Error._combination = (Error, None)


class InternalError(Error, RuntimeError):
    """The framework failed for a reason of its own."""


class InvalidVirtualMachineConfigurationError(Error, ValueError):
    """No machine can be made from the configuration: `failure_reason` names the field and its value."""


class InvalidVirtualMachineStateError(Error, RuntimeError):
    """The machine's present state does not allow the call."""


class InvalidVirtualMachineStateTransitionError(Error, RuntimeError):
    """The machine's present state does not accept the verb."""


class InvalidDiskImageError(Error, ValueError):
    """The image cannot be a machine's disk."""


class VirtualMachineLimitExceededError(Error, RuntimeError):
    """The host runs as many machines as it allows."""


class NetworkError(Error, OSError):
    """A network device failed."""


class DownloadError(NetworkError):
    """An image cannot be had from where it is given out: `failure_reason` says what each server did."""


class OperationCancelledError(Error, RuntimeError):
    """The call was given up while it was under way, as when its machine was discarded."""


class NotSupportedError(Error, NotImplementedError):
    """This host cannot do it: `failure_reason` says what is missing."""


class SaveError(Error, RuntimeError):
    """The machine's state was not saved."""


class RestoreError(Error, RuntimeError):
    """The machine's state was not restored."""


class NetworkBlockDeviceNegotiationFailedError(Error, OSError):
    """The server of a network block device cannot be reached, or does not give the disk out."""


class NetworkBlockDeviceDisconnectedError(Error, OSError):
    """The server of a network block device is gone. The guest's reads and writes of the disk fail."""


class USBControllerNotFoundError(Error, LookupError):
    """The machine has no such USB controller."""


class DeviceAlreadyAttachedError(Error, RuntimeError):
    """The device is attached to a machine already."""


class DeviceInitializationFailureError(Error, RuntimeError):
    """The device cannot be attached: `failure_reason` says why."""


class DeviceNotFoundError(Error, LookupError):
    """The device is not attached there."""


class ForeignExceptionError(Error, RuntimeError):
    """An `NSException` was raised in the native library. Its name and reason are in the error."""


class InvalidArgumentError(Error, ValueError):
    """The value of an argument cannot be used."""


class InvalidArgumentTypeError(InvalidArgumentError, TypeError):
    """The type of an argument cannot be used."""


class ImageNotFoundError(InvalidArgumentError, LookupError):
    """There is no image of that name."""


class TimeoutError(Error, builtins.TimeoutError):
    """The time that was allowed is over. The call that was under way goes on."""


class ForkedError(Error, RuntimeError):
    """The machine belongs to the process that this one was forked from.

    Every call that can fail raises it in a child that was forked after the first machine was made, even if the call
    were wrong for another reason. A machine's `state` stays what it was at the fork. What the child drops or closes is
    not touched. For machines of its own, start a new process: by `multiprocessing`'s method "spawn", or `subprocess`.

    Before the first machine, a process may be forked on Linux. On a Mac it should not be forked even then: Apple's
    frameworks do not promise to work in a process that was forked and did not start another program, and may end it.
    """


class InvalidStateError(Error, RuntimeError):
    """The object was closed, or the call does not fit its present state."""


class EndOfConsoleError(InvalidStateError, EOFError):
    """The machine stopped. Its console has no more output."""


class GuestUnreachableError(Error, ConnectionError):
    """No agent can be spoken to in the guest, and nothing was begun there."""


class GuestNotAnsweringError(GuestUnreachableError, TimeoutError):
    """No agent answered in the guest within the time that was allowed, and nothing was begun there."""


class NoNodeError(GuestUnreachableError):
    """No node of a cluster has a machine for the call, and nothing was begun: `failure_reason` says why, of each."""


class GuestConnectionLostError(Error, ConnectionError):
    """The guest's agent went, or its machine stopped, while something was under way: how that ended is not known."""


class GuestPanickedError(GuestConnectionLostError):
    """The guest's kernel panicked. What was under way there ended with it."""


class MachineLostError(GuestConnectionLostError):
    """The node of a cluster on which a machine was is gone, or its process died. What was under way in the machine may
    have run, in part or as a whole. What had not begun raises `NoNodeError` instead, if no other node takes it."""


class _SystemError(Error):
    """The attributes of an error that the operating system caused."""

    if TYPE_CHECKING:
        # To a type checker they are OSError's own. With properties no error could be a FileExistsError, too.
        errno: int | None
        strerror: str | None
        filename: Any
    else:

        @property
        def errno(self) -> int | None:
            """The number of the condition, as in the module `errno`."""
            return self.error._value("posix_code") or None

        @property
        def strerror(self) -> str | None:
            """The system's words for `errno`."""
            number = self.errno
            return os.strerror(number) if number is not None and number in errno.errorcode else None

        @property
        def filename(self) -> str | None:
            """The file that the error, or one that caused it, names; None if none does."""
            file: str | None = self.error._value("file")
            if file is not None and file.startswith("file:"):
                from ._values.file_urls import path_of_url  # what it needs is slow to import

                return path_of_url(file)
            return file


class OutOfDiskSpaceError(_SystemError, OSError):
    """The host's disk is full."""


class POSIXError(_SystemError, OSError):
    """A condition of the operating system."""


_VIRTUALIZATION_CLASSES: Final[dict[int, type[Error]]] = {
    lib.APPLEVZ_ERROR_INTERNAL: InternalError,
    lib.APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_CONFIGURATION: InvalidVirtualMachineConfigurationError,
    lib.APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE: InvalidVirtualMachineStateError,
    lib.APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE_TRANSITION: InvalidVirtualMachineStateTransitionError,
    lib.APPLEVZ_ERROR_INVALID_DISK_IMAGE: InvalidDiskImageError,
    lib.APPLEVZ_ERROR_VIRTUAL_MACHINE_LIMIT_EXCEEDED: VirtualMachineLimitExceededError,
    lib.APPLEVZ_ERROR_NETWORK_ERROR: NetworkError,
    lib.APPLEVZ_ERROR_OUT_OF_DISK_SPACE: OutOfDiskSpaceError,
    lib.APPLEVZ_ERROR_OPERATION_CANCELLED: OperationCancelledError,
    lib.APPLEVZ_ERROR_NOT_SUPPORTED: NotSupportedError,
    lib.APPLEVZ_ERROR_SAVE: SaveError,
    lib.APPLEVZ_ERROR_RESTORE: RestoreError,
    lib.APPLEVZ_ERROR_NETWORK_BLOCK_DEVICE_NEGOTIATION_FAILED: NetworkBlockDeviceNegotiationFailedError,
    lib.APPLEVZ_ERROR_NETWORK_BLOCK_DEVICE_DISCONNECTED: NetworkBlockDeviceDisconnectedError,
    lib.APPLEVZ_ERROR_USB_CONTROLLER_NOT_FOUND: USBControllerNotFoundError,
    lib.APPLEVZ_ERROR_DEVICE_ALREADY_ATTACHED: DeviceAlreadyAttachedError,
    lib.APPLEVZ_ERROR_DEVICE_INITIALIZATION_FAILURE: DeviceInitializationFailureError,
    lib.APPLEVZ_ERROR_DEVICE_NOT_FOUND: DeviceNotFoundError,
}
_BRIDGE_CLASSES: Final[dict[int, type[Error]]] = {
    lib.APPLEVZ_BRIDGE_ERROR_EXCEPTION: ForeignExceptionError,
    lib.APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT: InvalidArgumentError,
    lib.APPLEVZ_BRIDGE_ERROR_TIMED_OUT: TimeoutError,
    lib.APPLEVZ_BRIDGE_ERROR_FORKED: ForkedError,
    lib.APPLEVZ_BRIDGE_ERROR_INVALID_STATE: InvalidStateError,
    lib.APPLEVZ_BRIDGE_ERROR_GUEST_UNREACHABLE: GuestUnreachableError,
    lib.APPLEVZ_BRIDGE_ERROR_GUEST_CONNECTION_LOST: GuestConnectionLostError,
    lib.APPLEVZ_BRIDGE_ERROR_GUEST_PANICKED: GuestPanickedError,
}
# For each domain the classes of its codes, and that of its other codes.
_CLASSES: Final[dict[int, tuple[dict[int, type[Error]], type[Error]]]] = {
    lib.APPLEVZ_ERROR_DOMAIN_VIRTUALIZATION: (_VIRTUALIZATION_CLASSES, Error),
    lib.APPLEVZ_ERROR_DOMAIN_BRIDGE: (_BRIDGE_CLASSES, Error),
    lib.APPLEVZ_ERROR_DOMAIN_POSIX: ({}, POSIXError),
    lib.APPLEVZ_ERROR_DOMAIN_OTHER: ({}, Error),
}

# The subclass of OSError that Python itself raises for each errno, and MemoryError, which is none.
_BUILTINS: Final[dict[int, type[Exception]]] = {
    **{number: type(OSError(number, "")) for number in errno.errorcode},
    errno.ENOMEM: MemoryError,
}

_DOMAINS_AND_CODES: Final[dict[type[Error], tuple[str, int]]] = {
    **{kind: (VIRTUALIZATION_DOMAIN, code) for code, kind in _VIRTUALIZATION_CLASSES.items()},
    **{kind: (BRIDGE_DOMAIN, code) for code, kind in _BRIDGE_CLASSES.items()},
}

_combined: dict[tuple[type[Error], type[Exception]], type[Error]] = {}


def _combine(base: type[Error], builtin: type[Exception]) -> type[Error]:
    """The class that is both, made when it is first needed."""
    if issubclass(base, builtin) and issubclass(base, _SystemError):
        return base
    try:
        return _combined[base, builtin]
    except KeyError:
        pass
    # Error is a base of _SystemError, and _SystemError and OSError are bases of POSIXError: naming them again would
    # have no order.
    candidates = (_SystemError, builtin) if base is Error else (base, _SystemError, builtin)
    bases = tuple(one for one in candidates if one is base or not issubclass(base, one))
    combination = type(base.__name__, bases, {"__module__": base.__module__, "_combination": (base, builtin)})
    # Of two threads that come here at once, both go on with the class that was there first.
    return _combined.setdefault((base, builtin), combination)


def _unpickled(
    base: type[Error], builtin: str | None, arguments: tuple[Any, ...], state: dict[str, Any] | None
) -> Error:
    exception = (_combine(base, getattr(builtins, builtin)) if builtin else base)(*arguments)
    if state:
        exception.__dict__.update(state)
    return exception


# The class for each kind of error that there was: few, as there are few conditions.
_classes_of_kinds: dict[int, type[Error]] = {}


def _class_of_kind(kind: int) -> type[Error]:
    classes, other = _CLASSES[kind >> 56]
    found = classes.get(kind & 0xFFFFFFFF, other)
    posix_code = kind >> 32 & 0xFFFFFF
    if posix_code:
        found = _combine(found, _BUILTINS.get(posix_code, OSError))
    return _classes_of_kinds.setdefault(kind, found)


def _class_of(reference: Reference) -> type[Error]:
    kind = _kind(reference)
    return _classes_of_kinds.get(kind) or _class_of_kind(kind)


def exception_of(reference: Reference) -> Error:
    """The exception for an error."""
    return _class_of(reference)(CFError(reference))


def exception_in(pointer: Pointer) -> Error | None:
    """The exception for a `CFErrorRef` that came in a structure, whose reference is taken over; None for NULL."""
    reference = adopt_error(pointer)
    return None if reference is None else exception_of(reference)


def check(reference: Reference | None) -> None:
    """Raises the exception for the error that a native function gave; None is success."""
    if reference is not None:
        kind = _kind(reference)
        try:
            found = _classes_of_kinds[kind]
        except KeyError:
            found = _class_of_kind(kind)
        raise found(CFError(reference))


def check_in(field: str, reference: Reference | None) -> None:
    """As `check`, with an exception that names `field`: the framework knows only its own part of it."""
    if reference is not None:
        name = field.encode("utf-8", "backslashreplace")
        raise exception_of(lib.applevz_error_create_in_field(reference, name, len(name)))


def handle_of(function: Callable[..., Any], *arguments: object, field: str = "") -> Any:
    """The handle that a native function makes; None if it makes none.

    Raises the exception for its error, which names `field` if that is given.
    """
    error, handle = function(*arguments)
    check_in(field, error) if field else check(error)
    return handle


def make(kind: type[Error], description: str, reason: str = "", suggestion: str = "") -> Error:
    """An exception for what this package finds itself: `kind`, with a native error of its domain and code."""
    domain, code = next(_DOMAINS_AND_CODES[base] for base in kind.__mro__ if base in _DOMAINS_AND_CODES)
    reference = _create(domain, code, description, reason, suggestion)
    # In a forked process the native library makes an error that says so, whatever it was asked for.
    found = _class_of(reference)
    return (kind if issubclass(kind, found) else found)(CFError(reference))


def make_posix(cause: OSError, description: str, suggestion: str = "", path: bytes | None = None) -> Error:
    """The exception for an `OSError` that this package met, about the file at `path`."""
    reference = _create(POSIX_DOMAIN, cause.errno or 0, description, f"{cause.strerror}.", suggestion)
    if path is not None:
        reference = lib.applevz_error_create_with_file(reference, path, len(path))
    return exception_of(reference)


def _create(domain: str, code: int, description: str, reason: str, suggestion: str) -> Reference:
    data = [text.encode("utf-8", "backslashreplace") for text in (domain, description, reason, suggestion)]
    name, *texts = [argument for text in data for argument in (text, len(text))]
    return lib.applevz_error_create(name, texts[0], code, *texts[1:])  # type: ignore[no-any-return]
