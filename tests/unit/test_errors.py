# SPDX-License-Identifier: Apache-2.0
"""Native errors as exceptions: which class, what it says, what it lives through."""

from __future__ import annotations

import builtins
import copy
import errno
import gc
import inspect
import os
import pickle
import weakref
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import CFError, Error, errors
from applevz._core.devices.displays import write_picture
from applevz._native import ffi, lib
from applevz.configuration import DiskImageStorageDeviceAttachment, VirtioBlockDeviceConfiguration

VZ = "VZErrorDomain"
POSIX = "NSPOSIXErrorDomain"


def reference(domain: str, code: int, description: str = "", reason: str = "", suggestion: str = "") -> Any:
    texts = [text.encode() for text in (domain, description, reason, suggestion)]
    lengths = [len(text) for text in texts]
    return lib.applevz_error_create(
        texts[0], lengths[0], code, texts[1], lengths[1], texts[2], lengths[2], texts[3], lengths[3]
    )


def raised(domain: str, code: int, *texts: str) -> Error:
    with pytest.raises(Error) as caught:
        errors.check(reference(domain, code, *texts))
    return caught.value


def missing_disk() -> Error:
    disk = VirtioBlockDeviceConfiguration(DiskImageStorageDeviceAttachment("/nowhere/disk.img"))
    with pytest.raises(Error) as caught:
        applevz.VirtualMachineConfiguration(storage_devices=[disk]).validate()
    return caught.value


def test_success_raises_nothing() -> None:
    errors.check(lib.applevz_limits_get(ffi.new("applevz_limits *")))


@pytest.mark.parametrize(
    ("name", "kind", "builtin"),
    [
        ("INTERNAL", applevz.InternalError, RuntimeError),
        ("INVALID_VIRTUAL_MACHINE_CONFIGURATION", applevz.InvalidVirtualMachineConfigurationError, ValueError),
        ("INVALID_VIRTUAL_MACHINE_STATE", applevz.InvalidVirtualMachineStateError, RuntimeError),
        (
            "INVALID_VIRTUAL_MACHINE_STATE_TRANSITION",
            applevz.InvalidVirtualMachineStateTransitionError,
            RuntimeError,
        ),
        ("INVALID_DISK_IMAGE", applevz.InvalidDiskImageError, ValueError),
        ("VIRTUAL_MACHINE_LIMIT_EXCEEDED", applevz.VirtualMachineLimitExceededError, RuntimeError),
        ("NETWORK_ERROR", applevz.NetworkError, OSError),
        ("OUT_OF_DISK_SPACE", applevz.OutOfDiskSpaceError, OSError),
        ("OPERATION_CANCELLED", applevz.OperationCancelledError, RuntimeError),
        ("NOT_SUPPORTED", applevz.NotSupportedError, NotImplementedError),
        ("SAVE", applevz.SaveError, RuntimeError),
        ("RESTORE", applevz.RestoreError, RuntimeError),
        ("NETWORK_BLOCK_DEVICE_NEGOTIATION_FAILED", applevz.NetworkBlockDeviceNegotiationFailedError, OSError),
        ("NETWORK_BLOCK_DEVICE_DISCONNECTED", applevz.NetworkBlockDeviceDisconnectedError, OSError),
        ("USB_CONTROLLER_NOT_FOUND", applevz.USBControllerNotFoundError, LookupError),
        ("DEVICE_ALREADY_ATTACHED", applevz.DeviceAlreadyAttachedError, RuntimeError),
        ("DEVICE_INITIALIZATION_FAILURE", applevz.DeviceInitializationFailureError, RuntimeError),
        ("DEVICE_NOT_FOUND", applevz.DeviceNotFoundError, LookupError),
    ],
)
def test_each_code_of_the_framework_has_its_class(name: str, kind: type[Error], builtin: type[Exception]) -> None:
    code = getattr(lib, f"APPLEVZ_ERROR_{name}")
    error = raised(VZ, code, "What happened.")
    assert type(error) is kind
    assert isinstance(error, builtin)
    assert (error.domain, error.code) == (VZ, code)


@pytest.mark.parametrize(
    ("name", "kind", "builtin"),
    [
        ("EXCEPTION", applevz.ForeignExceptionError, RuntimeError),
        ("INVALID_ARGUMENT", applevz.InvalidArgumentError, ValueError),
        ("TIMED_OUT", applevz.TimeoutError, builtins.TimeoutError),
        ("FORKED", applevz.ForkedError, RuntimeError),
        ("INVALID_STATE", applevz.InvalidStateError, RuntimeError),
        ("GUEST_UNREACHABLE", applevz.GuestUnreachableError, ConnectionError),
        ("GUEST_CONNECTION_LOST", applevz.GuestConnectionLostError, ConnectionError),
        ("GUEST_PANICKED", applevz.GuestPanickedError, ConnectionError),
    ],
)
def test_each_code_of_the_bridge_has_its_class(name: str, kind: type[Error], builtin: type[Exception]) -> None:
    error = raised("applevz", getattr(lib, f"APPLEVZ_BRIDGE_ERROR_{name}"))
    assert type(error) is kind
    assert isinstance(error, builtin)


