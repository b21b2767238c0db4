# SPDX-License-Identifier: Apache-2.0
"""What kind of computer a machine is, and what no machine of this package is."""

from __future__ import annotations

from pathlib import Path

import pytest

import applevz
from applevz import GenericMachineIdentifier, GenericPlatformConfiguration, capabilities
from fixtures import Configure


def test_an_identifier_that_was_stored_is_the_same_again(configure: Configure, tmp_path: Path) -> None:
    identifier = GenericMachineIdentifier.random()
    assert identifier != GenericMachineIdentifier.random()
    (tmp_path / "identifier").write_bytes(identifier.data_representation)
    again = GenericMachineIdentifier((tmp_path / "identifier").read_bytes())
    assert again == identifier
    configure(platform=GenericPlatformConfiguration(again)).validate()


@pytest.mark.parametrize("data", [b"VZG", b"VZG\1" + bytes(15), b"VZG\1" + bytes(17), bytes(20), bytes(1 << 20)])
def test_data_that_is_no_identifiers_is_refused_with_its_length(configure: Configure, data: bytes) -> None:
    configuration = configure(platform=GenericPlatformConfiguration(GenericMachineIdentifier(data)))
    with pytest.raises(applevz.InvalidArgumentError, match=f"machine_identifier: {len(data)} bytes that are not"):
        configuration.validate()


def test_a_guest_that_is_to_run_machines_needs_a_host_that_lets_it(configure: Configure) -> None:
    configuration = configure(platform=GenericPlatformConfiguration(nested_virtualization=True))
    if capabilities.nested_virtualization:
        configuration.validate()
        return
    assert capabilities.nested_virtualization.reason
    for call in (configuration.validate, lambda: applevz.VirtualMachine(configuration)):
        with pytest.raises(applevz.NotSupportedError) as caught:
            call()
        assert caught.value.failure_reason == capabilities.nested_virtualization.reason


def test_a_value_that_is_no_truth_value_is_refused_by_name(configure: Configure) -> None:
    configuration = configure(platform=GenericPlatformConfiguration(nested_virtualization="yes"))  # type: ignore[arg-type]
    with pytest.raises(applevz.InvalidArgumentTypeError, match=r"platform\.nested_virtualization is 'yes'"):
        configuration.validate()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("macos_guests", "applevz runs Linux guests: it has no platform, boot loader or installer for macOS"),
        ("rosetta", "applevz shares no directory with Rosetta in it, which only a Mac has"),
        ("machine_view", "applevz has no window to show a guest's display in"),
    ],
)
def test_what_this_package_has_not_is_false_everywhere_with_the_reason(name: str, words: str) -> None:
    capability = getattr(capabilities, name)
    assert not capability
    assert words in capability.reason
    assert isinstance(capability.error, applevz.NotSupportedError)
    assert capability.error.recovery_suggestion
