# SPDX-License-Identifier: Apache-2.0
"""`applevz.states`: what is in saved states, and how they belong together."""
