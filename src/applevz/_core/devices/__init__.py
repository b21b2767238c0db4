# SPDX-License-Identifier: Apache-2.0
"""The devices of a machine that no call waits for."""