@pytest.mark.parametrize(
    ("number", "builtin"),
    [
        (errno.ENOENT, FileNotFoundError),
        (errno.EACCES, PermissionError),
        (errno.EPERM, PermissionError),
        (errno.EISDIR, IsADirectoryError),
        (errno.ENOMEM, MemoryError),
        (errno.ENOSPC, OSError),
        (errno.ECONNREFUSED, ConnectionRefusedError),
        (99999, OSError),
    ],
)
def test_an_error_of_the_operating_system_is_what_python_has_for_it(number: int, builtin: type[Exception]) -> None:
    error = raised(POSIX, number)
    assert isinstance(error, applevz.POSIXError)
    assert isinstance(error, builtin)
    assert error.errno == number
    assert raised(POSIX, number).__class__ is error.__class__


@pytest.mark.parametrize(
    ("domain", "code", "number", "builtin"),
    [
        ("NSCocoaErrorDomain", 4, errno.ENOENT, FileNotFoundError),
        ("NSCocoaErrorDomain", 255, errno.EBUSY, OSError),
        ("NSCocoaErrorDomain", 257, errno.EACCES, PermissionError),
        ("NSCocoaErrorDomain", 260, errno.ENOENT, FileNotFoundError),
        ("NSCocoaErrorDomain", 263, errno.EFBIG, OSError),
        ("NSCocoaErrorDomain", 513, errno.EACCES, PermissionError),
        ("NSCocoaErrorDomain", 516, errno.EEXIST, FileExistsError),
        ("NSCocoaErrorDomain", 640, errno.ENOSPC, OSError),
        ("NSCocoaErrorDomain", 642, errno.EROFS, OSError),
        ("NSOSStatusErrorDomain", -43, errno.ENOENT, FileNotFoundError),
        (VZ, lib.APPLEVZ_ERROR_OUT_OF_DISK_SPACE, errno.ENOSPC, OSError),
    ],
)
def test_an_error_of_another_domain_is_what_python_has_for_what_it_means(
    domain: str, code: int, number: int, builtin: Any
) -> None:
    error: Any = raised(domain, code, "What.", "Why.")
    assert isinstance(error, builtin)
    assert (error.domain, error.code) == (domain, code)
    assert (error.errno, error.strerror, error.filename) == (number, os.strerror(number), None)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.errno, again.error) == (number, error.error)
    assert type(error).__name__ in ("Error", "OutOfDiskSpaceError")
    assert raised(domain, code).__class__ is error.__class__


def test_what_the_system_refuses_this_package_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"there")
    with pytest.raises(FileExistsError, match="image cannot be made") as caught:
        applevz.create_disk_image(path, 512)
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, str(path))
    large = str(tmp_path / os.fsdecode(b"large\xff"))
    with pytest.raises(applevz.POSIXError) as caught_size:
        applevz.create_disk_image(large, 2**63 - 512)
    assert (caught_size.value.errno, caught_size.value.filename) == (errno.EFBIG, large)
    shot = str(tmp_path / "nowhere" / "shot")
    with pytest.raises(FileNotFoundError, match="written to .*nowhere/shot") as caught_shot:
        write_picture(os.fsencode(shot), b"picture")
    assert caught_shot.value.filename == shot


@pytest.mark.parametrize(("domain", "code"), [("NSCocoaErrorDomain", 1), (VZ, 4711), ("applevz", -3), ("", 0)])
def test_any_other_error_is_of_the_root_class(domain: str, code: int) -> None:
    error = raised(domain, code)
    assert type(error) is Error
    assert (error.domain, error.code) == (domain, code)


@pytest.mark.parametrize("code", [0, -1, 2**31 - 1, -(2**31)])
def test_a_code_may_be_negative(code: int) -> None:
    assert raised("elsewhere", code).code == code


def test_the_texts_are_those_of_the_native_error() -> None:
    error = raised(VZ, 2, "What happened ✓.", "Why, \n and \0 how.", "What would do.")
    assert error.localized_description == "What happened ✓."
    assert error.failure_reason == "Why, \n and \0 how."
    assert error.recovery_suggestion == "What would do."
    assert str(error) == "VZErrorDomain 2: What happened ✓. Why, \n and \0 how. What would do."


def test_texts_that_an_error_has_not_are_none_but_it_is_always_described() -> None:
    error = raised("somewhere", 7)
    assert error.failure_reason is None
    assert error.recovery_suggestion is None
    assert error.localized_description
    assert error.error.underlying is None
    assert error.error.user_info == {}


def test_user_info_has_what_was_put_in_under_apples_names() -> None:
    assert raised("somewhere", 7, "Words").error.user_info == {"NSLocalizedDescription": "Words"}


def test_an_error_of_the_operating_system_names_its_file() -> None:
    configuration = applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader("/nowhere/vmlinux"))
    with pytest.raises(FileNotFoundError) as caught:
        configuration.validate()
    assert caught.value.filename == "/nowhere/vmlinux"
    assert caught.value.errno == errno.ENOENT
    assert isinstance(caught.value, applevz.InvalidVirtualMachineConfigurationError)


