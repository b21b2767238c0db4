# SPDX-License-Identifier: Apache-2.0
"""What is to be reached. A target whose figures were not measured, as libvirt's without it, is left out."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass

from rows import Row

OURS, BARE, LIBVIRT, QUICKSAND = "applevz", "bare QEMU", "libvirt", "quick-sandbox"


@dataclass(frozen=True)
class Target:
    words: str
    value: float
    limit: float

    @property
    def reached(self) -> bool:
        return self.value <= self.limit


# Row, the most that its figure may be, in its own unit.
ABSOLUTE = [
    ("state read", 0.3),
    ("error made, raised, caught, dropped", 3),
    ("import", 40),
    ("8 private clones to their output", 1200),
    ("memory of a clone's own", 35),
    ("threads of the host process per machine", 0),
    ("restore to a command's result, private, 256 MiB", 60),
    ("machine of a pool, running, 256 MiB", 10),
    ("machine of a pool, running, 95 of 100 take less, 256 MiB", 20),
    ("machine of a pool, to a command's result, 256 MiB", 50),
]

# Row, to whose figure, the most that the ratio may be.
RATIOS = [
    ("start to running", BARE, 1.25),
    ("boot to the guest's first output", LIBVIRT, 0.6),
    ("boot of the packaged kernel to its first output", LIBVIRT, 0.6),
    ("pause", LIBVIRT, 1 / 4),
    ("resume", LIBVIRT, 1 / 4),
    ("save, 256 MiB", LIBVIRT, 1 / 50),
    ("restore to running, 256 MiB", LIBVIRT, 1 / 8),
    ("restore to running, 256 MiB", BARE, 1.3),
    ("fresh machines one after the other, on all processors, each, 256 MiB", BARE, 1),
    ("stop", LIBVIRT, 1 / 50),
    ("Alpine, boot to a command's result", QUICKSAND, 1),
    ("Alpine, command", QUICKSAND, 1 / 10),
    ("Alpine, tree into the guest, 500 files", QUICKSAND, 1 / 10),
]

# What is not to be at all.
NONE = re.compile(r"(answers|machines) of \d+ .* that were lost|\d+ commands .*: more (threads|descriptors)")

# Beginnings of rows inside the guest, to the same through the bare port, the most that the ratio may be.
INSIDE = [
    ("output of a command, ", 2),
    ("input of a command, ", 2),
    ("file into the guest, ", 2),
    ("file out of the guest, ", 2),
]

# Row, to whose figure in which other row, the most that the ratio may be: the others restore in one way only, and what
# suspending is measured against is libvirt's save.
UNLIKE = [
    ("suspend to disk, 256 MiB", LIBVIRT, "save, 256 MiB", 1 / 50),
    ("suspend to disk, memory handed over, 256 MiB", LIBVIRT, "save, 256 MiB", 1 / 50),
    ("restore to running, another machine, 256 MiB", LIBVIRT, "restore to running, 256 MiB", 1 / 8),
    ("restore to running, private, 256 MiB", LIBVIRT, "restore to running, 256 MiB", 1 / 8),
    ("restore to running, private, 256 MiB", BARE, "restore to running, 256 MiB", 1.3),
    ("restore to running, disk of 2 GiB, private, 256 MiB", OURS, "restore to running, no disk, private, 256 MiB", 1.5),
    ("restore to running, disk of 2 GiB, 256 MiB", OURS, "restore to running, no disk, 256 MiB", 1.5),
]


def judge(rows: dict[str, Row]) -> list[Target]:
    def median(name: str, subject: str) -> float | None:
        return rows[name].median(subject) if name in rows else None

    found = []
    for name, limit in ABSOLUTE:
        value = median(name, OURS)
        if value is not None:
            found.append(Target(f"{name} ({rows[name].unit})" if rows[name].unit else name, value, limit))
    for name, peer, limit in RATIOS:
        ours, theirs = median(name, OURS), median(name, peer)
        if ours is not None and theirs:
            found.append(Target(f"{name}, ratio to {peer}", ours / theirs, limit))
    found += confinement(rows)
    found += inside(rows)
    found += tests(rows)
    found += growth(rows)
    for name, row in rows.items():
        memory = row.median(OURS)
        if memory is not None and re.fullmatch(r"memory of its own of each of \d+ in a pool", name):
            found.append(Target(f"{name} (MiB)", memory, 25))
    for name, peer, theirs_name, limit in UNLIKE:
        ours, theirs = median(name, OURS), median(theirs_name, peer)
        if ours is not None and theirs:
            found.append(Target(f"{name}, ratio to {peer}'s {theirs_name.partition(',')[0]}", ours / theirs, limit))
    for row in rows.values():
        boots = re.fullmatch(r"boots of (\d+) that came to their output", row.name)
        succeeded = row.median(OURS)
        if boots and succeeded is not None:
            found.append(Target(f"boots of {boots[1]} that did not come to their output", int(boots[1]) - succeeded, 0))
    return found


def confinement(rows: dict[str, Row]) -> list[Target]:
    """What keeps a machine from the host costs its start nothing to speak of."""
    if "start to running, unconfined" not in rows:
        return []
    confined, unconfined = (rows[f"start to running{which}"].median(OURS) for which in ("", ", unconfined"))
    bare = rows["start to running"].median(BARE)
    found = []
    for words, other in (("without confinement", unconfined), ("with bare QEMU", bare)):
        if confined is not None and other is not None:
            found.append(Target(f"start to running, more than {words} (ms)", confined - other, 5))
    return found


def inside(rows: dict[str, Row]) -> list[Target]:
    """A command takes no longer than in the guest's own shell, but for a millisecond; bytes no longer than twice what
    they take through a port with nothing behind it; and what comes from many commands at once is all there."""
    found = []
    for name, row in rows.items():
        ours, bare = row.median(OURS), row.median(BARE)
        if name == "command in the guest" and ours is not None and bare is not None:
            found.append(Target("command in the guest, more than in its own shell (ms)", ours - bare, 1))
        for begin, limit in INSIDE:
            if name.startswith(begin) and ours is not None and bare:
                found.append(Target(f"{name}, ratio to a bare port", ours / bare, limit))
        if ours is not None and NONE.fullmatch(name):
            found.append(Target(name, ours, 0))
    return found


def tests(rows: dict[str, Row]) -> list[Target]:
    """A test with a machine of the plugin's takes a part of what one takes that boots its own. Of all tests, since the
    one boot of the plugin is in no median."""
    means = {name: row.median(OURS) for name, row in rows.items() if "tests with the plugin and their one boot" in name}
    boots = [row.figures[OURS] for name, row in rows.items() if name.startswith("test that boots its own machine")]
    return [
        Target(f"{name}, ratio to one that boots its own machine", mean / statistics.fmean(booted), 1 / 5)
        for name, mean in means.items()
        for booted in boots
        if mean is not None
    ]


def growth(rows: dict[str, Row]) -> list[Target]:
    """Saving does not grow with the guest's memory, only with what the guest keeps in it: of that a larger one keeps
    more, for its kernel's tables of pages."""
    found = []
    for name, row in rows.items():
        other = name.removeprefix("save, ")
        if other == name or other == "256 MiB":
            continue
        times = row.median(OURS), rows["save, 256 MiB"].median(OURS)
        data = [rows[f"data in the saved file, {size}"].median(OURS) for size in (other, "256 MiB")]
        each = [time / size for time, size in zip(times, data, strict=True) if time is not None and size is not None]
        if len(each) == 2:
            found.append(Target(f"save, {other}, ratio to 256 MiB, each per MiB of data", each[0] / each[1], 1.1))
    return found
