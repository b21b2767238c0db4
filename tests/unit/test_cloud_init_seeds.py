# SPDX-License-Identifier: Apache-2.0
"""Seeds for cloud-init: what is on their disks, what is refused, and that the same seed is the same bytes."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import CloudInitSeed

pycdlib = pytest.importorskip("pycdlib")
with_agent = pytest.mark.skipif(
    not applevz.capabilities.guest_agent, reason="this package was built without the agent"
)


def cloud_config(seed: CloudInitSeed) -> Any:
    text = seed.files()["user-data"].decode()
    assert text.startswith("#cloud-config\n")
    return json.loads(text.removeprefix("#cloud-config\n"))


def test_lists_are_added_to_those_of_the_dictionary_which_stays_as_it_was() -> None:
    given = {"packages": ["vim"], "hostname": "guest", "power_state": {"delay": 1, "condition": True, "mode": None}}
    user = {"name": "builder", "sudo": "ALL=(ALL) NOPASSWD:ALL"}
    seed = CloudInitSeed(
        given, users=["default", user], packages=["git", ["tar", "1.0"]], ssh_authorized_keys=["ssh-ed25519 AAAA a"]
    )
    assert cloud_config(seed) == {
        **given,
        "packages": ["vim", "git", ["tar", "1.0"]],
        "users": ["default", user],
        "ssh_authorized_keys": ["ssh-ed25519 AAAA a"],
    }
    assert given["packages"] == ["vim"]
    assert cloud_config(CloudInitSeed()) == {}


def test_text_is_given_as_it_is() -> None:
    seed = CloudInitSeed("#!/bin/sh\nécho\n", "instance-id: a\n", "version: 2\n")
    assert seed.files() == {
        "user-data": "#!/bin/sh\nécho\n".encode(),
        "meta-data": b"instance-id: a\n",
        "network-config": b"version: 2\n",
    }


def test_a_seed_that_differs_is_another_instance_and_a_given_one_stays() -> None:
    def identifier(seed: CloudInitSeed) -> str:
        return str(json.loads(seed.files()["meta-data"])["instance-id"])

    first = CloudInitSeed({"hostname": "a"}, {"local-hostname": "a"})
    assert identifier(first) == identifier(CloudInitSeed({"hostname": "a"}, {"local-hostname": "a"}))
    others = [CloudInitSeed({"hostname": "b"}, {"local-hostname": "a"}), CloudInitSeed({"hostname": "a"})]
    others.append(CloudInitSeed({"hostname": "a"}, {"local-hostname": "a"}, {"version": 2}))
    assert len({identifier(seed) for seed in (first, *others)}) == 4
    assert identifier(CloudInitSeed(meta_data={"instance-id": "mine"})) == "mine"


# What YAML reads otherwise than JSON, unless it is written with care.
AWKWARD = [
    "\u2028\u2029\x85\x7f\x9f\ufeff\uffff",
    "😀 ü \U0010ffff",
    'a\tb\nc\r"\\ \0',
    "yes",
    "1e3",
    "# no comment",
    "- : {[&*!|>%@`",
    " blank ",
]


def test_every_text_and_number_is_what_it_is() -> None:
    values = {"texts": AWKWARD, "keys": dict.fromkeys(AWKWARD, 1), "numbers": [0, -1, 2**63, 1.5, 1e16, -1e-7, 1e300]}
    text = CloudInitSeed(values).files()["user-data"].decode()
    assert json.loads(text.partition("\n")[2]) == values
    # What YAML has no place for (1.1, 5.1), or takes for the end of a line.
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", text)
    # No escaped half of a character, which YAML would keep as a half.
    assert not re.search(r"\\ud[89a-f]", text)
    # YAML's numbers have a point where they have an exponent (1.1, the type float).
    assert re.findall(r"[\d.]+e[-+]\d+", text) == ["1.0e+16", "1.0e-07", "1.0e+300"]


def test_yaml_reads_what_was_given() -> None:
    yaml = pytest.importorskip("yaml")
    values = {"texts": AWKWARD, "keys": dict.fromkeys(AWKWARD, 1), "numbers": [0, -1, 2**63, 1.5, 1e16, -1e-7, 1e300]}
    assert yaml.safe_load(CloudInitSeed(values).files()["user-data"]) == values


def cycle() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


def bushy() -> list[Any]:
    """A little in memory, and 10**30 values to write."""
    value: list[Any] = [1]
    for _ in range(30):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CloudInitSeed(5), r"user_data is 5, of type int"),  # type: ignore[arg-type]
        (lambda: CloudInitSeed(b"#cloud-config"), r"user_data is b'#cloud-config', of type bytes"),  # type: ignore[arg-type]
        (lambda: CloudInitSeed("packages: [vim]"), r"user_data is 'packages: \[vim\]', which does not say what it is"),
        (lambda: CloudInitSeed("#cloud-config\n\0"), r"user_data is .*NUL"),
        (lambda: CloudInitSeed("#" + "x" * (1 << 20)), r"user_data has 1048577 bytes"),
        (lambda: CloudInitSeed({"a": ["x" * (1 << 20)]}), r"user_data has \d+ bytes"),
        (lambda: CloudInitSeed({"a": {1: 2}}), r"a key of user_data\['a'\] is 1, of type int"),
        (lambda: CloudInitSeed({"x" * 300: 2}), r"A key of user_data has 300 characters"),
        (lambda: CloudInitSeed({"a": [b"x"]}), r"user_data\['a'\]\[0\] is b'x', of type bytes"),
        (lambda: CloudInitSeed({"a": {"b"}}), r"user_data\['a'\] is \{'b'\}, of type set"),
        (lambda: CloudInitSeed({"a": float("nan")}), r"user_data\['a'\] is nan"),
        (lambda: CloudInitSeed({"a": 1 << 70}), r"user_data\['a'\] is a number of 71 bits"),
        (lambda: CloudInitSeed({"a": "\ud800"}), r"user_data\['a'\] is '\\ud800', which is not text in UTF-8"),
        (lambda: CloudInitSeed({"a": cycle()}), r"user_data\['a'\]\[0\].* is too much"),
        (lambda: CloudInitSeed({"a": bushy()}), r"user_data\['a'\]\[0\].* is too much"),
        (lambda: CloudInitSeed(meta_data=["a"]), r"meta_data is \['a'\], of type list"),  # type: ignore[arg-type]
        (lambda: CloudInitSeed(network_config=2), r"network_config is 2, of type int"),  # type: ignore[arg-type]
        (lambda: CloudInitSeed(packages="vim"), r"packages is 'vim', of type str"),
        (lambda: CloudInitSeed(packages=["vim", 5]), r"packages\[1\] is 5, of type int"),  # type: ignore[list-item]
        (lambda: CloudInitSeed(ssh_authorized_keys=[" "]), r"ssh_authorized_keys\[0\] is ' ', which is empty"),
        (lambda: CloudInitSeed(users=[["a"]]), r"users\[0\] is \['a'\], of type list"),  # type: ignore[list-item]
        (lambda: CloudInitSeed({"users": "a"}, users=["b"]), r"user_data\['users'\] is 'a', of type str"),
        (lambda: CloudInitSeed("#!/bin/sh", packages=["vim"]), r"packages is \['vim'\], and user_data is text"),
        (lambda: CloudInitSeed(guest_agent="yes"), r"guest_agent is 'yes', of type str"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_field_s_name(make: Callable[[], CloudInitSeed], words: str) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match=words) as caught:
        make().files()
    assert isinstance(caught.value, TypeError) is ("of type" in words)


def read(image: bytes, **place: str) -> bytes:
    disk, output = pycdlib.PyCdlib(), BytesIO()
    disk.open_fp(BytesIO(image))
    try:
        disk.get_file_from_iso_fp(output, **place)
    finally:
        disk.close()
    return output.getvalue()


@with_agent
def test_the_disk_has_the_files_under_their_names_and_a_label_that_cloud_init_looks_for(tmp_path: Path) -> None:
    seed = CloudInitSeed({"hostname": "guest"}, network_config={"version": 2}, guest_agent=True)
    image = seed.image()
    assert len(image) % 2048 == 0
    for name, data in seed.files().items():
        assert read(image, rr_path=f"/{name}") == data
        assert read(image, joliet_path=f"/{name}") == data
    (tmp_path / "disk").write_bytes(image)
    label = ["blkid", "-p", "-o", "value", "-s", "LABEL", str(tmp_path / "disk")]
    if sys.platform == "linux":
        assert subprocess.run(label, capture_output=True, text=True, check=True).stdout == "cidata\n"


@with_agent
def test_the_same_seed_is_the_same_bytes_at_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = CloudInitSeed({"hostname": "guest"}, guest_agent=True)
    image = seed.image()
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    assert seed.image() == image
    assert CloudInitSeed({"hostname": "other"}, guest_agent=True).image() != image


def test_a_file_is_this_user_s_alone_and_is_never_replaced_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "seed.iso"
    seed, other = CloudInitSeed({"password": "a"}), CloudInitSeed({"password": "b"})
    attachment = seed.attachment(path)
    assert (attachment.path, attachment.read_only, path.read_bytes()) == (path, True, seed.image())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # A saved state knows its disk by the time when it was written.
    os.utime(path, ns=(5, 5))
    seed.attachment(path)
    assert path.stat().st_mtime_ns == 5
    for refused in (lambda: other.attachment(path), lambda: other.write(path), lambda: seed.write(path)):
        with pytest.raises(FileExistsError):
            refused()
    assert path.read_bytes() == seed.image()
    other.write(path, overwrite=True)
    assert path.read_bytes() == other.image()
    assert os.listdir(tmp_path) == ["seed.iso"]
    with pytest.raises(FileNotFoundError, match="seed"):
        seed.write(tmp_path / "none" / "seed.iso")


def test_without_pycdlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycdlib", None)
    with pytest.raises(applevz.NotSupportedError, match=r"pip install 'applevz\[seed\]'"):
        CloudInitSeed().image()


@with_agent
def test_the_agent_leaves_user_data_alone_and_comes_with_a_script_that_a_shell_reads(tmp_path: Path) -> None:
    text = "#include\nhttp://10.0.2.2/\n"
    files = CloudInitSeed(text, guest_agent=True).files()
    assert files["user-data"] == text.encode()
    assert set(files) == {
        *("user-data", "meta-data", "vendor-data"),
        *("applevz-agent", "applevz-agent.service", "applevz-agent.openrc"),
    }
    first, script = files["vendor-data"].split(b"\n", 1)
    assert (first, script[:10]) == (b"#cloud-boothook", b"#!/bin/sh\n")
    subprocess.run(["sh", "-n"], input=script, check=True)
    assert files["applevz-agent"][:4] == b"\x7fELF"
