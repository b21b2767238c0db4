# SPDX-License-Identifier: Apache-2.0
"""The files of a NoCloud seed, and how they have a guest install the agent.

JSON is YAML if some of it is written carefully: so cloud-config needs no library for YAML here. The agent comes with
the vendor data, as a boothook: cloud-init runs it early at each boot, whatever the user data is and says, and merges
nothing into that.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .._values import arguments
from ..errors import InvalidArgumentError, make
from .guest_agent import agent_program
from .guest_services import OPENRC, PROGRAM, SYSTEMD

__all__ = ["seed_files"]

MOST_BYTES: Final = 1 << 20
_MOST_VALUES: Final = 100_000
_DEEPEST: Final = 32
_LONGEST_KEY: Final = 256
# What YAML does not take as it is, or takes as the end of a line (YAML 1.1, 4.1 and 4.2).
_ESCAPED: Final = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")
AGENT: Final = "applevz-agent"
_SERVICE: Final = "applevz-agent.service"
_SCRIPT: Final = "applevz-agent.openrc"


def seed_files(
    user_data: object,
    meta_data: object,
    network_config: object,
    ssh_authorized_keys: object,
    users: object,
    packages: object,
    guest_agent: object,
) -> dict[str, bytes]:
    lists = {
        "ssh_authorized_keys": _elements("ssh_authorized_keys", ssh_authorized_keys, (str,), "text (str)"),
        "users": _elements("users", users, (str, Mapping), "text (str) or a dictionary"),
        "packages": _elements("packages", packages, (str, list, tuple), "text (str), or a list of name and version"),
    }
    files = {"user-data": _user_data(user_data, lists)}
    if network_config is not None:
        files["network-config"] = _document("network_config", network_config)
    if arguments.boolean("guest_agent", guest_agent):  # type: ignore[arg-type]
        files |= {
            "vendor-data": _BOOTHOOK.encode(),
            AGENT: agent_program(),
            _SERVICE: SYSTEMD.text.encode(),
            _SCRIPT: OPENRC.text.encode(),
        }
    files["meta-data"] = _meta_data(meta_data, files)
    return files


def _elements(field: str, value: Any, kinds: tuple[type, ...], wanted: str) -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise arguments.wrong_type(field, value, f"a list of {wanted}")
    for index, element in enumerate(value):
        if not isinstance(element, kinds):
            raise arguments.wrong_type(f"{field}[{index}]", element, wanted)
        if isinstance(element, str) and not element.strip():
            raise make(InvalidArgumentError, f"{field}[{index}] is {element!r}, which is empty.", "", "Leave it out.")
    return list(value)


def _user_data(value: object, lists: dict[str, list[Any]]) -> bytes:
    given = {name: elements for name, elements in lists.items() if elements}
    if isinstance(value, str):
        if given:
            name = next(iter(given))
            raise make(
                InvalidArgumentError,
                f"{name} is {arguments.shown(given[name])}, and user_data is text.",
                "Nothing is added to a text.",
                f"Write {name} into the text, or give user_data as a dictionary.",
            )
        data = _document("user_data", value)
        if not data.startswith((b"#", b"Content-Type:", b"MIME-Version:", b"From ", b"\x1f\x8b")):
            raise make(
                InvalidArgumentError,
                f"user_data is {arguments.shown(value)}, which does not say what it is.",
                "cloud-init takes a text for what its first line says.",
                "Begin it with a line such as #cloud-config or #!/bin/sh.",
            )
        return data
    if value is not None and not isinstance(value, Mapping):
        raise arguments.wrong_type("user_data", value, "text (str) or a dictionary, or None")
    whole: dict[Any, Any] = {} if value is None else dict(value)
    for name, elements in given.items():
        present = whole.get(name, [])
        if isinstance(present, (str, bytes, Mapping)) or not isinstance(present, Sequence):
            raise arguments.wrong_type(f"user_data[{name!r}]", present, f"a list, to which {name} is added")
        whole[name] = [*present, *elements]
    return b"#cloud-config\n" + _document("user_data", whole)


def _meta_data(value: object, files: dict[str, bytes]) -> bytes:
    if isinstance(value, str):
        return _document("meta_data", value)
    if value is not None and not isinstance(value, Mapping):
        raise arguments.wrong_type("meta_data", value, "text (str) or a dictionary, or None")
    given: dict[Any, Any] = {} if value is None else dict(value)
    if "instance-id" not in given:
        digest = hashlib.sha256(_document("meta_data", given))
        for name, data in sorted(files.items()):
            digest.update(f"{name} {len(data)}\n".encode() + data)
        given["instance-id"] = f"applevz-{digest.hexdigest()[:32]}"
    return _document("meta_data", given)


def _document(field: str, value: object) -> bytes:
    if isinstance(value, str):
        data = arguments.text(field, value)
    elif isinstance(value, Mapping):
        data = (_Writer().text_of(field, value) + "\n").encode()
    else:
        raise arguments.wrong_type(field, value, "text (str) or a dictionary, or None")
    if len(data) > MOST_BYTES:
        raise make(
            InvalidArgumentError,
            f"{field} has {len(data)} bytes.",
            f"A seed's file has at most {MOST_BYTES}.",
            "Put what is large on a disk of its own, or have the guest fetch it.",
        )
    return data


class _Writer:
    """Writes a value as JSON that is YAML 1.1 with the same meaning."""

    def __init__(self) -> None:
        self._values = 0
        self._length = 0

    def text_of(self, field: str, value: object, depth: int = 0) -> str:
        self._values += 1
        if self._values > _MOST_VALUES or depth > _DEEPEST or self._length > MOST_BYTES:
            raise make(
                InvalidArgumentError,
                f"{field} is too much.",
                f"A dictionary here has up to {_MOST_VALUES} values in it, {_DEEPEST} deep, and {MOST_BYTES} bytes.",
                "A dictionary that has itself in it is endless.",
            )
        return self._text(field, value, depth)

    def _text(self, field: str, value: object, depth: int) -> str:
        if value is None or isinstance(value, bool):
            return json.dumps(value)
        if isinstance(value, str):
            return self._string(field, value)
        if isinstance(value, int):
            if value.bit_length() > 64:
                raise make(InvalidArgumentError, f"{field} is a number of {value.bit_length()} bits.", "", "Use text.")
            return str(int(value))
        if isinstance(value, float):
            if not math.isfinite(value):
                raise make(InvalidArgumentError, f"{field} is {value}, which JSON has not.", "", "Use text.")
            # Without a point YAML takes 1e+16 for text.
            text = repr(float(value))
            return text if "." in text else text.replace("e", ".0e")
        if isinstance(value, Mapping):
            parts = []
            for key, element in value.items():
                if not isinstance(key, str):
                    raise arguments.wrong_type(f"a key of {field}", key, "text (str)")
                if len(key) > _LONGEST_KEY:
                    raise make(
                        InvalidArgumentError,
                        f"A key of {field} has {len(key)} characters.",
                        f"YAML has room for {_LONGEST_KEY}, at least.",
                        "Use a shorter one.",
                    )
                name = self._string(f"a key of {field}", key)
                parts.append(f"{name}: {self.text_of(f'{field}[{key!r}]', element, depth + 1)}")
            return "{" + ", ".join(parts) + "}"
        if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
            elements = (self.text_of(f"{field}[{index}]", element, depth + 1) for index, element in enumerate(value))
            return "[" + ", ".join(elements) + "]"
        wanted = "what JSON has: text, a number, True, False, None, a list or a dictionary"
        raise arguments.wrong_type(field, value, wanted)

    def _string(self, field: str, value: str) -> str:
        arguments.text(field, value.replace("\0", ""))  # what UTF-8 does not have
        self._length += len(value)
        text = json.dumps(value, ensure_ascii=False)
        return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


# Each step can be done again. A disk that is there no more at a later boot is missed by nobody. What is run is
# replaced, not written into.
_BOOTHOOK: Final = f"""\
#cloud-boothook
#!/bin/sh
# Installs the agent of applevz from the disk that this came with, as a service, and starts it.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

