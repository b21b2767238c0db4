# SPDX-License-Identifier: Apache-2.0
"""How a reader finds a page: the groups of the site, and the pages in each, without the ends of their names."""

from __future__ import annotations

# The page that the site begins with.
FIRST = "index"

GROUPS: dict[str, list[str]] = {
    "Begin": [
        "Overview <overview>",
        "installation",
        "on-a-mac",
    ],
    "Tutorials": [
        "tutorials/fresh-machines",
        "tutorials/untrusted-program",
        "tutorials/debian-in-ci",
        "tutorials/kernels",
    ],
    "How to: machines": [
        "launching",
        "machines",
        "configuration",
        "booting",
        "images",
        "cloud-init",
        "saved-states",
        "pools",
        "executors",
        "ray",
        "command-line",
    ],
    "How to: the guest": [
        "guest-agent",
        "consoles",
        "storage",
        "network",
        "sharing",
        "display",
    ],
    "How to: see what happens": [
        "events",
        "errors",
        "statistics",
        "logging",
        "capabilities",
    ],
    "How to: in your program": [
        "testing",
        "asyncio",
        "embedding",
        "confinement",
        "objective-c",
    ],
    "Concepts": [
        "concepts/ownership-of-errors",
        "concepts/saved-states-and-clones",
        "concepts/two-platforms",
    ],
    "Reference": [
        "reference/machines",
        "reference/guest",
        "reference/devices",
        "reference/events",
        "reference/configuration",
        "reference/host",
        "reference/capabilities",
        "reference/errors",
        "reference/images",
        "reference/states",
        "reference/ray",
        "reference/testing",
        "reference/aio",
    ],
    "About the project": [
        "limits",
        "benchmark",
        "architecture",
        "guest-agent-protocol",
        "contributing",
        "changelog",
    ],
}
