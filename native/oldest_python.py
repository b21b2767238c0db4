# SPDX-License-Identifier: Apache-2.0
"""Ends with one sentence where the Python that runs it is too old for applevz.

An old Python reads this file: nothing may be in it that Python 2.7 does not know.
"""

import sys

OLDEST = (3, 10)


def refusal():
    # type: () -> str | None
    """The sentence; None where this Python will do."""
    if sys.version_info[:2] >= OLDEST:
        return None
    found, needed = (".".join(str(number) for number in version) for version in (sys.version_info[:3], OLDEST))
    sentence = (
        "applevz needs Python {} or later, and {} is {}: install a later one (a Mac's command line tools have none; "
        "python.org, Homebrew and uv do) and name it, as in `make PYTHON=/path/to/python3`."
    )
    return sentence.format(needed, sys.executable, found)


if __name__ == "__main__":
    sys.exit(refusal())