find_disk() {{
    for disk in /dev/disk/by-label/cidata /dev/disk/by-label/CIDATA; do
        [ -b "$disk" ] && echo "$disk" && return
    done
    blkid 2>/dev/null | sed -n 's/^\\([^:]*\\):.* LABEL="\\(cidata\\|CIDATA\\)".*/\\1/p' | head -n 1
}}

put() {{
    mkdir -p "${{2%/*}}"
    cmp -s "$1" "$2" && return
    cp "$1" "$2.new" && chmod "$3" "$2.new" && mv -f "$2.new" "$2" && changed=yes
}}

link() {{
    [ -n "$changed" ] || return
    mkdir -p "${{2%/*}}"
    ln -sf "$1" "$2"
}}

disk=$(find_disk)
[ -n "$disk" ] || exit 0
folder=/run/applevz-seed
mkdir -p "$folder"
modprobe isofs 2>/dev/null
mount -t iso9660 -o ro,nosuid,nodev,noexec "$disk" "$folder" || exit 0
changed=
if [ -f "$folder/{AGENT}" ]; then
    put "$folder/{AGENT}" /{PROGRAM} 755
    if [ -d /run/systemd/system ]; then
        put "$folder/{_SERVICE}" /{SYSTEMD.path} {SYSTEMD.mode:o}
        link {SYSTEMD.target} /{SYSTEMD.link}
        [ -z "$changed" ] || systemctl daemon-reload
        [ -z "$changed" ] || systemctl --no-block restart applevz-agent.service
    elif command -v openrc-run >/dev/null; then
        put "$folder/{_SCRIPT}" /{OPENRC.path} {OPENRC.mode:o}
        link {OPENRC.target} /{OPENRC.link}
        [ -z "$changed" ] || rc-service --nodeps applevz-agent restart
    else
        echo "applevz-agent: neither systemd nor OpenRC runs here: nothing starts /{PROGRAM}" >&2
    fi
fi
umount "$folder"
rmdir "$folder"
exit 0
"""
