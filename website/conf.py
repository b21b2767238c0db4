# SPDX-License-Identifier: Apache-2.0
"""The configuration of Sphinx. website/make_site.py lays out the pages that it reads, and runs it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import applevz

project = "applevz"
author = copyright = "the authors of applevz"
release = version = applevz.__version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "docstrings"]
root_doc = "index"

# ---- Pages ----

myst_enable_extensions: list[str] = []
# As the anchors are where the repository's pages are shown.
myst_heading_anchors = 4

# ---- Reference ----

add_module_names = False
python_use_unqualified_type_names = True
python_display_short_literal_types = True
maximum_signature_line_length = 100
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# A name in a docstring is a link, if there is such a thing.
# What is set in by four spaces is of no language that its page names.
highlight_language = "none"
default_role = "py:obj"
toc_object_entries_show_parents = "hide"

# ---- How it looks ----

html_theme = "furo"
html_title = f"applevz {release}"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "native"
copybutton_exclude = ".linenos, .gp, .go"
