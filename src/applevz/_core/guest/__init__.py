# SPDX-License-Identifier: Apache-2.0
"""The guest's agent, as the host speaks to it: docs/guest-agent-protocol.md is the protocol."""
