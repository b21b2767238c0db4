# SPDX-License-Identifier: Apache-2.0
"""The pages of the reference: which public names stand on which page. What stands there is their docstrings.

A name is put on a page by the module that it is made in, so a new one appears by itself. A name of a module that no
page is for ends the build.
"""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass

import applevz
import applevz.aio


@dataclass(frozen=True)
class Topic:
    title: str
    words: str
    modules: tuple[str, ...]
    """Whose public names of `applevz` are here; one that ends with a dot means all that begin so."""


TOPICS = {
    "machines": Topic(
        "Machines",
        "`applevz.VirtualMachine`, and what a program has of one that runs.",
        (
            "applevz._blocking.machine",
            "applevz._blocking.launching",
            "applevz._blocking.pool",
            "applevz._blocking.executor",
            "applevz._core.pool",
            "applevz._core.states",
            "applevz._core.statistics",
        ),
    ),
    "guest": Topic(
        "The guest",
        "`machine.guest`: programs, files and connections in the guest.",
        ("applevz._blocking.guest", "applevz._blocking.files", "applevz._blocking.forward", "applevz._core.guest."),
    ),
    "devices": Topic(
        "Consoles and devices",
        "What the devices of a machine are to a program while it runs.",
        (
            "applevz._blocking.console",
            "applevz._blocking.input_devices",
            "applevz._blocking.sockets",
            "applevz._blocking.usb",
            "applevz._core.devices.",
            "applevz._values.keys",
        ),
    ),
    "events": Topic("Events", "What happened to a machine.", ("applevz._blocking.events", "applevz._core.events")),
    "configuration": Topic(
        "Configuration",
        "What a machine is made of.",
        (
            "applevz.configuration.machine",
            "applevz.configuration.",
            "applevz._host.disk_images",
            "applevz._values.identifiers",
        ),
    ),
    "host": Topic(
        "The host", "What this host can do.", ("applevz._host.capabilities", "applevz._host.limits")
    ),
    "errors": Topic(
        "Errors",
        "The exceptions of this package. Each also derives from the builtin that fits.",
        ("applevz.errors", "applevz._core.guest.process"),
    ),
}
# Modules that are imported by their names, and have all of their own on one page.
MODULES = {
    "images": ("applevz.images", "applevz.images", "`applevz.aio.images` has the same functions, which are awaited."),
    "states": ("applevz.states", "applevz.states", "`applevz.aio.states` has the same functions, which are awaited."),
    "ray": ("applevz.ray", "applevz.ray", "[Many hosts](../ray.md) tells of clusters, states and nodes that die."),
    "testing": ("applevz.testing", "applevz.testing", "[Testing](../testing.md) tells of the fixtures of pytest."),
}
FOLDER = "reference"
# Classes of Python's own, whose members are not told of again.
_FOREIGN = "object, Enum, Flag, int, tuple, Executor, Future"
PLATFORMS = ("Linux", "a Mac")


def _made_in(name: str) -> str:
    value = getattr(applevz, name)
    return str(getattr(value, "__module__", None) or type(value).__module__)


def _topic_of(name: str) -> str:
    module = _made_in(name)
    is_error = isinstance(getattr(applevz, name), type) and issubclass(getattr(applevz, name), BaseException)
    for key, topic in TOPICS.items():
        is_here = any(module == known or (known.endswith(".") and module.startswith(known)) for known in topic.modules)
        if is_here and (key == "errors" or not is_error):
            return key
    raise SystemExit(f"applevz.{name} is made in {module}, which no page of website/reference.py is for.")


def pages() -> dict[str, str]:
    """The texts of the pages, by their places in the site."""
    names: dict[str, list[str]] = {key: [] for key in TOPICS}
    for name in applevz.__all__:  # type: ignore[attr-defined]
        if name != "__version__":
            names[_topic_of(name)].append(name)
    found = {}
    for key, topic in TOPICS.items():
        order = sorted(names[key], key=lambda name: (_rank(topic, name), name))
        found[key] = _page(topic.title, topic.words, [_directive("applevz", name) for name in order], "applevz")
    for key, (title, module, words) in MODULES.items():
        members = [name for name in importlib.import_module(module).__all__ if name != "Progress" or key == "images"]
        head = f".. automodule:: {module}\n   :no-members:\n"
        found[key] = _page(title, words, [head, *(_directive(module, name) for name in members)], module)
    awaited = [
        name
        for name in applevz.aio.__all__  # type: ignore[attr-defined]
        if getattr(applevz.aio, name) is not getattr(applevz, name)
    ]
    words = "The same names, with calls that are awaited. All others are those of `applevz`."
    directives = [_directive("applevz.aio", name) for name in sorted(awaited)]
    found["aio"] = _page("applevz.aio", words, directives, "applevz.aio")
    found["capabilities"] = capabilities_page()
    return {f"{FOLDER}/{key}.md": text for key, text in found.items()}


@dataclass(frozen=True)
class Needs:
    """What a capability is, and what it takes on each platform, as its docstring says."""

    what: str
    on: dict[str, str]


def capability_needs() -> dict[str, Needs]:
    found = {}
    for name, value in vars(applevz.Capabilities).items():
        if isinstance(value, property):
            what, _, needs = (inspect.getdoc(value) or "").partition("\n\n")
            parts = re.split(r"^On (.+?): ", needs, flags=re.MULTILINE)[1:]
            on = dict(zip(parts[::2], (" ".join(part.split()) for part in parts[1::2]), strict=True))
            if tuple(on) != PLATFORMS:
                raise SystemExit(f"The docstring of Capabilities.{name} does not say what it takes on {PLATFORMS}.")
            found[name] = Needs(" ".join(what.split()), on)
    return found


def capabilities_page() -> str:
    text = "# Capabilities of each platform\n\nWhat each [capability](../capabilities.md) takes. "
    text += "`applevz.capabilities` says what this host has, and `applevz capabilities` prints it.\n\n"
    text += "| capability | | on Linux | on a Mac |\n|---|---|---|---|\n"
    for name, needs in capability_needs().items():
        cells = [f"`{name}`", needs.what, *(needs.on[platform] for platform in PLATFORMS)]
        text += f"| {' | '.join(cells)} |\n"
    return text


def _rank(topic: Topic, name: str) -> int:
    module = _made_in(name)
    return next((index for index, known in enumerate(topic.modules) if module.startswith(known)), len(topic.modules))


def _page(title: str, words: str, directives: list[str], module: str) -> str:
    text = f"# {title}\n\n{words}\n\n```{{eval-rst}}\n.. py:currentmodule:: {module}\n\n"
    return text + "\n".join(directives) + "```\n"


def _directive(module: str, name: str) -> str:
    value = getattr(importlib.import_module(module), name)
    if not isinstance(value, type):
        kind = "autofunction" if callable(value) else "autodata"
        return f".. {kind}:: {module}.{name}\n"
    if issubclass(value, BaseException):
        # What every exception of Python has is not told of each again.
        inherited = "" if value is not applevz.Error else "   :members:\n"
        return f".. autoexception:: {module}.{name}\n   :show-inheritance:\n{inherited}"
    return f".. autoclass:: {module}.{name}\n   :members:\n   :inherited-members: {_FOREIGN}\n"
