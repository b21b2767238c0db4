# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs and says what it is to say. Nothing here looks at how fast anything is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from guest_machine import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no QEMU to measure beside")


@pytest.mark.timeout(5 * PATIENCE)
def test_the_benchmark_measures_every_row(guest_files, tmp_path):
    figures, readme = tmp_path / "figures" / "bench.json", tmp_path / "README.md"
    readme.write_text("before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n")
    sizes = ["--rounds", "1", "--boots", "1", "--machines", "2", "--large", "300"]
    files = ["--kernel", guest_files / "vmlinux", "--packaged-kernel", guest_files / "vmlinuz"]
    files += ["--initrd", guest_files / "initrd.cpio.gz"]
    result = subprocess.run(
        [sys.executable, BENCH, *files, *sizes, "--json", figures, "--readme", readme],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(BENCH)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(figures.read_text())

    rows = {row["name"]: row for row in report["rows"]}
    for row in rows.values():
        assert row["name"] in result.stdout
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

    names = {target["name"] for target in report["targets"]}
    assert {"start to running, ratio to bare QEMU", "state read (µs)", "import (ms)"} <= names
    assert all(target["reached"] is (target["value"] <= target["limit"]) for target in report["targets"])
    text = readme.read_text()
    assert text.startswith("before\n<!-- bench: begin -->\n")
    assert text.endswith("<!-- bench: end -->\nafter\n")
    assert "old" not in text
    assert "| start to running" in text
