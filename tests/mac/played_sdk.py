# SPDX-License-Identifier: Apache-2.0
"""A played SDK of macOS, so that the bridge is compiled for Macs where there is no SDK of Apple's.

The frameworks' headers are those of native/linux, whose declarations carry the macOS that Apple introduced them with.
What macOS has besides, tests/mac/played_sdk/ declares by hand: as much of Foundation and the C library as the bridge
uses.
Whatever else it were to use, such as a name of GNUstep's or of Linux alone, does not compile until it is declared
there, as Apple documents it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from places import ROOT

LINUX = ROOT / "native" / "linux"
OURS = Path(__file__).with_suffix("")
FRAMEWORKS = Path("System", "Library", "Frameworks")
VERSION = "26.0"
VIRTUALIZATION = LINUX / "Virtualization" / "include" / "Virtualization"
HEADERS = {
    "CoreFoundation": LINUX / "CoreFoundation",
    "Foundation": OURS / "Foundation",
    "Security": LINUX / "Security",
    "Virtualization": VIRTUALIZATION,
}
DISPATCH = ("base", "block", "dispatch", "group", "object", "once", "queue", "semaphore", "source", "time")


def assemble(folder: Path) -> Path:
    """Makes the SDK in the folder; as xcrun would name it."""
    shutil.copytree(OURS / "usr", folder / "usr")
    include = folder / "usr" / "include"
    availability = (LINUX / "Availability.h").read_text(encoding="utf-8")
    newest = "#define __MAC_OS_X_VERSION_MAX_ALLOWED __MAC_15_0\n"
    assert newest in availability
    availability = availability.replace(newest, newest.replace("__MAC_15_0", f"{VERSION.replace('.', '000')}"))
    (include / "Availability.h").write_text(availability, encoding="utf-8")
    (include / "dispatch").mkdir()
    for name in DISPATCH:
        shutil.copy(LINUX / "dispatch" / f"{name}.h", include / "dispatch")
    for framework, headers in HEADERS.items():
        folder_of_framework = folder / FRAMEWORKS / f"{framework}.framework" / "Headers"
        folder_of_framework.mkdir(parents=True)
        own = (OURS / framework).glob("*.h")
        # By hand what stands in both.
        for header in [*headers.glob("*.h"), *own]:
            shutil.copy(header, folder_of_framework)
    settings = {"Version": VERSION, "MaximumDeploymentTarget": f"{VERSION}.99"}
    (folder / "SDKSettings.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
