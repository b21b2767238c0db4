# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as exceptions.

Each exception keeps the native error that it tells of, a `CFError`, as `error`. The tree, with the builtin that each
class also derives from:

    Error
    ├── of VZErrorDomain, the framework's own
    │   ├── InternalError                               RuntimeError
    │   ├── InvalidVirtualMachineConfigurationError     ValueError
    │   ├── InvalidVirtualMachineStateError             RuntimeError
    │   ├── InvalidVirtualMachineStateTransitionError   RuntimeError
    │   ├── InvalidDiskImageError                       ValueError
    │   ├── VirtualMachineLimitExceededError            RuntimeError
    │   ├── NetworkError                                OSError
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
    │   │   └── InvalidArgumentTypeError                TypeError
    │   ├── TimeoutError                                TimeoutError
    │   ├── ForkedError                                 RuntimeError
    │   └── InvalidStateError                           RuntimeError
    │       └── EndOfConsoleError                       EOFError
    └── POSIXError, of NSPOSIXErrorDomain               OSError

An error that the operating system caused (its domain is NSPOSIXErrorDomain, or that of an error in its chain of
underlying ones is) is also the builtin that Python has for that condition: a missing kernel is an
`InvalidVirtualMachineConfigurationError` and a `FileNotFoundError`, no memory is a `MemoryError`, any other an
`OSError`, with `errno` and, where the error names a file, `filename`. Such classes are made when they are first needed.

An error of any other domain is an `Error` and nothing more.
"""

from __future__ import annotations

import builtins
import errno
import os

from ._native import Reference, ffi, lib, take_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final
else:
    # As an annotation that is looked up at run time: whatever it is.
    Any = object

__all__ = [
    "CFError",
    "DeviceAlreadyAttachedError",
    "DeviceInitializationFailureError",
    "DeviceNotFoundError",
    "EndOfConsoleError",
    "Error",
    "ForeignExceptionError",
    "ForkedError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidArgumentTypeError",
    "InvalidDiskImageError",
    "InvalidStateError",
    "InvalidVirtualMachineConfigurationError",
    "InvalidVirtualMachineStateError",
    "InvalidVirtualMachineStateTransitionError",
    "NetworkBlockDeviceDisconnectedError",
    "NetworkBlockDeviceNegotiationFailedError",
    "NetworkError",
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

# Looked up once: an error's whole life is a few microseconds, and an attribute of `lib` is a part of that.
_gc = ffi.gc
_CFRelease = lib.CFRelease
_kind = lib.applevz_error_kind


class CFError:
    """A native error: a `CFErrorRef` on macOS and Linux alike.

    It adopts one reference, which its finalizer gives back with `CFRelease`, once, on whatever thread it runs. The
    attributes are read when they are asked for and are those of Apple's `CFError` (Core Foundation's documentation).
    Two errors are equal if everything that can be read of them is. A copy is the same object; a pickled error comes
    back with the same attributes and no native reference.
    """

    __slots__ = ("_reference", "_values")

    _reference: Reference
    _values: dict[str, Any]

    def __init__(self, reference: Reference) -> None:
        """Adopts `reference`, a `CFErrorRef` that the caller owns and no longer may end."""
        self._reference = _gc(reference, _CFRelease)

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
            values[name] = _READERS[name](self._reference)
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
        """What happened. Never empty: an error without words of its own is described by domain and code."""
        return self._value("localized_description")  # type: ignore[no-any-return]

    @property
    def failure_reason(self) -> str | None:
        """Why it happened."""
        return self._value("failure_reason")  # type: ignore[no-any-return]

    @property
    def recovery_suggestion(self) -> str | None:
        """What would do."""
        return self._value("recovery_suggestion")  # type: ignore[no-any-return]

    @property
    def user_info(self) -> dict[str, Any]:
        """The dictionary of the error. What is not text, a number, an array or a dictionary is its description."""
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
    return CFError(underlying) if underlying else None


_READERS: Final = {
    "domain": _read_domain,
    "code": _read_code,
    "localized_description": _read_localized_description,
    "failure_reason": _read_failure_reason,
    "recovery_suggestion": _read_recovery_suggestion,
    "user_info": _read_user_info,
    "underlying": _read_underlying,
}


class Error(Exception):
    """The root of this package's exceptions. Its one argument is the `CFError` that it tells of.

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
        """What happened."""
        return self.error.localized_description

    @property
    def failure_reason(self) -> str | None:
        """Why it happened."""
        return self.error.failure_reason

    @property
    def recovery_suggestion(self) -> str | None:
        """What would do."""
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
    """The machine is in a state in which it cannot be used so."""


class InvalidVirtualMachineStateTransitionError(Error, RuntimeError):
    """The machine's present state does not accept the verb."""


class InvalidDiskImageError(Error, ValueError):
    """The image is not one that a machine can have as its disk."""


