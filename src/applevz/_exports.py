# SPDX-License-Identifier: Apache-2.0
"""The public names that both faces have. They stand here and nowhere else: `applevz` and `applevz.aio` take them over.

Errors, capabilities and the version come at the import; these come when the first of them is asked for. A class of a
configuration is public if the `__all__` of its module names it.
"""

from ._core.devices.consoles import VirtioConsoleDevice as VirtioConsoleDevice
from ._core.devices.consoles import VirtioConsolePort as VirtioConsolePort
from ._core.devices.consoles import VirtioConsolePorts as VirtioConsolePorts
from ._core.devices.directory_sharing import VirtioFileSystemDevice as VirtioFileSystemDevice
from ._core.devices.displays import VirtioGraphicsScanout as VirtioGraphicsScanout
from ._core.devices.memory_balloons import VirtioTraditionalMemoryBalloonDevice as VirtioTraditionalMemoryBalloonDevice
from ._core.devices.network import NetworkDevice as NetworkDevice
from ._core.devices.network import bridged_network_interfaces as bridged_network_interfaces
from ._core.events import Event as Event
from ._core.events import EventCause as EventCause
from ._core.events import EventKind as EventKind
from ._core.events import EventPort as EventPort
from ._core.guest.information import GuestAddress as GuestAddress
from ._core.guest.information import GuestInformation as GuestInformation
from ._core.guest.process import GuestProcessTimeoutError as GuestProcessTimeoutError
from ._core.pool import PoolStatistics as PoolStatistics
from ._core.states import ShutdownPolicy as ShutdownPolicy
from ._core.states import VirtualMachineState as VirtualMachineState
from ._core.statistics import DiskStatistics as DiskStatistics
from ._core.statistics import MachineStatistics as MachineStatistics
from ._core.statistics import NetworkStatistics as NetworkStatistics
from ._host.disk_images import create_disk_image as create_disk_image
from ._host.limits import Limits as Limits
from ._host.limits import limits as limits
from ._public import public_names as _public_names
from ._values.identifiers import command_line_additions as command_line_additions
from ._values.keys import Key as Key
from ._values.keys import PointerButton as PointerButton
from .configuration import *
from .configuration.machine import VirtualMachineConfiguration as VirtualMachineConfiguration

# A checker of types sees the imports above; the list of their names is made of them.
globals()["__all__"] = _public_names(globals())