def test_the_system_s_refusal_beneath_a_framework_error_shows_in_its_class() -> None:
    error = missing_disk()
    assert isinstance(error, applevz.InvalidVirtualMachineConfigurationError | applevz.InvalidDiskImageError)
    assert isinstance(error, FileNotFoundError)
    assert error.errno == errno.ENOENT
    assert error.strerror
    assert error.error.underlying is not None
    chain = []
    cause: CFError | None = error.error
    while cause is not None:
        chain.append((cause.domain, cause.code))
        cause = cause.underlying
    assert chain[-1] == (POSIX, errno.ENOENT)
    assert "/nowhere/disk.img" in str(error)


def test_combined_classes_are_caught_by_either_name() -> None:
    with pytest.raises(FileNotFoundError):
        raise missing_disk()
    with pytest.raises(ValueError, match=r"disk\.img"):
        raise missing_disk()


def test_values_are_read_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    readers = {name: lambda ref, name=name: read.append(name) or name for name in errors._READERS}
    monkeypatch.setattr(errors, "_READERS", readers)
    error = CFError(reference(VZ, 2, "Words"))
    assert read == []
    assert error.failure_reason == "failure_reason"
    assert error.failure_reason == "failure_reason"
    assert read == ["failure_reason"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_exception_comes_back_from_a_pickle(protocol: int) -> None:
    for error in (raised(VZ, 2, "What.", "Why.", "Do."), raised(POSIX, errno.ENOENT, "Gone."), missing_disk()):
        error.note = "kept"  # type: ignore[attr-defined]
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is type(error)
        assert again.error == error.error
        assert str(again) == str(error)
        assert again.note == "kept"  # type: ignore[attr-defined]
        assert getattr(again, "errno", None) == getattr(error, "errno", None)
        assert again.error.user_info == error.error.user_info
        assert again.error.underlying == error.error.underlying


def test_a_copy_shares_the_native_error() -> None:
    error = missing_disk()
    for again in (copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert again.error is error.error


def test_errors_are_equal_by_what_they_say() -> None:
    first, second, third = (CFError(reference(VZ, 2, text)) for text in ("a", "a", "b"))
    assert first == second
    assert hash(first) == hash(second)
    assert first != third
    assert first != "a"


def test_a_caught_exception_leaves_no_garbage_to_be_collected() -> None:
    class WeakCFError(CFError):
        __slots__ = ("__weakref__",)

    gc.collect()
    gc.disable()
    try:
        error = WeakCFError(reference(VZ, 2))
        watch = weakref.ref(error)
        try:
            raise applevz.InternalError(error)
        except Error:
            del error
        assert watch() is None
    finally:
        gc.enable()


def test_errors_that_python_makes_are_native_ones_too() -> None:
    error = errors.make(applevz.InvalidArgumentTypeError, "What \ud800.", "Why.", "Do.")
    assert type(error) is applevz.InvalidArgumentTypeError
    assert (error.domain, error.code) == ("applevz", lib.APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT)
    assert error.localized_description == "What \\ud800."
    assert isinstance(error, TypeError)


def test_the_tree_at_the_top_of_the_file_is_the_tree() -> None:
    drawn = {}
    for line in (inspect.getdoc(errors) or "").splitlines():
        words = line.replace("├──", " ").replace("└──", " ").replace("│", " ").split()
        if words and words[0].rstrip(",").endswith("Error") and line.lstrip()[0] in "├└│":
            drawn[words[0].rstrip(",")] = words[-1]
    classes = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Error) and not name.startswith("_") and kind is not Error
    }
    assert drawn.keys() == classes.keys()
    for name, builtin in drawn.items():
        assert issubclass(classes[name], getattr(builtins, builtin)), name


def test_one_file_names_the_native_error_type() -> None:
    package = Path(applevz.__file__).parent
    assert [path.name for path in package.glob("*.py") if "CFErrorRef" in path.read_text()] == ["errors.py"]
    imports = [path.name for path in package.glob("*.py") if "from ._applevz import" in path.read_text()]
    assert imports == ["_native.py"]


def test_a_reason_that_is_made_when_it_is_asked_for_is_read_like_any_other() -> None:
    def error(number: int) -> Error:
        with pytest.raises(applevz.InvalidArgumentError) as caught:
            errors.check(lib.applevz_capability_check(number))
        return caught.value

    reason = "There is no capability with the number 1000."
    assert error(1000).failure_reason == reason
    assert error(1000).error.user_info == {
        "NSLocalizedDescription": "Unknown capability.",
        "NSLocalizedFailureReason": reason,
        "NSLocalizedRecoverySuggestion": "Use a value of enum applevz_capability.",
    }
    assert str(error(1000)).endswith(f": Unknown capability. {reason} Use a value of enum applevz_capability.")
    assert error(1000).error == error(1000).error != error(1001).error
    assert pickle.loads(pickle.dumps(error(1000))).failure_reason == reason
