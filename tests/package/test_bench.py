# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs and says what it is to say. Nothing here looks at how fast anything is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import applevz
from guest_machine import PATIENCE
from places import ROOT
from processes import eventually

BENCH = ROOT / "bench"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU to measure beside")


@contextmanager
def benchmark(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The benchmark's process. What it started, QEMU that is bare above all, does not outlive the context."""
    process = subprocess.Popen(
        [sys.executable, BENCH, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(BENCH)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        with process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    finally:
        for memory in Path("/dev/shm").glob(f"applevz-bench-{process.pid}-*"):
            memory.unlink()


def group(leader: int) -> set[int]:
    """The processes of a process group that have not ended."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, number = status.read_text().rpartition(")")[2].split()[:3]
            if int(number) == leader and state != "Z":
                found.add(int(status.parent.name))
    return found


def test_a_benchmark_that_is_broken_off_leaves_nothing_behind(guest_files: Path) -> None:
    files: list[str | Path] = ["--kernel", guest_files / "vmlinux", "--packaged-kernel", guest_files / "vmlinuz"]
    files += ["--initrd", guest_files / "initrd.cpio.gz"]
    begun: list[int] = []

    def memory() -> list[Path]:
        return list(Path("/dev/shm").glob(f"applevz-bench-{begun[0]}-*"))

    def break_off() -> None:
        with benchmark(*files) as process:
            begun.append(process.pid)
            # Bare QEMU's.
            assert eventually(memory, PATIENCE)
            assert len(group(process.pid)) > 1
            raise KeyboardInterrupt

    # As a test's limit does.
    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert eventually(lambda: not group(begun[0]))
    assert not memory()


def test_what_other_parts_measured_is_not_lost_with_one_that_failed(tmp_path: Path) -> None:
    figures, missing = tmp_path / "bench.json", tmp_path / "missing"
    files: list[str | Path] = ["--kernel", missing, "--packaged-kernel", missing, "--initrd", missing]
    with benchmark(*files, "--rounds", "1", "--only", "r", "--json", figures, "--page", missing) as process:
        _output, errors = process.communicate()
    assert process.returncode == 1
    assert "Of the benchmark failed, as told above: start, stop, " in errors
    assert str(missing) in errors
    measured = {row["name"] for row in json.loads(figures.read_text())["rows"]}
    assert measured >= {"import", "error made, raised, caught, dropped"}


@pytest.mark.long
@pytest.mark.timeout(5 * PATIENCE)
def test_the_benchmark_measures_every_row(guest_files: Path, tmp_path: Path) -> None:
    figures, page = tmp_path / "figures" / "bench.json", tmp_path / "benchmark.md"
    page.write_text("before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n")
    sizes = ["--rounds", "1", "--boots", "1", "--machines", "2", "--large", "300"]
    sizes += ["--commands", "10", "--commands-at-once", "4", "--stream", "2", "--file", "1", "--files", "10"]
    sizes += ["--tests", "3"]
    files: list[str | Path] = ["--kernel", guest_files / "vmlinux", "--packaged-kernel", guest_files / "vmlinuz"]
    files += ["--initrd", guest_files / "initrd.cpio.gz"]
    with benchmark(*files, *sizes, "--json", figures, "--page", page) as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    report = json.loads(figures.read_text())

    rows = {row["name"]: row for row in report["rows"]}
    for row in rows.values():
        assert row["name"] in output
        assert all(value >= 0 for values in row["figures"].values() for value in values)
    both = {"applevz", "bare QEMU"}
    for name in ["start to running", "stop", "boot to the guest's first output", "pause", "resume", "state read"]:
        assert set(rows[name]["medians"]) == both, name
    assert set(rows["boot of the packaged kernel to its first output"]["medians"]) == both
    for memory in (256, 300):
        for name in ["save", "suspend to disk", "restore to running", "restore to the guest's next output"]:
            assert set(rows[f"{name}, {memory} MiB"]["medians"]) == both, name
        for name in ["restore to running, another machine", "suspend to disk, memory handed over"]:
            assert set(rows[f"{name}, {memory} MiB"]["medians"]) == {"applevz"}, name
    assert set(rows["import"]["medians"]) == {"applevz"}
    assert rows["boots of 1 that came to their output"]["medians"] == {"applevz": 1}
    if applevz.capabilities.guest_agent:
        inside = ["command in the guest", "output of a command, 2 MiB", "input of a command, 2 MiB"]
        inside += [f"file {way} the guest, 1 MiB" for way in ("into", "out of")]
        for name in inside:
            assert set(rows[name]["medians"]) == both, name
            assert any(name in target["name"] for target in report["targets"]), name
        for name in ["10 commands in turn", "4 commands at once", "restore to a command's result, private, 256 MiB"]:
            assert set(rows[name]["medians"]) == {"applevz"}, name
        assert rows["answers of 4 commands at once that were lost"]["medians"] == {"applevz": 0}
        tests = {"test with a fresh machine of the plugin's": 3, "test that boots its own machine, 1 of them": 1}
        for name, count in tests.items():
            assert len(rows[name]["figures"]["applevz"]) == count, name
        whole = "3 tests with the plugin and their one boot, each"
        assert set(rows[whole]["medians"]) == {"applevz"}
        assert any(whole in target["name"] for target in report["targets"])

    names = {target["name"] for target in report["targets"]}
    assert {"start to running, ratio to bare QEMU", "state read (µs)", "import (ms)"} <= names
    assert all(target["reached"] is (target["value"] <= target["limit"]) for target in report["targets"])
    text = page.read_text()
    assert text.startswith("before\n<!-- bench: begin -->\n")
    assert text.endswith("<!-- bench: end -->\nafter\n")
    assert "old" not in text
    assert "| start to running" in text