class VirtualMachineLimitExceededError(Error, RuntimeError):
    """The host runs as many machines as it allows."""


class NetworkError(Error, OSError):
    """A network device failed."""


class OutOfDiskSpaceError(Error, OSError):
    """The host's disk is full."""


class OperationCancelledError(Error, RuntimeError):
    """What was under way was given up, as when its machine was discarded."""


class NotSupportedError(Error, NotImplementedError):
    """This host cannot do it: `failure_reason` says what is missing."""


class SaveError(Error, RuntimeError):
    """The machine's state was not saved."""


class RestoreError(Error, RuntimeError):
    """The machine's state was not restored."""


class NetworkBlockDeviceNegotiationFailedError(Error, OSError):
    """The server of a network block device cannot be reached, or does not give the disk out."""


class NetworkBlockDeviceDisconnectedError(Error, OSError):
    """The server of a network block device is gone, and what the guest wants of the disk fails."""


class USBControllerNotFoundError(Error, LookupError):
    """The machine has no such USB controller."""


class DeviceAlreadyAttachedError(Error, RuntimeError):
    """The device is attached to a machine already."""


class DeviceInitializationFailureError(Error, RuntimeError):
    """The device cannot be attached: `failure_reason` says why."""


class DeviceNotFoundError(Error, LookupError):
    """The device is not attached there."""


class ForeignExceptionError(Error, RuntimeError):
    """An `NSException` was raised in the native library; its name and reason are in the error."""


class InvalidArgumentError(Error, ValueError):
    """A value that no machine could be given."""


class InvalidArgumentTypeError(InvalidArgumentError, TypeError):
    """A value of a type that no machine could be given."""


class TimeoutError(Error, builtins.TimeoutError):
    """The time that was allowed is over. What was under way goes on."""


class ForkedError(Error, RuntimeError):
    """The machine belongs to the process that this one was forked from."""


class InvalidStateError(Error, RuntimeError):
    """The object was closed, or the call does not fit its present state."""


class EndOfConsoleError(InvalidStateError, EOFError):
    """The machine stopped, so its console says nothing more."""


class _SystemError(Error):
    """What an error that the operating system caused has beside the rest."""

    def _causes(self) -> Iterator[CFError]:
        error: CFError | None = self.error
        # An error that is its own cause ends the chain too: nobody nests causes deeper than this.
        for _ in range(16):
            if error is None:
                return
            yield error
            error = error.underlying

    @property
    def errno(self) -> int | None:
        """The number of the condition, as in the module `errno`."""
        return next((cause.code for cause in self._causes() if cause.domain == POSIX_DOMAIN), None)

    @property
    def strerror(self) -> str | None:
        """The system's words for `errno`."""
        number = self.errno
        return os.strerror(number) if number is not None and number in errno.errorcode else None

    @property
    def filename(self) -> str | None:
        """The file, where the error or one that caused it names it."""
        paths = (cause.user_info.get("NSFilePath") for cause in self._causes())
        return next((path for path in paths if isinstance(path, str)), None)


class POSIXError(_SystemError, OSError):  # type: ignore[override]  # OSError's attributes, read when they are asked for
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
    # POSIXError is an OSError already and _SystemError a base of it: naming them again would have no order.
    bases = tuple(
        candidate for candidate in (base, _SystemError, builtin) if candidate is base or not issubclass(base, candidate)
    )
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
    """The exception for `reference`, a `CFErrorRef` that is adopted here."""
    return _class_of(reference)(CFError(reference))


def check(reference: Reference) -> None:
    """Raises the exception for `reference`, the `CFErrorRef` that a native function returned; NULL is success."""
    if reference:
        kind = _kind(reference)
        try:
            found = _classes_of_kinds[kind]
        except KeyError:
            found = _class_of_kind(kind)
        raise found(CFError(reference))


def make(kind: type[Error], description: str, reason: str = "", suggestion: str = "") -> Error:
    """An exception of this package's own finding: `kind`, with a native error of its domain and code."""
    domain, code = next(_DOMAINS_AND_CODES[base] for base in kind.__mro__ if base in _DOMAINS_AND_CODES)
    reference = _create(domain, code, description, reason, suggestion)
    # In a forked process the native library makes an error that says so, whatever it was asked for.
    found = _class_of(reference)
    return (kind if issubclass(kind, found) else found)(CFError(reference))


def make_posix(cause: OSError, description: str, suggestion: str = "") -> Error:
    """The exception for what the operating system refused this package."""
    return exception_of(_create(POSIX_DOMAIN, cause.errno or 0, description, f"{cause.strerror}.", suggestion))


def _create(domain: str, code: int, description: str, reason: str, suggestion: str) -> Reference:
    data = [text.encode("utf-8", "backslashreplace") for text in (domain, description, reason, suggestion)]
    name, *texts = [argument for text in data for argument in (text, len(text))]
    return lib.applevz_error_create(name, texts[0], code, *texts[1:])
