# SPDX-License-Identifier: Apache-2.0
"""The binding: what cffi makes of native/include/applevz.h, and of nothing else.

The header goes through the preprocessor with APPLEVZ_BINDING defined; what comes out are the declarations. The values
of enumerations and the layout of structures are those that the compiler finds in the same header.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

HEADER = Path(__file__).resolve().parent / "include" / "applevz.h"


def declarations(clang: str) -> str:
    """The header's declarations, as text that cffi reads. They are the same for every processor and every SDK; and a
    compiler that is told to build for several processors refuses to preprocess."""
    command = [clang, "-E", "-P", "-x", "c", "-DAPPLEVZ_BINDING", str(HEADER)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def emit(module: str, clang: str, source: Path) -> None:
    """Writes the C source of the extension `module`."""
    import cffi

    ffi: Any = cffi.FFI()
    ffi.cdef(declarations(clang))
    ffi.set_source(module, "#include <applevz.h>\n")
    source.parent.mkdir(parents=True, exist_ok=True)
    ffi.emit_c_code(str(source))
