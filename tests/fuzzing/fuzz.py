# SPDX-License-Identifier: Apache-2.0
"""All readers of what others send or leave, fuzzed for a bounded time each, several at a time: what `make fuzz` runs.

    export PYTHONPATH=tests/support:tests/support/agents
    python tests/fuzzing/fuzz.py --seconds 600
    python tests/fuzzing/fuzz.py state tree --seconds 60 --seed 7

What is found interesting is kept in build/fuzzing/<reader>, and begun with the next time; so is what fails. The table
at the end says how many inputs each reader read, in how many seconds, and what must not be as it is.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import native_readers
import python_readers

from places import ROOT, SUPPORT

FOUND: Final = ROOT / "build" / "fuzzing"
READERS: Final = (*native_readers.READERS, *python_readers.READERS)
_SHOWN: Final = 4000


@dataclass(frozen=True)
class Result:
    reader: str
    executions: int
    seconds: float
    failed: bool
    words: str
    """What the fuzzer said."""

    @property
    def finding(self) -> str:
        """The file of the input that failed; empty if none did."""
        written = re.search(r"(?:Test unit written to|^found:) (\S+)", self.words, re.MULTILINE)
        return "" if not self.failed else written[1] if written else "it ended early"


def fuzz_native(program: Path, reader: str, seconds: int, seed: int) -> Result:
    folder, begin = FOUND / reader, time.monotonic()
    words = (f"-max_total_time={seconds}", f"-seed={seed}", str(folder))
    done = native_readers.run(program, reader, *words, folder=folder)
    executions = native_readers.executions(done.stderr)
    return Result(reader, executions, time.monotonic() - begin, done.returncode != 0, done.stderr)


def fuzz_python(reader: str, seconds: float, seed: int, folder: Path | None = None) -> Result:
    begin = time.monotonic()
    command = [sys.executable, str(Path(python_readers.__file__)), reader, "--seconds", str(seconds)]
    command += ["--seed", str(seed), "--folder", str(folder or FOUND / reader)]
    paths = os.pathsep.join(filter(None, [str(SUPPORT), str(SUPPORT / "agents"), os.environ.get("PYTHONPATH")]))
    # Its own process: it takes limits, and the time of signals.
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", env={**os.environ, "PYTHONPATH": paths}, check=False
    )
    read = re.search(r"^executions: (\d+)$", done.stdout, re.MULTILINE)
    words = done.stderr + done.stdout
    return Result(reader, int(read[1]) if read else 0, time.monotonic() - begin, done.returncode != 0, words)


def table(results: Sequence[Result]) -> str:
    rows = [("reader", "executions", "seconds", "findings")]
    rows += [(one.reader, f"{one.executions:,}", f"{one.seconds:.0f}", one.finding or "none") for one in results]
    total = sum(one.executions for one in results), sum(one.seconds for one in results)
    rows.append(("all", f"{total[0]:,}", f"{total[1]:.0f}", str(sum(one.failed for one in results))))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}" for row in rows
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the readers of what others send or leave.")
    parser.add_argument("readers", nargs="*", metavar="reader", help=", ".join(READERS))
    parser.add_argument("--seconds", type=int, default=60, help="for each reader; by default 60")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="readers at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; by default another each time")
    arguments = parser.parse_args()
    if sys.platform == "darwin":
        print("The readers are those of the classes for Linux: run this on Linux.", file=sys.stderr)
        return 2
    wanted = arguments.readers or READERS
    if unknown := [reader for reader in wanted if reader not in READERS]:
        parser.error(f"there is no reader {unknown[0]!r}; there are {', '.join(READERS)}")
    seed = arguments.seed or int.from_bytes(os.urandom(3), "little") + 1
    is_native = any(reader in native_readers.READERS for reader in wanted)
    programs = native_readers.build() if is_native else {}
    print(f"{len(wanted)} readers, {arguments.seconds} s each, {arguments.jobs} at a time, seed {seed}", flush=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        running = {
            pool.submit(fuzz_native, programs[reader], reader, arguments.seconds, seed)
            if reader in programs
            else pool.submit(fuzz_python, reader, arguments.seconds, seed): reader
            for reader in wanted
        }
        results = {}
        for done in as_completed(running):
            result = results[running[done]] = done.result()
            if result.failed:
                print(f"{result.reader}:\n{result.words[-_SHOWN:]}", flush=True)
    print(table([results[reader] for reader in wanted]))
    return 1 if any(result.failed for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
