# SPDX-License-Identifier: Apache-2.0
"""The steps of every call, which both faces go through."""
