# SPDX-License-Identifier: Apache-2.0
"""A Mac refuses a process for what the process is: the capability knows, and the error says what would fix it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import played_mac

if sys.platform == "darwin":
    pytest.skip("a Mac need not be played", allow_module_level=True)

VIRTUALIZATION = "com.apple.security.virtualization"
NETWORKING = "com.apple.vm.networking"
EXECUTABLE = str(Path(sys.executable).resolve())
# As the framework says it.
LACKING = "The process doesn\N{RIGHT SINGLE QUOTATION MARK}t have the “{}” entitlement."

BEGINNING = """
import json, sys
import applevz

def told(error):
    underlying = error.error.underlying
    return {
        "class": [base.__name__ for base in type(error).__mro__],
        "code": [error.domain, error.code],
        "description": error.localized_description,
        "reason": error.failure_reason,
        "suggestion": error.recovery_suggestion,
        "underlying": underlying and [underlying.domain, underlying.code],
        "text": str(error),
    }

def of(capability):
    return capability.error and told(capability.error)

def refusal(action):
    try:
        action()
    except applevz.Error as error:
        return told(error)
    return None

loader = applevz.LinuxBootLoader(sys.argv[1])
"""


def run(program: str, kernel: Path, policy: dict[str, Any], **environment: Any) -> Any:
    result = played_mac.run(BEGINNING + program, str(kernel), policy=policy, **environment)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def kernel(guest_files: Path) -> Path:
    """Nobody boots it, but what is none is refused for that."""
    return guest_files / "vmlinux"


def test_a_process_with_every_entitlement_is_told_nothing(kernel: Path) -> None:
    program = """
capabilities = applevz.capabilities
print(json.dumps([of(capabilities.virtualization), of(capabilities.save_restore), of(capabilities.bridged_networks)]))
"""
    virtualization, save_restore, bridged = run(program, kernel, {})
    assert virtualization is None
    assert save_restore is None
    # The class alone lists what there is.
    assert bridged is None or bridged["reason"] == "The virtualization framework lists no interface for it."


@pytest.mark.parametrize("lack", ["missing", "false"])
def test_the_capability_knows_which_executable_lacks_the_entitlement(kernel: Path, lack: str) -> None:
    program = """
names = ["virtualization", "hardware_acceleration", "save_restore", "efi", "bridged_networks"]
print(json.dumps([of(getattr(applevz.capabilities, name)) for name in names]))
"""
    told, *others = run(program, kernel, {"entitlements": {VIRTUALIZATION: lack}})
    assert told["description"] == "This process cannot run virtual machines."
    assert told["reason"] == f'"{EXECUTABLE}" lacks the entitlement {VIRTUALIZATION}.'
    assert told["suggestion"].startswith(f'Sign "{EXECUTABLE}" with the entitlement {VIRTUALIZATION}')
    assert "`python -m applevz sign`" in told["suggestion"]
    assert "NotSupportedError" in told["class"]
    assert "PermissionError" in told["class"]
    assert others == [told] * 4


MADE = "lambda: applevz.VirtualMachine(applevz.VirtualMachineConfiguration(loader))"
VALIDATED = "applevz.VirtualMachineConfiguration(loader).validate"


@pytest.mark.parametrize("action", [MADE, VALIDATED])
@pytest.mark.parametrize("lack", ["missing", "false", "unknown"])
def test_the_refusal_of_a_configuration_says_what_would_do(kernel: Path, action: str, lack: str) -> None:
    told = run(f"print(json.dumps(refusal({action})))", kernel, {"entitlements": {VIRTUALIZATION: lack}})
    # The framework's own words stay.
    assert told["code"] == ["VZErrorDomain", 2]
    assert told["reason"] == LACKING.format(VIRTUALIZATION)
    assert told["description"] == f"Invalid virtual machine configuration. {told['reason']}"
    assert told["suggestion"].startswith(f'Sign "{EXECUTABLE}" with the entitlement {VIRTUALIZATION}')
    assert told["text"].endswith(told["suggestion"])
    assert told["text"].count(told["reason"]) == 1
    assert told["underlying"] == ["NSPOSIXErrorDomain", 1]
    assert {"InvalidVirtualMachineConfigurationError", "PermissionError"} <= set(told["class"])


def test_a_start_that_is_refused_for_it_says_what_would_do(kernel: Path) -> None:
    program = """
with applevz.VirtualMachine(applevz.VirtualMachineConfiguration(loader)) as machine:
    print(json.dumps([refusal(lambda: machine.start(timeout=60)), machine.state.name]))
"""
    policy = {"entitlements": {VIRTUALIZATION: "missing"}, "entitlement asked for": "start"}
    told, state = run(program, kernel, policy)
    assert told["code"] == ["VZErrorDomain", 2]
    assert told["suggestion"].startswith(f'Sign "{EXECUTABLE}" with the entitlement {VIRTUALIZATION}')
    assert state == "STOPPED"


def test_a_refusal_for_another_reason_keeps_it_and_what_it_suggests(kernel: Path) -> None:
    # Nothing is known of the process, and everything.
    program = """
