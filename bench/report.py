# SPDX-License-Identifier: Apache-2.0
"""The figures as tables, as JSON, and as a part of docs/benchmark.md."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from pathlib import Path

import targets
from rows import Row
from tabulate import tabulate

import applevz

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def machine_description() -> dict[str, object]:
    """What the figures come from, without names of anybody's."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "processor": cpu[1] if cpu else platform.machine(),
        "processors": os.cpu_count(),
        "memory_gib": round(memory),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "qemu": version.split()[3],
        "hardware_acceleration": bool(applevz.capabilities.hardware_acceleration),
        "applevz": applevz.__version__,
    }


def plainly(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


class Report:
    def __init__(self, rows: list[Row], subjects: list[str]) -> None:
        self.rows = rows
        self.subjects = subjects
        self.targets = targets.judge({row.name: row for row in rows})
        self.machine = machine_description()

    def _lines(self) -> list[list[str]]:
        lines = []
        for row in self.rows:
            ours = row.median(self.subjects[0])
            line = [row.name, row.unit, *(plainly(row.median(subject)) for subject in self.subjects)]
            for peer in self.subjects[1:]:
                theirs = row.median(peer)
                line.append(plainly(ours / theirs if ours is not None and theirs else None))
            lines.append(line)
        return lines

    def _headers(self) -> list[str]:
        return ["", "", *self.subjects, *(f"ratio to {peer}" for peer in self.subjects[1:])]

    def _target_lines(self) -> list[list[str]]:
        return [
            [target.words, plainly(target.value), plainly(target.limit), "reached" if target.reached else "missed"]
            for target in self.targets
        ]

    def table(self, style: str = "simple") -> str:
        """All of it, as text; "pipe" is Markdown's style."""
        lines, headers, align = self._lines(), self._headers(), self._align()
        figures = tabulate(lines, headers, tablefmt=style, disable_numparse=True, colalign=align)
        headers = ["to be reached", "measured", "limit", ""]
        goals = tabulate(self._target_lines(), headers, tablefmt=style, disable_numparse=True)
        return f"{self.words()}\n\n{figures}\n\n{goals}\n"

    def _align(self) -> list[str]:
        return ["left", "left", *("right" for _ in self._headers()[2:])]

    def words(self) -> str:
        machine = self.machine
        how = "KVM" if machine["hardware_acceleration"] else "TCG, without KVM"
        return (
            f"{machine['processor']}, {machine['processors']} processors, {machine['memory_gib']} GiB, "
            f"Linux {machine['kernel']}, QEMU {machine['qemu']} ({how}), Python {machine['python']}; medians."
        )

    def json(self) -> str:
        return json.dumps(
            {
                "machine": self.machine,
                "rows": [
                    {
                        "name": row.name,
                        "unit": row.unit,
                        "medians": {subject: row.median(subject) for subject in row.figures},
                        "figures": row.figures,
                    }
                    for row in self.rows
                ],
                "targets": [
                    {"name": target.words, "value": target.value, "limit": target.limit, "reached": target.reached}
                    for target in self.targets
                ],
            },
            indent=2,
            ensure_ascii=False,
        )

    def put_into(self, file: Path) -> None:
        """Replaces what is between the marks."""
        text = file.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not end:
            raise SystemExit(f"{file} has no marks {BEGIN} and {END}")
        file.write_text(f"{before}{BEGIN}\n{self.table('pipe')}{END}{after}", encoding="utf-8")
