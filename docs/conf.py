"""The book: MyST notebooks, executed at build, offline; the API reference from the docstrings."""

import re
import subprocess
import sys
from pathlib import Path

import jaxmlp

project = "jaxmlp"
author = "the jaxmlp developers"
release = jaxmlp.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx-mathjax-offline"]
exclude_patterns = ["_build"]
html_theme = "sphinx_book_theme"
html_title = "jaxmlp"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_theme_options = {"show_navbar_depth": 2, "home_page_in_toc": True}
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings tell shapes, which say more
default_role = "code"
napoleon_use_ivar = True
napoleon_attr_annotations = False
napoleon_use_rtype = False


def escape_formulas(app, what, name, obj, options, lines):
    """Docstrings hold formulas in plain text, where a star, a bar or a trailing underscore is no markup."""
    text = "\n".join(lines)
    parts = re.split(r"(`[^`]*`|^\s*>>>.*$|^\s*\.\.\. .*$)", text, flags=re.M)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([*|])", r"\\\1", parts[i])
        parts[i] = re.sub(r"(\w)_(?!\w)", r"\1\\_", parts[i])
    lines[:] = "".join(parts).split("\n")


def write_explorers(app, error):
    """Run `examples/explorer.py`, whose two pages the book shows, into the folder of the book."""
    if error is None and app.builder.format == "html":
        example = Path(__file__).resolve().parent.parent / "examples" / "explorer.py"
        subprocess.run([sys.executable, example], check=True, cwd=app.outdir)


def setup(app):
    """Register the hooks, the first before napoleon's."""
    app.connect("autodoc-process-docstring", escape_formulas, priority=100)
    app.connect("build-finished", write_explorers)
