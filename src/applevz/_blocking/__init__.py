# SPDX-License-Identifier: Apache-2.0
"""The face whose calls block. The names here are public in `applevz`; `applevz.aio` has a class of its own for each."""

from .._public import public_names as _public_names
from .console import Console as Console
from .events import Events as Events
from .files import GuestFile as GuestFile
from .forward import Forward as Forward
from .guest import Guest as Guest
from .guest import GuestConnection as GuestConnection
from .guest import GuestInput as GuestInput
from .guest import GuestOutput as GuestOutput
from .guest import GuestProcess as GuestProcess
from .input_devices import Keyboard as Keyboard
from .input_devices import Pointer as Pointer
from .launching import launch as launch
from .machine import VirtualMachine as VirtualMachine
from .pool import Pool as Pool
from .sockets import SocketListener as SocketListener
from .sockets import VirtioSocketDevice as VirtioSocketDevice
from .usb import USBController as USBController
from .usb import USBMassStorageDevice as USBMassStorageDevice

# A checker of types sees the imports above; the list of their names is made of them.
globals()["__all__"] = _public_names(globals())
