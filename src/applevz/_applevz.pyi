# SPDX-License-Identifier: Apache-2.0
# What cffi makes of native/include/applevz.h has no types that a checker could read.
from typing import Any

ffi: Any
lib: Any
