# SPDX-License-Identifier: Apache-2.0
"""The configuration of a machine: plain objects for all that it is made of.

The classes have the names of Apple's Virtualization framework without `VZ`. Their fields have the names of its
properties in Python's spelling. Apple's documentation says what each means, and what the framework refuses:
https://developer.apple.com/documentation/virtualization/vzvirtualmachineconfiguration

A configuration is a plain object until a machine is made of it, or `validate` is called. Only then are values looked
at, files opened and relative paths resolved. The machine has its own copy.
"""

from .._public import public_names as _public_names
from .boot_loaders import *
from .cloud_init import *
from .confinement import *
from .consoles import *
from .directory_sharing import *
from .entropy import *
from .graphics import *
from .input_devices import *
from .memory_balloons import *
from .network import *
from .platforms import *
from .resource_limits import *
from .sockets import *
from .storage import *
from .usb import *

# A checker of types sees the imports above; the list of their names is made of them.
globals()["__all__"] = _public_names(globals())
