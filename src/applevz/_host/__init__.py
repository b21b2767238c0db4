# SPDX-License-Identifier: Apache-2.0
"""Capabilities and limits of this host, and files that are made without a machine."""
