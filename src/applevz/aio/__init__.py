# SPDX-License-Identifier: Apache-2.0
"""`applevz` for asyncio: the same names, with calls that are awaited if they wait.

    from applevz.aio import LinuxBootLoader, VirtualMachine, VirtualMachineConfiguration

    configuration = VirtualMachineConfiguration(LinuxBootLoader("vmlinux", "initrd", "console=hvc0"))
    async with VirtualMachine(configuration) as machine:
        await machine.start()
        print((await machine.console.read_until("ready", timeout=30)).decode())
        await machine.shutdown()

`VirtualMachine`, `Console`, `Events`, `Keyboard`, `Pointer`, `USBController`, `USBMassStorageDevice`,
`VirtioSocketDevice`, `SocketListener`, `Guest`, `GuestProcess`, `GuestInput`, `GuestOutput`, `GuestConnection`,
`GuestFile`, `Forward`, `Pool` and `launch` are this module's own; all other names are those of `applevz`, but for
`MachineExecutor` and its `MachineFuture`, which are of threads: here a task is what they are there. No machine and no
call has a thread: a loop watches one descriptor for all that it waits for, and one for each console that is used.
Cancelling a call ends its wait; the machine goes on with what it was told.
"""

from .. import __version__ as __version__
from .._exports import *
from .._host.capabilities import Capabilities as Capabilities
from .._host.capabilities import Capability as Capability
from .._host.capabilities import capabilities as capabilities
from .._public import public_names as _public_names
from ..errors import *
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
globals()["__all__"] = sorted([*_public_names(globals()), "__version__"])
