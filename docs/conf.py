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
html_theme_options = {"show_navbar_depth": 2, "home_page_in_toc": True, "navbar_persistent": []}
smartquotes = False  # a prime is a prime, and code can be copied
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings tell shapes, which say more
default_role = "code"
napoleon_use_ivar = True
napoleon_attr_annotations = False
napoleon_use_rtype = False


SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Example|Yields):$")
EQUATION = re.compile(r"(?!with )[\w{}\[\]^()*'|+. -]{1,45} (=|<-) [^`]+$")


def set_equations(app, what, name, obj, options, lines):
    """Docstrings hold equations as lines of their own, at the head of a paragraph or indented: keep them as lines."""
    end = next((i for i, line in enumerate(lines) if SECTION.match(line)), len(lines))
    text, i = lines[:1], 1
    while i < end:
        j = i
        if not lines[i - 1].strip():
            while j < end and lines[j].strip() and (lines[j].startswith("    ") or EQUATION.match(lines[j])):
                j += 1
        flows_on = j < end and lines[j][:1].islower()  # a sentence, then, which begins with an equation
        if j > i and not flows_on:
            text += ["::", "", *("    " + line.strip() for line in lines[i:j]), ""]
            i = j
        else:
            text.append(lines[i])
            i += 1
    lines[:] = text + lines[end:]


def escape_formulas(app, what, name, obj, options, lines):
    """Docstrings hold formulas in plain text, where a star, a bar or a trailing underscore is no markup."""
    text = "\n".join(lines)
    parts = re.split(r"(`[^`]*`|^\s*>>>.*$|^\s*\.\.\. .*$|^::\n\n(?:    .*\n|\n)+)", text, flags=re.M)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([*|])", r"\\\1", parts[i])
        parts[i] = re.sub(r"(\w)_(?!\w)", r"\1\\_", parts[i])
        parts[i] = re.sub(r": ([A-Z])\.$", r": `\1`.", parts[i], flags=re.M)  # else a list that counts in letters
    lines[:] = "".join(parts).split("\n")


def skip_fields(app, what, name, obj, skip, options):
    """Leave out what a named tuple says of each field, which is its number."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def write_explorers(app, error):
    """Run `examples/explorer.py`, whose two pages the book shows, into the folder of the book."""
    if error is None and app.builder.format == "html":
        example = Path(__file__).resolve().parent.parent / "examples" / "explorer.py"
        subprocess.run([sys.executable, example], check=True, cwd=app.outdir)


def setup(app):
    """Register the hooks, the first two before napoleon's."""
    app.connect("autodoc-process-docstring", set_equations, priority=99)
    app.connect("autodoc-process-docstring", escape_formulas, priority=100)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("build-finished", write_explorers)
