# SPDX-License-Identifier: Apache-2.0
"""Values of arguments: how they are checked, and their native form."""
