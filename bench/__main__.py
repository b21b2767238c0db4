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
    parser.add_argument("--commands", type=int, default=1000, help="how many commands are run in a guest in turn")
    parser.add_argument("--commands-at-once", type=int, default=200, help="how many are run at once")
    parser.add_argument("--stream", type=int, default=100, help="MiB of a command's output, and of its input")
    parser.add_argument("--file", type=int, default=256, help="MiB of a file that is copied")
    parser.add_argument("--files", type=int, default=5000, help="how many files a tree has that is copied")
    parser.add_argument("--tests", type=int, default=200, help="how many tests have a machine by the plugin of pytest")
    parser.add_argument("--peers", action="store_true", help="libvirt and quick-sandbox, too; they must be installed")
    parser.add_argument("--only", help="only the parts of the benchmark with this in their name")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--page", type=Path, help="put the tables between the marks of this file")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    guest = Guest(given.kernel.resolve(), given.packaged_kernel.resolve(), given.initrd.resolve())
    with tempfile.TemporaryDirectory(prefix="applevz-bench-") as folder:
        subjects: list[Subject] = [Ours(guest, Path(folder)), BareQEMU(guest, Path(folder))]
        names: list[str] = []
        beside: list[rows.Beside] = []
        if given.peers:
            try:
                from libvirt_peer import Libvirt
                from quicksand_peer import QuickSandbox, beside_quicksand
            except ImportError as error:
                print(f"{error}: `make bench PEERS=1` installs the peers.", file=sys.stderr)
                return 1
            subjects.append(Libvirt(guest, Path(folder)))
            names.append(QuickSandbox.name)
            beside.append(beside_quicksand)
        inside = given.commands, given.commands_at_once, given.stream, given.file, given.files
        sizes = rows.Sizes(given.rounds, given.boots, given.machines, given.large, *inside, given.tests)
        figures, failed = rows.measure(
            subjects, beside, sizes, given.only or "", progress=lambda words: print(words, file=sys.stderr, flush=True)
        )
    result = report.Report(figures, [*(subject.name for subject in subjects), *names])
    print(result.table())
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(result.json(), encoding="utf-8")
    if failed:
        print(f"Of the benchmark failed, as told above: {', '.join(failed)}.", file=sys.stderr)
        return 1
    if given.page:
        result.put_into(given.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
