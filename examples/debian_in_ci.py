# SPDX-License-Identifier: Apache-2.0
"""Runs a project's command in a Debian that has the packages for it, and brings its report back.

The exit status is that of the command.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from applevz import Guest, launch


def wait_for_cloud_init(guest: Guest) -> None:
    """The agent answers before cloud-init is done with the packages."""
    done = guest.run(["cloud-init", "status", "--wait"], text=True, timeout=1800)
    if done.returncode != 0:
        raise SystemExit(f"cloud-init failed: {done.stdout}{done.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", help="debian:13, or the path of an image with cloud-init")
    parser.add_argument("project", type=Path, help="folder that is copied into the guest")
    parser.add_argument("command", nargs="+", help="what is run in that folder")
    parser.add_argument("--package", action="append", default=[])
    parser.add_argument("--report", default="report.xml", help="file that the command leaves in the folder")
    parser.add_argument("--kernel", help="of an image that has its kernel beside it")
    parser.add_argument("--initrd")
    parser.add_argument("--command-line")
    parser.add_argument("--cache", help="folder of the images, in place of the user's")
    arguments = parser.parse_args()
    with launch(
        arguments.image,
        kernel=arguments.kernel,
        initial_ramdisk=arguments.initrd,
        command_line=arguments.command_line,
        packages=arguments.package,
        user_data={"hostname": "ci"},
        # The packages are installed once; every later run goes on from there.
        cached=True,
        prepare=wait_for_cloud_init,
        prepare_key="1",
        timeout=3600,
        cache=arguments.cache,
    ) as machine:
        guest = machine.guest
        guest.copy_in(arguments.project, "/src", timeout=600)
        done = guest.run(arguments.command, cwd="/src", timeout=1800)
        sys.stdout.buffer.write(done.stdout)
        sys.stderr.buffer.write(done.stderr)
        # Brought back of a command that failed, too: the report says why it did.
        if guest.run(["test", "-e", f"/src/{arguments.report}"], timeout=60).returncode == 0:
            guest.copy_out(f"/src/{arguments.report}", Path(arguments.report).name, timeout=600)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


if __name__ == "__main__":
    sys.exit(main())
