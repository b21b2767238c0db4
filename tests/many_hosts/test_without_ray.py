# SPDX-License-Identifier: Apache-2.0
"""What is there without Ray or a cluster: the import, clear errors, and the command of a node's administrator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import applevz
from applevz._images.task import Task
from applevz.ray import RayExecutor, contents, remote_machine, remove_contents
from applevz.ray._contents import ContentStore, content_of, pieces_of

pytest.importorskip("filelock")
pytest.importorskip("platformdirs")

PROGRAM = """
import sys
import applevz
assert "applevz.ray" not in sys.modules
import applevz.ray
assert "ray" not in sys.modules and "fsspec" not in sys.modules
sys.modules["ray"] = None
try:
    applevz.ray.RayExecutor(applevz.VirtualMachineConfiguration(), "a.state")
except applevz.NotSupportedError as error:
    print(error)
"""


def python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)


def test_nothing_of_ray_is_imported_before_it_is_used_and_its_absence_is_told() -> None:
    done = python("-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert "pip install 'applevz[ray]'" in done.stdout


def test_a_process_that_is_not_connected_is_told_to_connect(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="there is no Ray for this Python")
    configuration = applevz.VirtualMachineConfiguration()
    for make in (RayExecutor, remote_machine):
        with pytest.raises(applevz.InvalidStateError, match="ray.init"):
            make(configuration, tmp_path / "a.state")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spares", -1),
        ("machines_per_node", 0),
        ("retry", "2"),
        ("files", 5),
        ("max_pending", 0),
        ("node_timeout", "1"),
        ("cache_size", "much"),
        ("cache", 5),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match=f"{'timeout' if 'timeout' in field else field} is "):
        RayExecutor(applevz.VirtualMachineConfiguration(), "a.state", **{field: value})  # type: ignore[arg-type]


def test_what_a_host_keeps_is_listed_and_removed(tmp_path: Path) -> None:
    cache = tmp_path / "applevz" / "images"
    path = tmp_path / "file"
    path.write_bytes(b"content")
    content = content_of(path)
    cache.parent.mkdir(mode=0o700)
    held = ContentStore(cache).obtain(content, lambda: pieces_of(path), Task(60.0))
    assert [stored.sha256 for stored in contents(cache)] == [content.sha256]
    listed = python("-m", "applevz.ray", "contents", XDG_CACHE_HOME=str(tmp_path))
    said = json.loads(listed.stdout)
    assert (said["sha256"], said["size"], said["in_use"]) == (content.sha256, 7, True)
    assert python("-m", "applevz.ray", "remove", XDG_CACHE_HOME=str(tmp_path)).stdout == ""
    held.release()
    assert remove_contents("0" * 64, cache) == []
    removed = python("-m", "applevz.ray", "remove", content.sha256, XDG_CACHE_HOME=str(tmp_path))
    assert json.loads(removed.stdout)["sha256"] == content.sha256
    assert contents(cache) == []


def test_a_host_says_what_it_gives_to_a_cluster(tmp_path: Path) -> None:
    done = python("-m", "applevz.ray", "resources", XDG_CACHE_HOME=str(tmp_path))
    told = json.loads(done.stdout)
    assert (done.returncode == 0) is (told.get("applevz", 0) >= 1)
    without = python("-m", "applevz.ray", "resources", APPLEVZ_QEMU="/no/such/qemu")
    if sys.platform == "linux":
        assert (without.returncode, without.stdout) == (1, "{}\n")
        assert "virtualization: " in without.stderr
