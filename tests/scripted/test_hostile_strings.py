# SPDX-License-Identifier: Apache-2.0
"""No string of a user's changes what another option of QEMU's means: it stands in its own place, whatever is in it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import applevz
from fixtures import MakeMachine
from guest_machine import PATIENCE
from places import SCRIPTED_QEMU

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU under Apple's framework")

PLAIN = "plain"

# What means something to one of QEMU's parsers, to a shell, to printf or to a C string.
fragments = [",", ",,", "=", "-", "--", " ", "\t", '"', "'", "\\", "{", "}", "%n", "%s", ":", "$(id)", ";", "a", "é"]
fragments += ["id=x", "json:"]
hostile = st.lists(
    st.sampled_from(fragments),
    min_size=1,
    max_size=12,
).map("".join)


@pytest.fixture
def arguments(
    machine: MakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[list[str], Path]]:
    """Starts a machine and gives the arguments that its QEMU saw."""
    record = tmp_path / "arguments.json"
    monkeypatch.setenv("APPLEVZ_QEMU", str(SCRIPTED_QEMU))
    monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps({"record": str(record)}))

    def start(*, name: str, words: str, identifier: str) -> tuple[list[str], Path]:
        image = tmp_path / f"{name}.img"
        image.write_bytes(bytes(512))
        attachment = applevz.DiskImageStorageDeviceAttachment(image)
        vm = machine(
            words=words,
            storage_devices=[applevz.VirtioBlockDeviceConfiguration(attachment, block_device_identifier=identifier)],
        )
        try:
            vm.start(timeout=PATIENCE)
        finally:
            vm.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE)
            image.unlink()
        return json.loads(record.read_text()), image

    return start


@pytest.fixture
def of_plain_strings(arguments: Callable[..., tuple[list[str], Path]]) -> tuple[list[str], Path]:
    return arguments(name=PLAIN, words=PLAIN, identifier=PLAIN)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=hostile, words=hostile, identifier=hostile)
@example(name="-", words="-append x", identifier=",drive=x")
@example(name=",", words="--", identifier=",")
@example(name="a\nb", words='"', identifier='","driver":"x')
def test_a_hostile_string_stands_in_its_own_place_and_nowhere_else(
    arguments: Callable[..., tuple[list[str], Path]],
    of_plain_strings: tuple[list[str], Path],
    name: str,
    words: str,
    identifier: str,
) -> None:
    identifier = identifier.encode("ascii", "replace").decode()[:20].replace("\t", "?")
    plain, plain_image = of_plain_strings
    seen, image = arguments(name=name, words=words, identifier=identifier)

    assert len(seen) == len(plain)
    # A path is none of its strings: the file is opened before.
    assert not any(os.fspath(image) in argument or os.fspath(plain_image) in argument for argument in (*seen, *plain))
    uuid = plain.index("-uuid") + 1
    for index, (ours, theirs) in enumerate(zip(seen, plain, strict=True)):
        if index == uuid:
            continue
        if theirs.startswith("{"):
            expected = json.loads(theirs)
            if expected.get("serial") == PLAIN:
                expected["serial"] = identifier
            assert json.loads(ours) == expected
        elif plain[index - 1] == "-append":
            added = f" {applevz.command_line_additions()}"
            assert ours.replace(added, "", 1) == f"console=hvc0 quiet {words}".strip()
        else:
            assert ours == theirs
