# SPDX-License-Identifier: Apache-2.0
"""Shared directories: tags, names and directories that are refused, in which words."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import MultipleDirectoryShare, SharedDirectory, SingleDirectoryShare, aio
from applevz import VirtualMachineState as State
from fixtures import Configure, MakeMachine
from guest_machine import PATIENCE
from shares import device, single

linux = pytest.mark.skipif(sys.platform != "linux", reason="the words are those of the Linux classes")


def refused(configure: Configure, *devices: object) -> str:
    with pytest.raises(applevz.Error) as caught:
        configure(directory_sharing_devices=devices).validate()
    return str(caught.value)


@pytest.mark.parametrize("tag", ["x" * 35, "ä" * 17, "a,b=c", " "])
def test_a_tag_of_35_bytes_is_one(configure: Configure, tag: str) -> None:
    configure(directory_sharing_devices=[device(tag, None)]).validate()


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("", "tag is empty"),
        ("x" * 36, "which has 36 bytes in UTF-8"),
        ("ä" * 18, "which has 36 bytes in UTF-8"),
        ("a\0b", "directory_sharing_devices[0].tag"),
        (None, "directory_sharing_devices[0].tag is None"),
    ],
)
def test_a_tag_that_is_none_is_refused(configure: Configure, tag: Any, words: str) -> None:
    assert words in refused(configure, device(tag, None))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "The name of a shared directory is empty"),
        (".", '"."'),
        ("..", '".."'),
        ("a/b", "which has a slash"),
        ("x" * 256, "which has 256 bytes in UTF-8"),
        ("a\0b", "directory_sharing_devices[0].share.directories"),
        (7, "the name of directory_sharing_devices[0].share.directories[7] is 7"),
    ],
)
def test_a_name_that_is_none_is_refused(configure: Configure, tmp_path: Path, name: Any, words: str) -> None:
    assert words in refused(configure, device("share", MultipleDirectoryShare({name: SharedDirectory(tmp_path)})))


@pytest.mark.parametrize(
    ("name", "canonicalized"),
    [
        ("name", "name"),
        ("a/b\0c", "a-b-c"),
        ("ä" * 200, "ä" * 127),
        ("", None),
        ("..", None),
        ("/", "-"),
    ],
)
def test_a_name_is_canonicalized(name: str, canonicalized: str | None) -> None:
    assert MultipleDirectoryShare.canonicalized_name_from_name(name) == canonicalized


def test_what_is_no_name_is_not_canonicalized() -> None:
    with pytest.raises(applevz.InvalidArgumentTypeError, match="name is 7"):
        MultipleDirectoryShare.canonicalized_name_from_name(7)  # type: ignore[arg-type]


@linux
def test_a_directory_that_is_none_is_refused_by_its_place(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = 'directorySharingDevices[1].share.directories["name"].URL is '
    for path, words in (
        (tmp_path / "missing", "which cannot be found: No such file or directory"),
        (tmp_path / "file", "which is not a directory"),
        (tmp_path / "file" / "below", "which cannot be found: Not a directory"),
    ):
        share = MultipleDirectoryShare({"a": SharedDirectory(tmp_path), "name": SharedDirectory(path)})
        assert f'{place}"{path}", {words}' in refused(configure, device("share", None), device("other", share))
    words = f'directorySharingDevices[0].share.directory.URL is "{tmp_path}/missing", which cannot be found'
    assert words in refused(configure, device("share", single(tmp_path / "missing")))


@linux
def test_a_directory_that_was_removed_since_is_named_at_the_start(machine: MakeMachine, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    vm = machine(directory_sharing_devices=[device("share", single(tmp_path / "gone"))])
    (tmp_path / "gone").rmdir()
    words = r'directorySharingDevices\[0\]\.share\.directory\.URL is ".*/gone", which cannot be found'
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match=words) as caught:
        vm.start(timeout=PATIENCE)
    assert isinstance(caught.value, FileNotFoundError)
    assert vm.state is State.STOPPED
    (tmp_path / "gone").mkdir()
    vm.start(timeout=PATIENCE)


@linux
def test_two_devices_with_one_tag_are_refused(configure: Configure) -> None:
    words = 'directorySharingDevices[1].tag is "share", as is directorySharingDevices[0].tag'
    assert words in refused(configure, device("share", None), device("share", None))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("share", r"directory_sharing_devices\[0\] is 'share'"),
        (device("share", "/tmp"), r"directory_sharing_devices\[0\]\.share is '/tmp'"),  # type: ignore[arg-type]
        (device("share", SingleDirectoryShare("/tmp")), r"\[0\]\.share\.directory is '/tmp'"),  # type: ignore[arg-type]
        (device("share", MultipleDirectoryShare(["/tmp"])), r"\[0\]\.share\.directories is \['/tmp'\]"),  # type: ignore[arg-type]
        (device("share", MultipleDirectoryShare({"a": "/tmp"})), r"\[0\]\.share\.directories\['a'\] is '/tmp'"),  # type: ignore[dict-item]
        (device("share", single(7)), r"\[0\]\.share\.directory\.path is 7"),  # type: ignore[arg-type]
        (device("share", single("/tmp", "no")), r"\[0\]\.share\.directory\.read_only is 'no'"),  # type: ignore[arg-type]
    ],
)
def test_what_is_of_another_type_is_refused_by_its_field(configure: Configure, given: Any, words: str) -> None:
    with pytest.raises(applevz.InvalidArgumentTypeError, match=words):
        configure(directory_sharing_devices=[given]).validate()


def test_a_machine_without_such_devices_has_none_and_both_faces_have_the_same(
    machine: MakeMachine, configure: Configure, tmp_path: Path
) -> None:
    assert machine().directory_sharing_devices == ()

    async def look() -> object:
        async with aio.VirtualMachine(configure(directory_sharing_devices=[device("share", None)])) as vm:
            vm.directory_sharing_devices[0].share = single(tmp_path)
            return vm.directory_sharing_devices[0].share

    assert asyncio.run(look()) == SingleDirectoryShare(SharedDirectory(os.fspath(tmp_path), read_only=False))
