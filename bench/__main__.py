# SPDX-License-Identifier: Apache-2.0
"""Measures this library beside bare QEMU and libvirt, in one run: `make bench`, `make bench PEERS=1`.

Each row is measured for one subject after the other, round by round, so that what else the machine does at a time falls
on all of them. The figures are medians; what is to be reached, in targets.py, is mostly a ratio of two of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import report
import rows
from bare_qemu import BareQEMU
from ours import Ours
from subject import Guest, Subject


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure applevz beside bare QEMU and libvirt.")
    parser.add_argument("--kernel", type=Path, required=True, help="an uncompressed kernel, given to all alike")
    parser.add_argument("--packaged-kernel", type=Path, required=True, help="the same as its package has it")
    parser.add_argument("--initrd", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7, help="of what takes a second and more; shorter rows have more")
    parser.add_argument("--boots", type=int, default=100, help="how many boots of this library must all succeed")
    parser.add_argument("--machines", type=int, default=20, help="how many machines are started at once")
    parser.add_argument("--large", type=int, default=2048, help="MiB of the larger machine that is saved")
    parser.add_argument("--peers", action="store_true", help="libvirt, too; it must be installed")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--readme", type=Path, help="put the table between the marks of this file")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    guest = Guest(given.kernel.resolve(), given.packaged_kernel.resolve(), given.initrd.resolve())
    with tempfile.TemporaryDirectory(prefix="applevz-bench-") as folder:
        subjects: list[Subject] = [Ours(guest, Path(folder)), BareQEMU(guest, Path(folder))]
        if given.peers:
            try:
                from libvirt_peer import Libvirt
            except ImportError:
                print("libvirt's module for Python is missing: `make bench PEERS=1` installs it.", file=sys.stderr)
                return 1
            subjects.append(Libvirt(guest, Path(folder)))
        sizes = rows.Sizes(given.rounds, given.boots, given.machines, given.large)
        figures = rows.measure(subjects, sizes, progress=lambda words: print(words, file=sys.stderr, flush=True))
    result = report.Report(figures, [subject.name for subject in subjects])
    print(result.table())
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(result.json(), encoding="utf-8")
    if given.readme:
        result.put_into(given.readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