configuration = applevz.VirtualMachineConfiguration(loader, cpu_count=100_000)
print(json.dumps(refusal(configuration.validate)))
"""
    usual = run(program, kernel, {})
    assert usual["code"] == ["VZErrorDomain", 2]
    assert "CPUCount" in usual["reason"]
    assert "Sign" not in (usual["suggestion"] or "")

    lacking = {"entitlements": {VIRTUALIZATION: "missing"}, "entitlement asked for": "start"}
    told = run(program, kernel, lacking)
    assert told["reason"] == usual["reason"]
    assert told["suggestion"].startswith(f'Sign "{EXECUTABLE}"')
    assert told["suggestion"].endswith(usual["suggestion"] or "")


def test_a_process_that_rosetta_translates_is_named(kernel: Path) -> None:
    program = f"print(json.dumps([of(applevz.capabilities.virtualization), refusal({MADE})]))"
    capability, refused = run(program, kernel, {"translated": True})
    expected = f'"{EXECUTABLE}" runs as a program for x86-64, which Rosetta translates'
    assert capability["reason"].startswith(expected)
    assert "arch -arm64 python3" in capability["suggestion"]
    assert refused["code"] == ["VZErrorDomain", 2]
    assert refused["reason"] == "Virtualization is not available on this hardware."
    assert "arch -arm64 python3" in refused["suggestion"]
    assert "PermissionError" not in refused["class"]


def test_a_process_on_a_host_that_could_translate_others_is_not_translated(kernel: Path) -> None:
    program = "print(json.dumps(of(applevz.capabilities.virtualization)))"
    assert run(program, kernel, {"translated": False}) is None
    told = run(program, kernel, {"translated": False, "supported": False})
    assert told["description"] == "This host cannot run virtual machines."
    assert told["reason"] == "The virtualization framework says that it is not supported here."


BRIDGED = """
card = applevz.VirtioNetworkDeviceConfiguration(applevz.BridgedNetworkDeviceAttachment("en0"))
configuration = applevz.VirtualMachineConfiguration(loader, network_devices=[card])
capability = applevz.capabilities.bridged_networks
print(json.dumps([of(capability), refusal(lambda: applevz.VirtualMachine(configuration))]))
"""


def test_a_bridge_that_a_process_is_not_entitled_to_is_missing_though_it_is_listed(kernel: Path) -> None:
    policy = {"bridged interface": "en0", "entitlements": {NETWORKING: "missing"}}
    capability, refused = run(BRIDGED, kernel, policy)
    assert capability["reason"] == f'"{EXECUTABLE}" lacks the entitlement {NETWORKING}.'
    assert {"NotSupportedError", "PermissionError"} <= set(capability["class"])
    assert refused["code"] == ["VZErrorDomain", 2]
    assert refused["reason"] == LACKING.format(NETWORKING)
    assert "PermissionError" in refused["class"]
    for told in (capability, refused):
        assert "NATNetworkDeviceAttachment" in told["suggestion"]
        assert f'sign "{EXECUTABLE}" with the entitlement {NETWORKING}' in told["suggestion"]
        # What codesign alone can give is not enough.
        assert "applevz sign" not in told["suggestion"]


def test_where_nobody_can_tell_the_list_of_interfaces_counts_and_the_refusal_says_what_would_do(kernel: Path) -> None:
    policy = {"bridged interface": "en0", "entitlements": {NETWORKING: "unknown"}}
    capability, refused = run(BRIDGED, kernel, policy)
    assert capability is None
    assert f'sign "{EXECUTABLE}" with the entitlement {NETWORKING}' in refused["suggestion"]


def test_the_walk_says_what_is_missing_before_it_makes_a_machine(kernel: Path) -> None:
    # Which a start would find as well: the framework is asked for nothing before that.
    program = """
import runpy
sys.argv = ["applevz", "demo", "--kernel", sys.argv[1], "--initrd", ""]
runpy.run_module("applevz", run_name="__main__")
"""
    policy = {"entitlements": {VIRTUALIZATION: "missing"}, "entitlement asked for": "start"}
    result = played_mac.run(BEGINNING + program, str(kernel), policy=policy)
    assert (result.returncode, result.stdout) == (1, "")
    told = result.stderr.strip().splitlines()
    assert told[0] == "applevz: This process cannot run virtual machines."
    assert told[1] == f'  "{EXECUTABLE}" lacks the entitlement {VIRTUALIZATION}.'
    assert "`python -m applevz sign`" in told[2]
    assert "`make sign`" in told[2]


@pytest.mark.parametrize("lack", [None, "missing", "unknown"])
def test_what_is_asked_of_the_system_is_given_back(kernel: Path, lack: str | None) -> None:
    # If a task or an error were kept each time, all of them would take nearly half a megabyte.
    program = """
import gc, os
from applevz._native import ffi, lib

def counts():
    gc.collect()
    made, destroyed = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    assert lib.applevz_debug_error_counts(made, destroyed), "not a debug build"
    return made[0] - destroyed[0]

def resident():
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def ask(times):
    for _ in range(times):
        lib.applevz_capability_check(lib.APPLEVZ_CAPABILITY_VIRTUALIZATION)

configuration = applevz.VirtualMachineConfiguration(loader)
def refuse(times):
    for _ in range(times):
        refusal(configuration.validate)

ask(2_000)
refuse(50)
before, alive = resident(), counts()
ask(20_000)
refuse(100)
print(json.dumps([counts() - alive, resident() - before]))
"""
    alive, grown = run(program, kernel, {"entitlements": {VIRTUALIZATION: lack} if lack else {}})
    assert alive == 0
    assert grown < 1 << 18
