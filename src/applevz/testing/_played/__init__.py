# SPDX-License-Identifier: Apache-2.0
"""What is run in QEMU's place. It is a program: nothing here is imported by the package, or imports it."""
