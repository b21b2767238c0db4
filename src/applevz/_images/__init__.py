# SPDX-License-Identifier: Apache-2.0
"""Images by name: what both faces, `applevz.images` and `applevz.aio.images`, stand on."""
