# SPDX-License-Identifier: Apache-2.0
"""The folder that images are kept in: who may use it, what is in it, and what goes from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import images
from applevz._images.store import Store
from applevz._images.task import Task

linux = pytest.mark.skipif(sys.platform != "linux", reason="qemu-img is a part of QEMU's packages")


@pytest.fixture
def raw(tmp_path: Path, disk: bytes) -> Path:
    path = tmp_path / "source.img"
    path.write_bytes(disk)
    return path


def test_it_is_this_user_s_cache_unless_another_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert images.list() == []
    (folder,) = tmp_path.rglob("images/disks")
    assert "applevz" in folder.parts
    assert folder.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_cache_that_others_may_write_to_is_refused(mode: int, cache: Path) -> None:
    cache.mkdir()
    cache.chmod(mode)
    with pytest.raises(applevz.InvalidArgumentError, match=f"its mode is {mode:o}"):
        images.list(cache=cache)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_a_cache_that_belongs_to_somebody_else_is_refused(cache: Path) -> None:
    cache.mkdir(mode=0o700)
    os.chown(cache, 12345, 12345)
    with pytest.raises(applevz.InvalidArgumentError, match="It belongs to the user 12345"):
        images.list(cache=cache)


def test_a_cache_that_cannot_be_written_to_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError, match=r"file/cache' cannot be used"):
        images.list(cache=tmp_path / "file" / "cache")
    if os.geteuid() == 0:
        program = f"""
import os
import filelock
from applevz import images
os.setuid(12345)
try:
    images.list(cache={str(tmp_path / "closed" / "cache")!r})
except PermissionError as error:
    print("refused", error.filename)
"""
        # Root may write to all folders: another user tries, once all is imported.
        (tmp_path / "closed").mkdir(mode=0o755)
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(folder.stat().st_mode | 0o055)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.stdout.startswith("refused "), done.stderr


@pytest.mark.parametrize("package", ["filelock", "platformdirs"])
def test_without_a_package_the_error_names_the_extra(
    package: str, raw: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(applevz.NotSupportedError, match=rf"{package} is not installed.*'applevz\[images\]'"):
        images.of(raw, cache=cache if package == "filelock" else None)


def test_the_library_is_imported_without_them() -> None:
    program = """
import sys
for name in ("filelock", "platformdirs", "zstandard"):
    sys.modules[name] = None
from applevz import aio, images
from applevz.aio import images
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@linux
def test_images_are_listed_by_name_and_removed_by_name(raw: Path, cache: Path) -> None:
    first = images.of(raw, cache=cache, name="b:1", architecture="x86_64")
    second = images.of(raw, cache=cache, name="b:1", architecture="aarch64")
    third = images.of(raw, cache=cache, name="a")
    assert images.list(cache=cache) == [third, second, first]
    with pytest.raises(applevz.ImageNotFoundError, match="has a, b:1") as caught:
        images.remove("c", cache=cache)
    assert isinstance(caught.value, LookupError)
    with pytest.raises(applevz.InvalidArgumentError, match="name is '../b'"):
        images.remove("../b", cache=cache)
    assert images.remove("b:1", architecture="arm64", cache=cache) == [second]
    assert images.list(cache=cache) == [third, first]
    # What is open stays what it was.
    with open(first.path, "rb") as file:
        assert images.remove(first, cache=cache) == [first]
        assert file.read() == raw.read_bytes()
    with pytest.raises(applevz.ImageNotFoundError, match="It was removed"):
        images.remove(first, cache=cache)
    with pytest.raises(applevz.InvalidArgumentTypeError, match="name is 3"):
        images.remove(3, cache=cache)  # type: ignore[arg-type]
    assert images.list(cache=cache) == [third]


@linux
def test_an_image_that_somebody_wrote_to_is_none_any_more(raw: Path, disk: bytes, cache: Path) -> None:
    image = images.of(raw, cache=cache)
    Path(image.path).chmod(0o600)
    with open(image.path, "r+b") as file:
        file.write(b"a guest was here")
    assert images.list(cache=cache) == []
    again = images.of(raw, cache=cache)
    assert Path(again.path).read_bytes() == disk
    assert images.list(cache=cache) == [again]


@linux
@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("name"),
        lambda values: values.update(name=3),
        lambda values: values.update(more=3),
        lambda values: values.update(disk="x"),
        lambda values: values.update(size=True, disk=[]),
        lambda values: values.pop("kernel"),
        lambda values: values.update(made=10**400),
    ],
)
def test_a_description_that_is_damaged_makes_no_image(change: Any, raw: Path, cache: Path) -> None:
    image = images.of(raw, cache=cache)
    description = Path(image.path).with_name("image.json")
    values = json.loads(description.read_text())
    change(values)
    description.write_text(json.dumps(values))
    assert images.list(cache=cache) == []
    for data in (b"", b"[", b"[]", b"[" * 60_000, b"null", bytes(100)):
        description.write_bytes(data)
        assert images.list(cache=cache) == []
    assert images.prune(cache=cache) == []
    assert list((cache / "disks").iterdir()) == []


@linux
def test_leftovers_go_when_they_are_pruned_but_not_those_of_a_call_under_way(raw: Path, cache: Path) -> None:
    image = images.of(raw, cache=cache)
    store = Store(cache)
    with store.lock(Task(None), "other None"), store.work("other None") as work:
        (work / "disk.raw").write_bytes(b"x")
        (cache / "work" / "0123-left").mkdir()
        (cache / "downloads" / "0123-sha256-00").write_bytes(b"x")
        (cache / "downloads" / "0123-sha256-00.json").write_bytes(b"x")
        assert images.prune(cache=cache) == []
        assert list((cache / "work").iterdir()) == [work]
        assert list((cache / "downloads").iterdir()) == []
        assert (work / "disk.raw").read_bytes() == b"x"
    assert images.list(cache=cache) == [image]


@linux
def test_what_a_killed_call_left_goes_with_the_next_call_of_that_name(raw: Path, cache: Path) -> None:
    store = Store(cache)
    with store.lock(Task(None), "source.img None"):
        made = store.work("source.img None")
        left = made.__enter__()
        (left / "disk.raw").write_bytes(b"a half")
    images.of(raw, cache=cache)
    assert not left.exists()
    made.__exit__(None, None, None)


@linux
def test_who_waits_for_another_call_can_be_stopped_and_has_a_time_out(raw: Path, cache: Path) -> None:
    with Store(cache).lock(Task(None), "source.img None"):
        with pytest.raises(applevz.TimeoutError):
            images.of(raw, cache=cache, timeout=0.2)
        task = Task(None)
        threading.Timer(0.1, task.stop).start()
        with pytest.raises(applevz.OperationCancelledError), Store(cache).lock(task, "source.img None"):
            pass
    assert images.of(raw, cache=cache, timeout=None).size == raw.stat().st_size


@linux
def test_an_image_is_a_disk_of_a_machine(raw: Path, cache: Path) -> None:
    image = images.of(raw, cache=cache)
    attachment = applevz.DiskImageStorageDeviceAttachment(image.path, read_only=True)
    configuration = applevz.VirtualMachineConfiguration(
        applevz.LinuxBootLoader(sys.executable),
        storage_devices=[applevz.VirtioBlockDeviceConfiguration(attachment)],
    )
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError) as caught:
        configuration.validate()
    assert "kernel" in str(caught.value).lower()  # and nothing about the disk
    assert image.path not in str(caught.value)
