# SPDX-License-Identifier: Apache-2.0
"""Virtual machines: Apple's Virtualization framework on macOS, and the same classes over QEMU on Linux.

    from applevz import LinuxBootLoader, VirtualMachine, VirtualMachineConfiguration

    configuration = VirtualMachineConfiguration(LinuxBootLoader("vmlinux", "initrd", "console=hvc0"))
    with VirtualMachine(configuration) as machine:
        machine.start()
        print(machine.console.read_until("ready", timeout=30).decode())
        machine.shutdown()

`applevz.aio` has the same names, with calls that are awaited.

Importing the package starts no thread and no process, and changes nothing in the process.

PYTEST_DONT_REWRITE: pytest rewrites the assertions of packages that have a plugin, and warns if it comes too late.
"""

from ._host.capabilities import Capabilities as Capabilities
from ._host.capabilities import Capability as Capability
from ._host.capabilities import capabilities as capabilities
from ._public import public_names as _public_names
from .errors import *

# typing's own name and value for it: importing `typing` would be a quarter of this package's import, and only checkers
# of types need what it has.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._blocking import *
    from ._blocking.executor import MachineExecutor as MachineExecutor
    from ._blocking.executor import MachineFuture as MachineFuture
    from ._exports import *

__version__ = "0.1.0"


def _later() -> dict[str, object]:
    """The public names that are imported when the first of them is asked for.

    A program that may never use a machine, as a test runner's plug-in, should not wait for them. The native library and
    the errors come at once, so that an installation that does not work says so at the import.
    """
    from . import _blocking, _exports

    return {name: vars(module)[name] for module in (_exports, _blocking) for name in vars(module)["__all__"]}


# They import what no other name needs: `concurrent.futures`, and with that `logging`.
_OF_THREADS = ("MachineExecutor", "MachineFuture")


# A checker of types sees the imports above.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "__all__":
            at_once = {*_public_names(globals()), "__version__"} - {"TYPE_CHECKING"}
            value = sorted({*at_once, *_later(), *_OF_THREADS})
        elif name in _OF_THREADS:
            from ._blocking import executor

            value = getattr(executor, name)
        else:
            # A name of the system's own, as `__path__` or `__wrapped__`, is asked for by programs that use no machine.
            names = {} if name.startswith("_") else _later()
            if name not in names:
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
            value = names[name]
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__getattr__("__all__")})
