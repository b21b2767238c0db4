# SPDX-License-Identifier: Apache-2.0
"""The command line: `applevz`, or `python -m applevz`.

`main` is its entry. What a user in trouble needs (`plain`) takes no package besides this one: `doctor`, `sign`,
`guest-agent` and `check`. They are described once, as data, of which argparse makes a command line as well as click
does. All others take click and rich, the extra `cli`, and are in `commands`, which imports each when it is used.
"""
