# SPDX-License-Identifier: Apache-2.0
"""An extension of Sphinx: docstrings of this package as they are written.

They are text for `help()`. A name stands in single backticks, code is set in by four spaces. Public names are
documented where a program imports them from, and their types name the modules in which they are made.
"""

from __future__ import annotations

import re
from typing import Any, cast

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.environment import BuildEnvironment

# Types of this package's that no program has.
_OWN = re.compile(r"\b(Reference|Session|Pump|BaseFile)\b")


def mark_code(_app: Sphinx, _kind: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Marks what is set in behind a paragraph as code, which it would be a quotation otherwise."""
    result: list[str] = []
    in_code = False
    for index, line in enumerate(lines):
        if line.strip():
            before = next((text for text in reversed(lines[:index]) if text.strip()), "")
            if line.startswith("    ") and not in_code and index and not lines[index - 1].strip():
                in_code = not before.lstrip().startswith(("- ", "* "))
                if in_code:
                    result += [".. code-block:: python", ""]
            elif not line.startswith("    "):
                in_code = False
        result.append(line)
    lines[:] = result


def hide_making(
    _app: Sphinx, kind: str, _name: str, _object: Any, _options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Leaves out how an object is made that a program is only given: of what this package keeps to itself."""
    if kind == "class" and signature is not None and _OWN.search(signature):
        return "", returned
    return None


def find_public(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Element | None:
    """Where a name leads that is not documented under the module that it is made in."""
    if node.get("refdomain") != "py":
        return None
    domain = cast(PythonDomain, env.get_domain("py"))
    target = str(node["reftarget"]).removesuffix("()").removesuffix("[]")
    # Of the awaited face if that is where the name stands, which has classes of the same names.
    for module in dict.fromkeys((str(node.get("py:module") or "applevz"), "applevz")):
        for length in (2, 1):
            name = f"{module}.{'.'.join(target.split('.')[-length:])}"
            if name in domain.objects:
                return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", mark_code)
    app.connect("autodoc-process-signature", hide_making)
    app.connect("missing-reference", find_public)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
