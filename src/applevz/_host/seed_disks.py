# SPDX-License-Identifier: Apache-2.0
"""The bytes of a disk with some files, as cloud-init looks for one: ISO 9660 with Joliet and Rock Ridge."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Final

from ..errors import NotSupportedError, make

__all__ = ["seed_disk"]

_SECTOR: Final = 2048
# Where the first volume descriptor stands, and what is where in one (ECMA-119, 8.4).
_DESCRIPTORS: Final = 16
_ROOT: Final = 156
_DATES: Final = range(813, 813 + 4 * 17, 17)
# 1 January 2000, as a volume descriptor and as a directory have it.
_LONG_DATE: Final = b"2000010100000000\0"
_SHORT_DATE: Final = bytes((100, 1, 1, 0, 0, 0, 0))


def seed_disk(label: str, files: Mapping[str, bytes]) -> bytes:
    """A disk with these files in its one folder. The same files make the same bytes.

    Raises `NotSupportedError` if pycdlib is not installed.
    """
    try:
        import pycdlib
    except ImportError:
        raise make(
            NotSupportedError,
            "No seed disk can be made.",
            "The Python package pycdlib is not installed.",
            "Install it with the extra that needs it: pip install 'applevz[seed]'.",
        ) from None
    disk = pycdlib.PyCdlib()
    disk.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=label, sys_ident="LINUX")
    try:
        for number, (name, data) in enumerate(sorted(files.items())):
            disk.add_fp(
                io.BytesIO(data),
                len(data),
                f"/FILE{number}.;1",
                rr_name=name,
                joliet_path=f"/{name}",
                file_mode=0o100444,
            )
        made = io.BytesIO()
        disk.write_fp(made)
    finally:
        disk.close()
    image = bytearray(made.getvalue())
    _set_dates(image)
    return bytes(image)


def _set_dates(disk: bytearray) -> None:
    """Sets all dates, which are those of the moment, to one."""
    for begin in range(_DESCRIPTORS * _SECTOR, len(disk), _SECTOR):
        kind = disk[begin]
        if disk[begin + 1 : begin + 6] != b"CD001" or kind == 255:
            break
        if kind not in (1, 2):
            continue
        for place in (begin + offset for offset in _DATES):
            if disk[place : place + 4] != b"0000":
                disk[place : place + 17] = _LONG_DATE
        _set_date_of_record(disk, begin + _ROOT)
        place = int.from_bytes(disk[begin + _ROOT + 2 : begin + _ROOT + 6], "little") * _SECTOR
        end = place + int.from_bytes(disk[begin + _ROOT + 10 : begin + _ROOT + 14], "little")
        while place < end:
            if disk[place] == 0:  # no record goes over the end of a sector
                place += _SECTOR - place % _SECTOR
                continue
            _set_date_of_record(disk, place)
            place += disk[place]


def _set_date_of_record(disk: bytearray, place: int) -> None:
    length, name_length = disk[place], disk[place + 32]
    disk[place + 18 : place + 25] = _SHORT_DATE
    # Rock Ridge's fields are behind the name, which an even number of bytes has.
    field = place + 33 + name_length + (name_length + 1) % 2
    while field + 4 <= place + length and disk[field + 2] >= 4:
        if disk[field : field + 2] == b"TF":
            for date in range(field + 5, field + disk[field + 2] - 6, 7):
                disk[date : date + 7] = _SHORT_DATE
        field += disk[field + 2]
